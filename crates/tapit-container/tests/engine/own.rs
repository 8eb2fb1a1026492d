//! What only the embedded engine promises.

use std::sync::atomic::{AtomicU64, Ordering};

use tapit_engine::Engine;
use tapit_engine::conformance::{Behaviour, Subject};
use tapit_model::{
    AppName, Check, Formation, InstanceId, InstanceKey, InstanceKind, InstanceObserved, InstanceState, MemoryMib, Port,
    Presence, ProcessKey, ProcessName, ProcessObserved, ProcessTarget, ReasonCode, Revision, Seconds, Size, UsageOf,
};

use crate::subject::{Bed, run_own};

pub fn key() -> ProcessKey {
    let name = |text| ProcessName::parse(text).expect("a legal name");
    ProcessKey::new(&AppName::parse("shop").expect("a legal name"), &name("api"))
}

pub fn target(formation: Formation) -> ProcessTarget {
    static REVISION: AtomicU64 = AtomicU64::new(1);
    let revision = Revision(REVISION.fetch_add(1, Ordering::Relaxed));
    ProcessTarget { key: key(), revision, presence: Presence::Present(Box::new(formation)) }
}

pub async fn start(bed: &Bed, formation: Formation) {
    bed.embedded().adopt(Vec::new()).await.expect("adopts");
    bed.embedded().apply(target(formation)).await.expect("takes orders");
}

pub async fn until(bed: &Bed, what: &str, wanted: impl Fn(&[InstanceObserved]) -> bool) -> Vec<InstanceObserved> {
    let mut seen = Vec::new();
    for _ in 0..bed.patience() {
        let observed = bed.embedded().observe().await.expect("can be looked at");
        seen = observed
            .into_iter()
            .find(|process| process.key == key())
            .map_or(Vec::new(), |p: ProcessObserved| p.instances);
        if wanted(&seen) {
            return seen;
        }
        bed.pass().await;
    }
    panic!("does not come so far: {what}; seen last: {seen:#?}");
}

pub fn in_state(seen: &[InstanceObserved], state: InstanceState) -> usize {
    seen.iter().filter(|one| one.state == state).count()
}

pub async fn healthy(bed: &Bed, count: usize) -> Vec<InstanceObserved> {
    until(bed, "healthy", |seen| in_state(seen, InstanceState::Healthy) == count).await
}

async fn stopped(bed: &Bed) -> InstanceObserved {
    let seen = until(bed, "one has stopped", |seen| in_state(seen, InstanceState::Stopped) > 0).await;
    seen.into_iter().find(|one| one.state == InstanceState::Stopped).expect("just seen")
}

pub fn instance_key(id: &InstanceId) -> InstanceKey {
    InstanceKey { app: key().app, id: id.clone() }
}

pub async fn log(bed: &Bed, id: &InstanceId) -> Vec<String> {
    bed.embedded().log_tail(&instance_key(id), 100).await.expect("has a log")
}

fn reason(instance: &InstanceObserved) -> (ReasonCode, String) {
    instance.reason.clone().map(|reason| (reason.code, reason.text)).expect("has a reason")
}

#[test]
fn an_instance_is_told_who_it_is() {
    run_own(|bed| {
        Box::pin(async move {
            let script = "echo $PORT $TAPIT_APP $TAPIT_PROCESS $TAPIT_INSTANCE $TAPIT_INSTANCE_KIND $TAPIT_VERSION $COLOUR; hostname; exec sleep 1000";
            let variables = vec![("COLOUR".to_owned(), "blue green".to_owned()), ("PORT".to_owned(), "1".to_owned())];
            start(bed, Formation { spot: 1, demand: 0, variables, version: "v7".into(), ..bed.shell(script) }).await;
            let seen = healthy(bed, 1).await;
            assert_eq!(log(bed, &seen[0].id).await[0], "8080 shop api api.1 spot v7 blue green");
        })
    });
}

#[test]
fn an_instance_that_ignores_its_order_to_stop_is_killed_after_its_time() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.shell("trap \"\" TERM; while true; do sleep 1; done");
            let lifecycle = tapit_model::Lifecycle { stop_timeout: Seconds(1), ..formation.lifecycle };
            let formation = Formation { lifecycle, ..formation };
            start(bed, formation.clone()).await;
            healthy(bed, 1).await;
            bed.embedded().apply(target(Formation { demand: 0, ..formation })).await.expect("takes orders");
            let ended = stopped(bed).await;
            assert_eq!(ended.last_exit.and_then(|exit| exit.signal), Some(9), "{ended:?}");
            assert_eq!(reason(&ended).0, ReasonCode::Surplus);
        })
    });
}

#[test]
fn an_instance_that_stops_answering_is_replaced() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.shell("httpd -f -p $PORT -h /www & HTTP=$!; sleep 1; kill $HTTP; exec sleep 1000");
            let port = formation.port;
            start(bed, Formation { check: Check::Tcp(port), ..formation }).await;
            let ended = stopped(bed).await;
            assert!(ended.healthy_at.is_some(), "{ended:?}");
            let (code, text) = reason(&ended);
            assert_eq!(code, ReasonCode::Unhealthy);
            assert!(text.contains("3 health checks in a row failed") && text.contains("8080"), "{text}");
            until(bed, "a new one is there", |seen| seen.iter().any(|one| one.id != ended.id)).await;
        })
    });
}

#[test]
fn a_wrong_answer_to_a_health_check_is_told_as_the_reason() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            let port: Port = formation.port;
            let check = Check::Http { port, path: "/missing".to_owned() };
            // Long enough for the server to listen, also in a sliver of a slow machine.
            start(bed, Formation { check, health_timeout: Seconds(3), ..formation }).await;
            let ended = stopped(bed).await;
            assert_eq!(reason(&ended), (ReasonCode::Unhealthy, "GET /missing on port 8080 answered 404".to_owned()));
        })
    });
}

#[test]
fn a_good_answer_to_a_health_check_is_health() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            let check = Check::Http { port: formation.port, path: "/index.html".to_owned() };
            start(bed, Formation { check, ..formation }).await;
            healthy(bed, 1).await;
        })
    });
}

#[test]
fn a_command_that_is_not_in_the_image_is_named_in_the_log() {
    run_own(|bed| {
        Box::pin(async move {
            let command = tapit_model::CommandLine::parse("nosuch --flag").expect("a legal command");
            start(bed, Formation { command: Some(command), ..bed.formation(Behaviour::Serves) }).await;
            let ended = stopped(bed).await;
            assert_eq!(ended.last_exit.and_then(|exit| exit.code), Some(127), "{ended:?}");
            let log = log(bed, &ended.id).await;
            assert!(log.iter().any(|line| line.contains("nosuch")), "{log:?}");
        })
    });
}

#[test]
fn a_size_that_does_not_fit_what_is_in_use_is_reached_by_replacement() {
    run_own(|bed| {
        Box::pin(async move {
            let script = "x=$(yes | dd bs=1M count=20 iflag=fullblock); echo full; sleep 1000; echo $x";
            let formation = bed.shell(script);
            let wide = Size { memory: MemoryMib::from_mib(128), ..formation.size };
            let narrow = Size { memory: MemoryMib::from_mib(16), ..formation.size };
            start(bed, Formation { size: wide, ..formation.clone() }).await;
            let seen = healthy(bed, 1).await;
            let first = seen[0].id.clone();
            until_logged(bed, &first, "full").await;
            bed.embedded().apply(target(Formation { size: narrow, ..formation })).await.expect("takes orders");
            let seen = until(bed, "a narrow one is there", |seen| {
                seen.iter().any(|one| one.size == narrow && one.id != first)
            })
            .await;
            let old = seen.iter().find(|one| one.id == first).expect("listed");
            assert_eq!((old.state, old.size), (InstanceState::Healthy, wide), "the old one serves on with what it has");
        })
    });
}

pub async fn until_logged(bed: &Bed, id: &InstanceId, line: &str) {
    for _ in 0..bed.patience() {
        if log(bed, id).await.iter().any(|logged| logged == line) {
            return;
        }
        bed.pass().await;
    }
    panic!("{id} never says {line}");
}

#[test]
fn usage_is_read_from_running_instances() {
    run_own(|bed| {
        Box::pin(async move {
            start(bed, bed.formation(Behaviour::Serves)).await;
            let seen = healthy(bed, 1).await;
            let first = bed.embedded().usage(&UsageOf::Process(key())).await.expect("reads");
            assert_eq!(first.len(), 1);
            assert_eq!(first[0].0.id, seen[0].id);
            assert!(first[0].1.memory_bytes > 0 && first[0].1.memory_peak_bytes >= first[0].1.memory_bytes);
            assert_eq!(first[0].1.cpu_percent, None, "a percentage needs two readings");
            bed.pass().await;
            let second = bed.embedded().usage(&UsageOf::Process(key())).await.expect("reads");
            assert!(second[0].1.cpu_percent.is_some_and(|percent| (0.0..=100.0).contains(&percent)), "{second:?}");
        })
    });
}

#[test]
fn a_stop_that_the_dead_server_had_only_written_down_is_carried_out() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.shell("trap \"echo told; exit 0\" TERM; while true; do sleep 0.1; done");
            let lifecycle = tapit_model::Lifecycle { stop_timeout: Seconds(110), ..formation.lifecycle };
            let formation = Formation { lifecycle, ..formation };
            start(bed, formation.clone()).await;
            let id = healthy(bed, 1).await[0].id.clone();
            bed.close().await;
            let path = bed.instance_dir(&instance_key(&id)).path().join("life.json");
            let life = std::fs::read(&path).expect("was written");
            let mut life: serde_json::Value = serde_json::from_slice(&life).expect("readable");
            let since = life["phase"]["Healthy"]["since"].clone();
            life["phase"] = serde_json::json!({"Stopping": {"since": since, "why": "surplus", "killed": false}});
            std::fs::write(&path, life.to_string()).expect("writable");
            bed.open().await;
            bed.embedded().adopt(vec![target(Formation { demand: 0, ..formation })]).await.expect("adopts");
            let ended = stopped(bed).await;
            assert_eq!(ended.id, id);
            assert_eq!(ended.last_exit.and_then(|exit| exit.code), Some(0), "asked, not killed: {ended:?}");
            assert_eq!(log(bed, &id).await, ["told"]);
        })
    });
}

#[test]
fn a_scale_down_right_after_a_scale_up_leaves_nothing_under_way() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            for _ in 0..5 {
                let many = Formation { demand: 8, ..formation.clone() };
                bed.embedded().apply(target(many)).await.expect("takes orders");
                until(bed, "some are being made", |seen| in_state(seen, InstanceState::Starting) > 0).await;
                let none = Formation { demand: 0, ..formation.clone() };
                bed.embedded().apply(target(none)).await.expect("takes orders");
                until(bed, "all have stopped", |seen| seen.iter().all(|one| one.state == InstanceState::Stopped)).await;
            }
            let used = bed.embedded().capacity().map(|capacity| capacity.used.mib());
            assert_eq!(used, Some(0));
            for _ in 0..bed.patience() {
                if bed.veths().is_empty() {
                    return;
                }
                bed.pass().await;
            }
            panic!("interfaces are left: {:?}", bed.veths());
        })
    });
}

#[test]
fn a_teardown_kills_what_does_not_listen() {
    run_own(|bed| {
        Box::pin(async move {
            let script = "trap \"\" TERM; while true; do sleep 1; done";
            start(bed, Formation { demand: 2, spot: 1, ..bed.shell(script) }).await;
            healthy(bed, 3).await;
            bed.embedded().teardown().await.expect("tears down");
            assert_eq!(bed.left_over(), Vec::<String>::new());
        })
    });
}

#[test]
fn a_teardown_of_an_engine_that_adopted_nothing_yet_finds_everything() {
    run_own(|bed| {
        Box::pin(async move {
            start(bed, Formation { demand: 2, ..bed.formation(Behaviour::Serves) }).await;
            healthy(bed, 2).await;
            bed.reopen().await;
            bed.embedded().teardown().await.expect("tears down");
            assert_eq!(bed.left_over(), Vec::<String>::new());
        })
    });
}

#[test]
fn a_start_that_was_cut_short_is_made_anew() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = Formation { demand: 6, ..bed.formation(Behaviour::Serves) };
            start(bed, formation.clone()).await;
            until(bed, "some are being made", |seen| in_state(seen, InstanceState::Starting) > 0).await;
            bed.reopen().await;
            bed.embedded().adopt(vec![target(formation)]).await.expect("adopts");
            let seen = healthy(bed, 6).await;
            assert_eq!(
                seen.iter().filter(|one| one.kind == InstanceKind::Demand).count()
                    - in_state(&seen, InstanceState::Stopped),
                6
            );
        })
    });
}

#[test]
fn an_instance_whose_life_cannot_be_read_runs_on_and_proves_itself_anew() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            start(bed, formation.clone()).await;
            let before = healthy(bed, 1).await;
            bed.close().await;
            let path = bed.instance_dir(&instance_key(&before[0].id)).path().join("life.json");
            std::fs::write(path, "{\"of another\": \"version\"").expect("writable");
            bed.open().await;
            bed.embedded().adopt(vec![target(formation)]).await.expect("adopts");
            let after = healthy(bed, 1).await;
            assert_eq!(after.len(), 1, "{after:?}");
            assert_eq!((&after[0].id, after[0].port), (&before[0].id, before[0].port));
        })
    });
}

#[test]
fn what_is_no_instance_in_the_directory_of_instances_is_left_alone() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            start(bed, formation.clone()).await;
            let before = healthy(bed, 1).await;
            bed.close().await;
            let dir = bed.instance_dir(&instance_key(&before[0].id));
            let process = dir.path().parent().expect("below its process");
            // Cut short before its order was written; not a serial at all; a file.
            std::fs::create_dir(process.join("77")).expect("writable");
            std::fs::create_dir(process.join("precious")).expect("writable");
            std::fs::write(process.join("note"), "kept").expect("writable");
            bed.open().await;
            bed.embedded().adopt(vec![target(formation)]).await.expect("adopts");
            let after = healthy(bed, 1).await;
            assert_eq!(after.iter().map(|one| &one.id).collect::<Vec<_>>(), [&before[0].id]);
            assert!(!process.join("77").exists());
            assert!(process.join("precious").exists() && process.join("note").exists());
        })
    });
}

fn kill_monitor(bed: &Bed, id: &InstanceId) {
    let record = bed.instance_dir(&instance_key(id)).record().found().expect("was started");
    let pid = nix::unistd::Pid::from_raw(record.monitor.pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
}

#[test]
fn an_instance_whose_monitor_was_killed_goes_on_with_another_and_is_not_restarted() {
    run_own(|bed| {
        Box::pin(async move {
            start(bed, bed.formation(Behaviour::Serves)).await;
            let id = healthy(bed, 1).await[0].id.clone();
            let dir = bed.instance_dir(&instance_key(&id));
            let before = dir.record().found().expect("was started");
            kill_monitor(bed, &id);
            let replaced = || dir.record().found().is_some_and(|now| now.monitor != before.monitor);
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while !replaced() {
                assert!(std::time::Instant::now() < deadline, "no other monitor has come");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let now = healthy(bed, 1).await;
            assert_eq!(now.iter().map(|one| (&one.id, one.restarts)).collect::<Vec<_>>(), [(&id, 0)]);
            assert_eq!(dir.record().found().expect("is recorded").init, before.init);
        })
    });
}

#[test]
fn instances_that_were_killed_with_everything_else_are_found_lost_and_replaced() {
    run_own(|bed| {
        Box::pin(async move {
            let formation = Formation { demand: 2, ..bed.formation(Behaviour::Serves) };
            start(bed, formation.clone()).await;
            let before = healthy(bed, 2).await;
            bed.close().await;
            for instance in &before {
                kill_monitor(bed, &instance.id);
                bed.kill(&instance_key(&instance.id)).await;
            }
            bed.open().await;
            bed.embedded().adopt(vec![target(formation)]).await.expect("adopts");
            let after = healthy(bed, 2).await;
            for old in &before {
                let now = after.iter().find(|one| one.id == old.id).expect("listed");
                assert_eq!((now.state, reason(now).0), (InstanceState::Stopped, ReasonCode::Lost));
            }
        })
    });
}
