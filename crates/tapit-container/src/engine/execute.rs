//! Carries out what was planned. Holds no policy: each action changes the state at once, so that planning again does not
//! ask for it twice, and then has its effect.

use std::sync::Arc;

use tapit_model::{InstanceId, ProcessKey, Reason, ReasonCode};
use tapit_plan::host::{Action, Phase};

use super::clock;
use super::health::NOT_YET;
use super::shared::Shared;
use super::state::reason_of_order;
use super::{resize, start};
use crate::instance::Signal;

pub fn execute(shared: &Arc<Shared>, key: &ProcessKey, action: Action) {
    match action {
        Action::Start(order) => start::start(shared, key, order),
        Action::Drain { id, why } => drain(shared, key, &id, why),
        Action::Terminate { id } => terminate(shared, key, &id),
        Action::Kill { id } => kill(shared, key, &id),
        Action::Resize { id, size } => resize::resize(shared, key, &id, size),
        Action::Forget { id } => forget(shared, key, &id),
    }
}

pub fn drain(shared: &Shared, key: &ProcessKey, id: &InstanceId, why: ReasonCode) {
    let since = clock::moment();
    let withdrawn = shared.update(key, id, |instance| {
        // It may have ended, or been told to drain, since that was decided. An end is for good.
        if !instance.is_live() {
            return None;
        }
        // A failed health check has said why in its own words already.
        instance.life.reason = match instance.life.reason.take() {
            Some(Reason { text, .. }) if why == ReasonCode::Unhealthy => {
                let text = text.strip_prefix(NOT_YET).unwrap_or(&text).to_owned();
                Some(Reason { code: why, text })
            }
            Some(_) | None => Some(reason_of_order(why)),
        };
        instance.life.phase = Phase::Draining { since, why };
        Some(instance.key.clone())
    });
    if let Some(instance) = withdrawn.flatten() {
        shared.traffic.withdraw(&instance);
    }
}

pub fn terminate(shared: &Shared, key: &ProcessKey, id: &InstanceId) {
    let since = clock::moment();
    let running = shared.update(key, id, |instance| {
        let Phase::Draining { why, .. } = instance.life.phase else { return None };
        instance.life.phase = Phase::Stopping { since, why, killed: false };
        instance.running.clone()
    });
    // One that is still being made is signalled by its launch, which looks at the phase when it is done.
    if let Some(running) = running.flatten() {
        signal(id, running.signal(Signal::Stop));
    }
}

pub fn kill(shared: &Shared, key: &ProcessKey, id: &InstanceId) {
    let running = shared.update(key, id, |instance| {
        let Phase::Stopping { since, why, .. } = instance.life.phase else { return None };
        instance.life.phase = Phase::Stopping { since, why, killed: true };
        instance.running.clone()
    });
    if let Some(running) = running.flatten() {
        signal(id, running.signal(Signal::Kill));
    }
}

/// A signal that does not arrive means that the container is gone, which its watcher reports; anything else is told.
fn signal(id: &InstanceId, result: Result<(), crate::instance::SignalError>) {
    if let Err(error) = result {
        tracing::warn!(instance = %id, error = &error as &dyn std::error::Error, "signalling an instance");
    }
}

fn forget(shared: &Shared, key: &ProcessKey, id: &InstanceId) {
    let serial = {
        let mut state = shared.state();
        let Some(process) = state.processes.get_mut(key) else { return };
        let Some(serial) = process.instances.values().find(|i| i.key.id == *id).map(|i| i.serial) else { return };
        process.instances.remove(&serial);
        serial
    };
    let dir = shared.instance_dir(key, serial);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = dir.remove() {
            tracing::error!(dir = %dir.path().display(), error = &error as &dyn std::error::Error, "removing an instance");
        }
    });
}
