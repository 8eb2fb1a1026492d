//! How rollouts end, and when a deleted row can go.
//!
//! ```text
//!            ┌► Succeeded ◄─────────────┐ the same generation got healthy after all
//! Running ──►├► RolledBack              │
//!            ├► Failed ─────────────────┘ nothing older to go back to; attempts go on
//!            └► Superseded (by admission alone)
//! ```

use tapit_model::{
    Blocked, BlockedCode, Change, Event, EventKind, Exit, ImageSource, InstanceKind, InstanceState, Process,
    ProcessKey, ProcessObserved, Revision, Rollout, RolloutState,
};

use super::types::{AppInputs, AppPlan};
use super::{fallback, sight, target};

/// The verdict on a rollout.
enum Verdict {
    Succeeded,
    Failed { reason: String, exit: Option<Exit> },
}

/// Adds to the plan what has come to its end for one process.
pub(super) fn settle(plan: &mut AppPlan, inputs: &AppInputs, process: &Process, observed: Option<&ProcessObserved>) {
    if process.deleting {
        if is_gone(process, observed) {
            plan.changes.push(Change::RemoveProcess(process.key.clone()));
            if process.task.is_none() {
                let text = format!("process {} is gone", process.key.process);
                plan.events.push(event(inputs, &process.key, EventKind::ProcessDeleted, text));
            }
        }
        return;
    }
    let Some(rollout) = inputs.world.rollouts.get(&process.key) else { return };
    let verdict = judge(inputs, process, rollout, observed);
    match rollout.state {
        RolloutState::Running => match verdict {
            Some(Verdict::Succeeded) => succeed(plan, inputs, process, rollout),
            Some(Verdict::Failed { reason, exit }) => {
                fail(plan, inputs, process, Rollout { reason: Some(reason), last_exit: exit, ..rollout.clone() });
            }
            None => {}
        },
        RolloutState::Failed => match verdict {
            Some(Verdict::Succeeded) => succeed(plan, inputs, process, rollout),
            Some(Verdict::Failed { .. }) | None => {}
        },
        RolloutState::Succeeded | RolloutState::RolledBack | RolloutState::Superseded => {}
    }
}

/// Nothing of a deleted process is left. An engine that holds an older target may still start instances, so its silence
/// counts only once it knows of the deletion.
fn is_gone(process: &Process, observed: Option<&ProcessObserved>) -> bool {
    observed.is_none_or(|seen| seen.revision >= process.revision && sight::left(observed) == 0)
}

fn judge(
    inputs: &AppInputs,
    process: &Process,
    rollout: &Rollout,
    observed: Option<&ProcessObserved>,
) -> Option<Verdict> {
    if process.spec.disabled || process.rolled_back {
        return None;
    }
    let to = rollout.to;
    let wanted = inputs.world.generations.get(&(process.key.clone(), to))?;
    if let ImageSource::Named(image) = &wanted.template.image
        && let Some(progress) = inputs.images.get(image)
        && let Some(reason) = target::hopeless(image, progress)
    {
        return Some(Verdict::Failed { reason, exit: None });
    }
    // What the engine says about an older target is no verdict on this one.
    let seen = observed.filter(|seen| seen.revision == process.revision)?;
    if has_succeeded(process, to, seen) {
        return Some(Verdict::Succeeded);
    }
    let failure = sight::given_up(observed, to)?;
    Some(Verdict::Failed { reason: sight::describe(failure), exit: failure.exit })
}

/// All wanted demand instances are healthy, nothing old is left and every spot instance that started is healthy. Spot
/// capacity that is missing never holds a rollout up, nor does room that is missing for what stands in for it.
fn has_succeeded(process: &Process, to: u64, seen: &ProcessObserved) -> bool {
    let observed = Some(seen);
    let (demand, spot) = (process.spec.wanted(InstanceKind::Demand), process.spec.wanted(InstanceKind::Spot));
    let demand_healthy = sight::healthy(observed, to, InstanceKind::Demand);
    let spot_healthy = sight::healthy(observed, to, InstanceKind::Spot);
    let spot_trying = sight::count(observed, to, InstanceKind::Spot, |state| match state {
        InstanceState::Pulling | InstanceState::Starting | InstanceState::Unhealthy => true,
        InstanceState::Pending
        | InstanceState::Healthy
        | InstanceState::Draining
        | InstanceState::Stopping
        | InstanceState::Stopped => false,
    });
    // With spot instances alone, one of them or of those that stand in for them must have proved the generation, unless
    // there is no room for any.
    let no_room = |blocked: &Blocked| blocked.code == BlockedCode::Capacity;
    let spot_proved = demand > 0
        || spot == 0
        || spot_healthy + demand_healthy > 0
        || (sight::failing(observed, to).is_none() && seen.blocked.iter().any(no_room));
    fallback::suffices(process, to, observed)
        && sight::old(observed, to) == 0
        && (spot == 0 || (spot_trying == 0 && spot_proved))
}

fn succeed(plan: &mut AppPlan, inputs: &AppInputs, process: &Process, rollout: &Rollout) {
    let (key, to) = (&process.key, rollout.to);
    if process.running_generation != to {
        plan.changes.push(Change::PutProcess(Process { running_generation: to, ..process.clone() }));
    }
    // A failure before it does not matter any more.
    plan.changes.push(Change::PutRollout(Rollout {
        state: RolloutState::Succeeded,
        finished_at: Some(inputs.now),
        reason: None,
        last_exit: None,
        log_tail: Vec::new(),
        ..rollout.clone()
    }));
    let numbers = inputs.world.generations.keys().filter(|(owner, _)| owner == key).map(|(_, number)| *number);
    let unused = numbers.filter(|number| *number != to && *number != process.generation);
    plan.changes.extend(unused.map(|number| Change::RemoveGeneration(key.clone(), number)));
    let text = format!("generation {to} runs");
    plan.events.push(event(inputs, key, EventKind::RolloutSucceeded, text));
}

/// Ends a rollout that failed; the reason is in it. With an older generation, that one serves on.
fn fail(plan: &mut AppPlan, inputs: &AppInputs, process: &Process, rollout: Rollout) {
    let reason = rollout.reason.clone().unwrap_or_default();
    let serving = process.running_generation;
    let can_go_back = serving != rollout.to && inputs.world.generations.contains_key(&(process.key.clone(), serving));
    let (state, kind, text) = if can_go_back {
        // By one: below the next admitted change and its stand-in.
        let revision = Revision(process.revision.0 + 1);
        plan.changes.push(Change::PutProcess(Process { rolled_back: true, revision, ..process.clone() }));
        let text = format!("{reason}; generation {serving} goes on");
        (RolloutState::RolledBack, EventKind::RolloutRolledBack, text)
    } else {
        let text = format!("{reason}; there is no other generation to go back to, attempts go on");
        (RolloutState::Failed, EventKind::RolloutFailed, text)
    };
    plan.changes.push(Change::PutRollout(Rollout { state, finished_at: Some(inputs.now), ..rollout }));
    plan.events.push(event(inputs, &process.key, kind, text));
}

fn event(inputs: &AppInputs, key: &ProcessKey, kind: EventKind, text: String) -> Event {
    Event { at: inputs.now, app: key.app.clone(), process: Some(key.process.clone()), instance: None, kind, text }
}
