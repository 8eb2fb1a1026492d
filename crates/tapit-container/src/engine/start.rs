//! Starts one instance: intention first (its directory and serial), then the container, then its watchers.

use std::sync::Arc;

use tapit_model::{Exit, Formation, InstanceId, InstanceKey, Presence, ProcessKey, Reason, ReasonCode};
use tapit_plan::host::{Ended, Phase, StartOrder};

use super::shared::Shared;
use super::state::Instance;
use super::{clock, health, order, resize, watch};
use crate::instance::{self, Running, Signal};

/// Enters the instance into the state at once and makes its container in a task of its own.
pub fn start(shared: &Arc<Shared>, key: &ProcessKey, order: StartOrder) {
    let Some(formation) = enter(shared, key, &order) else { return };
    let tasks = Arc::clone(shared);
    let (shared, key) = (Arc::clone(shared), key.clone());
    tasks.tasks.spawn(async move {
        // The semaphore is never closed, so the permit always comes.
        let _permit = shared.launches.acquire().await;
        if !shared.state().instance_mut(&key, &order.id).is_some_and(|instance| instance.is_live()) {
            // Told to stop before its turn came: nothing was made, so nothing need be stopped.
            let text = "not wanted any more before it was made".to_owned();
            return stopped(&shared, &key, &order.id, None, Reason { code: ReasonCode::StartFailed, text });
        }
        match launch(&shared, &key, &order, &formation).await {
            Ok(running) => launched(&shared, &key, &order.id, running),
            Err(text) => failed(&shared, &key, &order, text),
        }
    });
}

/// Adds the instance in phase `Starting`. Answers the formation it belongs to, `None` when that is gone.
fn enter(shared: &Shared, key: &ProcessKey, order: &StartOrder) -> Option<Formation> {
    let mut state = shared.state();
    let process = state.processes.get_mut(key)?;
    let formation = match &process.target.as_ref()?.presence {
        // The target may have changed since the plan: made from another formation it would be an impostor.
        Presence::Present(formation) if formation.generation == order.generation => (**formation).clone(),
        Presence::Present(_) | Presence::Absent(_) => return None,
    };
    let ip = shared.addresses().take();
    let place = |other: &&Instance| {
        other.is_stopped()
            && other.generation == order.generation
            && other.kind == order.kind
            && other.slot == order.slot
    };
    let earlier_exit = process.instances.values().rfind(place).and_then(|instance| instance.life.exit);
    process.last_serial = process.last_serial.max(order.serial);
    let instance = Instance {
        key: InstanceKey { app: key.app.clone(), id: order.id.clone() },
        serial: order.serial,
        generation: order.generation,
        kind: order.kind,
        slot: order.slot,
        restarts: order.restarts,
        ip,
        life: super::life::Life {
            boot_id: shared.boot_id.clone(),
            phase: Phase::Starting { since: clock::moment() },
            size: order.size,
            check: formation.check.clone(),
            reason: None,
            created_at: clock::timestamp(),
            started_at: None,
            healthy_at: None,
            healthy_since: None,
            stopped_at: None,
            exit: None,
            earlier_exit,
        },
        running: None,
        outgrown: false,
        resizing: None,
    };
    process.instances.insert(order.serial, instance);
    Some(formation)
}

/// Everything up to a running container. The error is a sentence for the user.
async fn launch(
    shared: &Arc<Shared>,
    key: &ProcessKey,
    start: &StartOrder,
    formation: &Formation,
) -> Result<Running, String> {
    let ip = shared.state().instance_mut(key, &start.id).and_then(|instance| instance.ip);
    let ip = ip.ok_or("no free address is left in the server's network; delete instances that are not needed")?;
    let dir = shared.instance_dir(key, start.serial);
    let record = {
        let (shared, key, start, dir) = (Arc::clone(shared), key.clone(), start.clone(), dir.clone());
        tokio::task::spawn_blocking(move || -> Result<(), String> {
            shared.remember_serial(&key, start.serial).map_err(|e| format!("recording its serial: {e}"))?;
            dir.create().map_err(|e| describe(&e))?;
            shared.record(&key, &start.id);
            Ok(())
        })
    };
    record.await.map_err(|e| format!("recording it: {e}"))??;
    let image = shared.images.load(&formation.image.digest).await.map_err(|e| describe(&e))?;
    let order = order::order(shared, key, &order::Parts { start, formation, image: &image, ip })?;
    instance::launch(&shared.exe, &dir, &order).await.map_err(|e| describe(&e))
}

/// The container runs. If it was told to stop meanwhile, it learns so now.
fn launched(shared: &Arc<Shared>, key: &ProcessKey, id: &InstanceId, running: Running) {
    let running = Arc::new(running);
    let entered = shared.update(key, id, |instance| {
        instance.running = Some(Arc::clone(&running));
        instance.life.started_at = Some(clock::timestamp());
        (instance.life.phase, instance.life.size)
    });
    watch::spawn(shared, key, id, Arc::clone(&running));
    let Some((phase, size)) = entered else { return };
    if size != running.size() {
        resize::resize(shared, key, id, size);
    }
    match phase {
        Phase::Stopping { killed, .. } => {
            let signal = if killed { Signal::Kill } else { Signal::Stop };
            if let Err(error) = running.signal(signal) {
                tracing::warn!(instance = %id, error = &error as &dyn std::error::Error, "stopping a new instance");
            }
        }
        Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => health::spawn(shared, key, id),
        Phase::Draining { .. } | Phase::Stopped { .. } => {}
    }
}

/// The container could not be made: what is left of it goes, the reason stays.
fn failed(shared: &Shared, key: &ProcessKey, order: &StartOrder, text: String) {
    let dir = shared.instance_dir(key, order.serial);
    if let Err(error) = dir.release() {
        tracing::error!(instance = %order.id, error = &error as &dyn std::error::Error, "cleaning up after a failed start");
    }
    stopped(shared, key, &order.id, None, Reason { code: ReasonCode::StartFailed, text });
}

/// Enters the end of an instance. `reason` is for an end that nobody ordered; an order's own reason stays.
pub fn stopped(shared: &Shared, key: &ProcessKey, id: &InstanceId, exit: Option<Exit>, reason: Reason) {
    // Before it is entered, so that nobody ever sees one that has stopped and is routed.
    shared.traffic.withdraw(&InstanceKey { app: key.app.clone(), id: id.clone() });
    let now = clock::moment();
    let at = clock::timestamp();
    let gone = shared.update(key, id, |instance| {
        if instance.is_stopped() {
            // Its address may be somebody else's by now.
            return None;
        }
        let ordered = match instance.life.phase {
            Phase::Draining { why, .. } | Phase::Stopping { why, .. } => Some(why),
            Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } | Phase::Stopped { .. } => None,
        };
        let why = ordered.unwrap_or(reason.code);
        if ordered.is_none() {
            instance.life.reason = Some(reason);
        }
        let healthy_for = instance.life.healthy_since.map(|since| now.since(since));
        instance.life.phase = Phase::Stopped { at: now, ended: Ended { why, healthy_for } };
        instance.life.stopped_at = Some(at);
        instance.life.exit = exit;
        instance.running = None;
        instance.ip
    });
    if let Some(ip) = gone.flatten() {
        shared.addresses().free(ip);
    }
}

/// An error with its causes, in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
