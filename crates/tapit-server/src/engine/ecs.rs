//! The engine on AWS, opened.

use std::path::Path;

use tapit_ecs::EcsSettings;
use tapit_engine::{EngineError, SharedEngine};

pub(super) async fn open(settings: &EcsSettings, data_dir: &Path) -> Result<SharedEngine, EngineError> {
    let region = settings.region.as_deref().unwrap_or("the default region");
    let text = format!("{} cannot be served from {region}", data_dir.display());
    Err(EngineError::act("opening the ECS engine", text))
}
