//! Changes: decide against the present world, commit, wake the loop, answer what came of it.

use tapit_model::{
    AppName, Change, ImageRef, ImageSource, InstanceKind, InstanceState, Outcome, ProcessKey, ProcessName, Refusal,
    Request, TaskId,
};
use tapit_plan::app::{Admission, Grounds, admit};
use tapit_store::StoreError;

use super::{known_app, reading, store_failed, tasks, unknown_process};
use crate::hub::Hub;
use crate::{clock, prepare};

/// Either half of a change can say no.
enum NotDone {
    Refused(Refusal),
    Store(StoreError),
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        NotDone::Store(error)
    }
}

pub fn submit(hub: &Hub, request: &Request, dry_run: bool) -> Result<Outcome, Refusal> {
    let observed = hub.snapshot().observed.clone();
    let admitted = hub.ledger.change(|world| {
        let grounds = Grounds { world, observed: &observed, engine: hub.engine.kind(), now: clock::now() };
        let admission = admit(&grounds, request).map_err(NotDone::Refused)?;
        let (changes, events) = match dry_run {
            true => (Vec::new(), Vec::new()),
            false => (admission.changes.clone(), admission.events.clone()),
        };
        Ok((changes, events, admission))
    });
    let admission = admitted.map_err(|not_done| match not_done {
        NotDone::Refused(refusal) => refusal,
        NotDone::Store(error) => store_failed(&error),
    })?;
    if !dry_run {
        // Whoever names an image again wants it asked for again, not the answer of the last time.
        for image in named(&admission.changes) {
            prepare::forget_failure(hub, image);
        }
        hub.nudge();
    }
    Ok(outcome(hub, request, admission, dry_run))
}

/// The images that have to be resolved for these changes.
fn named(changes: &[Change]) -> impl Iterator<Item = &ImageRef> {
    changes.iter().filter_map(|change| match change {
        Change::PutGeneration(generation) => match &generation.template.image {
            ImageSource::Named(image) => Some(image),
            ImageSource::Pinned(_) | ImageSource::Unknown => None,
        },
        Change::PutApp(_)
        | Change::RemoveApp(_)
        | Change::PutProcess(_)
        | Change::RemoveProcess(_)
        | Change::RemoveGeneration(..)
        | Change::PutRollout(_) => None,
    })
}

fn outcome(hub: &Hub, request: &Request, admission: Admission, dry_run: bool) -> Outcome {
    let (app, process) = subject(request);
    let process = process.and_then(|process| reading::row(hub, app, process).ok());
    let task = task_of(request, &admission).and_then(|task| tasks::row(hub, app, task).ok());
    let message = if dry_run { format!("would {}", admission.message) } else { admission.message };
    Outcome {
        message,
        changed: !admission.changes.is_empty(),
        dry_run,
        inverse: if dry_run { None } else { admission.inverse },
        notes: admission.notes,
        revision: admission.revision.0,
        app: if process.is_none() && task.is_none() { reading::app(hub, app).ok() } else { None },
        process,
        task,
    }
}

fn subject(request: &Request) -> (&AppName, Option<&ProcessName>) {
    match request {
        Request::CreateApp { app, .. } | Request::SetApp { app, .. } | Request::DeleteApp { app } => (app, None),
        Request::CreateProcess { app, process, .. }
        | Request::SetProcess { app, process, .. }
        | Request::RestartProcess { app, process }
        | Request::DeleteProcess { app, process } => (app, Some(process)),
        Request::CreateTask { app, .. } | Request::StopTask { app, .. } => (app, None),
    }
}

/// The task that a request is about, also one that it makes.
fn task_of(request: &Request, admission: &Admission) -> Option<TaskId> {
    match request {
        Request::StopTask { task, .. } => Some(*task),
        Request::CreateTask { .. } => admission.changes.iter().find_map(|change| match change {
            Change::PutProcess(row) => row.task.as_ref().map(|task| task.id),
            Change::PutApp(_)
            | Change::RemoveApp(_)
            | Change::RemoveProcess(_)
            | Change::PutGeneration(_)
            | Change::RemoveGeneration(..)
            | Change::PutRollout(_) => None,
        }),
        Request::CreateApp { .. }
        | Request::SetApp { .. }
        | Request::DeleteApp { .. }
        | Request::CreateProcess { .. }
        | Request::SetProcess { .. }
        | Request::RestartProcess { .. }
        | Request::DeleteProcess { .. } => None,
    }
}

pub async fn interrupt(
    hub: &Hub,
    app: &AppName,
    process: &ProcessName,
    count: u32,
    dry_run: bool,
) -> Result<Outcome, Refusal> {
    let key = ProcessKey::new(app, process);
    let revision = hub.ledger.read(|world| {
        known_app(world, app)?;
        world.processes.get(&key).map(|row| row.asked_revision().0).ok_or_else(|| unknown_process(world, app, process))
    })?;
    if count == 0 {
        return Err(Refusal::usage("count=0 interrupts nothing; give 1 or more"));
    }
    let live = hub.snapshot().process(&key).map_or(0, |seen| {
        let spot = seen.instances.iter().filter(|one| one.kind == InstanceKind::Spot && interruptible(one.state));
        spot.count()
    });
    let none = || {
        Refusal::conflict(format!(
            "process {process} has no spot instance that runs; tapit set process name={process} spot_count=1 asks for one"
        ))
    };
    if live == 0 {
        return Err(none());
    }
    let given = usize::try_from(count).unwrap_or(usize::MAX).min(live);
    let message = if dry_run {
        format!("would give a notice to {given} spot instance(s) of {process}")
    } else {
        let ids = hub.engine.interrupt(&key, count).await.map_err(|e| Refusal::failed(tapit_model::describe(&e)))?;
        if ids.is_empty() {
            // The last one has gone since it was seen.
            return Err(none());
        }
        let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
        format!("gave a notice to {}", names.join(", "))
    };
    Ok(Outcome {
        message,
        changed: true,
        dry_run,
        inverse: None,
        notes: vec!["they come back when there is room".to_owned()],
        revision,
        app: None,
        task: None,
        process: reading::row(hub, app, process).ok(),
    })
}

fn interruptible(state: InstanceState) -> bool {
    match state {
        InstanceState::Starting | InstanceState::Healthy | InstanceState::Unhealthy => true,
        InstanceState::Pending
        | InstanceState::Pulling
        | InstanceState::Draining
        | InstanceState::Stopping
        | InstanceState::Stopped => false,
    }
}
