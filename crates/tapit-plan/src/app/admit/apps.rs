//! `create app` and `set app`.

use tapit_model::{
    App, AppName, Assign, Change, EventKind, ImageRef, Process, ProcessKey, ProcessName, ProcessPatch, ProcessSpec,
    Refusal, Revision,
};

use super::super::types::Admission;
use super::draft::Draft;
use super::step::{Manner, Step, step};
use super::{create, engine, find_app, going, words};

/// Makes the app with its public process. An image among the words is the app's.
pub(super) fn create(
    mut draft: Draft,
    name: &AppName,
    image: Option<&ImageRef>,
    patch: &ProcessPatch,
) -> Result<Admission, Refusal> {
    if let Some(present) = draft.world.apps.get(name) {
        if present.deleting {
            return Err(going(&format!("app {name}")));
        }
        return Err(Refusal::conflict(format!(
            "app {name} exists already and was not changed; change it with `tapit -a {name} set app image=NAME:TAG`"
        )));
    }
    let named = match &patch.image {
        Some(Assign::To(image)) => Some(image),
        Some(Assign::Clear) | None => None,
    };
    let patch = ProcessPatch { image: None, ..patch.clone() };
    let spec = patch.apply_to(&ProcessSpec::default())?;
    engine::check(draft.engine, None, &spec)?;
    let app = App {
        name: name.clone(),
        image: image.or(named).cloned(),
        created_at: draft.now,
        updated_at: draft.now,
        deleting: false,
    };
    draft.changes.push(Change::PutApp(app.clone()));
    let of_image = app.image.as_ref().map(|image| format!(" with image={image}")).unwrap_or_default();
    draft.app_event(name, EventKind::AppCreated, format!("app {name} created{of_image}"));
    let message = format!("create app {name}{of_image} and its process default with {}", words::summary(&spec));
    let key = ProcessKey::new(name, &ProcessName::public());
    let configured = patch != ProcessPatch::default();
    let process = Process { configured, ..create::blank(&draft, &key, spec) };
    let revision = create::start(&mut draft, &app, process);
    Ok(draft.finish(message, Some(words::undo_create_app(name)), revision))
}

/// A new image of the app: one independent rollout for each process that uses it.
pub(super) fn set(mut draft: Draft, name: &AppName, image: Option<&Option<ImageRef>>) -> Result<Admission, Refusal> {
    let app = find_app(draft.world, name)?;
    let Some(image) = image else {
        return Err(Refusal::usage("nothing to set; give image=NAME:TAG, or image= for none"));
    };
    if app.deleting {
        return Err(going(&format!("app {name}")));
    }
    let newest = |revision: Revision, process: &Process| revision.max(process.asked_revision());
    let present = draft.world.processes_of(name).fold(Revision(0), newest);
    if app.image == *image {
        return Ok(draft.finish(format!("nothing to change: app {name} has this image already"), None, present));
    }
    let (before, after) = (text(app.image.as_ref()), text(image.as_ref()));
    let resize = engine::resize(draft.engine, None)?;
    draft.changes.push(Change::PutApp(App { image: image.clone(), updated_at: draft.now, ..app.clone() }));
    draft.app_event(name, EventKind::AppChanged, format!("set image={after}"));
    let mut revision = present;
    let mut rolled = Vec::new();
    for process in draft.world.processes_of(name).filter(|p| p.spec.image.is_none() && !p.deleting) {
        if !process.spec.disabled {
            engine::check(draft.engine, None, &process.spec)?;
        }
        let manner = Manner { app_image: image.as_ref(), resize };
        match step(draft.present(process), &process.spec, manner) {
            Step::Roll(template, kind) => {
                revision = revision.max(draft.roll(process.clone(), template, kind));
                rolled.push(process.key.process.as_str());
            }
            Step::Record if process.spec.disabled => draft
                .note(format!("process {} is disabled: it takes the image when it is enabled", process.key.process)),
            Step::Record | Step::InPlace(_) | Step::Resume(_) | Step::Disable => {}
        }
    }
    if image.is_none() {
        draft.note("instances that use the app's image keep the one they have until another is named");
    }
    let effect = match rolled.as_slice() {
        [] => "no process is replaced".to_owned(),
        names => format!("a rollout of each process that uses it ({})", names.join(", ")),
    };
    let message = format!("set image={after} of app {name}: {effect}");
    Ok(draft.finish(message, Some(format!("tapit -a {name} set app image={before}")), revision))
}

fn text(image: Option<&ImageRef>) -> String {
    image.map(ToString::to_string).unwrap_or_default()
}
