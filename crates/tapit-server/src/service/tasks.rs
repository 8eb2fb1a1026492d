//! One-off tasks, as they are asked for and shown.

use tapit_model::{AppName, Refusal, Task, TaskId, TaskView, World};
use tapit_plan::app::unknown_task;
use tapit_store::EventFilter;

use super::reading::{EVENTS_SHOWN, context, sight};
use super::{known_app, store_failed};
use crate::hub::Hub;
use crate::view::{self, Sight};

/// Those of an app that are remembered, the newest first.
pub fn list(hub: &Hub, app: &AppName) -> Result<Vec<TaskView>, Refusal> {
    let snapshot = hub.snapshot().clone();
    hub.ledger.read(|world| {
        known_app(world, app)?;
        let context = context(hub, world);
        let tasks = world.tasks_of(app).into_iter().rev();
        Ok(tasks
            .map(|(row, task)| view::task_view(&context, (row, task), sight(hub, world, &snapshot, &row.key)))
            .collect())
    })
}

/// One as a list shows it.
pub fn row(hub: &Hub, app: &AppName, id: TaskId) -> Result<TaskView, Refusal> {
    with_events(hub, app, id, Vec::new())
}

pub fn show(hub: &Hub, app: &AppName, id: TaskId) -> Result<TaskView, Refusal> {
    let process = Some(id.process());
    let filter = EventFilter { app: Some(app.clone()), process, after_id: None, limit: EVENTS_SHOWN };
    let events = hub.ledger.events(&filter).map_err(|error| store_failed(&error))?;
    with_events(hub, app, id, events)
}

fn with_events(
    hub: &Hub,
    app: &AppName,
    id: TaskId,
    events: Vec<(u64, tapit_model::Event)>,
) -> Result<TaskView, Refusal> {
    let snapshot = hub.snapshot().clone();
    hub.ledger.read(|world| {
        let (row, task) = find(world, app, id)?;
        let sight = Sight { events, ..sight(hub, world, &snapshot, &row.key) };
        Ok(view::task_view(&context(hub, world), (row, task), sight))
    })
}

/// Refuses a task that there is not, or not any more.
fn find<'a>(world: &'a World, app: &AppName, id: TaskId) -> Result<(&'a tapit_model::Process, &'a Task), Refusal> {
    known_app(world, app)?;
    world.task(app, id).ok_or_else(|| unknown_task(world, app, id))
}
