//! Finds the instances of an earlier server and takes them over as they are.
//!
//! The directories say what there should be, the processes say what there is. One that runs is watched and checked again;
//! one that ended meanwhile is entered with its exit; one that was never started is removed. Nothing is stopped here:
//! the planner sees everything and decides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tapit_engine::EngineError;
use tapit_model::{
    AppName, Check, InstanceKey, Lifecycle, Presence, ProcessKey, ProcessName, ProcessTarget, Reason, ReasonCode,
    Revision, Seconds,
};
use tapit_plan::host::{Ended, Phase};

use super::apps::Apps;
use super::life::Life;
use super::shared::Shared;
use super::state::{Instance, reason_of_exit};
use super::{clock, health, serials, watch};
use crate::instance::{Adopted, InstanceDir, Order, ResizeError, Running, Signal, Stored};

/// How instances of the wanted generations are checked.
type Checks = BTreeMap<(ProcessKey, u64), Check>;

fn checks(targets: &[ProcessTarget]) -> Checks {
    let check = |target: &ProcessTarget| match &target.presence {
        Presence::Present(formation) => Some(((target.key.clone(), formation.generation), formation.check.clone())),
        Presence::Absent(_) => None,
    };
    targets.iter().filter_map(check).collect()
}

struct Found {
    key: ProcessKey,
    instance: Instance,
}

pub async fn adopt(shared: &Arc<Shared>, targets: Vec<ProcessTarget>) -> Result<(), EngineError> {
    let scanned = {
        let (shared, checks) = (Arc::clone(shared), checks(&targets));
        tokio::task::spawn_blocking(move || scan(&shared, &checks)).await
    };
    let found = scanned.map_err(|error| EngineError::act("reading the instances of an earlier server", error))??;
    Apps::settle(shared).await?;
    let (entered, left_over) = enter(shared, found, targets);
    for (key, id, running) in entered {
        watch::spawn(shared, &key, &id, running);
        health::spawn(shared, &key, &id);
    }
    for (key, id) in left_over {
        tracing::info!(process = %key, instance = %id, "an instance of a process that is not known any more; it is stopped");
    }
    shared.changed();
    Ok(())
}

type Watched = Vec<(ProcessKey, tapit_model::InstanceId, Arc<Running>)>;

fn enter(
    shared: &Shared,
    found: Vec<Found>,
    targets: Vec<ProcessTarget>,
) -> (Watched, Vec<(ProcessKey, tapit_model::InstanceId)>) {
    let mut state = shared.state();
    for target in targets {
        let last_serial = serials::last(&shared.process_dir(&target.key));
        let process = state.processes.entry(target.key.clone()).or_default();
        process.last_serial = last_serial;
        process.target = Some(target);
    }
    let (mut watched, mut left_over) = (Vec::new(), Vec::new());
    for Found { key, instance } in found {
        let process = state.processes.entry(key.clone()).or_default();
        if process.target.is_none() {
            process.last_serial = serials::last(&shared.process_dir(&key));
            left_over.push((key.clone(), instance.key.id.clone()));
            let presence = Presence::Absent(Lifecycle::default());
            process.target = Some(ProcessTarget { key: key.clone(), revision: Revision(0), presence });
        }
        process.last_serial = process.last_serial.max(instance.serial);
        if let Some(running) = &instance.running {
            tell_again(&instance, running);
            watched.push((key.clone(), instance.key.id.clone(), Arc::clone(running)));
        }
        process.instances.insert(instance.serial, instance);
    }
    state.adopted = true;
    (watched, left_over)
}

/// The earlier server may have died between writing down that it tells the instance to stop and doing so.
fn tell_again(instance: &Instance, running: &Running) {
    let signal = match instance.life.phase {
        Phase::Stopping { killed: true, .. } => Signal::Kill,
        Phase::Stopping { killed: false, .. } => Signal::Stop,
        Phase::Starting { .. }
        | Phase::Healthy { .. }
        | Phase::Unhealthy { .. }
        | Phase::Draining { .. }
        | Phase::Stopped { .. } => return,
    };
    if let Err(error) = running.signal(signal) {
        tracing::warn!(instance = %instance.key, error = %tapit_model::describe(&error), "stopping an instance");
    }
}

/// Reads `D/instances/APP/PROCESS/SERIAL`. What does not have such a name is not ours and is left alone.
fn scan(shared: &Shared, checks: &Checks) -> Result<Vec<Found>, EngineError> {
    let mut found = Vec::new();
    for app in names(&shared.dir)? {
        let Ok(app_name) = AppName::parse(&app) else { continue };
        for process in names(&shared.dir.join(&app))? {
            let Ok(process_name) = ProcessName::parse(&process) else { continue };
            let key = ProcessKey::new(&app_name, &process_name);
            for serial in names(&shared.process_dir(&key))? {
                let Ok(serial) = serial.parse::<u64>() else { continue };
                found.extend(
                    take_over(shared, checks, &key, serial).map(|instance| Found { key: key.clone(), instance }),
                );
            }
        }
    }
    Ok(found)
}

fn names(dir: &Path) -> Result<Vec<String>, EngineError> {
    let failed = |error| EngineError::act(format!("reading {}", dir.display()), error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// `None` when there is nothing to take over; what was left of it is removed then.
fn take_over(shared: &Shared, checks: &Checks, key: &ProcessKey, serial: u64) -> Option<Instance> {
    let dir = shared.instance_dir(key, serial);
    let Stored::Found(order) = dir.order() else {
        remove(&dir);
        return None;
    };
    let check = checks.get(&(key.clone(), order.generation));
    let mut life = Life::read(dir.path()).unwrap_or_else(|| presumed(shared, &order, check));
    if life.boot_id != shared.boot_id {
        // Its moments are of another boot's clock.
        life.healthy_since = None;
    }
    let adopted = dir.adopt(&shared.exe).unwrap_or_else(|error| Adopted::Lost(tapit_model::describe(&error)));
    let running = match adopted {
        Adopted::Alive(running) => {
            settle(&mut life);
            // The earlier server may have died before a new size was in force; the order holds the one that is. It may
            // also have died in the middle, with some of the new limits in force.
            life.size = running.size();
            match running.enforce_size() {
                // The end of the container is its watcher's to tell.
                Ok(()) | Err(ResizeError::Ended) => {}
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(instance = %order.key, error, "putting the limits of an instance in force again");
                }
            }
            Some(Arc::new(running))
        }
        Adopted::Exited(exit) => {
            end(&mut life, Some(exit), reason_of_exit(&exit));
            None
        }
        Adopted::Lost(text) => {
            end(&mut life, None, Reason { code: ReasonCode::Lost, text });
            None
        }
        Adopted::NeverStarted => {
            remove(&dir);
            return None;
        }
    };
    if running.is_none() {
        if let Err(error) = dir.release() {
            tracing::error!(dir = %dir.path().display(), error = %tapit_model::describe(&error), "cleaning up after an instance");
        }
    } else {
        shared.apps.recognise(&order);
    }
    let instance = instance(key, order, life, running);
    if let Err(error) = instance.life.write(dir.path()) {
        tracing::error!(instance = %instance.key, error = %tapit_model::describe(&error), "recording an instance");
    }
    Some(instance)
}

/// The life of an instance of which only the order can be read: as if it had just been started, so that it proves itself
/// anew and is not stopped for a file. One of an older generation has nothing to prove.
fn presumed(shared: &Shared, order: &Order, check: Option<&Check>) -> Life {
    Life {
        boot_id: shared.boot_id.clone(),
        image: None,
        phase: Phase::Starting { since: clock::moment() },
        size: order.size,
        check: check.cloned().unwrap_or(Check::Uptime(Seconds(0))),
        reason: None,
        created_at: clock::timestamp(),
        started_at: None,
        healthy_at: None,
        healthy_since: None,
        stopped_at: None,
        exit: None,
        earlier_exit: None,
    }
}

/// One that was being made when the server died runs now; its timers start when they started.
fn settle(life: &mut Life) {
    if life.started_at.is_none() {
        life.started_at = Some(clock::timestamp());
    }
}

/// An end that happened while nobody looked. One that was ordered keeps its order's reason.
fn end(life: &mut Life, exit: Option<tapit_model::Exit>, reason: Reason) {
    let why = match life.phase {
        Phase::Stopped { .. } => return,
        Phase::Draining { why, .. } | Phase::Stopping { why, .. } => why,
        Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => {
            let why = reason.code;
            life.reason = Some(reason);
            why
        }
    };
    let now = clock::moment();
    let healthy_for = life.healthy_since.map(|since| now.since(since));
    life.phase = Phase::Stopped { at: now, ended: Ended { why, healthy_for } };
    life.stopped_at = Some(exit.map_or_else(clock::timestamp, |exit| exit.at));
    life.exit = exit;
}

fn instance(key: &ProcessKey, order: Order, life: Life, running: Option<Arc<Running>>) -> Instance {
    Instance {
        key: InstanceKey { app: key.app.clone(), id: order.key.id.clone() },
        serial: order.serial,
        generation: order.generation,
        kind: order.kind,
        slot: order.slot,
        restarts: order.restarts,
        ip: ip_of(&order),
        life,
        running,
        outgrown: false,
        resizing: None,
    }
}

fn ip_of(order: &Order) -> Option<std::net::Ipv4Addr> {
    order.network.as_ref().map(|attach| attach.ip)
}

fn remove(dir: &InstanceDir) {
    if let Err(error) = dir.remove() {
        tracing::error!(dir = %dir.path().display(), error = %tapit_model::describe(&error), "removing what is left of an instance");
    }
}
