//! `create process`.

use tapit_model::{
    App, Change, Confinement, EventKind, Fallback, Process, ProcessKey, ProcessPatch, ProcessSpec, Refusal, Revision,
    RolloutKind, TaskId,
};

use super::super::template;
use super::super::types::Admission;
use super::draft::Draft;
use super::set::{carry_out, note_unknown_image};
use super::step::Manner;
use super::{alive, engine, find_app, going, process_of, words};

pub(super) fn process(mut draft: Draft, key: &ProcessKey, patch: &ProcessPatch) -> Result<Admission, Refusal> {
    let app = find_app(draft.world, &key.app)?;
    if app.deleting {
        return Err(going(&format!("app {}", app.name)));
    }
    if let Some(id) = TaskId::of(&key.process) {
        return Err(Refusal::usage(format!(
            "names like {} are kept for one-off tasks; give the process another one, or see `tapit -a {} show task id={id}`",
            key.process, key.app
        )));
    }
    if let Some(present) = draft.world.processes.get(key) {
        alive(present)?;
        if present.configured {
            return Err(exists(key));
        }
        return configure(draft, app, present, patch);
    }
    let spec = patch.apply_to(&ProcessSpec::default())?;
    engine::check(draft.engine, None, &spec)?;
    let message = format!("create process {} with {}", process_of(key), words::summary(&spec));
    let process = Process { configured: true, ..blank(&draft, key, spec) };
    let revision = start(&mut draft, app, process);
    Ok(draft.finish(message, Some(words::undo_create(key)), revision))
}

/// A process as it is before its first generation.
pub(super) fn blank(draft: &Draft, key: &ProcessKey, spec: ProcessSpec) -> Process {
    Process {
        key: key.clone(),
        spec,
        task: None,
        configured: false,
        revision: Revision(0),
        generation: 0,
        running_generation: 0,
        rolled_back: false,
        fallback: Fallback::default(),
        created_at: draft.now,
        updated_at: draft.now,
        restarted_at: None,
        deleting: false,
    }
}

/// Puts a new process with its first generation.
pub(super) fn start(draft: &mut Draft, app: &App, process: Process) -> Revision {
    let key = process.key.clone();
    let template = template::wanted(&process.spec, app.image.as_ref(), None);
    draft.event(&key, EventKind::ProcessCreated, format!("created with {}", words::summary(&process.spec)));
    draft.loosened(&key, &Confinement::default(), &process.spec.confinement);
    note_unknown_image(draft, &key, &template.image);
    draft.roll(process, template, RolloutKind::Create)
}

/// The first `create process name=default` configures the process that `create app` made.
fn configure(mut draft: Draft, app: &App, present: &Process, patch: &ProcessPatch) -> Result<Admission, Refusal> {
    let key = &present.key;
    let spec = patch.apply_to(&ProcessSpec { disabled: present.spec.disabled, ..ProcessSpec::default() })?;
    engine::check(draft.engine, Some(&present.spec), &spec)?;
    let resize = engine::resize(draft.engine, patch.resize)?;
    let changed = words::changed(&present.spec, &spec);
    if changed.is_empty() {
        draft.changes.push(Change::PutProcess(Process { configured: true, ..present.clone() }));
        draft.event(key, EventKind::ProcessChanged, "configured as it was");
        let message =
            format!("configure process {}, which came with the app: nothing differs, no rollout", process_of(key));
        return Ok(draft.finish(message, None, present.asked_revision()));
    }
    let text = words::summary(&spec);
    let (revision, cost) = carry_out(&mut draft, present, spec, Manner { app_image: app.image.as_ref(), resize });
    let message = format!("configure process {}, which came with the app, with {text}: {cost}", process_of(key));
    Ok(draft.finish(message, Some(words::undo(key, &changed, resize)), revision))
}

fn exists(key: &ProcessKey) -> Refusal {
    let ProcessKey { app, process } = key;
    Refusal::conflict(format!(
        "process {} exists already and was not changed; change it with `tapit -a {app} set process name={process} \
         key=value ...`",
        process_of(key)
    ))
}
