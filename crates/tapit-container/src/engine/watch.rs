//! Waits for the end of a container and enters it.

use std::sync::Arc;

use tapit_model::{InstanceId, InstanceKey, ProcessKey, Reason, ReasonCode};

use super::shared::Shared;
use super::start;
use super::state::reason_of_exit;
use crate::instance::{Running, WaitOutcome};

pub fn spawn(shared: &Arc<Shared>, key: &ProcessKey, id: &InstanceId, running: Arc<Running>) {
    let tasks = Arc::clone(shared);
    let (shared, key, id) = (Arc::clone(shared), key.clone(), id.clone());
    tasks.tasks.spawn(async move {
        let (exit, reason) = match running.wait_exit().await {
            WaitOutcome::Exited(exit) => (Some(exit), reason_of_exit(&exit)),
            WaitOutcome::Lost(text) => (None, Reason { code: ReasonCode::Lost, text }),
        };
        // It answers nobody any more; clearing up behind it may take a while.
        shared.traffic.withdraw(&InstanceKey { app: key.app.clone(), id: id.clone() });
        let serial = shared.state().instance_mut(&key, &id).map(|instance| instance.serial);
        let Some(serial) = serial else { return };
        let dir = shared.instance_dir(&key, serial);
        let released = tokio::task::spawn_blocking(move || dir.release()).await;
        if let Ok(Err(error)) = released {
            tracing::error!(instance = %id, error = &error as &dyn std::error::Error, "cleaning up after an instance");
        }
        start::stopped(&shared, &key, &id, exit, reason);
    });
}
