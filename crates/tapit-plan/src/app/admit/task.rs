//! `create task` and `stop task`.

use tapit_model::{
    AppName, Assign, Change, Confinement, EventKind, Generation, Health, PROCESS_KEYS, PortSetting, Process,
    ProcessPatch, ProcessSpec, Refusal, Seconds, Task, TaskId, World,
};

use super::super::template;
use super::super::types::Admission;
use super::draft::Draft;
use super::{create, engine, find_app, going};

pub(super) fn create(mut draft: Draft, name: &AppName, patch: &ProcessPatch) -> Result<Admission, Refusal> {
    let app = find_app(draft.world, name)?;
    if app.deleting {
        return Err(going(&format!("app {name}")));
    }
    check(name, patch)?;
    let spec = patch.apply_to(&blank())?;
    engine::check(draft.engine, None, &spec)?;
    if spec.image.is_none() && app.image.is_none() {
        return Err(Refusal::conflict(format!(
            "app {name} has no image that a task could run in; give image=NAME:TAG, or name the app's with `tapit -a {name} \
             set app image=NAME:TAG`"
        )));
    }
    let id = next(draft.world, name);
    let key = id.key(name);
    let typed = spec.command.as_ref().map(|command| command.typed().to_owned()).unwrap_or_default();
    let message = format!("create task {id} of app {name}: {typed}");
    let template = template::wanted(&spec, app.image.as_ref(), None);
    let size = format!("memory={} cpu={}", spec.size.memory, spec.size.cpu);
    draft.event(&key, EventKind::TaskCreated, format!("created with {size} to run {typed}"));
    draft.loosened(&key, &Confinement::default(), &spec.confinement);
    let process = create::blank(&draft, &key, spec);
    let number = 1;
    let process = Process { task: Some(Task { id, end: None }), configured: true, generation: number, ..process };
    let revision = draft.put(process);
    draft.changes.push(Change::PutGeneration(Generation { key, number, template }));
    Ok(draft.finish(message, Some(format!("tapit -a {name} stop task id={id}")), revision))
}

pub(super) fn stop(mut draft: Draft, name: &AppName, id: TaskId) -> Result<Admission, Refusal> {
    let (process, task) = find(draft.world, name, id)?;
    let present = process.asked_revision();
    if let Some(end) = &task.end {
        let message = format!("nothing to change: task {id} of app {name} has {} already", end.state().as_str());
        return Ok(draft.finish(message, None, present));
    }
    if process.spec.disabled || process.deleting {
        return Ok(draft.finish(
            format!("nothing to change: task {id} of app {name} is stopping already"),
            None,
            present,
        ));
    }
    draft.event(&process.key, EventKind::TaskStopping, "asked to stop");
    let spec = ProcessSpec { disabled: true, ..process.spec.clone() };
    let revision = draft.put(Process { spec, ..process.clone() });
    let message = format!("stop task {id} of app {name}: it gets SIGTERM, and SIGKILL when it does not end in time");
    Ok(draft.finish(message, None, revision))
}

/// A number that no task has had. Before there were tasks a process could have such a name, and where one ever had, its
/// numbers go on under that name.
fn next(world: &World, app: &AppName) -> TaskId {
    let mut id = TaskId(world.next_task.0.max(1));
    while world.marks.contains_key(&id.key(app)) {
        id.0 += 1;
    }
    id
}

/// What a task is before the words of whoever makes it: it listens nowhere and serves nobody.
fn blank() -> ProcessSpec {
    let health = Health { min_healthy: Seconds(0), ..ProcessSpec::default().health };
    ProcessSpec { port: PortSetting::None, health, ..ProcessSpec::default() }
}

fn check(app: &AppName, patch: &ProcessPatch) -> Result<(), Refusal> {
    let ProcessPatch { command, memory, cpu, image, stop_timeout, userns, cap_add, .. } = patch.clone();
    if !matches!(command, Some(Assign::To(_))) {
        return Err(Refusal::usage(format!(
            "a task needs its command, as in `tapit -a {app} create task 'python manage.py migrate'`"
        )));
    }
    let known = ProcessPatch { command, memory, cpu, image, stop_timeout, userns, cap_add, ..ProcessPatch::default() };
    if known == *patch {
        return Ok(());
    }
    let keys: Vec<_> = PROCESS_KEYS.iter().filter(|info| info.on_task).map(|info| info.name).collect();
    Err(Refusal::usage(format!("a task runs once and serves nobody: the keys that it takes are {}", keys.join(", "))))
}

fn find<'a>(world: &'a World, app: &AppName, id: TaskId) -> Result<(&'a Process, &'a Task), Refusal> {
    find_app(world, app)?;
    world.task(app, id).ok_or_else(|| unknown(world, app, id))
}

/// There is no such task, or none any more.
pub fn unknown(world: &World, app: &AppName, id: TaskId) -> Refusal {
    let tasks: Vec<_> = world.tasks_of(app).iter().map(|(_, task)| task.id.to_string()).collect();
    let known = match tasks.as_slice() {
        [] => format!("it remembers none; make one with `tapit -a {app} create task 'CMD'`"),
        tasks => format!("it remembers {}", tasks.join(", ")),
    };
    Refusal::not_found(format!("app {app} has no task {id}; {known}"))
}
