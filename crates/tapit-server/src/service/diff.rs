//! What an app would find different on another engine: gathers what is known here, and leaves the rest to the planner.

use std::collections::BTreeSet;

use tapit_model::{AppName, DifferenceView, EngineKind, ImageOrigin, ImageRef, Refusal, describe};
use tapit_plan::fargate::{self, DiffInputs};

use super::known_app;
use crate::hub::Hub;

pub async fn diff(hub: &Hub, app: &AppName, there: EngineKind) -> Result<Vec<DifferenceView>, Refusal> {
    let held = hub.engine.images().list().await.map_err(|error| Refusal::failed(describe(&error)))?;
    let local = held.iter().filter(|image| ImageOrigin::parse(&image.source).is_some_and(ImageOrigin::is_local));
    let local: BTreeSet<ImageRef> = local.filter_map(|image| ImageRef::parse(&image.name).ok()).collect();
    hub.ledger.read(|world| {
        known_app(world, app)?;
        Ok(fargate::diff(&DiffInputs { world, app, local: &local, here: hub.engine.kind(), there }))
    })
}
