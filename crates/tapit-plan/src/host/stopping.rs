//! From the withdrawn route to the end: when SIGTERM and SIGKILL are due.
//!
//! An instance that is still routed is never told to stop, however late it is: a request must never meet an instance
//! after its SIGTERM.

use tapit_model::{Lifecycle, Moment, Presence, ReasonCode};

use super::{Action, InstanceFacts, Phase, ProcessInputs};

/// What a reclaimed spot instance gets between SIGTERM and SIGKILL, as on ECS Fargate Spot.
const RECLAIM_GRACE_MILLIS: u64 = 120_000;

/// The next step of an instance on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Now(Action),
    /// Due at this moment unless something happens before.
    At(Moment),
    /// Nothing to do but wait for news.
    Wait,
}

/// How the instances of a process end.
pub(super) fn lifecycle(process: &ProcessInputs) -> Lifecycle {
    match &process.target.presence {
        Presence::Absent(lifecycle) => *lifecycle,
        Presence::Present(formation) => formation.lifecycle,
    }
}

pub(super) fn next_step(instance: &InstanceFacts, lifecycle: Lifecycle, now: Moment) -> Step {
    match instance.phase {
        Phase::Draining { .. } if instance.routed => Step::Wait,
        Phase::Draining { .. } if instance.in_flight == 0 => Step::Now(Action::Terminate { id: instance.id.clone() }),
        Phase::Draining { since, .. } => {
            let due = since.plus_millis(lifecycle.drain_timeout.millis());
            due_at(due, now, || Action::Terminate { id: instance.id.clone() })
        }
        Phase::Stopping { killed: true, .. } => Step::Wait,
        Phase::Stopping { since, why, killed: false } => {
            let due = since.plus_millis(grace_millis(lifecycle, why));
            due_at(due, now, || Action::Kill { id: instance.id.clone() })
        }
        Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } | Phase::Stopped { .. } => Step::Wait,
    }
}

fn grace_millis(lifecycle: Lifecycle, why: ReasonCode) -> u64 {
    if why == ReasonCode::Reclaimed { RECLAIM_GRACE_MILLIS } else { lifecycle.stop_timeout.millis() }
}

fn due_at(due: Moment, now: Moment, action: impl FnOnce() -> Action) -> Step {
    if due <= now { Step::Now(action()) } else { Step::At(due) }
}
