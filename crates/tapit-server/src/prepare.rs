//! Makes images ready in tasks of their own, so that a slow registry holds up nobody.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tapit_engine::{EngineError, ImageFault, Prepared};
use tapit_model::{Event, EventKind, ImageRef, describe};
use tapit_plan::app::{self, ImageProgress, Prepare};
use tapit_store::StoreError;

use crate::hub::Hub;
use crate::{clock, keep};

/// Between attempts while a registry does not answer; after the last one the rollout has failed.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// An image that is held is ready long before; one that is not ready by then is said to be waited for.
const SLOW: Duration = Duration::from_secs(1);
/// Before an image that could not be had is asked for again.
const RETRY: Duration = Duration::from_secs(30);

/// Prepares the image of one generation and pins it. Callers for the same image share the work in the engine.
pub fn spawn(hub: &Arc<Hub>, prepare: Prepare) {
    hub.images().insert(prepare.image.clone(), ImageProgress::Asked);
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        match noted(&hub, &prepare.image).await {
            Ok(prepared) => pin(&hub, &prepare, prepared),
            Err((error, attempts)) => failed(&hub, &prepare.image, &error, attempts),
        }
        hub.nudge();
        keep::trim(&hub, &[]).await;
    });
}

/// Notes meanwhile that it takes a while, if it does.
async fn noted(hub: &Hub, image: &ImageRef) -> Result<Prepared, (EngineError, u32)> {
    let mut attempts = pin!(attempts(hub, image));
    if let Ok(answer) = tokio::time::timeout(SLOW, attempts.as_mut()).await {
        return answer;
    }
    hub.images().insert(image.clone(), ImageProgress::Preparing);
    hub.nudge();
    attempts.await
}

/// Tries until the answer is final. The error comes with the number of attempts made.
async fn attempts(hub: &Hub, image: &ImageRef) -> Result<Prepared, (EngineError, u32)> {
    let mut attempt = 1;
    for pause in PAUSES {
        match hub.engine.prepare(image).await {
            Ok(prepared) => return Ok(prepared),
            Err(error) if is_for_good(&error) => return Err((error, attempt)),
            Err(error) => tracing::warn!(%image, attempt, "{}; trying again", describe(&error)),
        }
        attempt += 1;
        tokio::time::sleep(pause).await;
    }
    hub.engine.prepare(image).await.map_err(|error| (error, attempt))
}

fn pin(hub: &Hub, prepare: &Prepare, prepared: Prepared) {
    let Prepared { image, warning } = prepared;
    if let Some(warning) = &warning {
        tracing::warn!(image = %prepare.image, "{warning}");
    }
    let pinned = hub.ledger.change::<(), StoreError>(|world| {
        let (changes, mut events) = app::pin(world, prepare, image, clock::now());
        if !changes.is_empty() {
            events.extend(warning.map(|text| warning_event(prepare, text)));
        }
        Ok((changes, events, ()))
    });
    if let Err(error) = pinned {
        tracing::error!(image = %prepare.image, error = &error as &dyn std::error::Error, "pinning an image");
    }
    hub.images().remove(&prepare.image);
}

/// A copy held here is used because the registry did not answer: worth knowing when the copy is old.
fn warning_event(prepare: &Prepare, text: String) -> Event {
    Event {
        at: clock::now(),
        app: prepare.key.app.clone(),
        process: Some(prepare.key.process.clone()),
        instance: None,
        kind: EventKind::ImageUnavailable,
        text,
    }
}

fn failed(hub: &Arc<Hub>, image: &ImageRef, error: &EngineError, attempts: u32) {
    let text = describe(error);
    tracing::warn!(%image, attempts, "{text}");
    let progress = ImageProgress::Failed { text, for_good: is_for_good(error), attempts };
    hub.images().insert(image.clone(), progress);
    let (hub, image) = (Arc::clone(hub), image.clone());
    tokio::spawn(async move {
        tokio::time::sleep(RETRY).await;
        forget_failure(&hub, &image);
    });
}

/// Lets the image be asked for again.
pub fn forget_failure(hub: &Hub, image: &ImageRef) {
    let removed = {
        let mut images = hub.images();
        match images.get(image) {
            Some(ImageProgress::Failed { .. }) => images.remove(image).is_some(),
            Some(ImageProgress::Asked | ImageProgress::Preparing) | None => false,
        }
    };
    if removed {
        hub.nudge();
    }
}

/// Answers that do not change by trying again at once.
fn is_for_good(error: &EngineError) -> bool {
    match error {
        EngineError::Image { fault, .. } => match fault {
            ImageFault::NotFound | ImageFault::Denied | ImageFault::Invalid | ImageFault::InUse => true,
            ImageFault::Unreachable | ImageFault::Host => false,
        },
        EngineError::Archive { .. } => true,
        EngineError::UnknownProcess(_)
        | EngineError::UnknownInstance(_)
        | EngineError::NotRunning(_)
        | EngineError::UnknownPosition(_)
        | EngineError::Unsupported { .. }
        | EngineError::Act { .. } => false,
    }
}
