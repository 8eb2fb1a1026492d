//! Worse than one failure: everything at once, again and again, and neighbours that misbehave.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::views::{healthy, present};
use crate::harness::{Load, SMALL, Server, holds, http, leaks, until};

/// Waits for exactly this many instances, all healthy, of a process that is at rest.
fn at_rest(server: &Server, process: &str, count: usize) -> Value {
    until(60, "at rest", || {
        let shown = server.show(process);
        let done = shown["status"] == "running" && healthy(&shown).len() == count && present(&shown).len() == count;
        holds(done, format!("{} {:?}", shown["status"], present(&shown))).map(|()| shown)
    })
}

#[test]
fn everything_killed_at_once_is_replaced_at_the_next_start() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=4 --wait")).ok();
    let before = healthy(&server.show("default"));
    server.kill9();
    leaks::kill_all(server.tag(), server.data());
    server.restart();
    let after = healthy(&at_rest(&server, "default", 4));
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    assert_eq!(leaks::containers(server.tag()), 4, "nothing of the dead ones is left");
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn monitors_that_are_killed_do_not_double_their_instances() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 --wait")).ok();
    leaks::kill_monitors(server.data());
    until(60, "three instances again", || {
        let shown = server.show("default");
        let done =
            shown["status"] == "running" && present(&shown).len() == 3 && leaks::monitors(server.data()).len() == 3;
        holds(done, format!("{} {:?}", shown["status"], present(&shown)))
    });
    assert_eq!(leaks::containers(server.tag()), 3);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn a_server_that_is_killed_over_and_over_ends_where_it_was_told_to() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    server.tapit(&format!("create process name=worker image=worker:v1 {SMALL} min_healthy_time=0 --wait")).ok();
    let sibling = healthy(&server.show("worker"));
    // Each command is cut short at another place: right after it was accepted, and some way into what it causes.
    for (round, line) in [
        "set process name=default demand=6",
        "restart process name=default",
        "set process name=default demand=3 image=web:v2",
        "set process name=default disabled=true",
        "set process name=default disabled=false",
        "restart process name=default",
        "set process name=default demand=4 memory=64M",
    ]
    .into_iter()
    .enumerate()
    {
        server.tapit(line).ok();
        let into = Instant::now() + Duration::from_millis(60 * round as u64);
        while Instant::now() < into {
            server.tapit("list processes").ok();
        }
        server.kill9();
        server.restart();
    }
    let shown = at_rest(&server, "default", 4);
    assert_eq!((&shown["image"], &shown["memory"]), (&Value::from("web:v2"), &Value::from(0.0625)));
    assert_eq!(healthy(&server.show("worker")), sibling, "a sibling is never touched");
    assert_eq!(leaks::containers(server.tag()), 5);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn a_fork_bomb_and_a_burner_leave_their_sibling_serving() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let sibling = healthy(&server.show("default"));
    server
        .tapit("create process name=bomb memory=0.1 cpu=0.2 stop_timeout=2s command='b() { b | b & }; b; sleep 1000'")
        .ok();
    server.tapit("create process name=burner memory=0.03 cpu=0.2 command='while true; do true; done'").ok();
    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(1000);
    load.finish().assert_none_failed("requests beside a fork bomb and a burner");
    assert_eq!(healthy(&server.show("default")), sibling);
    server.tapit("delete process name=bomb --force --wait").ok();
}

#[test]
fn apps_that_come_and_go_leave_nothing_in_a_running_server() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app stays image=web:v1 {SMALL} --wait")).ok();
    let before = leaks::kernel_objects(server.tag());
    for round in 0..8 {
        server.tapit(&format!("create app goes{round} image=web:v1 {SMALL} demand=2 --wait")).ok();
        server.tapit(&format!("-a goes{round} delete app --force --wait")).ok();
    }
    let left = || leaks::kernel_objects(server.tag());
    until(20, "as clean as before", || holds(left() == before, format!("{before:?} {:?}", left())));
    assert_eq!(leaks::monitors(server.data()).len(), 1);
}

#[test]
fn requests_in_flight_end_before_their_instance_does() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let to = server.http();
    let slow: Vec<_> =
        (0..4).map(|_| std::thread::spawn(move || http::get(to, "shop.localhost", "/slow?ms=2500"))).collect();
    until(10, "requests in flight", || {
        let established = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let port = format!(":{:04X} ", to.port());
        // Local port of the router, state 01: established.
        let held = established.lines().filter(|line| line.contains(&port) && line.contains(" 01 ")).count();
        holds(held >= 4, held)
    });
    server.tapit("restart process name=default --wait").ok();
    for thread in slow {
        let answer = thread.join().expect("a thread").expect("an answer");
        assert!(answer.status == 200 && answer.body.starts_with("slow answer"), "{} {}", answer.status, answer.body);
    }
}

#[test]
fn conflicting_changes_at_once_leave_one_of_them() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    std::thread::scope(|scope| {
        for count in 1..=6 {
            let server = &server;
            scope.spawn(move || server.tapit(&format!("set process demand={count} memory=0.0{}", 3 + count % 2)).ok());
        }
    });
    let wanted = server.show("default")["demand_count"].as_u64().expect("a count");
    let shown = at_rest(&server, "default", usize::try_from(wanted).expect("small"));
    assert!((1..=6).contains(&wanted), "{shown:#}");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let server = &server;
            scope.spawn(move || server.tapit("set process demand=+1").ok());
        }
    });
    assert_eq!(server.show("default")["demand_count"], wanted + 4, "no relative change is lost");
}
