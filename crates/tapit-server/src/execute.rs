//! The only file that gives engine orders.

use tapit_engine::{Applied, EngineError};
use tapit_model::ProcessTarget;

use crate::hub::Hub;

/// Sends the targets that differ from what the engine was told last. One that fails does not keep the others; the first
/// failure is what is answered, and what failed is sent again by the next pass.
pub async fn apply(hub: &Hub, targets: Vec<ProcessTarget>) -> Result<(), EngineError> {
    let mut first = Ok(());
    for target in &targets {
        if hub.sent().targets.get(&target.key) == Some(target) {
            continue;
        }
        match hub.engine.apply(target.clone()).await {
            Ok(Applied::Accepted) => {}
            Ok(Applied::Stale) => tracing::warn!(process = %target.key, "the engine holds a newer target"),
            Err(error) => {
                first = first.and(Err(error));
                continue;
            }
        }
        hub.sent().targets.insert(target.key.clone(), target.clone());
    }
    hub.sent().targets.retain(|key, _| targets.iter().any(|target| target.key == *key));
    first
}
