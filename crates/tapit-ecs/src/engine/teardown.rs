//! Removes everything that the engine ever made in the account.

use std::sync::Arc;
use std::time::Duration;

use tapit_engine::EngineError;
use tapit_model::{AppName, Lifecycle, Presence};
use tokio::time::{Instant, timeout};

use super::adopt;
use super::shared::Shared;

/// Load balancers drain, tasks have two minutes to stop, and network interfaces go some time after them.
const PATIENCE: Duration = Duration::from_secs(600);
/// What does not pass by itself need not be waited for longer.
const TROUBLE_AT_MOST: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(500);

pub async fn teardown(shared: &Arc<Shared>) -> Result<(), EngineError> {
    if !shared.state().adopted {
        adopt::adopt(shared, Vec::new()).await?;
    }
    let mut changes = shared.watch();
    let end = Instant::now() + PATIENCE;
    let mut trouble_since: Option<Instant> = None;
    loop {
        disown_all(shared);
        let (left, trouble, searched) = left(shared);
        if left.is_empty() && searched {
            break;
        }
        let now = Instant::now();
        trouble_since = trouble.is_some().then(|| trouble_since.unwrap_or(now));
        let is_hopeless = trouble_since.is_some_and(|since| now.duration_since(since) >= TROUBLE_AT_MOST);
        if now >= end || is_hopeless {
            return Err(unfinished(&left, trouble));
        }
        // Either way everything is looked at again.
        let _ = timeout(POLL, changes.changed()).await;
    }
    shared.account.remove().await.map_err(|error| EngineError::act("removing what the apps shared", error))
}

fn unfinished(left: &[AppName], trouble: Option<String>) -> EngineError {
    let names: Vec<&str> = left.iter().map(AppName::as_str).collect();
    let text = trouble.unwrap_or_else(|| "AWS has not let go of it in time; try again".to_owned());
    match names.as_slice() {
        [] => EngineError::act("looking for what there is in the account", text),
        names => EngineError::act(format!("removing {}", names.join(", ")), text),
    }
}

/// Also apps that are found only now.
fn disown_all(shared: &Shared) {
    for app in shared.state().apps.values_mut() {
        for target in app.targets.values_mut() {
            if matches!(target.presence, Presence::Present(_)) {
                target.presence = Presence::Absent(Lifecycle::default());
                app.version += 1;
                app.wake.notify_one();
            }
        }
    }
}

fn left(shared: &Shared) -> (Vec<AppName>, Option<String>, bool) {
    let state = shared.state();
    let trouble = state.apps.values().find_map(|app| app.trouble.clone());
    (state.apps.keys().cloned().collect(), trouble, state.searched)
}
