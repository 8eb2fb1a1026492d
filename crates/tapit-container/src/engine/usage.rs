//! Reads what instances use, when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tapit_model::{InstanceId, InstanceKey, Moment, ProcessKey, Usage};

use super::clock;
use super::shared::Shared;
use crate::instance::Running;

/// Remembers the last reading of each instance, since a cpu percentage needs two.
#[derive(Default)]
pub struct Meter {
    last: Mutex<BTreeMap<InstanceKey, (Moment, u64)>>,
}

impl Meter {
    /// The running instances of a process; one that ends meanwhile is left out.
    pub fn read(&self, shared: &Shared, key: &ProcessKey) -> Vec<(InstanceId, Usage)> {
        let (running, known): (Vec<_>, BTreeSet<_>) = {
            let state = shared.state();
            let known = state.processes.values().flat_map(|p| p.instances.values()).map(|i| i.key.clone()).collect();
            let process = state.processes.get(key);
            let instances = process.into_iter().flat_map(|process| process.instances.values());
            let running = instances.filter_map(|i| Some((i.key.clone(), i.running.clone()?))).collect();
            (running, known)
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|instance, _| known.contains(instance));
        let read = |(instance, running): (InstanceKey, Arc<Running>)| {
            let now = clock::moment();
            let raw = running.usage().ok()?;
            let before = last.insert(instance.clone(), (now, raw.cpu_usec));
            let cpu_percent = before.and_then(|(then, cpu)| percent(raw.cpu_usec.saturating_sub(cpu), now.since(then)));
            let usage = Usage { memory_bytes: raw.memory_bytes, memory_peak_bytes: raw.memory_peak_bytes, cpu_percent };
            Some((instance.id, usage))
        };
        running.into_iter().filter_map(read).collect()
    }
}

/// Of one cpu, with one decimal. `None` when too little time has passed to say.
fn percent(cpu_usec: u64, millis: u64) -> Option<f64> {
    (millis >= 10).then(|| (cpu_usec as f64 / millis as f64).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_core_is_25_percent() {
        assert_eq!(percent(250_000, 1000), Some(25.0));
        assert_eq!(percent(1, 0), None);
    }
}
