//! The two clocks, read in one place of the server.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use tapit_model::{Moment, Timestamp};

/// Wall-clock time, for people.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Boot time in milliseconds, for timers: it never jumps, and goes on when the server is started anew.
pub fn moment() -> Moment {
    // A clock that cannot be read keeps all timers waiting instead of firing.
    let read = clock_gettime(ClockId::CLOCK_BOOTTIME).ok();
    read.and_then(|time| u64::try_from(time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000).ok())
        .map_or(Moment(0), Moment)
}
