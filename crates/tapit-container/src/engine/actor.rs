//! The loop of the engine: plan, act, wait for a wake-up or the next deadline. The only place that calls the planner.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::clock;
use super::execute;
use super::shared::Shared;
use super::spares;

/// Planning is cheap but not free: after each round the loop rests for three times as long as the round took, so that
/// a storm of wake-ups (a thousand crash loops) never takes more than a quarter of a cpu. A wake-up after that is answered at once.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const REST: u32 = 3;

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
        let spares_again = spares::tend(&shared, clock::moment());
        let look_again = look_again.into_iter().chain(spares_again).min();
        let rested = Instant::now() + (began.elapsed() * REST).min(LONGEST_PAUSE);
        let wait = look_again.map_or(IDLE, |at| Duration::from_millis(at.since(clock::moment())).min(IDLE));
        tokio::select! {
            () = shared.woken() => {}
            () = sleep(wait) => {}
        }
        sleep_until(rested).await;
    }
}
