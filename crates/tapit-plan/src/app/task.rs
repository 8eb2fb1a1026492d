//! One-off tasks: how they end, and which of them are remembered.
//!
//! A task is a process whose one instance is never replaced, so it needs no rollout: what became of that instance is what
//! became of the task. Its end is recorded in its row, and from then on no instance is wanted; that of the engine, with its
//! log, stays until the row goes.

use std::cmp::Reverse;

use tapit_model::{
    AppName, Change, Event, EventKind, Fallback, ImageSource, InstanceObserved, InstanceState, Process,
    ProcessObserved, Reason, ReasonCode, Revision, Task, TaskEnd, TaskState,
};

use super::types::{AppInputs, AppPlan};
use super::{sight, target};

/// Tasks of an app that have ended and can still be read about.
const REMEMBERED: usize = 20;
/// As with every change of a row; see the module doc of `app`.
const REVISION_STEP: u64 = 2;

/// The one-word state of a task.
pub fn task_state(process: &Process, task: &Task, observed: Option<&ProcessObserved>) -> TaskState {
    if let Some(end) = &task.end {
        return end.state();
    }
    let state = sight::instances(observed).last().map(|instance| instance.state);
    match state {
        _ if process.spec.disabled || process.deleting => TaskState::Stopping,
        Some(InstanceState::Draining | InstanceState::Stopping) => TaskState::Stopping,
        Some(InstanceState::Healthy | InstanceState::Unhealthy | InstanceState::Stopped) => TaskState::Running,
        Some(InstanceState::Pending | InstanceState::Pulling | InstanceState::Starting) | None => TaskState::Pending,
    }
}

/// Records the end of a task that has come to it.
pub(super) fn settle(plan: &mut AppPlan, inputs: &AppInputs, process: &Process, observed: Option<&ProcessObserved>) {
    let Some(task) = process.task.as_ref().filter(|task| task.end.is_none() && !process.deleting) else { return };
    let Some(end) = end(inputs, process, observed) else { return };
    let text = end.describe(task.id);
    let task = Some(Task { end: Some(end), ..task.clone() });
    plan.changes.push(Change::PutProcess(Process { task, ..raised(process) }));
    let (at, kind) = (inputs.now, EventKind::TaskEnded);
    let (app, process) = (process.key.app.clone(), Some(process.key.process.clone()));
    plan.events.push(Event { at, app, process, instance: None, kind, text });
}

/// With another target than before, without anybody's asking.
fn raised(process: &Process) -> Process {
    let revision = Revision(process.revision.0 + REVISION_STEP);
    let fallback = Fallback { raised: process.fallback.raised + REVISION_STEP, ..process.fallback.clone() };
    Process { revision, fallback, ..process.clone() }
}

fn end(inputs: &AppInputs, process: &Process, observed: Option<&ProcessObserved>) -> Option<TaskEnd> {
    let instances = sight::instances(observed);
    if let Some(last) = instances.last() {
        return (last.state == InstanceState::Stopped).then(|| of_instance(inputs, last));
    }
    let never_ran =
        |code, text| Some(TaskEnd { at: inputs.now, started_at: None, exit: None, reason: Reason { code, text } });
    if process.spec.disabled {
        // An engine that was told to run it may still do so, and counts once it knows better.
        let told = observed.is_none_or(|seen| seen.revision >= process.revision);
        return if told { never_ran(ReasonCode::Surplus, "stopped before it had started".to_owned()) } else { None };
    }
    let generation = inputs.world.generations.get(&(process.key.clone(), process.generation))?;
    // An image that is pinned is there, whatever becomes of its name for others.
    let ImageSource::Named(image) = &generation.template.image else { return None };
    let text = inputs.images.get(image).and_then(|progress| target::hopeless(image, progress))?;
    never_ran(ReasonCode::StartFailed, text)
}

fn of_instance(inputs: &AppInputs, instance: &InstanceObserved) -> TaskEnd {
    let lost = || Reason { code: ReasonCode::Lost, text: "how it ended is not known".to_owned() };
    let end = TaskEnd {
        at: instance.stopped_at.unwrap_or(inputs.now),
        started_at: instance.started_at,
        exit: instance.last_exit,
        reason: instance.reason.clone().unwrap_or_else(lost),
    };
    let text = in_words(&end);
    TaskEnd { reason: Reason { text, ..end.reason }, ..end }
}

/// What is said of an instance that serves does not fit a command that is to end.
fn in_words(end: &TaskEnd) -> String {
    match (end.state(), end.reason.code, end.exit) {
        (TaskState::Stopped, _, Some(exit)) => format!("it was asked to stop, and ended with {}", exit.describe()),
        (TaskState::Stopped, _, None) => "it was asked to stop".to_owned(),
        (_, ReasonCode::Completed | ReasonCode::Crashed, Some(exit)) => {
            format!("its command ended with {}", exit.describe())
        }
        _ => end.reason.text.clone(),
    }
}

/// Lets the oldest of those go that have ended.
pub(super) fn forget(plan: &mut AppPlan, inputs: &AppInputs, app: &AppName) {
    let tasks = inputs.world.tasks_of(app);
    let mut ended: Vec<_> = tasks.into_iter().filter(|(row, task)| task.end.is_some() && !row.deleting).collect();
    ended.sort_by_key(|(_, task)| Reverse((task.end.as_ref().map(|end| end.at), task.id)));
    let forgotten = ended.into_iter().skip(REMEMBERED).map(|(row, _)| Process { deleting: true, ..raised(row) });
    plan.changes.extend(forgotten.map(Change::PutProcess));
}
