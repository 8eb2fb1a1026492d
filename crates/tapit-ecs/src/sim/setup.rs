//! What an account is set up with.

use std::time::Duration;

use tapit_model::Timestamp;

#[derive(Debug, Clone)]
pub struct Setup {
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Of all names that AWS makes up.
    pub seed: u64,
    pub start: Timestamp,
    pub time: Time,
    pub pace: Pace,
    pub quotas: Quotas,
}

/// What moves an account's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// `Account::advance` alone.
    ByHand,
    /// tokio's clock, which tests pause, and `Account::advance` on top of it.
    Tokio,
}

/// How long things take.
#[derive(Debug, Clone)]
pub struct Pace {
    /// From a change to what the scheduler does about it.
    pub schedule: Duration,
    /// A network interface.
    pub provision: Duration,
    pub pull: Duration,
    /// From the start of the container to RUNNING.
    pub activate: Duration,
    /// Until the load balancer's checks have decided, where the container answers them at once.
    pub check: Duration,
    /// Until a target without requests has left.
    pub drain: Duration,
    /// From the end of the container to STOPPED.
    pub deprovision: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            schedule: seconds(1),
            provision: seconds(3),
            pull: seconds(4),
            activate: seconds(2),
            check: seconds(10),
            drain: seconds(3),
            deprovision: seconds(2),
        }
    }
}

/// What AWS gives an account before it asks for more.
#[derive(Debug, Clone)]
pub struct Quotas {
    pub rules_per_balancer: usize,
    pub target_groups_per_balancer: usize,
    /// Tasks that may start at once, on each provider; and how many more each second.
    pub launches: u32,
    pub launches_per_second: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { rules_per_balancer: 100, target_groups_per_balancer: 100, launches: 100, launches_per_second: 20 }
    }
}

impl Default for Setup {
    /// On the first day of 2026, in Frankfurt.
    fn default() -> Self {
        Self {
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            seed: 1,
            start: Timestamp(1_767_225_600_000),
            time: Time::ByHand,
            pace: Pace::default(),
            quotas: Quotas::default(),
        }
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
