//! How long a loop that plans rests before it looks again.

use std::time::Duration;

/// So many times as long as the work was: a storm of wake-ups takes at most a quarter of a cpu.
const TIMES: u32 = 3;
const LONGEST: Duration = Duration::from_millis(250);

/// The rest that is due after work of this length. A wake-up that comes later is answered at once.
pub fn rest_after(work: Duration) -> Duration {
    (work * TIMES).min(LONGEST)
}
