//! `restart process`.

use tapit_model::{Process, ProcessKey, Refusal, RolloutKind};

use super::super::template;
use super::super::types::Admission;
use super::draft::Draft;
use super::set::note_unknown_image;
use super::step::generation;
use super::{alive, engine, find_app, find_process, process_of};

/// A rollout to a new generation of the same configuration. The image's name is resolved again: its tag may have moved.
/// After a rollback it is the wanted configuration that is tried again, not the one that serves.
pub(super) fn process(mut draft: Draft, key: &ProcessKey) -> Result<Admission, Refusal> {
    let process = find_process(draft.world, key)?;
    alive(process)?;
    if process.spec.disabled {
        return Err(Refusal::conflict(format!(
            "process {} is disabled, so nothing runs that could be restarted; enable it with `tapit -a {} set process \
             name={} disabled=false`",
            process_of(key),
            key.app,
            key.process
        )));
    }
    engine::check(draft.engine, None, &process.spec)?;
    let app = find_app(draft.world, &key.app)?;
    let present = generation(draft.world, process, process.generation);
    let template = template::wanted(&process.spec, app.image.as_ref(), present.map(|g| &g.template));
    note_unknown_image(&mut draft, key, &template.image);
    let message = match draft.live(key) {
        0 => format!("restart process {}: no instance runs now, the new generation is recorded", process_of(key)),
        live => format!("restart process {}: a rolling rollout replaces {live} of its instances", process_of(key)),
    };
    let next = Process { restarted_at: Some(draft.now), ..process.clone() };
    let revision = draft.roll(next, template, RolloutKind::Restart);
    Ok(draft.finish(message, None, revision))
}
