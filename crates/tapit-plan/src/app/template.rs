//! The template that a spec asks for, and what it costs to get there from another one.

use tapit_model::{ImageRef, ImageSource, ProcessSpec, Template};

/// What must happen to running instances for a new template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    Same,
    /// Time-outs of health and of ending: instances need not know.
    Settings,
    /// Memory or cpu, perhaps with settings: applied to running containers where the engine can.
    Size,
    /// Something that a container is made from: only a new instance can have it.
    Instances,
}

/// The template of a spec. The image is named again, never carried over as pinned, because each rollout resolves it
/// anew. Where no image is named any more, the last one known stays in use: a cleared name must not stop what runs.
pub(super) fn wanted(spec: &ProcessSpec, app_image: Option<&ImageRef>, present: Option<&Template>) -> Template {
    let named = spec.image.as_ref().or(app_image).or_else(|| present.and_then(|template| reference(&template.image)));
    Template {
        image: named.map_or(ImageSource::Unknown, |image| ImageSource::Named(image.clone())),
        command: spec.command.clone(),
        port: spec.port,
        health: spec.health.clone(),
        lifecycle: spec.lifecycle,
        size: spec.size,
        confinement: spec.confinement.clone(),
        variables: present.map(|template| template.variables.clone()).unwrap_or_default(),
    }
}

pub(super) fn difference(from: &Template, to: &Template) -> Difference {
    let replaces = reference(&from.image) != reference(&to.image)
        || from.command != to.command
        || from.port != to.port
        || from.health.path != to.health.path
        || from.confinement != to.confinement
        || from.variables != to.variables;
    if replaces {
        Difference::Instances
    } else if from.size != to.size {
        Difference::Size
    } else if from.health != to.health || from.lifecycle != to.lifecycle {
        Difference::Settings
    } else {
        Difference::Same
    }
}

pub(super) fn reference(source: &ImageSource) -> Option<&ImageRef> {
    match source {
        ImageSource::Unknown => None,
        ImageSource::Named(image) => Some(image),
        ImageSource::Pinned(pinned) => Some(&pinned.reference),
    }
}
