//! `delete process` and `delete app`: rows are only marked here; they go once no instance is left.

use tapit_model::{App, AppName, Change, EventKind, Process, ProcessKey, Refusal, Revision};

use super::super::types::Admission;
use super::draft::Draft;
use super::{find_app, find_process, process_of};

pub(super) fn process(mut draft: Draft, key: &ProcessKey) -> Result<Admission, Refusal> {
    let process = find_process(draft.world, key)?;
    if process.deleting {
        let message = format!("nothing to change: process {} is being deleted already", process_of(key));
        return Ok(draft.finish(message, None, process.asked_revision()));
    }
    let live = draft.live(key);
    let public = key.process.is_public();
    let revision = mark(&mut draft, process);
    if public {
        draft.note(format!(
            "default is the public process: no HTTP request from outside to app {} is answered any more",
            key.app
        ));
    }
    let what = if public { ", its public process" } else { "" };
    let message =
        format!("delete process {}{what}: {live} live instances drain and stop, then it is gone", process_of(key));
    Ok(draft.finish(message, None, revision))
}

pub(super) fn app(mut draft: Draft, name: &AppName) -> Result<Admission, Refusal> {
    let app = find_app(draft.world, name)?;
    let processes: Vec<_> = draft.world.processes_of(name).collect();
    let newest = processes.iter().fold(Revision(0), |revision, process| revision.max(process.asked_revision()));
    if app.deleting {
        return Ok(draft.finish(format!("nothing to change: app {name} is being deleted already"), None, newest));
    }
    draft.changes.push(Change::PutApp(App { deleting: true, updated_at: draft.now, ..app.clone() }));
    draft.app_event(name, EventKind::AppDeleted, format!("app {name} is being deleted"));
    let live: u32 = draft.world.everything_of(name).map(|process| draft.live(&process.key)).sum();
    let mut revision = newest;
    for process in draft.world.everything_of(name).filter(|process| !process.deleting) {
        revision = revision.max(mark(&mut draft, process));
    }
    let message = format!(
        "delete app {name} with {} processes: {live} live instances drain and stop, then it is gone",
        processes.len()
    );
    Ok(draft.finish(message, None, revision))
}

fn mark(draft: &mut Draft, process: &Process) -> Revision {
    draft.end_rollout(&process.key, "the process is being deleted");
    if process.task.is_none() {
        let text = format!("process {} is being deleted", process.key.process);
        draft.event(&process.key, EventKind::ProcessDeleted, text);
    }
    draft.put(Process { deleting: true, ..process.clone() })
}
