//! The one-word state of a process.

use tapit_model::{
    BlockedCode, InstanceKind, InstanceState, Process, ProcessObserved, Rollout, RolloutKind, RolloutState,
};

use super::sight;
use super::types::Status;

/// First what the user decided, then what a rollout does, then what is seen.
pub fn status(process: &Process, rollout: Option<&Rollout>, observed: Option<&ProcessObserved>) -> Status {
    let spec = &process.spec;
    if spec.disabled {
        return Status::Disabled;
    }
    if spec.demand == 0 && spec.spot == 0 {
        return Status::ScaledToZero;
    }
    if process.rolled_back {
        return Status::RolledBack;
    }
    match rollout.map(|rollout| (rollout.state, rollout.kind)) {
        Some((RolloutState::Running, RolloutKind::Create)) if healthy(observed) == 0 => Status::Pending,
        Some((RolloutState::Running, RolloutKind::Restart)) => Status::Restarting,
        Some((
            RolloutState::Running,
            RolloutKind::Create | RolloutKind::Update | RolloutKind::Resize | RolloutKind::Enable,
        )) => Status::Updating,
        Some((RolloutState::Failed, _)) if never_started(process, observed) => Status::Pending,
        Some((RolloutState::Failed, _)) => Status::Degraded,
        Some((RolloutState::Succeeded | RolloutState::RolledBack | RolloutState::Superseded, _)) | None => {
            steady(process, observed)
        }
    }
}

/// Without a rollout: by what is healthy. Missing spot capacity alone does not matter.
fn steady(process: &Process, observed: Option<&ProcessObserved>) -> Status {
    let demand = healthy_of(observed, InstanceKind::Demand);
    let spot = healthy_of(observed, InstanceKind::Spot);
    if process.spec.demand == 0 {
        return if demand + spot > 0 { Status::Running } else { Status::Pending };
    }
    if demand >= process.spec.demand {
        Status::Running
    } else if demand + spot == 0 && is_waiting(process, observed) {
        Status::Pending
    } else {
        Status::Degraded
    }
}

/// Nothing runs because nothing could yet, not because something broke.
fn is_waiting(process: &Process, observed: Option<&ProcessObserved>) -> bool {
    let Some(seen) = observed else { return true };
    let held_up = seen.blocked.iter().any(|blocked| match blocked.code {
        BlockedCode::NoImage
        | BlockedCode::Resolving
        | BlockedCode::Pulling
        | BlockedCode::ImageUnavailable
        | BlockedCode::Capacity
        | BlockedCode::Provider => true,
        BlockedCode::BackOff => false,
    });
    let was_healthy = seen.instances.iter().any(|i| i.state.is_live() && i.healthy_at.is_some());
    process.running_generation == 0 || (seen.failure.is_none() && (held_up || !was_healthy))
}

/// No instance was ever made: the image could not be had. What stands in the way is told as blocked.
fn never_started(process: &Process, observed: Option<&ProcessObserved>) -> bool {
    process.running_generation == 0 && observed.is_none_or(|seen| seen.instances.is_empty() && seen.failure.is_none())
}

fn healthy(observed: Option<&ProcessObserved>) -> u32 {
    healthy_of(observed, InstanceKind::Demand) + healthy_of(observed, InstanceKind::Spot)
}

fn healthy_of(observed: Option<&ProcessObserved>, kind: InstanceKind) -> u32 {
    let matching = |i: &&tapit_model::InstanceObserved| i.kind == kind && i.state == InstanceState::Healthy;
    sight::number(sight::instances(observed).iter().filter(matching).count())
}
