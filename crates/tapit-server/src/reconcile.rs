//! The loop: look, plan, hand on, and look again. Start-up, steady state and recovery are the same path.
//!
//! A pass is made after every wake-up (a request, a change in the engine, an image), when a plan said that it would differ,
//! and every 30 seconds. Routes go out first, because requests wait for them; outcomes are committed before their consequences are planned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tapit_engine::{EngineError, rest_after};
use tapit_model::{
    Blocked, Change, Event, InstanceKey, InstanceObserved, Moment, ProcessKey, ProcessObserved, ProcessTarget, Rollout,
    RolloutState, Route, World,
};
use tapit_plan::app::{self, AppInputs, AppPlan, Prepare};
use tapit_store::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::hub::Hub;
use crate::{clock, execute, prepare, traffic};

/// Between passes without any wake-up.
const IDLE: Duration = Duration::from_secs(30);
/// After a pass that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How many lines of a failed instance's log are kept with its rollout.
const LOG_TAIL: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("committing an outcome")]
    Commit(#[from] StoreError),
    #[error("asking the engine")]
    Engine(#[from] EngineError),
}

/// The targets of the whole world, for an engine that starts. Nothing was observed yet, so no outcome may be drawn.
pub fn initial_targets(world: &World) -> Vec<ProcessTarget> {
    let images = BTreeMap::new();
    let inputs =
        |app| AppInputs { now: clock::now(), moment: clock::moment(), world, app, observed: &[], images: &images };
    world.apps.keys().flat_map(|app| app::plan_app(&inputs(app)).targets).collect()
}

pub async fn run(hub: Arc<Hub>, mut closing: watch::Receiver<bool>) {
    let mut engine = hub.engine.changes();
    loop {
        let began = Instant::now();
        let wait = match pass(&hub).await {
            Ok(look_again) => look_again.map_or(IDLE, |at| IDLE.min(until(at))),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "reconciling; trying again");
                RETRY
            }
        };
        let rested = Instant::now() + rest_after(began.elapsed());
        tokio::select! {
            () = hub.nudged() => {}
            Ok(()) = engine.changed() => {}
            () = sleep(wait) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        sleep_until(rested).await;
    }
}

/// What all apps' plans come to.
#[derive(Default)]
struct Planned {
    changes: Vec<Change>,
    events: Vec<Event>,
    targets: Vec<ProcessTarget>,
    prepare: Vec<Prepare>,
    routes: Vec<Route>,
    blocked: BTreeMap<ProcessKey, Vec<Blocked>>,
    look_again: Option<Moment>,
}

impl Planned {
    fn add(&mut self, plan: AppPlan) {
        self.changes.extend(plan.changes);
        self.events.extend(plan.events);
        self.targets.extend(plan.targets);
        self.prepare.extend(plan.prepare);
        self.routes.extend(plan.route);
        self.blocked.extend(plan.blocked);
        self.look_again = [self.look_again, plan.look_again].into_iter().flatten().min();
    }
}

fn until(at: Moment) -> Duration {
    Duration::from_millis(at.since(clock::moment()))
}

/// Answers when to look again at the latest; `None`: whenever.
async fn pass(hub: &Arc<Hub>) -> Result<Option<Moment>, ReconcileError> {
    let observed = hub.engine.observe().await?;
    let world = hub.ledger.world();
    let mut planned = Planned::default();
    {
        let images = hub.images().clone();
        for app in world.apps.keys() {
            let (now, moment) = (clock::now(), clock::moment());
            let inputs = AppInputs { now, moment, world: &world, app, observed: &observed, images: &images };
            planned.add(app::plan_app(&inputs));
        }
    }
    publish(hub, std::mem::take(&mut planned.routes));
    remember(hub, observed, std::mem::take(&mut planned.blocked));
    count_requests(hub, &world);
    if planned.changes.is_empty() {
        execute::apply(hub, planned.targets).await?;
        for prepare in planned.prepare {
            prepare::spawn(hub, prepare);
        }
        hub.passed();
    } else {
        commit(hub, &world, planned.changes, planned.events).await?;
        hub.nudge();
    }
    Ok(planned.look_again)
}

/// Swaps the router's table when it differs, and lets the engine look at what is routed now.
fn publish(hub: &Hub, routes: Vec<Route>) {
    let table = app::routes(routes);
    let mut sent = hub.sent();
    if sent.routes != table {
        hub.router.publish(table.clone());
        sent.routes = table;
        drop(sent);
        hub.engine.nudge();
    }
}

/// Keeps what was seen, with an event for each change since the last pass.
fn remember(hub: &Hub, observed: Vec<ProcessObserved>, blocked: BTreeMap<ProcessKey, Vec<Blocked>>) {
    let now = clock::now();
    let before = hub.snapshot().clone();
    for process in &observed {
        let earlier = before.process(&process.key).map_or(&[][..], |earlier| &earlier.instances);
        let mut events = app::narrate(&process.key, earlier, &process.instances, now);
        let reasons = blocked.get(&process.key).map_or(&[][..], Vec::as_slice);
        events.extend(app::narrate_blocked(&process.key, before.blocked(&process.key), reasons, now));
        if earlier != process.instances || !events.is_empty() {
            record(hub, &process.key, &process.instances, &events);
        }
    }
    for gone in before.observed.iter().filter(|old| observed.iter().all(|new| new.key != old.key)) {
        let events = app::narrate(&gone.key, &gone.instances, &[], now);
        record(hub, &gone.key, &[], &events);
    }
    *hub.snapshot() = before.next(observed, blocked, now);
}

/// A full disk costs the log its lines, never the app its instances: what was seen is acted on all the same.
fn record(hub: &Hub, key: &ProcessKey, seen: &[InstanceObserved], events: &[Event]) {
    if let Err(error) = hub.ledger.observe(key, seen, events) {
        tracing::error!(process = %key, error = &error as &dyn std::error::Error, "recording what was seen");
    }
}

fn count_requests(hub: &Hub, world: &World) {
    let mut requests = hub.requests();
    for rollout in world.rollouts.values().filter(|rollout| rollout.key.process.is_public()) {
        requests.note(rollout, &traffic::counts(&hub.router, &rollout.key.app));
    }
    requests.retain(|key| world.processes.contains_key(key));
}

/// Commits outcomes, unless a request has changed the process meanwhile: then the next pass decides anew.
async fn commit(
    hub: &Hub,
    planned_on: &World,
    mut changes: Vec<Change>,
    events: Vec<Event>,
) -> Result<(), ReconcileError> {
    for change in &mut changes {
        if let Change::PutRollout(rollout) = change
            && let Some(instance) = failed_instance(hub, rollout)
        {
            rollout.log_tail = log_tail(hub, &instance).await;
        }
    }
    hub.ledger.change(
        |world| {
            if planned_on == world { Ok((changes, events, ())) } else { Ok((Vec::new(), Vec::new(), ())) }
        },
    )
}

/// The instance whose failure ended a rollout; `None` when it ended well, or failed before any instance was made.
fn failed_instance(hub: &Hub, rollout: &Rollout) -> Option<InstanceKey> {
    match rollout.state {
        RolloutState::RolledBack | RolloutState::Failed => {}
        RolloutState::Running | RolloutState::Succeeded | RolloutState::Superseded => return None,
    }
    let snapshot = hub.snapshot();
    let failure = snapshot.process(&rollout.key)?.failure.as_ref()?;
    let id = (failure.generation == rollout.to).then(|| failure.instance.clone())?;
    Some(InstanceKey { app: rollout.key.app.clone(), id })
}

/// The log explains a failure; when it cannot be read, the rollout's reason stands alone.
async fn log_tail(hub: &Hub, key: &InstanceKey) -> Vec<String> {
    hub.engine.log_tail(key, LOG_TAIL).await.unwrap_or_else(|error| {
        tracing::warn!(instance = %key, error = &error as &dyn std::error::Error, "reading the log of a failed instance");
        Vec::new()
    })
}
