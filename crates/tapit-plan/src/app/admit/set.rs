//! `set process`.

use tapit_model::{
    Change, EventKind, ImageSource, PROCESS_KEYS, Process, ProcessKey, ProcessPatch, ProcessSpec, Refusal, Revision,
    RolloutKind,
};

use super::super::fallback;
use super::super::types::Admission;
use super::draft::Draft;
use super::step::{Manner, Step, generation, step};
use super::{alive, engine, find_app, find_process, process_of, words};

pub(super) fn process(mut draft: Draft, key: &ProcessKey, patch: &ProcessPatch) -> Result<Admission, Refusal> {
    let world = draft.world;
    let process = find_process(world, key)?;
    check(patch)?;
    alive(process)?;
    let spec = patch.apply_to(&process.spec)?;
    engine::check(draft.engine, Some(&process.spec), &spec)?;
    let resize = engine::resize(draft.engine, patch.resize)?;
    let changed = words::changed(&process.spec, &spec);
    if changed.is_empty() {
        return Ok(unchanged(draft, process));
    }
    let app = find_app(world, &key.app)?;
    let message_words = words::list(changed.iter().map(|word| (word.key, word.after.as_str())));
    let (revision, cost) = carry_out(&mut draft, process, spec, Manner { app_image: app.image.as_ref(), resize });
    let message = format!("set {message_words} of process {}: {cost}", process_of(key));
    Ok(draft.finish(message, Some(words::undo(key, &changed, resize)), revision))
}

/// Records a new spec with what it costs; the text says the cost. Also used where `create` configures the process that
/// came with the app.
pub(super) fn carry_out(
    draft: &mut Draft,
    process: &Process,
    spec: ProcessSpec,
    manner: Manner,
) -> (Revision, &'static str) {
    let key = &process.key;
    let step = step(draft.present(process), &spec, manner);
    let changed = words::changed(&process.spec, &spec);
    let text = words::list(changed.iter().map(|word| (word.key, word.after.as_str())));
    let kind = match (process.spec.disabled, spec.disabled) {
        (false, true) => EventKind::ProcessDisabled,
        (true, false) => EventKind::ProcessEnabled,
        (false, false) | (true, true) => EventKind::ProcessChanged,
    };
    let asleep = spec.disabled;
    draft.event(key, kind, format!("set {text}"));
    draft.loosened(key, &process.spec.confinement, &spec.confinement);
    let next = Process { fallback: fallback::carried(process, &spec), spec, configured: true, ..process.clone() };
    match step {
        Step::Record if asleep => (draft.put(next), "recorded; it takes effect when the process is enabled"),
        Step::Record => (draft.put(next), "only missing or surplus instances start or stop"),
        Step::InPlace(generation) => {
            let revision = draft.put(next);
            draft.changes.push(Change::PutGeneration(generation));
            (revision, "applied to running instances in place")
        }
        Step::Roll(template, kind) => {
            note_unknown_image(draft, key, &template.image);
            let cost = match kind {
                RolloutKind::Enable => "instances start with the configuration as it is now",
                RolloutKind::Create => "a rollout starts its instances",
                RolloutKind::Update | RolloutKind::Restart | RolloutKind::Resize => {
                    "a rolling rollout replaces every instance"
                }
            };
            (draft.roll(next, template, kind), cost)
        }
        Step::Resume(generation) => {
            note_unknown_image(draft, key, &generation.template.image);
            (draft.roll_to(next, generation, RolloutKind::Enable), "instances start as they were")
        }
        Step::Disable => {
            draft.end_rollout(key, "the process was disabled");
            (draft.put(next), "every instance stops gracefully; the configuration and the counts stay")
        }
    }
}

pub(super) fn note_unknown_image(draft: &mut Draft, key: &ProcessKey, image: &ImageSource) {
    let ProcessKey { app, process } = key;
    if *image == ImageSource::Unknown {
        draft.note(format!(
            "no image known yet: name one with `tapit -a {app} set app image=NAME:TAG`, or for this process alone with \
             `tapit -a {app} set process name={process} image=NAME:TAG`"
        ));
    }
}

/// What is wrong with the words whatever the process is.
fn check(patch: &ProcessPatch) -> Result<(), Refusal> {
    if *patch == ProcessPatch::default() {
        let keys: Vec<_> = PROCESS_KEYS.iter().map(|info| info.name).collect();
        return Err(Refusal::usage(format!("nothing to set; give key=value with one of {}", keys.join(", "))));
    }
    if patch.resize.is_some() && patch.memory.is_none() && patch.cpu.is_none() {
        return Err(Refusal::usage(
            "resize says how a new size reaches running instances; give memory=GB or cpu=VCPU with it",
        ));
    }
    Ok(())
}

/// Everything is so already. After a rollback the question is for the change that failed, not for the old generation
/// that serves again, hence the revision below.
fn unchanged(mut draft: Draft, process: &Process) -> Admission {
    let key = &process.key;
    let mut revision = process.asked_revision();
    if process.rolled_back {
        revision.0 = revision.0.saturating_sub(1);
        draft.note(format!(
            "generation {} was rolled back and {} runs; `tapit -a {} restart process name={}` tries it again",
            process.generation, process.running_generation, key.app, key.process
        ));
    }
    if let Some(generation) = generation(draft.world, process, process.generation) {
        note_unknown_image(&mut draft, key, &generation.template.image);
    }
    let message = format!("nothing to change: process {} has these values already", process_of(key));
    draft.finish(message, None, revision)
}
