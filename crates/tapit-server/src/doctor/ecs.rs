//! What the account has and lacks.

use tapit_container::doctor::Check;
use tapit_ecs::EcsSettings;
use tapit_model::Refusal;

use crate::server::{refusal, with_runtime};

pub(super) fn examine(settings: &EcsSettings) -> Result<Vec<Check>, Refusal> {
    with_runtime(async { Ok(tapit_ecs::doctor::doctor(settings).await) }).map_err(|error| refusal(&error))
}
