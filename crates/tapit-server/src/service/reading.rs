//! Views of what is wanted and seen; changes nothing.

use std::time::Duration;

use tapit_model::{
    AppName, AppView, EventView, ProcessKey, ProcessName, ProcessView, Progress, Refusal, RequestCounts, Revision,
    StatusView, UsageOf,
};
use tapit_plan::app::{self, Seen, Subject};
use tapit_store::EventFilter;

use super::{known_app, store_failed, unknown_process};
use crate::hub::Hub;
use crate::keep;
use crate::snapshot::Snapshot;
use crate::traffic;
use crate::view::{self, Context, Sight};

/// A failure is reported once it has lasted this long.
const CONFIRM: Duration = Duration::from_millis(500);
/// How many events `show` holds.
pub const EVENTS_SHOWN: u32 = 10;

pub fn context<'a>(hub: &'a Hub, world: &'a tapit_model::World) -> Context<'a> {
    Context { world, engine: hub.engine.name(), addresses: hub }
}

pub fn apps(hub: &Hub) -> Vec<AppView> {
    let observed = hub.snapshot().observed.clone();
    hub.ledger.read(|world| {
        let context = context(hub, world);
        world.apps.values().map(|app| view::app_view(&context, app, &observed)).collect()
    })
}

pub fn app(hub: &Hub, name: &AppName) -> Result<AppView, Refusal> {
    let observed = hub.snapshot().observed.clone();
    hub.ledger.read(|world| {
        known_app(world, name)?;
        Ok(view::app_view(&context(hub, world), &world.apps[name], &observed))
    })
}

pub fn processes(hub: &Hub, app: &AppName) -> Result<Vec<ProcessView>, Refusal> {
    let snapshot = hub.snapshot().clone();
    hub.ledger.read(|world| {
        known_app(world, app)?;
        let context = context(hub, world);
        let rows = world.processes_of(app);
        Ok(rows.map(|row| view::process_view(&context, row, sight(hub, world, &snapshot, &row.key))).collect())
    })
}

/// One process as a list shows it: nothing is measured for it.
pub fn row(hub: &Hub, app: &AppName, process: &ProcessName) -> Result<ProcessView, Refusal> {
    let key = ProcessKey::new(app, process);
    let snapshot = hub.snapshot().clone();
    hub.ledger.read(|world| {
        known_app(world, app)?;
        let row = world.processes.get(&key).ok_or_else(|| unknown_process(world, app, process))?;
        Ok(view::process_view(&context(hub, world), row, sight(hub, world, &snapshot, &key)))
    })
}

/// One process with everything known.
pub async fn process(hub: &Hub, app: &AppName, process: &ProcessName) -> Result<ProcessView, Refusal> {
    let key = ProcessKey::new(app, process);
    // Usage of a process that the engine does not know yet is no usage.
    let usage = hub.engine.usage(&UsageOf::Process(key.clone())).await.unwrap_or_default();
    let usage = usage.into_iter().map(|(instance, usage)| (instance.id, usage)).collect();
    let filter =
        EventFilter { app: Some(app.clone()), process: Some(process.clone()), after_id: None, limit: EVENTS_SHOWN };
    let events = hub.ledger.events(&filter).map_err(|error| store_failed(&error))?;
    let snapshot = hub.snapshot().clone();
    hub.ledger.read(|world| {
        known_app(world, app)?;
        let row = world.processes.get(&key).ok_or_else(|| unknown_process(world, app, process))?;
        let sight = Sight { usage, events, ..sight(hub, world, &snapshot, &key) };
        Ok(view::process_view(&context(hub, world), row, sight))
    })
}

pub fn sight<'a>(hub: &Hub, world: &tapit_model::World, snapshot: &'a Snapshot, key: &ProcessKey) -> Sight<'a> {
    let since = |code| snapshot.blocked_since.get(&(key.clone(), code)).copied();
    let blocked = snapshot.blocked(key).iter().filter_map(|one| Some((one.clone(), since(one.code)?))).collect();
    Sight {
        observed: snapshot.process(key),
        blocked,
        usage: Vec::new(),
        requests: requests(hub, world, key),
        events: Vec::new(),
    }
}

/// Only the public process has requests through the router.
fn requests(hub: &Hub, world: &tapit_model::World, key: &ProcessKey) -> Option<RequestCounts> {
    let rollout = world.rollouts.get(key).filter(|_| key.process.is_public())?;
    let counts = traffic::counts(&hub.router, &key.app);
    Some(hub.requests().of(rollout, &counts))
}

pub fn events(hub: &Hub, filter: &EventFilter) -> Result<Vec<EventView>, Refusal> {
    if let Some(app) = &filter.app {
        let unknown = hub.ledger.read(|world| known_app(world, app));
        let events = hub.ledger.events(filter).map_err(|error| store_failed(&error))?;
        // The events of an app that was deleted are still there to be read.
        if events.is_empty() {
            unknown?;
        }
        return Ok(events.into_iter().map(view::event_view).collect());
    }
    let events = hub.ledger.events(filter).map_err(|error| store_failed(&error))?;
    Ok(events.into_iter().map(view::event_view).collect())
}

/// Answers as soon as the change has come to its end, or after `wait` with how far it is.
pub async fn settled(
    hub: &Hub,
    app: &AppName,
    process: Option<&ProcessName>,
    revision: u64,
    wait: Duration,
) -> Progress {
    let end = tokio::time::Instant::now() + wait;
    let mut passes = hub.passes();
    let mut failed_since: Option<tokio::time::Instant> = None;
    loop {
        passes.mark_unchanged();
        let progress = progress(hub, app, process, Revision(revision));
        let now = tokio::time::Instant::now();
        // Between the end of one instance and the start of the next there is a moment in which nothing moves.
        failed_since = if progress.settled && !progress.ok { failed_since.or(Some(now)) } else { None };
        let sure = failed_since.is_none_or(|since| now >= since + CONFIRM);
        if progress.settled && sure || hub.is_closing() {
            return progress;
        }
        let end = failed_since.map_or(end, |since| since + CONFIRM);
        match tokio::time::timeout_at(end, passes.changed()).await {
            Ok(Ok(())) => {}
            Err(_) if failed_since.is_some() => {}
            Ok(Err(_)) | Err(_) => return progress,
        }
    }
}

fn progress(hub: &Hub, app: &AppName, process: Option<&ProcessName>, revision: Revision) -> Progress {
    let key = process.map(|process| ProcessKey::new(app, process));
    let snapshot = hub.snapshot().clone();
    hub.ledger.read(|world| {
        let seen = Seen { world, observed: &snapshot.observed, blocked: &snapshot.blocked };
        app::progress(&seen, key.as_ref().map_or(Subject::App(app), Subject::Process), revision)
    })
}

pub async fn status(hub: &Hub) -> StatusView {
    // A store of images that cannot say how much there is holds up nobody.
    let images_bytes = hub.engine.images().bytes().await.unwrap_or(0);
    let (apps, processes) = hub.ledger.read(|world| {
        let services = world.processes.values().filter(|row| row.task.is_none());
        (world.apps.len(), services.count())
    });
    let snapshot = hub.snapshot().clone();
    let instances = snapshot.observed.iter().flat_map(|seen| &seen.instances);
    let live = instances.filter(|instance| instance.state != tapit_model::InstanceState::Stopped).count();
    let capacity = hub.engine.capacity();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine: hub.engine.name().to_owned(),
        api: hub.facts.api_url.clone(),
        http: hub.facts.http.to_string(),
        data_dir: hub.facts.data_dir.display().to_string(),
        started_at: hub.facts.started_at.to_string(),
        pid: std::process::id(),
        apps: count(apps),
        processes: count(processes),
        instances: count(live),
        capacity_memory: capacity.map(|capacity| capacity.total.gb()),
        used_memory: capacity.map_or(0.0, |capacity| capacity.used.gb()),
        images_bytes,
        images_disk: hub.facts.images_disk.map(|bytes| bytes as f64 / 1e9),
        server_memory_bytes: resident_bytes(),
        warnings: warnings(hub),
    }
}

/// What the host lacks, and the images that do not fit.
fn warnings(hub: &Hub) -> Vec<String> {
    let over = hub.facts.images_disk.filter(|_| hub.images_over() > 0);
    hub.engine.warnings().into_iter().chain(over.map(|budget| keep::over(hub.images_over(), budget))).collect()
}

/// Resident memory of this process; 0 where the kernel does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
