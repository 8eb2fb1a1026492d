//! The instances of a process as views.

use tapit_model::{Exit, InstanceObserved, InstanceState, InstanceView, LastExitView};

use super::Sight;

/// Of the stopped ones, as many as tell the story of a crash loop without burying the live ones.
const STOPPED_SHOWN: usize = 5;

/// Those that are there, and the newest of the stopped ones; in the engine's order.
pub(super) fn instance_views(sight: &Sight<'_>) -> Vec<InstanceView> {
    let instances = sight.observed.map(|seen| seen.instances.as_slice()).unwrap_or_default();
    let mut stopped: Vec<&InstanceObserved> =
        instances.iter().filter(|seen| seen.state == InstanceState::Stopped).collect();
    stopped.sort_by_key(|seen| std::cmp::Reverse((seen.stopped_at, seen.created_at)));
    stopped.truncate(STOPPED_SHOWN);
    instances
        .iter()
        .filter(|seen| seen.state != InstanceState::Stopped || stopped.iter().any(|shown| shown.id == seen.id))
        .map(|seen| instance_view(seen, sight))
        .collect()
}

fn instance_view(seen: &InstanceObserved, sight: &Sight<'_>) -> InstanceView {
    let usage = sight.usage.iter().find(|(id, _)| *id == seen.id).map(|(_, usage)| usage);
    InstanceView {
        id: seen.id.to_string(),
        kind: seen.kind.as_str().to_owned(),
        state: seen.state.as_str().to_owned(),
        reason: reason(seen, sight),
        ip: seen.ip.map(|ip| ip.to_string()),
        generation: seen.generation,
        started_at: seen.started_at.map(|at| at.to_string()),
        healthy_at: seen.healthy_at.map(|at| at.to_string()),
        memory_bytes: usage.map(|usage| usage.memory_bytes),
        memory_peak_bytes: usage.map(|usage| usage.memory_peak_bytes),
        cpu_percent: usage.and_then(|usage| usage.cpu_percent),
        restarts: seen.restarts,
        last_exit: seen.last_exit.as_ref().map(last_exit_view),
    }
}

/// The engine's reason; where a reason must be given and the engine has none, what is known besides.
fn reason(seen: &InstanceObserved, sight: &Sight<'_>) -> Option<String> {
    let known = seen.reason.as_ref().map(|reason| reason.text.clone()).filter(|text| !text.is_empty());
    let fallback = || match seen.state {
        InstanceState::Pending => {
            let blocked = sight.blocked.first().map(|(blocked, _)| blocked.text.clone());
            Some(blocked.unwrap_or_else(|| "its turn to start has not come yet".to_owned()))
        }
        InstanceState::Unhealthy => Some("its health checks fail".to_owned()),
        InstanceState::Stopped => {
            Some(seen.last_exit.as_ref().map_or_else(|| "it has stopped".to_owned(), Exit::describe))
        }
        InstanceState::Pulling
        | InstanceState::Starting
        | InstanceState::Healthy
        | InstanceState::Draining
        | InstanceState::Stopping => None,
    };
    known.or_else(fallback)
}

pub(super) fn last_exit_view(exit: &Exit) -> LastExitView {
    LastExitView { code: exit.code, signal: exit.signal, oom: exit.oom, at: exit.at.to_string() }
}
