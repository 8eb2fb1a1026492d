//! `spot_fallback` on ECS: the server's planner and this engine together, on an account that runs out of spot.

use std::collections::BTreeMap;
use std::time::Duration;

use tapit_ecs::Ecs;
use tapit_ecs::engine::clock::{Clock, TokioClock};
use tapit_engine::Engine;
use tapit_model::*;
use tapit_plan::app::{AppInputs, plan_app};

use super::stage::{Stage, app, formation, image, key};

const PASS: Duration = Duration::from_secs(1);
const PATIENCE: u32 = 3_600;
const AFTER: Seconds = Seconds(300);

/// One demand instance and three spot ones, which may be stood in for.
fn world() -> World {
    let (created_at, updated_at) = (Timestamp(0), Timestamp(0));
    let spec = ProcessSpec { spot: 3, spot_fallback: Some(AFTER), ..ProcessSpec::default() };
    let template = Template {
        image: ImageSource::Pinned(image("app:v1")),
        command: None,
        port: spec.port,
        health: spec.health.clone(),
        lifecycle: spec.lifecycle,
        size: formation(1, 0, 0).size,
        confinement: spec.confinement.clone(),
        variables: Vec::new(),
    };
    let process = Process {
        key: key("worker"),
        spec,
        task: None,
        configured: true,
        revision: Revision(1),
        generation: 1,
        running_generation: 1,
        rolled_back: false,
        fallback: Fallback::default(),
        created_at,
        updated_at,
        restarted_at: None,
        deleting: false,
    };
    let mut world = World::default();
    world.apply(&Change::PutApp(App { name: app(), image: None, created_at, updated_at, deleting: false }));
    world.apply(&Change::PutGeneration(Generation { key: key("worker"), number: 1, template }));
    world.apply(&Change::PutProcess(process));
    world
}

struct Server<'a> {
    engine: &'a Ecs,
    clock: TokioClock,
    world: World,
    events: Vec<String>,
}

impl Server<'_> {
    /// As the server's loop does: look, plan, commit, order.
    async fn pass(&mut self) -> Vec<ProcessObserved> {
        let observed = self.engine.observe().await.expect("can be looked at");
        let (app, images) = (app(), BTreeMap::new());
        let (now, moment) = (self.clock.timestamp(), self.clock.moment());
        let inputs = AppInputs { now, moment, world: &self.world, app: &app, observed: &observed, images: &images };
        let plan = plan_app(&inputs);
        self.events.extend(plan.events.into_iter().map(|event| event.text));
        if plan.changes.is_empty() {
            for target in plan.targets {
                self.engine.apply(target).await.expect("is taken");
            }
        }
        plan.changes.iter().for_each(|change| self.world.apply(change));
        observed
    }

    /// Until so many of each kind are healthy and nothing else is left; answers for how long.
    async fn settles(&mut self, demand: usize, spot: usize) -> Duration {
        let begun = tokio::time::Instant::now();
        for _ in 0..PATIENCE {
            let observed = self.pass().await;
            let live = observed.iter().flat_map(|process| &process.instances);
            let live: Vec<_> = live.filter(|one| one.state != InstanceState::Stopped).collect();
            let healthy = |kind| live.iter().filter(|i| i.kind == kind && i.state == InstanceState::Healthy).count();
            let found = (healthy(InstanceKind::Demand), healthy(InstanceKind::Spot));
            if found == (demand, spot) && live.iter().all(|i| i.state == InstanceState::Healthy || is_waiting(i)) {
                return begun.elapsed();
            }
            tokio::time::sleep(PASS).await;
        }
        panic!("never {demand} and {spot}: {:#?}", self.engine.observe().await);
    }
}

/// A task that AWS has no capacity for.
fn is_waiting(instance: &InstanceObserved) -> bool {
    instance.kind == InstanceKind::Spot && instance.state == InstanceState::Pending
}

#[tokio::test(start_paused = true)]
async fn missing_spot_runs_on_demand_after_its_time_and_is_paid_back_when_spot_returns() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let clock = TokioClock::starting_at(stage.account.now());
    let mut server = Server { engine: &engine, clock, world: world(), events: Vec::new() };
    server.settles(1, 3).await;

    stage.account.set_spot_capacity(Some(1));
    let spot = stage.account.tasks().into_iter().filter(|task| task.group == "service:worker_spot");
    for task in spot.skip(1) {
        assert!(stage.account.interrupt(&task.arn), "{task:?}");
    }
    let waited = server.settles(3, 1).await;
    assert!(waited >= Duration::from_secs(AFTER.0), "stood in already after {waited:?}");
    assert!(waited < Duration::from_secs(AFTER.0 + 300), "stood in only after {waited:?}");
    let process = &server.world.processes[&key("worker")];
    assert_eq!((process.stand_ins(), process.spec.demand), (2, 1));
    let lacks =
        |process: &ProcessObserved| process.blocked.iter().any(|b| b.code == BlockedCode::Capacity && b.spot == 2);
    assert!(server.pass().await.iter().any(lacks), "what is missing is told all the same");

    stage.account.set_spot_capacity(None);
    server.settles(1, 3).await;
    assert_eq!(server.world.processes[&key("worker")].stand_ins(), 0);
    assert!(server.events.iter().any(|text| text.contains("2 instances run on demand instead")), "{:?}", server.events);
    assert!(server.events.iter().any(|text| text.contains("spot is back")), "{:?}", server.events);
    engine.close().await;
}
