//! What goes wrong inside containers: it is replaced, explained, and kept away from its neighbours.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::views::{blocked_by, healthy, id, instances, present};
use crate::harness::{Load, SMALL, Server, holds, leaks, until};

fn log_tail(process: &Value) -> String {
    let lines = process["rollout"]["log_tail"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_image_that_exits_at_once_is_rolled_back_while_the_old_one_serves() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 --wait")).ok();
    let before = healthy(&server.show("default"));

    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(20);
    server.tapit("set process image=web:failing --wait").exits(1).says("told to fail");
    load.until_answered(20);
    load.finish().assert_none_failed("rollout of an image that exits at once");

    let shown = server.show("default");
    assert_eq!(shown["status"], "rolled_back", "{shown:#}");
    assert_eq!(healthy(&shown), before, "the old generation serves at its full count");
    assert_eq!(shown["rollout"]["state"], "rolled_back");
    assert_eq!(shown["rollout"]["last_exit"]["code"], 3);
    assert!(
        shown["rollout"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("3 in a row") || reason.contains("exit 3")),
        "{shown:#}"
    );
    assert!(log_tail(&shown).contains("told to fail"), "{shown:#}");
    assert!(shown["running_generation"].as_u64() < shown["generation"].as_u64(), "wanted and running are told apart");
    until(20, "rid of the new generation", || {
        holds(present(&server.show("default")) == before, server.show("default"))
    });

    server.tapit("set process image=web:v2 --wait").ok();
    let shown = server.show("default");
    assert_eq!(shown["status"], "running", "a good image ends it: {shown:#}");
}

#[test]
fn an_image_that_never_gets_healthy_is_rolled_back_at_its_deadline() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 health_timeout=3s --wait")).ok();
    let before = healthy(&server.show("default"));
    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(20);
    server.tapit("set process image=web:deaf --wait").exits(1);
    load.until_answered(20);
    load.finish().assert_none_failed("rollout of an image that never gets healthy");
    let shown = server.show("default");
    assert_eq!(
        (&shown["status"], &shown["rollout"]["state"]),
        (&Value::from("rolled_back"), &Value::from("rolled_back"))
    );
    assert_eq!(healthy(&shown), before);
    assert!(shown["rollout"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{shown:#}");
}

#[test]
fn an_instance_that_was_killed_is_replaced() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let before = healthy(&server.show("default"));
    let victim = before.iter().next().expect("two instances").clone();
    leaks::kill_init(server.tag(), &format!("shop.{victim}"));
    let shown = until(20, "replaced", || {
        let shown = server.show("default");
        let now = healthy(&shown);
        holds(now.len() == 2 && !now.contains(&victim), format!("{now:?}")).map(|()| shown)
    });
    assert_eq!(before.intersection(&healthy(&shown)).count(), 1, "the other one is left alone");
    let newest = instances(&shown, &["healthy"]).find(|one| !before.contains(&id(one))).expect("a new one");
    assert_eq!(newest["last_exit"]["signal"], 9, "it says how its predecessor ended: {newest}");
    let events = server.tapit("events name=default -o json").exits(0).stdout;
    assert!(events.contains(&format!("{victim} stopped")) && events.contains("crashed"), "{events}");
}

#[test]
fn a_crash_loop_backs_off_and_leaves_its_siblings_alone() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let sibling = healthy(&server.show("default"));
    server.tapit(&format!("create process name=crash {SMALL} command='echo going; exit 7'")).ok();
    let shown = until(30, "backing off", || {
        let shown = server.show("crash");
        let restarts =
            shown["instances"].as_array().into_iter().flatten().filter_map(|one| one["restarts"].as_u64()).max();
        holds(blocked_by(&shown, "back_off") && restarts >= Some(3), format!("{shown:#}")).map(|()| shown)
    });
    assert_eq!(shown["status"], "degraded", "{shown:#}");
    let exits = shown["instances"].as_array().into_iter().flatten().any(|one| one["last_exit"]["code"] == 7);
    assert!(exits, "{shown:#}");
    assert_eq!(healthy(&server.show("default")), sibling);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn an_instance_that_takes_too_much_memory_is_said_to_have_done_so() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    let first = healthy(&server.show("default"));
    let address = {
        let shown = server.show("default");
        let one = instances(&shown, &["healthy"]).next().expect("one instance").clone();
        crate::harness::views::address(&shown, &one)
    };
    // It dies while it answers.
    let _ = crate::harness::http::get(address, "shop.localhost", "/leak?mb=200");
    let shown = until(30, "replaced", || {
        let shown = server.show("default");
        holds(healthy(&shown).len() == 1 && healthy(&shown) != first, format!("{shown:#}")).map(|()| shown)
    });
    let oom = shown["instances"].as_array().into_iter().flatten().any(|one| one["last_exit"]["oom"] == true);
    assert!(oom, "{shown:#}");
    server.tapit("events name=default -o json").ok().says("out of memory");
}

#[test]
fn a_burning_instance_gets_its_share_of_cpu_and_no_more() {
    let server = Server::with_images(&[]);
    server.tapit("create app shop image=web:v1 memory=0.03 cpu=0.25 --wait").ok();
    assert_eq!(server.get("shop.localhost", "/burn").status, 200);
    let percent = || {
        let shown = server.show("default");
        instances(&shown, &["healthy"]).next().and_then(|one| one["cpu_percent"].as_f64())
    };
    percent();
    // A reading is over the time since the last one; a longer one smooths the scheduler's steps of a tenth of a second.
    let measured = until(30, "a quarter of a core", || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1500) {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let seen = percent();
        assert!(seen.is_none_or(|seen| seen < 35.0), "more than its share: {seen:?} %");
        seen.filter(|seen| *seen > 15.0).ok_or_else(|| format!("{seen:?} %"))
    });
    println!("an instance with cpu=0.25 that burns uses {measured:.1} % of a core");
}

#[test]
fn an_instance_that_turns_sick_is_replaced() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 health_path=/healthz --wait")).ok();
    let before = healthy(&server.show("default"));
    let sick = server.get("shop.localhost", "/sick");
    assert_eq!(sick.status, 200);
    let after = until(60, "replaced", || {
        let shown = server.show("default");
        let now = healthy(&shown);
        holds(now.len() == 2 && now != before, format!("{shown:#}")).map(|()| now)
    });
    assert_eq!(before.intersection(&after).count(), 1, "{before:?} {after:?}");
}

#[test]
fn a_process_that_ends_by_itself_is_completed_and_not_crashed() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=worker:v1 {SMALL} demand=0")).ok();
    server.tapit(&format!("create process name=once {SMALL} command='true'")).ok();
    let shown = until(20, "stopped", || {
        let shown = server.show("once");
        let ended = instances(&shown, &["stopped"]).next().is_some();
        holds(ended, format!("{shown:#}")).map(|()| shown)
    });
    let one = instances(&shown, &["stopped"]).next().expect("a stopped one");
    assert_eq!(one["last_exit"]["code"], 0);
    assert!(one["reason"].as_str().is_some_and(|reason| reason.contains("completed")), "{one}");
}

#[test]
fn an_instance_that_ignores_sigterm_is_killed_after_its_time() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=worker:v1 {SMALL} demand=0")).ok();
    let stubborn = r#"trap "" TERM; while :; do sleep 1; done"#;
    server.tapit(&format!("create process name=rock {SMALL} stop_timeout=1s command='{stubborn}' --wait")).ok();
    let begun = Instant::now();
    server.tapit("set process name=rock disabled=true --wait").ok();
    let time = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&time), "{time:?}");
    let shown = server.show("rock");
    let one = instances(&shown, &["stopped"]).next().expect("a stopped one");
    assert_eq!(one["last_exit"]["signal"], 9, "{one}");
    assert_eq!(leaks::containers(server.tag()), 0);
}
