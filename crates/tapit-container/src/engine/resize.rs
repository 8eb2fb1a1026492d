//! Puts a new size in force on a running container.
//!
//! Memory that an instance is to get is taken from the capacity at once, and memory that it is to give back counts only
//! once the kernel has taken it: until then it is in use. One task per instance does it, and goes on until the last size
//! that was asked for is in force.

use std::sync::Arc;

use tapit_model::{InstanceId, ProcessKey, Size};

use super::shared::Shared;
use crate::instance::{ResizeError, Running};

pub fn resize(shared: &Arc<Shared>, key: &ProcessKey, id: &InstanceId, size: Size) {
    let begun = shared.update(key, id, |instance| {
        let Some(running) = instance.running.clone() else {
            // One that is still being made is resized by its launch, which looks at the size when it is done.
            instance.life.size = size;
            return None;
        };
        if size.memory > instance.life.size.memory {
            instance.life.size = size;
        }
        let under_way = instance.resizing.replace(size).is_some();
        (!under_way).then_some(running)
    });
    let Some(running) = begun.flatten() else { return };
    let (shared, key, id) = (Arc::clone(shared), key.clone(), id.clone());
    // Lowering a limit lets the kernel reclaim, which takes as long as it takes.
    tokio::task::spawn_blocking(move || while put_in_force(&shared, &key, &id, &running) {});
}

/// Whether another size was asked for meanwhile.
fn put_in_force(shared: &Shared, key: &ProcessKey, id: &InstanceId, running: &Running) -> bool {
    // Read on its own: the state must not stay locked while the kernel reclaims.
    let asked = shared.state().instance_mut(key, id).and_then(|instance| instance.resizing);
    let Some(asked) = asked else { return false };
    let outcome = running.resize(asked);
    let refused = match &outcome {
        // The end of the container is its watcher's to tell.
        Ok(()) | Err(ResizeError::Ended) => false,
        Err(error) => {
            let error: &dyn std::error::Error = error;
            tracing::warn!(instance = %id, error, "resizing in place; it will be replaced");
            true
        }
    };
    let again = shared.update(key, id, |instance| {
        let again = instance.resizing != Some(asked);
        if !again {
            instance.resizing = None;
            instance.life.size = running.size();
            instance.outgrown = refused;
        }
        again
    });
    again.unwrap_or(false)
}
