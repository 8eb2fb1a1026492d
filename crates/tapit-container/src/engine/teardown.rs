//! Stops every instance and removes everything that the engine ever made on this host.

use std::sync::Arc;
use std::time::Duration;

use tapit_engine::EngineError;
use tapit_model::{InstanceKey, ProcessKey, ReasonCode};
use tokio::time::{Instant, sleep};

use super::shared::Shared;
use super::{adopt, execute, spares};

/// From SIGTERM to SIGKILL when everything goes.
const GRACE: Duration = Duration::from_secs(10);
/// For containers to be gone after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(10);
/// For requests in flight.
const DRAIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

pub async fn teardown(shared: &Arc<Shared>) -> Result<(), EngineError> {
    if !shared.state().adopted {
        adopt::adopt(shared, Vec::new()).await?;
    }
    let live = live(shared);
    for (key, instance) in &live {
        execute::drain(shared, key, &instance.id, ReasonCode::Deleted);
    }
    until(DRAIN, || live.iter().all(|(_, instance)| shared.traffic.in_flight(instance) == 0)).await;
    live.iter().for_each(|(key, instance)| execute::terminate(shared, key, &instance.id));
    if !until(GRACE, || live_count(shared) == 0).await {
        live.iter().for_each(|(key, instance)| execute::kill(shared, key, &instance.id));
        until(AFTER_KILL, || live_count(shared) == 0).await;
    }
    // What still hangs is ended with its directory; nobody may make anything there meanwhile.
    shared.tasks.close().await;
    spares::clear(shared).await;
    let shared = Arc::clone(shared);
    let removed = tokio::task::spawn_blocking(move || remove_everything(&shared)).await;
    removed.map_err(|error| EngineError::act("removing what the engine made", error))?
}

fn live(shared: &Shared) -> Vec<(ProcessKey, InstanceKey)> {
    let state = shared.state();
    let instances = |(key, process): (&ProcessKey, &super::state::ProcessState)| {
        let live = process.instances.values().filter(|instance| !instance.is_stopped());
        live.map(|instance| (key.clone(), instance.key.clone())).collect::<Vec<_>>()
    };
    state.processes.iter().flat_map(instances).collect()
}

fn live_count(shared: &Shared) -> usize {
    live(shared).len()
}

/// Whether it came true in time.
async fn until(limit: Duration, done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(POLL).await;
    }
}

/// Every part is tried, so that one that fails does not keep the others; the first failure is what is answered.
fn remove_everything(shared: &Shared) -> Result<(), EngineError> {
    let mut first = Ok(());
    let mut keep = |result: Result<(), EngineError>| {
        if first.is_ok() {
            first = result;
        }
    };
    let dirs: Vec<_> = {
        let state = shared.state();
        let serials =
            state.processes.iter().flat_map(|(key, process)| process.instances.keys().map(move |s| (key, *s)));
        serials.map(|(key, serial)| shared.instance_dir(key, serial)).collect()
    };
    for dir in dirs {
        keep(dir.remove().map_err(|e| EngineError::act(format!("removing {}", dir.path().display()), e)));
    }
    keep(shared.cgroup.remove().map_err(|e| EngineError::act("removing the cgroups", e)));
    keep(shared.apps.remove());
    keep(match std::fs::remove_dir_all(&shared.dir) {
        // Torn down before.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|e| EngineError::act(format!("removing {}", shared.dir.display()), e)),
    });
    first
}
