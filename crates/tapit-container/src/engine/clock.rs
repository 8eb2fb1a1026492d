//! The two clocks of this host, read here alone.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use tapit_model::{Moment, Timestamp};

/// Boot time in milliseconds: monotonic, the same clock for every process of this boot.
pub fn moment() -> Moment {
    // The clock exists on every kernel that has namespaces; a failure would mean a broken sandbox, where 0 keeps all
    // timers waiting instead of firing.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(Moment(0), |t| Moment(t.tv_sec() as u64 * 1000 + t.tv_nsec() as u64 / 1_000_000))
}

/// Wall-clock time, for people.
pub fn timestamp() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Identifies this boot of the host: moments of another boot mean nothing.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
