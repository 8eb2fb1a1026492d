//! One deployment of a service: what is to run, and how far that is.

use std::sync::Arc;

use super::definition::Registered;
use crate::api::{self, RolloutState, ServiceTarget};

/// So often a task may fail to start before the next one is made to wait, and the longest wait.
const FREE_FAILURES: u32 = 3;
const LONGEST_WAIT_SECONDS: i64 = 15 * 60;

#[derive(Debug, Clone)]
pub(super) struct Deployment {
    /// `ecs-svc/…`
    pub id: String,
    pub registered: Arc<Registered>,
    pub target: Option<ServiceTarget>,
    /// It is the one that is wanted.
    pub primary: bool,
    pub state: RolloutState,
    pub reason: String,
    pub failed: u32,
    pub stage: Stage,
    /// Starts that failed since the last one that did not, and until when the next one waits.
    failed_starts: u32,
    pub not_before: i64,
}

/// What counts as a failure of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A task that stops before it is RUNNING.
    Starting,
    /// One has been RUNNING: a task that fails the checks of the load balancer. One that merely ends is none.
    Checking,
}

impl Deployment {
    pub fn new(id: String, registered: Arc<Registered>, target: Option<ServiceTarget>) -> Self {
        Self {
            reason: format!("ECS deployment {id} in progress."),
            id,
            registered,
            target,
            primary: true,
            state: RolloutState::InProgress,
            failed: 0,
            stage: Stage::Starting,
            failed_starts: 0,
            not_before: 0,
        }
    }

    pub fn completes(&mut self) {
        self.state = RolloutState::Completed;
        self.reason = format!("ECS deployment {} completed.", self.id);
    }

    /// A task of it is RUNNING.
    pub fn runs(&mut self) {
        if self.stage == Stage::Starting {
            self.stage = Stage::Checking;
            self.failed = 0;
        }
        (self.failed_starts, self.not_before) = (0, 0);
    }

    /// A task of it has stopped before it was RUNNING: the next one waits, longer each time.
    pub fn failed_to_start(&mut self, now: i64) {
        self.failed_starts = self.failed_starts.saturating_add(1);
        if let Some(over) = self.failed_starts.checked_sub(FREE_FAILURES) {
            let seconds = 5_i64.saturating_mul(1 << over.min(10)).min(LONGEST_WAIT_SECONDS);
            self.not_before = now + seconds * 1000;
        }
    }

    pub fn view(&self) -> api::Deployment {
        api::Deployment {
            id: self.id.clone(),
            primary: self.primary,
            task_definition: self.registered.arn.clone(),
            state: self.state,
            reason: Some(self.reason.clone()),
            failed_tasks: self.failed,
        }
    }
}

/// So many failures end a deployment.
pub(super) fn threshold(desired: u32) -> u32 {
    desired.div_ceil(2).clamp(3, 200)
}
