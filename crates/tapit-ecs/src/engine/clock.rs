//! The two clocks, read in one place of the engine, so that tests can bring their own.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use tapit_model::{Moment, Timestamp};

pub trait Clock: Send + Sync {
    fn moment(&self) -> Moment;
    fn timestamp(&self) -> Timestamp;
}

/// This host's.
pub struct HostClock;

impl Clock for HostClock {
    fn moment(&self) -> Moment {
        // Every kernel that the server runs on has this clock; without it, 0 keeps all timers waiting instead of firing.
        clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map_or(Moment(0), |t| Moment(t.tv_sec() as u64 * 1000 + t.tv_nsec() as u64 / 1_000_000))
    }

    fn timestamp(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Tokio's, which tests stop and move.
#[cfg(any(test, feature = "sim"))]
pub struct TokioClock {
    origin: tokio::time::Instant,
    began: Timestamp,
}

#[cfg(any(test, feature = "sim"))]
impl TokioClock {
    /// Moments count from a second before now, so that none is 0.
    const HEAD_START_MS: u64 = 1000;

    pub fn starting_at(began: Timestamp) -> Self {
        Self { origin: tokio::time::Instant::now(), began }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(any(test, feature = "sim"))]
impl Clock for TokioClock {
    fn moment(&self) -> Moment {
        Moment(self.elapsed().saturating_add(Self::HEAD_START_MS))
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp(self.began.0.saturating_add_unsigned(self.elapsed()))
    }
}
