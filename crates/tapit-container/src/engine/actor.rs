//! The loop of the engine: plan, act, wait for a wake-up or the next deadline. The only place that calls the planner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock;
use super::execute;
use super::shared::Shared;

/// Planning is cheap but not free: a storm of wake-ups (a thousand crash loops) is answered once per pause, and the pause
/// is as long as the work was, so that the loop never takes more than half of a cpu.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Without any wake-up the engine looks again after this long.
const IDLE: Duration = Duration::from_secs(30);

pub async fn run(shared: Arc<Shared>) {
    loop {
        let began = Instant::now();
        let (actions, look_again) = shared.plan();
        let acted = !actions.is_empty();
        for (key, action) in actions {
            execute::execute(&shared, &key, action);
        }
        if acted {
            shared.changed();
        }
        let pause = began.elapsed().clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let wait = look_again.map_or(IDLE, |at| Duration::from_millis(at.since(clock::moment())).min(IDLE));
        tokio::select! {
            () = shared.woken() => {}
            () = tokio::time::sleep(wait) => {}
        }
        tokio::time::sleep(pause).await;
    }
}
