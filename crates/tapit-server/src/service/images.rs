//! The images of the engine, with what uses them.

use std::path::Path;

use tapit_engine::EngineError;
use tapit_model::{Code, Digest, ImageRef, ImageSource, ImageView, Outcome, Refusal, World, describe};

use crate::hub::Hub;
use crate::prepare;
use crate::view;

pub async fn list(hub: &Hub) -> Result<Vec<ImageView>, Refusal> {
    let images = hub.engine.images().list().await.map_err(|error| refused(&error))?;
    Ok(hub.ledger.read(|world| images.into_iter().map(|image| view::image_view(world, image)).collect()))
}

pub async fn show(hub: &Hub, name: &ImageRef) -> Result<ImageView, Refusal> {
    let images = list(hub).await?;
    let shown = name.to_string();
    let names: Vec<_> = images.iter().map(|image| image.name.clone()).collect();
    images.into_iter().find(|image| image.name == shown).ok_or_else(|| {
        let there = if names.is_empty() {
            "there is none; tapit import image FILE brings one".to_owned()
        } else {
            names.join(", ")
        };
        Refusal::not_found(format!("no image {shown} is held here: {there}"))
    })
}

pub async fn import(hub: &Hub, archive: &Path, name: Option<&ImageRef>) -> Result<Vec<ImageView>, Refusal> {
    let images = hub.engine.images().import(archive, name).await.map_err(|error| refused(&error))?;
    for image in images.iter().filter_map(|image| ImageRef::parse(&image.name).ok()) {
        // Whoever waits for this name need not wait any longer.
        prepare::forget_failure(hub, &image);
    }
    hub.nudge();
    Ok(hub.ledger.read(|world| images.into_iter().map(|image| view::image_view(world, image)).collect()))
}

pub async fn delete(hub: &Hub, name: &ImageRef, dry_run: bool) -> Result<Outcome, Refusal> {
    let image = show(hub, name).await?;
    if !image.used_by.is_empty() {
        return Err(Refusal::conflict(format!(
            "image {name} is used by {}; delete or update what uses it first",
            image.used_by.join(", ")
        )));
    }
    if !dry_run {
        let in_use = in_use(hub);
        hub.engine.images().delete(name, &in_use).await.map_err(|error| refused(&error))?;
    }
    Ok(outcome(
        if dry_run { format!("would delete image {name}") } else { format!("deleted image {name}") },
        dry_run,
        true,
    ))
}

pub async fn prune(hub: &Hub, dry_run: bool) -> Result<Outcome, Refusal> {
    if dry_run {
        let unused: Vec<_> =
            list(hub).await?.into_iter().filter(|image| image.used_by.is_empty()).map(|image| image.name).collect();
        let message = match unused.as_slice() {
            [] => "nothing to prune: every image is in use".to_owned(),
            names => format!("would delete {}", names.join(", ")),
        };
        return Ok(outcome(message, true, !unused.is_empty()));
    }
    let in_use = in_use(hub);
    let (bytes, names) = hub.engine.images().prune(&in_use).await.map_err(|error| refused(&error))?;
    let message = match names.as_slice() {
        [] => "nothing to prune: every image is in use".to_owned(),
        names => format!("deleted {}, freed {:.1} MB", names.join(", "), bytes as f64 / 1e6),
    };
    Ok(outcome(message, false, !names.is_empty()))
}

fn outcome(message: String, dry_run: bool, changed: bool) -> Outcome {
    Outcome { message, changed, dry_run, inverse: None, notes: Vec::new(), revision: 0, app: None, process: None }
}

/// Digests of every generation that runs, is to run, or would be gone back to.
fn in_use(hub: &Hub) -> Vec<Digest> {
    let pinned = |world: &World| {
        let images = world.generations.values().filter_map(|generation| match &generation.template.image {
            ImageSource::Pinned(image) => Some(image.digest.clone()),
            ImageSource::Named(_) | ImageSource::Unknown => None,
        });
        images.collect()
    };
    hub.ledger.read(pinned)
}

fn refused(error: &EngineError) -> Refusal {
    use tapit_engine::ImageFault;
    let code = match error {
        EngineError::Image { fault, .. } => match fault {
            ImageFault::NotFound => Code::NotFound,
            ImageFault::InUse => Code::Conflict,
            ImageFault::Denied | ImageFault::Unreachable | ImageFault::Host => Code::Failed,
            ImageFault::Invalid => Code::Usage,
        },
        EngineError::Archive { .. } => Code::Usage,
        EngineError::UnknownProcess(_) | EngineError::UnknownInstance(_) => Code::NotFound,
        EngineError::UnknownPosition(_) => Code::Usage,
        EngineError::NotRunning(_) => Code::Conflict,
        EngineError::Act { .. } => Code::Failed,
    };
    Refusal::new(code, describe(error))
}
