//! The loop of the engine: plan, act, wait for a wake-up or the next deadline. The only place that calls the planner.

use std::sync::Arc;
use std::time::Duration;

use tapit_engine::rest_after;
use tokio::time::{Instant, sleep, sleep_until};

use super::clock;
use super::execute;
use super::shared::Shared;
use super::spares;

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
        // Planning is cheap but not free, and a thousand crash loops wake it often.
        let rested = Instant::now() + rest_after(began.elapsed());
        let wait = look_again.map_or(IDLE, |at| Duration::from_millis(at.since(clock::moment())).min(IDLE));
        tokio::select! {
            () = shared.woken() => {}
            () = sleep(wait) => {}
        }
        sleep_until(rested).await;
    }
}
