//! Starts one instance: intention first (its directory and serial), then the container, then its watchers.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tapit_model::{Exit, Formation, InstanceId, InstanceKey, Presence, ProcessKey, Reason, ReasonCode, describe};
use tapit_plan::host::{Ended, Phase, StartOrder};

use super::shared::Shared;
use super::spares::{Claimed, Went};
use super::state::Instance;
use super::{apps, clock, health, order, resize, watch};
use crate::instance::{self, Running, Signal};

/// Enters the instance into the state at once and makes its container in a task of its own.
pub fn start(shared: &Arc<Shared>, key: &ProcessKey, order: StartOrder) {
    let spare = shared.spares.claim(key, order.serial);
    let Some(formation) = enter(shared, key, &order, spare.as_ref().and_then(Claimed::ip)) else {
        if let Some(spare) = spare {
            spare.put_back(shared);
        }
        return;
    };
    let tasks = Arc::clone(shared);
    let (shared, key) = (Arc::clone(shared), key.clone());
    tasks.tasks.spawn(async move {
        if let Some(spare) = spare {
            // It is made already, so it need not wait for its turn.
            match spare.go(&shared, &order, &formation).await {
                Went::Running(running) => return launched(&shared, &key, &order.id, running),
                Went::Failed(text) => return failed(&shared, &key, &order, text).await,
                Went::Nothing => {}
            }
        }
        // Before its turn: the network of one app may take long, and the others' instances need not wait for it.
        let ip = match address(&shared, &key, &order.id).await {
            Ok(ip) => ip,
            Err(text) => return failed(&shared, &key, &order, text).await,
        };
        // The semaphore is never closed, so the permit always comes.
        let _permit = shared.launches.acquire().await;
        if !shared.state().instance_mut(&key, &order.id).is_some_and(|instance| instance.is_live()) {
            // Told to stop before its turn came: nothing was made, so nothing need be stopped.
            let text = "not wanted any more before it was made".to_owned();
            return stopped(&shared, &key, &order.id, None, Reason { code: ReasonCode::StartFailed, text });
        }
        match launch(&shared, &key, (&order, ip), &formation).await {
            Ok(running) => launched(&shared, &key, &order.id, running),
            Err(text) => failed(&shared, &key, &order, text).await,
        }
    });
}

/// Adds the instance in phase `Starting`, with the address of its spare if it has one. Answers the formation it belongs to,
/// `None` when that is gone.
fn enter(shared: &Shared, key: &ProcessKey, order: &StartOrder, ip: Option<Ipv4Addr>) -> Option<Formation> {
    let mut state = shared.state();
    let process = state.processes.get_mut(key)?;
    let formation = match &process.target.as_ref()?.presence {
        // The target may have changed since the plan: made from another formation it would be an impostor.
        Presence::Present(formation) if formation.generation == order.generation => (**formation).clone(),
        Presence::Present(_) | Presence::Absent(_) => return None,
    };
    let ip = ip.or_else(|| shared.apps.take(&key.app));
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
            image: Some(formation.image.digest.clone()),
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
    (start, ip): (&StartOrder, Ipv4Addr),
    formation: &Formation,
) -> Result<Running, String> {
    intend(shared, key, start).await?;
    let dir = shared.instance_dir(key, start.serial);
    let image = shared.images.load(&formation.image.digest).await.map_err(|e| describe(&e))?;
    let order = order::order(shared, key, &order::Parts { start, formation, image: &image, ip })?;
    instance::launch(&shared.exe, &dir, &order).await.map_err(|e| describe(&e))
}

/// The address of the instance, from the network of its app, which the first one of an app makes.
async fn address(shared: &Arc<Shared>, key: &ProcessKey, id: &InstanceId) -> Result<Ipv4Addr, String> {
    let held = |instance: &mut Instance| instance.ip;
    if let Some(ip) = shared.state().instance_mut(key, id).and_then(held) {
        return Ok(ip);
    }
    let ip = apps::join(shared, &key.app).await?;
    let entered = match shared.state().instance_mut(key, id) {
        Some(instance) if !instance.is_stopped() => {
            instance.ip = Some(ip);
            true
        }
        Some(_) | None => false,
    };
    if entered {
        return Ok(ip);
    }
    shared.apps.give_back(&key.app, ip);
    Err("it is not wanted any more".to_owned())
}

/// Writes down that the instance is about to be: its serial, its directory, its life.
pub async fn intend(shared: &Arc<Shared>, key: &ProcessKey, start: &StartOrder) -> Result<(), String> {
    let (shared, key, start) = (Arc::clone(shared), key.clone(), start.clone());
    let record = tokio::task::spawn_blocking(move || -> Result<(), String> {
        shared.remember_serial(&key, start.serial).map_err(|e| format!("recording its serial: {e}"))?;
        shared.instance_dir(&key, start.serial).create().map_err(|e| describe(&e))?;
        shared.record(&key, &start.id);
        Ok(())
    });
    record.await.map_err(|e| format!("recording it: {e}"))?
}

/// The container runs, and its time to get healthy with it. If it was told to stop meanwhile, it learns so now.
fn launched(shared: &Arc<Shared>, key: &ProcessKey, id: &InstanceId, running: Running) {
    let running = Arc::new(running);
    let now = clock::moment();
    let entered = shared.update(key, id, |instance| {
        instance.running = Some(Arc::clone(&running));
        instance.life.started_at = Some(clock::timestamp());
        if let Phase::Starting { since } = &mut instance.life.phase {
            *since = now;
        }
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
async fn failed(shared: &Shared, key: &ProcessKey, order: &StartOrder, text: String) {
    let dir = shared.instance_dir(key, order.serial);
    // It may have to wait for processes to die.
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || dir.release()).await {
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
        shared.apps.give_back(&key.app, ip);
    }
}
