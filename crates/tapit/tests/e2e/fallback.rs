//! `spot_fallback`: what spot cannot run runs on demand, until spot is back.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::views::{blocked_by, healthy, of_kind};
use crate::harness::{Load, Server, holds, until};

const SMALL: &str = "memory=1 cpu=0.1";

/// Healthy instances on demand and on spot, and how many of the former stand in for the latter.
fn counts(process: &Value) -> (usize, usize, u64) {
    (of_kind(process, "demand").count(), of_kind(process, "spot").count(), process["fallback"].as_u64().unwrap_or(99))
}

fn comes_to(server: &Server, name: &str, wanted: (usize, usize, u64)) -> Value {
    until(60, &format!("{name} comes to {wanted:?}"), || {
        let shown = server.show(name);
        holds(counts(&shown) == wanted && healthy(&shown).len() == wanted.0 + wanted.1, format!("{shown:#}"))
            .map(|()| shown)
    })
}

/// How often the log tells of this kind of event.
fn told(server: &Server, name: &str, kind: &str) -> usize {
    let events = server.tapit(&format!("events name={name} -o json")).ok().json();
    events.as_array().into_iter().flatten().filter(|event| event["kind"] == kind).count()
}

#[test]
fn what_has_no_room_on_spot_takes_the_room_of_others_and_gives_it_back() {
    let mut server = Server::with_images(&["--capacity-memory", "3"]);
    server.tapit(&format!("create app shop image=worker:v1 {SMALL} demand=1 port=none --wait")).ok();
    server.tapit(&format!("create process name=other {SMALL} demand=0 spot=2 --wait")).ok();
    comes_to(&server, "other", (0, 2, 0));

    // Missing spot capacity keeps nobody waiting.
    server.tapit(&format!("create process name=batch {SMALL} demand=0 spot=2 spot_fallback=8s --wait")).ok();
    let begun = Instant::now();
    let shown = server.show("batch");
    assert_eq!((counts(&shown), &shown["spot_fallback"]), ((0, 0, 0), &Value::from(8)), "{shown:#}");
    assert!(blocked_by(&shown, "capacity"), "{shown:#}");
    // Since when it is missing is remembered by the next server.
    server.kill9();
    server.restart();
    let shown = comes_to(&server, "batch", (2, 0, 2));
    assert!(begun.elapsed() >= Duration::from_secs(7), "{:?}", begun.elapsed());
    assert_eq!((&shown["status"], &shown["pending"]["spot"]), (&Value::from("running"), &Value::from(2)), "{shown:#}");
    assert_eq!((&shown["demand_count"], &shown["running"]["demand"]), (&Value::from(0), &Value::from(2)), "{shown:#}");
    comes_to(&server, "other", (0, 0, 0));
    server.tapit("list processes -o table").ok().says("0/2 (+2 on demand)");
    assert_eq!(told(&server, "batch", "fallback_started"), 1);
    server.tapit("events name=batch").ok().says("spot has been missing for 8s: 2 instances run on demand instead");

    // Neither a rollout nor a wait hangs on it, and nobody is doubled by another death.
    server.tapit("restart process name=batch --wait").ok();
    let stand_ins = healthy(&comes_to(&server, "batch", (2, 0, 2)));
    server.kill9();
    server.restart();
    assert_eq!(healthy(&comes_to(&server, "batch", (2, 0, 2))), stand_ins, "they are the same");

    server.sigterm();
    server.restart_with(&["--capacity-memory", "7"]);
    comes_to(&server, "batch", (2, 2, 2));
    comes_to(&server, "other", (0, 2, 0));
    let shown = comes_to(&server, "batch", (0, 2, 0));
    assert_eq!(shown["status"], "running", "{shown:#}");
    assert_eq!(told(&server, "batch", "fallback_started"), 1, "it came once");
    let back = told(&server, "batch", "fallback_paid_back");
    assert!((1..=2).contains(&back), "each is paid back once: {back}");
}

#[test]
fn on_a_host_that_is_short_of_memory_a_public_process_goes_on_without_a_failed_request() {
    // More than this machine has available: no spot instance starts.
    let server = Server::with_images(&["--capacity-memory", "8", "--reserve-memory", "1024"]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=1 spot=3 spot_fallback=1s --wait")).ok();
    comes_to(&server, "default", (4, 0, 3));
    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(20);
    server.tapit("set process name=default demand_count=2 --wait").ok();
    comes_to(&server, "default", (5, 0, 3));
    server.tapit("restart process name=default --wait").ok();
    comes_to(&server, "default", (5, 0, 3));

    // What is not wanted any more goes at once.
    server.tapit("set process name=default spot_count=2 --wait").ok();
    assert_eq!(counts(&server.show("default")), (4, 0, 2));
    let answer = server.tapit("set process name=default spot_fallback=none --wait").ok();
    answer.says("set process name=default spot_fallback=1s");
    let shown = server.show("default");
    assert_eq!((counts(&shown), &shown["spot_fallback"]), ((2, 0, 0), &Value::Null), "{shown:#}");
    load.until_answered(20);
    load.finish().assert_none_failed("stand-ins that come, are replaced and go");
    let generation = shown["generation"].clone();
    server.tapit("set process name=default spot_fallback=2m --wait").ok();
    assert_eq!(server.show("default")["generation"], generation, "the key replaces nobody");
}
