//! The two clocks, as the engine asks for them, so that tests can bring their own.

use tapit_container::engine::clock;
use tapit_model::{Moment, Timestamp};

pub trait Clock: Send + Sync {
    fn moment(&self) -> Moment;
    fn timestamp(&self) -> Timestamp;
}

/// This host's.
pub struct HostClock;

impl Clock for HostClock {
    fn moment(&self) -> Moment {
        clock::moment()
    }

    fn timestamp(&self) -> Timestamp {
        clock::timestamp()
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
