//! What instances use, beside what they are.

use std::collections::BTreeMap;

use tapit_model::{InstanceKey, InstanceState, InstanceUsageView, ProcessObserved, Usage, UsageOf};

/// One row for each instance that is not stopped, in the engine's order. One that was not measured (it is being made, or
/// has just ended) has no usage.
pub fn usage_views(
    observed: &[ProcessObserved],
    of: &UsageOf,
    read: Vec<(InstanceKey, Usage)>,
) -> Vec<InstanceUsageView> {
    let read: BTreeMap<InstanceKey, Usage> = read.into_iter().collect();
    let rows = observed.iter().filter(|seen| of.covers(&seen.key)).flat_map(|seen| {
        let there = seen.instances.iter().filter(|instance| instance.state != InstanceState::Stopped);
        there.map(|instance| InstanceUsageView {
            app: seen.key.app.to_string(),
            process: seen.key.process.to_string(),
            instance: instance.id.to_string(),
            kind: instance.kind.as_str().to_owned(),
            state: instance.state.as_str().to_owned(),
            restarts: instance.restarts,
            cpu: instance.size.cpu.vcpu(),
            last_exit_oom: instance.last_exit.is_some_and(|exit| exit.oom),
            usage: read.get(&InstanceKey { app: seen.key.app.clone(), id: instance.id.clone() }).copied(),
        })
    });
    rows.collect()
}
