//! How often an app is looked at, and how long a call that failed rests. Pure.

use std::time::Duration;

use crate::api::Operation;
use crate::meter::{RATES, class};

/// Times between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// While something is under way; grows a little as long as nothing comes of it.
    pub busy: Duration,
    /// While all is as wanted, unless there is so much to look at that it must be more.
    pub idle: Duration,
    /// So often, also tasks of an app in which nothing seems to happen are looked at.
    pub whole: Duration,
    /// A role that was made a moment ago is not known everywhere yet: so long ECS may fail to assume it.
    pub role_settles: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(2),
            idle: Duration::from_secs(15),
            whole: Duration::from_secs(60),
            role_settles: Duration::from_secs(8),
        }
    }
}

const BUSY_AT_MOST: Duration = Duration::from_secs(5);
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(60);
/// More doublings would not fit, nor matter.
const DOUBLINGS_AT_MOST: u32 = 6;
/// The wait has grown to the usual one long before.
const WATCHES_AT_MOST: u32 = 1000;

impl Pace {
    /// After so many looks in a row that have shown nothing new.
    pub fn busy_after(&self, in_vain: u32) -> Duration {
        let longer = self.busy + self.busy / 4 * in_vain.min(DOUBLINGS_AT_MOST);
        longer.min(BUSY_AT_MOST.max(self.busy))
    }
}

/// 1, 2, 4 … 60 seconds after so many failures in a row.
pub fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_AT_MOST);
    Duration::from_secs(1 << doublings).min(BACK_OFF_AT_MOST)
}

/// Of the calls that we may look at services with, idle apps take this part: the others are for those that are waited for.
const IDLE_SHARE: f64 = 0.5;

impl Pace {
    /// Between two looks at an app in which all is as wanted, where all apps together have so many pages of services.
    pub fn idle_among(&self, pages: usize) -> Duration {
        let reads = class(Operation::DescribeServices);
        let per_second = RATES.iter().find(|rate| rate.class == reads).map(|rate| rate.ours().per_second);
        let least = per_second.map_or(0.0, |per_second| pages as f64 / (per_second * IDLE_SHARE));
        self.idle.max(Duration::from_secs_f64(least))
    }
}

impl Pace {
    /// While tasks run whose end only a look shows: soon after their start, when most of them end, and rarer the longer
    /// nothing happens.
    pub fn watching_among(&self, in_vain: u32, pages: usize) -> Duration {
        (self.busy + self.busy / 4 * in_vain.min(WATCHES_AT_MOST)).min(self.idle_among(pages))
    }
}

/// For moments, which count milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_vain_grow_rarer_and_stay_within_their_bound() {
        let pace = Pace::default();
        let seconds: Vec<f64> = (0..8).map(|in_vain| pace.busy_after(in_vain).as_secs_f64()).collect();
        assert_eq!(seconds, [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.0]);
        let slow = Pace { busy: Duration::from_secs(9), ..pace };
        assert_eq!(slow.busy_after(3), Duration::from_secs(9), "a slow pace is not hurried");
    }

    #[test]
    fn idle_looks_leave_half_of_the_calls_to_others_however_much_there_is() {
        let seconds = [0, 1, 120, 200, 400].map(|pages| Pace::default().idle_among(pages).as_secs());
        assert_eq!(seconds, [15, 15, 15, 25, 50]);
    }

    #[test]
    fn a_task_is_watched_less_often_the_longer_it_runs() {
        let seconds = [0, 4, 16, 26, 100, u32::MAX].map(|in_vain| Pace::default().watching_among(in_vain, 1).as_secs());
        assert_eq!(seconds, [2, 4, 10, 15, 15, 15]);
        assert_eq!(Pace::default().watching_among(u32::MAX, 400).as_secs(), 50, "where there is much to look at");
    }

    #[test]
    fn failures_rest_longer_each_time_up_to_a_minute() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 6, 7, u32::MAX].iter().map(|n| back_off(*n).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 32, 60, 60]);
    }
}
