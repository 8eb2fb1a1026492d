//! The loop of the engine: plan, act, wait for a wake-up or the next deadline. The only place that calls the planner.

use std::sync::Arc;
use std::time::Duration;

use super::clock;
use super::execute;
use super::shared::Shared;

/// Planning is cheap but not free: a storm of wake-ups (a thousand crash loops) is answered once per pause.
const PAUSE: Duration = Duration::from_millis(2);

/// Without any wake-up the engine looks again after this long.
const IDLE: Duration = Duration::from_secs(30);

pub async fn run(shared: Arc<Shared>) {
    loop {
        let (actions, look_again) = shared.plan();
        let acted = !actions.is_empty();
        for (key, action) in actions {
            execute::execute(&shared, &key, action);
        }
        if acted {
            shared.changed();
        }
        let wait = look_again.map_or(IDLE, |at| Duration::from_millis(at.since(clock::moment())).min(IDLE));
        tokio::select! {
            () = shared.woken() => {}
            () = tokio::time::sleep(wait) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
