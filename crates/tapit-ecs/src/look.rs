//! One look at an app's part of the account.

use tapit_model::{Moment, Timestamp};

use crate::api::{Service, TargetHealth, Task};

/// Everything that one look has found. Each list is complete as of `at`, but for stopped tasks, which are there as far as
/// they were asked for or still listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// When it began.
    pub at: Timestamp,
    pub moment: Moment,
    pub services: Vec<Service>,
    pub tasks: Vec<Task>,
    /// Of the app's target group.
    pub targets: Vec<TargetHealth>,
}
