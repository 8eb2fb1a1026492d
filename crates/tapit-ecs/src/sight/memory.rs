//! What was seen of a process's tasks, as far as later looks need it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use tapit_model::{Exit, InstanceKind, InstanceState, Moment, Reason, Size, Timestamp};

use super::is_failure;

/// Everything remembered of a process's instances. It changes only when there is news, so that it need not be written
/// after each look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// By ARN: live ones, and stopped ones as far as they are remembered.
    pub(super) tasks: BTreeMap<String, Remembered>,
    /// Counts what happened, so that its order is known whatever clocks do.
    pub(super) happenings: u64,
    /// ECS lists stopped tasks for an hour: those that ended up to then were told of and forgotten.
    pub(super) forgotten_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub kind: InstanceKind,
    /// 0: of a definition that nobody knows.
    pub generation: u64,
    pub size: Size,
    pub ip: Option<Ipv4Addr>,
    pub state: InstanceState,
    pub reason: Option<Reason>,
    /// ECS's clock tells all tasks' ages, so it is what puts them in order.
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub first_seen: Moment,
    pub running_since: Option<Moment>,
    pub healthy: Option<Healthy>,
    /// ECS has not known it since then.
    pub missing_since: Option<Moment>,
    pub ending: Option<Ending>,
    pub stopped_at: Option<Timestamp>,
    pub took: Option<Took>,
}

/// That a task has been healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Healthy {
    /// The first time.
    pub at: Timestamp,
    /// The last time that it became so.
    pub since: Moment,
    pub happening: u64,
}

/// That a task ends, or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub happening: u64,
    /// When ECS began to end it.
    pub at: Timestamp,
    pub seen: Moment,
    pub exit: Option<Exit>,
    pub proof: Proof,
    pub place: Place,
}

/// Whether a task had been healthy for so long that failures before it do not count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proof {
    Proven,
    Unproven,
}

/// What became of the place that a task has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    Open,
    Taken,
}

/// The place that a task has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Took {
    /// ARN of the one that had it before.
    pub from: String,
    pub exit: Option<Exit>,
    /// In a row.
    pub failures: u32,
}

impl Memory {
    /// ARNs of the tasks that are not known to have stopped: each look must describe them, also once ECS does not list
    /// them as running any more, for how they ended is told only there.
    pub fn to_describe(&self) -> Vec<String> {
        let live = self.tasks.iter().filter(|(_, task)| !task.is_stopped());
        live.map(|(arn, _)| arn.clone()).collect()
    }

    /// Whether this one is known to have stopped.
    pub fn is_over(&self, arn: &str) -> bool {
        self.tasks.get(arn).is_some_and(Remembered::is_stopped)
    }

    pub(super) fn oldest_first(&self) -> Vec<(&str, &Remembered)> {
        let mut tasks: Vec<_> = self.tasks.iter().map(|(arn, task)| (arn.as_str(), task)).collect();
        tasks.sort_by_key(|(arn, task)| (task.created_at, *arn));
        tasks
    }

    pub(super) fn next_happening(&mut self) -> u64 {
        self.happenings = self.happenings.saturating_add(1);
        self.happenings
    }
}

impl Remembered {
    /// Of a definition that is not looked up yet.
    pub(super) fn pending((kind, size): (InstanceKind, Size), created_at: Timestamp, first_seen: Moment) -> Self {
        Self {
            kind,
            generation: 0,
            size,
            ip: None,
            state: InstanceState::Pending,
            reason: None,
            created_at,
            started_at: None,
            first_seen,
            running_since: None,
            healthy: None,
            missing_since: None,
            ending: None,
            stopped_at: None,
            took: None,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state == InstanceState::Stopped
    }

    /// It failed by itself, and its place is to be taken by another one.
    pub(super) fn failed(&self) -> Option<&Ending> {
        self.ending.as_ref().filter(|_| self.reason.as_ref().is_some_and(|reason| is_failure(reason.code)))
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        self.ending.as_ref().and_then(|ending| ending.exit)
    }

    /// Failures in a row in its place before it.
    pub(super) fn restarts(&self) -> u32 {
        self.took.as_ref().map_or(0, |took| took.failures)
    }

    /// Failures in a row that its place has, now that it has failed as well.
    pub(super) fn failures_with(&self, ending: &Ending) -> u32 {
        match ending.proof {
            Proof::Proven => 1,
            Proof::Unproven => self.restarts().saturating_add(1),
        }
    }
}
