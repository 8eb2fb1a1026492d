//! Admission: a request against the present state becomes changes, or is refused with nothing changed.
//!
//! Called by the server for every mutating request, also for a dry run, which commits nothing. It does not parse words:
//! they were parsed before (`ProcessPatch::parse`).

mod apps;
mod create;
mod delete;
mod draft;
mod engine;
mod restart;
mod set;
mod step;
mod task;
mod words;

use tapit_model::{App, AppName, Process, ProcessKey, Refusal, Request, World, nearest};

use super::types::{Admission, Grounds};
use draft::Draft;
pub use task::unknown as unknown_task;

/// Decides a request.
pub fn admit(grounds: &Grounds, request: &Request) -> Result<Admission, Refusal> {
    let draft = Draft::new(grounds);
    match request {
        Request::CreateApp { app, image, patch } => apps::create(draft, app, image.as_ref(), patch),
        Request::SetApp { app, image } => apps::set(draft, app, image.as_ref()),
        Request::DeleteApp { app } => delete::app(draft, app),
        Request::CreateProcess { app, process, patch } => create::process(draft, &ProcessKey::new(app, process), patch),
        Request::SetProcess { app, process, patch } => set::process(draft, &ProcessKey::new(app, process), patch),
        Request::RestartProcess { app, process } => restart::process(draft, &ProcessKey::new(app, process)),
        Request::DeleteProcess { app, process } => delete::process(draft, &ProcessKey::new(app, process)),
        Request::CreateTask { app, patch } => task::create(draft, app, patch),
        Request::StopTask { app, task } => task::stop(draft, app, *task),
    }
}

fn find_app<'a>(world: &'a World, name: &AppName) -> Result<&'a App, Refusal> {
    world.apps.get(name).ok_or_else(|| {
        let names: Vec<_> = world.apps.keys().map(AppName::as_str).collect();
        if names.is_empty() {
            return Refusal::not_found(format!(
                "there is no app {name}, and no other; make one with `tapit create app {name}`"
            ));
        }
        let guess = guess(name.as_str(), &names);
        Refusal::not_found(format!("there is no app {name}; {guess}the apps are {}", names.join(", ")))
    })
}

fn find_process<'a>(world: &'a World, key: &ProcessKey) -> Result<&'a Process, Refusal> {
    find_app(world, &key.app)?;
    if let Some(task) = world.processes.get(key).and_then(|process| process.task.as_ref()) {
        let (app, id) = (&key.app, task.id);
        return Err(Refusal::conflict(format!(
            "{} is a one-off task, which stays as it was made; `tapit -a {app} show task id={id}` shows it, `tapit -a {app} \
             stop task id={id}` ends it",
            key.process
        )));
    }
    world.processes.get(key).ok_or_else(|| {
        let ProcessKey { app, process } = key;
        let names: Vec<_> = world.processes_of(app).map(|p| p.key.process.as_str()).collect();
        if names.is_empty() {
            return Refusal::not_found(format!(
                "app {app} has no process {process}, and no other; make one with `tapit -a {app} create process name={process}`"
            ));
        }
        let guess = guess(process.as_str(), &names);
        Refusal::not_found(format!("app {app} has no process {process}; {guess}its processes are {}", names.join(", ")))
    })
}

fn guess(word: &str, names: &[&str]) -> String {
    nearest(word, names.iter().copied()).map(|near| format!("did you mean {near}? ")).unwrap_or_default()
}

/// What is being deleted takes no other change: it would be lost.
fn alive(process: &Process) -> Result<(), Refusal> {
    if process.deleting { Err(going(&format!("process {}", process_of(&process.key)))) } else { Ok(()) }
}

fn going(what: &str) -> Refusal {
    Refusal::conflict(format!("{what} is being deleted; try again when it is gone"))
}

fn process_of(key: &ProcessKey) -> String {
    format!("{} of app {}", key.process, key.app)
}
