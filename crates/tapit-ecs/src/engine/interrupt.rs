//! Stops spot instances by hand, as AWS would when it wants its capacity back.

use tapit_engine::EngineError;
use tapit_model::{InstanceId, InstanceKind, ProcessKey};

use super::shared::{Call, Shared};
use crate::api::{ApiFault, Request};

/// ECS keeps it with the task; by it the end is told apart from others.
pub const REASON: &str = "interrupted by hand with tapit interrupt";

/// The newest `count` live ones. ECS starts others in their place.
pub async fn interrupt(shared: &Shared, key: &ProcessKey, count: u32) -> Result<Vec<InstanceId>, EngineError> {
    let seen = shared.seen(key)?;
    let mut live: Vec<_> =
        seen.instances.iter().filter(|i| i.kind == InstanceKind::Spot && i.state.is_live()).collect();
    live.sort_by_key(|instance| std::cmp::Reverse(instance.created_at));
    let mut stopped = Vec::new();
    for instance in live.into_iter().take(count as usize) {
        let request = Request::StopTask {
            cluster: shared.install.cluster(&key.app),
            task: instance.id.to_string(),
            reason: REASON.to_owned(),
        };
        match shared.api.call(request).await {
            Ok(_) => stopped.push(instance.id.clone()),
            // It has ended by itself.
            Err(error) if error.fault == ApiFault::NotFound => {}
            Err(error) => {
                shared.call(&key.app, Call::Look);
                return Err(EngineError::act(format!("interrupting {}", instance.id), error));
            }
        }
    }
    shared.call(&key.app, Call::Look);
    Ok(stopped)
}
