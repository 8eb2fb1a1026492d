//! What instances use now, for `top` and for collectors of metrics.

use std::collections::BTreeMap;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tapit_model::{
    AppName, InstanceState, InstanceUsageView, Process, ProcessKey, ProcessName, Refusal, UsageOf, describe,
};
use tapit_plan::app::status;

use super::{known_app, reading, unknown_process};
use crate::hub::Hub;
use crate::metrics::{Measurements, ProcessMeasure};
use crate::snapshot::Snapshot;
use crate::traffic;
use crate::view::usage_views;

/// Of one process, or of all of an app.
pub async fn usage(hub: &Hub, app: &AppName, process: Option<&ProcessName>) -> Result<Vec<InstanceUsageView>, Refusal> {
    let of = hub.ledger.read(|world| {
        known_app(world, app)?;
        let Some(process) = process else { return Ok(UsageOf::App(app.clone())) };
        let key = ProcessKey::new(app, process);
        if world.processes.contains_key(&key) {
            Ok(UsageOf::Process(key))
        } else {
            Err(unknown_process(world, app, process))
        }
    })?;
    measure(hub, &of).await
}

async fn measure(hub: &Hub, of: &UsageOf) -> Result<Vec<InstanceUsageView>, Refusal> {
    let read = hub.engine.usage(of).await.map_err(|error| Refusal::failed(describe(&error)))?;
    Ok(usage_views(&hub.snapshot().observed, of, read))
}

/// Everything that metrics are drawn from.
pub async fn measurements(hub: &Hub) -> Result<Measurements, Refusal> {
    let instances = measure(hub, &UsageOf::Everything).await?;
    let snapshot = hub.snapshot().clone();
    let (processes, requests) = hub.ledger.read(|world| {
        let measured = world.processes.values().map(|row| process(world, &snapshot, row)).collect();
        let requests = world.apps.keys().map(|app| (app.to_string(), traffic::counts(&hub.router, app))).collect();
        (measured, requests)
    });
    // A call that cannot fail with this argument; a zero would be no harm.
    let used = getrusage(UsageWho::RUSAGE_SELF).map(|used| used.user_time() + used.system_time());
    Ok(Measurements {
        status: reading::status(hub).await,
        started_at: hub.facts.started_at.0 as f64 / 1000.0,
        server_cpu_seconds: used.map_or(0.0, |used| used.num_microseconds() as f64 / 1e6),
        server_open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        processes,
        instances,
        requests,
    })
}

fn process(world: &tapit_model::World, snapshot: &Snapshot, row: &Process) -> ProcessMeasure {
    let observed = snapshot.process(&row.key);
    let mut instances = BTreeMap::new();
    for seen in observed.iter().flat_map(|seen| &seen.instances) {
        if seen.state != InstanceState::Stopped {
            *instances.entry(seen.state.as_str()).or_default() += 1;
        }
    }
    ProcessMeasure {
        app: row.key.app.to_string(),
        process: row.key.process.to_string(),
        status: status(row, world.rollouts.get(&row.key), observed).as_str(),
        wanted_demand: row.spec.wanted(tapit_model::InstanceKind::Demand),
        wanted_spot: row.spec.wanted(tapit_model::InstanceKind::Spot),
        instances,
        blocked: snapshot.blocked(&row.key).iter().map(|blocked| blocked.code.as_str()).collect(),
    }
}
