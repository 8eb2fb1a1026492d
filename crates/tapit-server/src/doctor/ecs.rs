//! What the account has and lacks.

use tapit_container::doctor::Check;
use tapit_ecs::EcsSettings;
use tapit_model::Refusal;

pub(super) fn examine(settings: &EcsSettings) -> Result<Vec<Check>, Refusal> {
    let region = settings.region.as_deref().unwrap_or("the default region");
    Err(Refusal::failed(format!("the account cannot be asked in {region}")))
}
