//! How far a task is that nobody ends.
//!
//! A public instance is healthy when the load balancer says so. Of others ECS checks nothing but that they run: they are
//! healthy after they were seen running for a while.

use std::net::Ipv4Addr;

use tapit_model::{Check, Formation, InstanceState, Reason, ReasonCode, Seconds};

use super::Subject;
use super::memory::Remembered;
use super::words;
use crate::api::{TargetHealth, TargetState, Task, TaskStatus};
use crate::look::Look;

/// Nothing can connect to it from here, so all that can be told is that it did not end at once.
const UNCHECKED: Seconds = Seconds(2);

type Verdict = (InstanceState, Option<Reason>);

pub(super) fn of(subject: &Subject<'_>, look: &Look, (remembered, task): (&Remembered, &Task)) -> Verdict {
    match task.status {
        TaskStatus::Provisioning | TaskStatus::Pending => {
            let pulling = task.pull_started_at.is_some() && task.pull_stopped_at.is_none();
            (if pulling { InstanceState::Pulling } else { InstanceState::Pending }, None)
        }
        TaskStatus::Activating => (InstanceState::Starting, starting(words::ACTIVATING)),
        TaskStatus::Running => match subject.formation {
            Some(formation) if formation.public => balanced(look, remembered, task.ip),
            Some(formation) => unchecked(look, remembered, needed(formation)),
            None => unchecked(look, remembered, UNCHECKED),
        },
        TaskStatus::Deactivating | TaskStatus::Stopping | TaskStatus::Deprovisioning | TaskStatus::Stopped => {
            (InstanceState::Stopping, None)
        }
    }
}

fn needed(formation: &Formation) -> Seconds {
    match formation.check {
        Check::Uptime(seconds) => seconds,
        Check::Tcp(_) | Check::Http { .. } => UNCHECKED,
    }
}

fn balanced(look: &Look, remembered: &Remembered, ip: Option<Ipv4Addr>) -> Verdict {
    let found = find(look, ip);
    let doubt = || words::target(found);
    match (found.map(|found| found.state), remembered.healthy) {
        (Some(TargetState::Healthy), _) => (InstanceState::Healthy, None),
        (Some(TargetState::Draining), _) => (InstanceState::Draining, None),
        (Some(TargetState::Unhealthy), Some(_)) => {
            (InstanceState::Unhealthy, Some(Reason { code: ReasonCode::Unhealthy, text: doubt() }))
        }
        // Lists come late; what was healthy stays so until the load balancer says otherwise.
        (Some(TargetState::Initial | TargetState::Unused) | None, Some(_)) => {
            (kept(remembered.state), remembered.reason.clone())
        }
        (Some(TargetState::Initial | TargetState::Unused | TargetState::Unhealthy) | None, None) => {
            (InstanceState::Starting, starting(&format!("{}{}", words::NOT_YET, doubt())))
        }
    }
}

/// What the load balancer said last.
fn kept(state: InstanceState) -> InstanceState {
    match state {
        InstanceState::Unhealthy | InstanceState::Draining => state,
        InstanceState::Pending
        | InstanceState::Pulling
        | InstanceState::Starting
        | InstanceState::Healthy
        | InstanceState::Stopping
        | InstanceState::Stopped => InstanceState::Healthy,
    }
}

fn unchecked(look: &Look, remembered: &Remembered, needed: Seconds) -> Verdict {
    let ran = remembered.running_since.map_or(0, |since| look.moment.since(since));
    if remembered.healthy.is_some() || ran >= needed.millis() {
        return (InstanceState::Healthy, None);
    }
    (InstanceState::Starting, starting(&words::runs_for(needed)))
}

fn starting(text: &str) -> Option<Reason> {
    Some(Reason { code: ReasonCode::Starting, text: text.to_owned() })
}

/// What the load balancer thinks of the task at an address.
pub(super) fn target(look: &Look, ip: Option<Ipv4Addr>) -> Option<TargetState> {
    find(look, ip).map(|found| found.state)
}

/// An address may be listed twice: with another port, that of an earlier owner still drains.
fn find(look: &Look, ip: Option<Ipv4Addr>) -> Option<&TargetHealth> {
    let ip = ip?;
    let listed = || look.targets.iter().filter(move |target| target.ip == ip);
    listed().find(|target| target.state != TargetState::Draining).or_else(|| listed().next())
}
