//! Rows and observations in, views out.

use tapit_model::{
    App, AppName, Blocked, BlockedCode, Change, CommandLine, Counts, Digest, Event, EventKind, Exit, Fallback,
    Generation, ImageRef, ImageSource, ImageView, InstanceId, InstanceKind, InstanceObserved, InstanceState, Moment,
    PinnedImage, Port, Process, ProcessKey, ProcessName, ProcessObserved, ProcessSpec, ProcessView, Reason, ReasonCode,
    RequestCounts, Revision, Rollout, RolloutKind, RolloutState, Seconds, Template, Timestamp, Usage, World,
};

use super::{Addresses, Context, Sight, app_view, event_view, image_view, process_view, router_url};

fn key(process: &str) -> ProcessKey {
    ProcessKey::new(&AppName::parse("shop").unwrap(), &ProcessName::parse(process).unwrap())
}

fn pinned(reference: &str, digit: &str) -> ImageSource {
    ImageSource::Pinned(PinnedImage {
        reference: ImageRef::parse(reference).unwrap(),
        digest: Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap(),
        exposed: vec![Port::new(3000).unwrap()],
    })
}

fn process(key: &ProcessKey, generation: u64) -> Process {
    Process {
        key: key.clone(),
        spec: ProcessSpec { demand: 3, spot: 1, ..ProcessSpec::default() },
        task: None,
        configured: true,
        revision: Revision(2),
        generation,
        running_generation: 1,
        rolled_back: false,
        fallback: Fallback::default(),
        created_at: Timestamp(0),
        updated_at: Timestamp(1000),
        restarted_at: None,
        deleting: false,
    }
}

fn generation(process: &Process, number: u64, image: ImageSource) -> Change {
    let spec = process.spec.clone();
    let template = Template {
        image,
        command: spec.command,
        port: spec.port,
        health: spec.health,
        lifecycle: spec.lifecycle,
        size: spec.size,
        variables: Vec::new(),
        confinement: spec.confinement,
    };
    Change::PutGeneration(Generation { key: process.key.clone(), number, template })
}

fn world(processes: &[(&Process, ImageSource)]) -> World {
    let app = App {
        name: AppName::parse("shop").unwrap(),
        image: ImageRef::parse("shop/web:v1").ok(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        deleting: false,
    };
    let mut world = World::default();
    world.apply(&Change::PutApp(app));
    for (process, image) in processes {
        world.apply(&Change::PutProcess((*process).clone()));
        world.apply(&generation(process, process.generation, image.clone()));
    }
    world
}

/// Every app behind a router on this port.
struct Router(u16);

impl Addresses for Router {
    fn url(&self, app: &AppName) -> Option<String> {
        Some(router_url(app, self.0))
    }
}

fn context(world: &World) -> Context<'_> {
    Context { world, engine: "embedded", addresses: &Router(8080) }
}

fn instance(serial: u64, kind: InstanceKind, state: InstanceState) -> InstanceObserved {
    InstanceObserved {
        id: InstanceId::opaque(&format!("web.{serial}")),
        kind,
        generation: 1,
        state,
        reason: None,
        size: ProcessSpec::default().size,
        ip: Some([10, 64, 0, 2].into()),
        port: Some(3000),
        created_at: Timestamp(0),
        started_at: None,
        healthy_at: None,
        stopped_at: None,
        restarts: 0,
        last_exit: None,
    }
}

fn stopped(serial: u64, at: i64) -> InstanceObserved {
    let exit = Exit { code: Some(1), signal: None, oom: false, at: Timestamp(at) };
    let instance = instance(serial, InstanceKind::Demand, InstanceState::Stopped);
    InstanceObserved { stopped_at: Some(Timestamp(at)), last_exit: Some(exit), ..instance }
}

fn observed(instances: Vec<InstanceObserved>) -> ProcessObserved {
    ProcessObserved {
        key: key("web"),
        revision: Revision(2),
        instances,
        blocked: Vec::new(),
        failure: None,
        seen_at: Moment(0),
    }
}

fn show(process: &Process, sight: Sight<'_>) -> ProcessView {
    process_view(&context(&world(&[(process, pinned("shop/web:v1", "a"))])), process, sight)
}

#[test]
fn the_keys_of_the_command_line_come_back() {
    let mut process = process(&key("default"), 2);
    process.spec.command = CommandLine::parse("npm start").ok();
    process.spec.health.path = Some("/up".to_owned());
    let view = show(&process, Sight::default());
    assert_eq!((view.name.as_str(), view.app.as_str(), view.engine.as_str()), ("default", "shop", "embedded"));
    assert_eq!((view.memory, view.cpu, view.demand_count, view.spot_count), (0.5, 0.25, 3, 1));
    assert_eq!(view.command, ["npm", "start"]);
    assert_eq!((view.image.as_deref(), view.version.as_deref()), (Some("shop/web:v1"), Some("v1")));
    assert_eq!(view.image_digest.as_deref(), Some(format!("sha256:{}", "a".repeat(64)).as_str()));
    assert_eq!((view.port, view.health.check.as_str()), (Some(3000), "http"));
    assert_eq!((view.health.path.as_deref(), view.health.timeout), (Some("/up"), 60));
    assert_eq!((view.generation, view.running_generation), (2, 1));
    assert_eq!(view.updated_at, "1970-01-01T00:00:01.000Z");
    assert!(view.public);
    assert_eq!(view.url.as_deref(), Some("http://shop.localhost:8080"));
}

#[test]
fn only_the_public_process_has_a_url() {
    let view = show(&process(&key("web"), 1), Sight::default());
    assert_eq!((view.public, view.url), (false, None));
}

#[test]
fn without_an_image_nothing_is_claimed_about_it() {
    let process = process(&key("web"), 1);
    let world = world(&[(&process, ImageSource::Unknown)]);
    let view = process_view(&context(&world), &process, Sight::default());
    assert_eq!((view.image, view.image_digest, view.version), (None, None, None));
    assert_eq!(view.status, "pending");
}

#[test]
fn an_image_named_by_digest_has_the_digest_as_its_version() {
    let process = process(&key("web"), 1);
    let reference = format!("shop/web@sha256:{}", "b".repeat(64));
    let world = world(&[(&process, pinned(&reference, "b"))]);
    let view = process_view(&context(&world), &process, Sight::default());
    assert_eq!(view.version.as_deref(), Some("bbbbbbbbbbbb"));
}

#[test]
fn healthy_instances_are_running_and_the_missing_ones_are_pending() {
    let (demand, spot) = (InstanceKind::Demand, InstanceKind::Spot);
    let seen = observed(vec![
        instance(1, demand, InstanceState::Healthy),
        instance(2, demand, InstanceState::Starting),
        instance(3, demand, InstanceState::Draining),
        instance(4, spot, InstanceState::Healthy),
        instance(5, spot, InstanceState::Healthy),
    ]);
    let mut process = process(&key("web"), 1);
    let view = show(&process, Sight { observed: Some(&seen), ..Sight::default() });
    assert_eq!((view.running.demand, view.running.spot), (1, 2));
    // One spot too many, as while scaling down, is not a negative number of pending ones.
    assert_eq!((view.pending.demand, view.pending.spot), (2, 0));

    process.spec.disabled = true;
    let view = show(&process, Sight { observed: Some(&seen), ..Sight::default() });
    assert_eq!((view.pending.demand, view.demand_count, view.status.as_str()), (0, 3, "disabled"));
}

#[test]
fn what_stands_in_for_spot_is_told_beside_the_counts_that_were_asked_for() {
    let instances = (1..=4).map(|serial| instance(serial, InstanceKind::Demand, InstanceState::Healthy)).collect();
    let seen = observed(instances);
    let mut process = process(&key("web"), 1);
    let view = show(&process, Sight { observed: Some(&seen), ..Sight::default() });
    assert_eq!((view.spot_fallback, view.fallback), (None, 0));
    process.spec.spot = 2;
    process.spec.spot_fallback = Some(Seconds(300));
    process.fallback.stand_ins = 2;
    let view = show(&process, Sight { observed: Some(&seen), ..Sight::default() });
    assert_eq!((view.spot_fallback, view.fallback), (Some(300), 2));
    assert_eq!((view.demand_count, view.spot_count, view.status.as_str()), (3, 2, "running"));
    assert_eq!((view.running, view.pending), (Counts { demand: 4, spot: 0 }, Counts { demand: 1, spot: 2 }));
}

#[test]
fn the_newest_five_stopped_instances_are_shown_beside_all_others() {
    let mut instances: Vec<InstanceObserved> = (1..=8).map(|n| stopped(n, 100 - i64::try_from(n).unwrap())).collect();
    instances.push(instance(9, InstanceKind::Demand, InstanceState::Stopping));
    let seen = observed(instances);
    let view = show(&process(&key("web"), 1), Sight { observed: Some(&seen), ..Sight::default() });
    let ids: Vec<&str> = view.instances.iter().map(|instance| instance.id.as_str()).collect();
    // The lower the serial, the later it stopped: time decides, and the engine's order is kept.
    assert_eq!(ids, ["web.1", "web.2", "web.3", "web.4", "web.5", "web.9"]);
}

#[test]
fn every_pending_unhealthy_and_stopped_instance_has_a_reason() {
    let text = "waits 4 s".to_owned();
    let known = InstanceObserved {
        reason: Some(Reason { code: ReasonCode::BackOff, text }),
        ..instance(1, InstanceKind::Demand, InstanceState::Pending)
    };
    let seen = observed(vec![
        known,
        instance(2, InstanceKind::Demand, InstanceState::Pending),
        instance(3, InstanceKind::Demand, InstanceState::Unhealthy),
        stopped(4, 1),
        instance(5, InstanceKind::Demand, InstanceState::Stopped),
        instance(6, InstanceKind::Demand, InstanceState::Healthy),
    ]);
    let capacity =
        Blocked { code: BlockedCode::Capacity, text: "needs 0.5 GB, 0.1 GB are free".to_owned(), demand: 1, spot: 0 };
    let sight = Sight { observed: Some(&seen), blocked: vec![(capacity, Timestamp(5000))], ..Sight::default() };
    let view = show(&process(&key("web"), 1), sight);
    let reasons: Vec<Option<&str>> = view.instances.iter().map(|instance| instance.reason.as_deref()).collect();
    assert_eq!(
        reasons,
        [
            Some("waits 4 s"),
            Some("needs 0.5 GB, 0.1 GB are free"),
            Some("its health checks fail"),
            Some("exit 1"),
            Some("it has stopped"),
            None
        ]
    );
    assert_eq!(
        (view.blocked[0].code.as_str(), view.blocked[0].since.as_str()),
        ("capacity", "1970-01-01T00:00:05.000Z")
    );
}

#[test]
fn usage_is_put_to_its_instance() {
    let healthy = |serial| instance(serial, InstanceKind::Demand, InstanceState::Healthy);
    let seen = observed(vec![healthy(1), healthy(2)]);
    let usage = Usage { memory_bytes: 7, memory_peak_bytes: 9, cpu_percent: Some(1.5), ..Usage::default() };
    let sight = Sight { observed: Some(&seen), usage: vec![(InstanceId::opaque("web.2"), usage)], ..Sight::default() };
    let view = show(&process(&key("web"), 1), sight);
    assert_eq!((view.instances[0].memory_bytes, view.instances[0].cpu_percent), (None, None));
    let second = &view.instances[1];
    assert_eq!((second.memory_bytes, second.memory_peak_bytes, second.cpu_percent), (Some(7), Some(9), Some(1.5)));
}

#[test]
fn a_rollout_is_shown_with_its_reason_its_exit_and_its_requests() {
    let mut process = process(&key("web"), 2);
    process.rolled_back = true;
    let mut world = world(&[(&process, pinned("shop/web:v2", "b"))]);
    world.apply(&Change::PutRollout(Rollout {
        id: 7,
        key: process.key.clone(),
        kind: RolloutKind::Update,
        state: RolloutState::RolledBack,
        from: 1,
        to: 2,
        started_at: Timestamp(0),
        finished_at: Some(Timestamp(2000)),
        reason: Some("3 crashes in a row".to_owned()),
        last_exit: Some(Exit { code: None, signal: Some(9), oom: true, at: Timestamp(0) }),
        log_tail: vec!["boom".to_owned()],
    }));
    let requests = Some(RequestCounts { sent: 5, ok: 4, failed: 1, retried: 2 });
    let view = process_view(&context(&world), &process, Sight { requests, ..Sight::default() });
    let rollout = view.rollout.unwrap();
    assert_eq!((rollout.id, rollout.kind.as_str(), rollout.state.as_str()), (7, "update", "rolled_back"));
    assert_eq!((rollout.from, rollout.to, rollout.reason.as_deref()), (1, 2, Some("3 crashes in a row")));
    assert_eq!(rollout.last_exit.map(|exit| (exit.signal, exit.oom)), Some((Some(9), true)));
    assert_eq!((rollout.log_tail, rollout.requests.failed), (vec!["boom".to_owned()], 1));
    assert_eq!(view.status, "rolled_back");
}

#[test]
fn an_app_has_the_status_that_wants_attention_most() {
    let (web, mut api, mut old) = (process(&key("web"), 1), process(&key("api"), 1), process(&key("old"), 1));
    let healthy = (1..=3).map(|serial| instance(serial, InstanceKind::Demand, InstanceState::Healthy)).collect();
    let seen = [observed(healthy)];
    old.spec.disabled = true;
    let status = |processes: &[&Process]| {
        let pairs: Vec<_> = processes.iter().map(|process| (*process, pinned("shop/web:v1", "a"))).collect();
        let world = world(&pairs);
        app_view(&context(&world), world.apps.values().next().unwrap(), &seen).status
    };
    assert_eq!(status(&[&web, &old]), "running");
    assert_eq!(status(&[&old]), "disabled");
    assert_eq!(status(&[&web, &api]), "pending");
    api.rolled_back = true;
    assert_eq!(status(&[&web, &api, &old]), "rolled_back");
    assert_eq!(status(&[]), "pending");
}

#[test]
fn an_app_lists_its_processes_by_name() {
    let (web, api) = (process(&key("web"), 1), process(&key("api"), 1));
    let mut world = world(&[(&web, ImageSource::Unknown), (&api, ImageSource::Unknown)]);
    let mut app = world.apps.values().next().unwrap().clone();
    app.deleting = true;
    world.apply(&Change::PutApp(app.clone()));
    let context = Context { addresses: &Router(80), ..context(&world) };
    let view = app_view(&context, &app, &[]);
    assert_eq!(
        (view.processes, view.url.as_deref().unwrap_or_default()),
        (vec!["api".to_owned(), "web".to_owned()], "http://shop.localhost")
    );
    assert_eq!((view.status.as_str(), view.image.as_deref()), ("deleting", Some("shop/web:v1")));
}

#[test]
fn an_image_names_each_process_that_uses_it_once() {
    let (web, api) = (process(&key("web"), 2), process(&key("api"), 2));
    let mut world = world(&[(&web, pinned("shop/web:v1", "a")), (&api, pinned("shop/api:v1", "c"))]);
    // The running generation of web uses the same image as its newest one.
    world.apply(&generation(&web, 1, pinned("shop/web:old", "a")));
    let held = |digit: &str| ImageView {
        name: "shop/web:v1".to_owned(),
        digest: format!("sha256:{}", digit.repeat(64)),
        size: 1,
        shared: 0,
        unique: 1,
        layers: 1,
        source: "import".to_owned(),
        created_at: String::new(),
        used_at: String::new(),
        used_by: Vec::new(),
        entrypoint: Vec::new(),
        command: Vec::new(),
        exposed_ports: Vec::new(),
        user: String::new(),
        working_dir: String::new(),
    };
    assert_eq!(image_view(&world, held("a")).used_by, ["shop/web"]);
    // The app names it for processes to come, whatever image has the name now.
    assert_eq!(image_view(&world, held("d")).used_by, ["shop"]);
    let other = ImageView { name: "<none>".to_owned(), ..held("d") };
    assert!(image_view(&world, other).used_by.is_empty());
}

#[test]
fn an_event_keeps_its_id_and_word() {
    let event = Event {
        at: Timestamp(0),
        app: AppName::parse("shop").unwrap(),
        process: None,
        instance: Some(InstanceId::opaque("web.1")),
        kind: EventKind::SpotInterrupted,
        text: "notice".to_owned(),
    };
    let view = event_view((41, event));
    assert_eq!((view.id, view.kind.as_str(), view.instance.as_deref()), (41, "spot_interrupted", Some("web.1")));
}

#[test]
fn every_word_of_an_event_is_the_one_that_is_stored() {
    for kind in [EventKind::AppCreated, EventKind::RolloutRolledBack, EventKind::Unblocked, EventKind::ImagePinned] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}
