//! Reads what instances use, when somebody asks.
//!
//! The state is locked only to learn which instances run; the kernel's files are read without any lock, on a thread that
//! may block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tapit_engine::EngineError;
use tapit_model::{InstanceKey, Moment, NetworkUsage, Usage, UsageOf};

use super::clock;
use super::shared::Shared;
use crate::instance::Running;
use crate::linux::{cgroup::Counters, traffic};

/// Remembers the last reading of each instance that was made for one process: a cpu percentage needs two. Readings of
/// more than that do not count, so that a collector of metrics does not shorten the time that `show` looks back over.
#[derive(Default)]
pub struct Meter {
    last: Mutex<BTreeMap<InstanceKey, (Moment, u64)>>,
}

impl Meter {
    /// Of the running instances; one that ends meanwhile is left out.
    pub async fn read(&self, shared: &Shared, of: &UsageOf) -> Result<Vec<(InstanceKey, Usage)>, EngineError> {
        let (running, known) = chosen(shared, of);
        let read = tokio::task::spawn_blocking(move || measure(running)).await;
        let mut read = read.map_err(|error| EngineError::act("reading what instances use", error))?;
        if let UsageOf::Process(_) = of {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.retain(|instance, _| known.contains(instance));
            for (instance, usage) in &mut read {
                let now = Moment(usage.read_at_millis);
                let before = last.insert(instance.clone(), (now, usage.cpu_usec));
                usage.cpu_percent =
                    before.and_then(|(then, cpu)| percent(usage.cpu_usec.saturating_sub(cpu), now.since(then)));
            }
        }
        Ok(read)
    }
}

type Chosen = Vec<(InstanceKey, Arc<Running>)>;

/// Those that run and are asked for, and every instance that there is.
fn chosen(shared: &Shared, of: &UsageOf) -> (Chosen, BTreeSet<InstanceKey>) {
    let state = shared.state();
    let known = state.processes.values().flat_map(|p| p.instances.values()).map(|i| i.key.clone()).collect();
    let covered = state.processes.iter().filter(|(key, _)| of.covers(key));
    let instances = covered.flat_map(|(_, process)| process.instances.values());
    let running = instances.filter_map(|i| Some((i.key.clone(), Arc::clone(i.running.as_ref()?)))).collect();
    (running, known)
}

fn measure(running: Chosen) -> Vec<(InstanceKey, Usage)> {
    let traffic = traffic::by_interface();
    let read = |(instance, running): (InstanceKey, Arc<Running>)| {
        let counters = running.usage().ok()?;
        let network = running.veth().and_then(|veth| traffic.get(veth).copied());
        Some((instance, usage(&counters, network)))
    };
    running.into_iter().filter_map(read).collect()
}

fn usage(counters: &Counters, network: Option<NetworkUsage>) -> Usage {
    Usage {
        read_at_millis: clock::moment().0,
        cpu_percent: None,
        cpu_usec: counters.cpu.used_usec,
        cpu_periods: counters.cpu.periods,
        cpu_throttled_periods: counters.cpu.throttled_periods,
        cpu_throttled_usec: counters.cpu.throttled_usec,
        memory_bytes: counters.memory.working_bytes(),
        memory_unreclaimable_bytes: counters.memory.unreclaimable_bytes(),
        memory_cache_bytes: counters.memory.cache_bytes,
        memory_peak_bytes: counters.memory_peak_bytes,
        memory_limit_bytes: counters.memory_limit_bytes,
        oom_kills: counters.oom_kills,
        pids: counters.pids,
        pids_limit: counters.pids_limit,
        pressure: counters.pressure,
        network,
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
