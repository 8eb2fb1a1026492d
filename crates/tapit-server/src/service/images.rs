//! The images of the engine, with what uses them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tapit_engine::{EngineError, Forget};
use tapit_model::{Code, Digest, ImageKey, ImageRef, ImageView, Outcome, PruneExtent, Refusal, describe};

use super::{outcome, transfer};
use crate::api::TransferFrames;
use crate::hub::Hub;
use crate::keep::{self, amount};
use crate::prepare;
use crate::view;

pub async fn list(hub: &Hub) -> Result<Vec<ImageView>, Refusal> {
    let images = hub.engine.images().list().await.map_err(|error| refused(&error))?;
    Ok(seen(hub, images))
}

fn seen(hub: &Hub, images: Vec<ImageView>) -> Vec<ImageView> {
    hub.ledger.read(|world| images.into_iter().map(|image| view::image_view(world, image)).collect())
}

pub async fn show(hub: &Hub, key: &ImageKey) -> Result<ImageView, Refusal> {
    find(&list(hub).await?, key).cloned()
}

/// The image that is meant; one of its names where it is meant by its digest.
fn find<'a>(images: &'a [ImageView], key: &ImageKey) -> Result<&'a ImageView, Refusal> {
    let name = key.name().map(ToString::to_string);
    if let Some(image) = images.iter().find(|image| Some(&image.name) == name.as_ref()) {
        return Ok(image);
    }
    let meant: Vec<&ImageView> = images.iter().filter(|image| key.begins(&image.digest)).collect();
    let digests: BTreeSet<&str> = meant.iter().map(|image| image.digest.as_str()).collect();
    match (meant.first(), digests.len()) {
        (Some(first), 1) => Ok(first),
        (Some(_), _) => {
            let digests: Vec<&str> = digests.into_iter().collect();
            Err(Refusal::usage(format!("{key} begins several digests: {}; give more digits", digests.join(", "))))
        }
        (None, _) => Err(none_such(images, key)),
    }
}

fn none_such(images: &[ImageView], key: &ImageKey) -> Refusal {
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let there = if names.is_empty() {
        "there is none; tapit pull image or tapit import image brings one".to_owned()
    } else {
        names.join(", ")
    };
    Refusal::not_found(format!("no image {key} is held here: {there}"))
}

pub fn pull(hub: &Arc<Hub>, name: ImageRef) -> TransferFrames {
    let at = Arc::clone(hub);
    transfer::frames(hub, |transfer| async move {
        let pulled = at.engine.images().pull(&name, &transfer).await;
        let image = pulled.map_err(|error| refused(&error))?;
        Ok(brought(&at, vec![image]).await.remove(0))
    })
}

pub async fn import(hub: &Arc<Hub>, archive: &Path, name: Option<&ImageRef>) -> Result<Vec<ImageView>, Refusal> {
    let images = hub.engine.images().import(archive, name).await.map_err(|error| refused(&error))?;
    Ok(brought(hub, images).await)
}

pub async fn import_built(hub: &Arc<Hub>, archive: &Path, name: &ImageRef) -> Result<Vec<ImageView>, Refusal> {
    let images = hub.engine.images().import_built(archive, name).await.map_err(|error| refused(&error))?;
    Ok(brought(hub, images).await)
}

/// Images have come: whoever waits for them goes on, and what they push out goes.
async fn brought(hub: &Arc<Hub>, images: Vec<ImageView>) -> Vec<ImageView> {
    let names: Vec<ImageRef> = images.iter().filter_map(|image| ImageRef::parse(&image.name).ok()).collect();
    for image in &names {
        prepare::forget_failure(hub, image);
    }
    hub.nudge();
    keep::trim(hub, &names).await;
    seen(hub, images)
}

pub async fn delete(hub: &Arc<Hub>, key: &ImageKey, dry_run: bool) -> Result<Outcome, Refusal> {
    let images = list(hub).await?;
    let image = find(&images, key)?;
    let name = key.name().filter(|name| image.name == name.to_string());
    let others = images.iter().filter(|other| other.digest == image.digest && other.name != image.name);
    let others: Vec<&str> = others.map(|other| other.name.as_str()).collect();
    // One name of several may go while the image is in use, as long as nobody asks for it by that name.
    let alias = !others.is_empty() && name.is_some_and(|name| !hub.ledger.read(|world| view::is_named(world, name)));
    if !image.used_by.is_empty() && !alias {
        return Err(Refusal::conflict(format!(
            "image {key} is used by {}; delete or update what uses it first",
            image.used_by.join(", ")
        )));
    }
    let stays = name.filter(|_| !others.is_empty()).map(|_| format!("; the image stays as {}", others.join(", ")));
    if dry_run {
        let frees = stays.unwrap_or_else(|| format!(", which frees {}", amount(image.unique)));
        return Ok(outcome(format!("would delete image {key}{frees}"), true, true));
    }
    let forget = match name {
        Some(name) => Forget::Name(name.clone()),
        None => Forget::Digest(digest(image)?),
    };
    let in_use = keep::in_use(hub, BTreeSet::new());
    let freed = hub.engine.images().delete(&forget, &in_use).await.map_err(|error| refused(&error))?;
    let told = stays.unwrap_or_else(|| format!(", freed {}", amount(freed.bytes)));
    Ok(outcome(format!("deleted image {}{told}", freed.images.join(", ")), false, true))
}

fn digest(image: &ImageView) -> Result<Digest, Refusal> {
    Digest::parse(&image.digest).ok_or_else(|| Refusal::failed(format!("{} is no digest", image.digest)))
}

pub async fn prune(hub: &Arc<Hub>, dry_run: bool) -> Result<Outcome, Refusal> {
    let in_use = keep::in_use(hub, BTreeSet::new());
    let images = hub.engine.images();
    let freed = match dry_run {
        true => images.would_prune(PruneExtent::Unused, &in_use).await,
        false => images.prune(PruneExtent::Unused, &in_use).await,
    };
    let freed = freed.map_err(|error| refused(&error))?;
    let message = match (freed.images.as_slice(), dry_run) {
        ([], _) => "nothing to prune: every image is in use".to_owned(),
        (names, true) => format!("would delete {}, which frees {}", names.join(", "), amount(freed.bytes)),
        (names, false) => format!("deleted {}, freed {}", names.join(", "), amount(freed.bytes)),
    };
    Ok(outcome(message, dry_run, !freed.images.is_empty()))
}

pub(super) fn refused(error: &EngineError) -> Refusal {
    use tapit_engine::ImageFault;
    let code = match error {
        EngineError::Image { fault, .. } => match fault {
            ImageFault::NotFound => Code::NotFound,
            ImageFault::InUse => Code::Conflict,
            ImageFault::Denied => Code::Denied,
            ImageFault::Unreachable | ImageFault::Host => Code::Failed,
            ImageFault::Invalid => Code::Usage,
        },
        EngineError::Archive { .. } => Code::Usage,
        EngineError::UnknownProcess(_) | EngineError::UnknownInstance(_) => Code::NotFound,
        EngineError::UnknownPosition(_) => Code::Usage,
        EngineError::NotRunning(_) | EngineError::Unsupported { .. } => Code::Conflict,
        EngineError::Act { .. } => Code::Failed,
    };
    Refusal::new(code, describe(error))
}
