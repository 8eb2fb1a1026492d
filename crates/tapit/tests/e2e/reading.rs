//! Commands that only read.

use serde_json::{Value, json};

use crate::harness::{SMALL, Server};

#[test]
fn events_explain_what_happened_in_order() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    server.tapit("set process demand=1 --wait").ok();
    server.tapit("restart process name=default --wait").ok();
    let events = server.tapit("events -o json").ok().json();
    let events = events.as_array().expect("an array");
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    let mut from = 0;
    for kind in [
        "app_created",
        "process_created",
        "rollout_started",
        "image_pinned",
        "instance_healthy",
        "rollout_succeeded",
        "process_changed",
        "instance_stopping",
        "instance_stopped",
        "rollout_started",
        "rollout_succeeded",
    ] {
        let place = kinds[from..].iter().position(|seen| *seen == kind);
        from += place.unwrap_or_else(|| panic!("{kind} after {:?} in {kinds:#?}", &kinds[..from])) + 1;
    }
    let ids: Vec<u64> = events.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(server.tapit("events lines=3 -o json").ok().json().as_array().map(Vec::len), Some(3));
}

#[test]
fn status_tells_of_the_server_and_its_capacity() {
    let server = Server::with_images(&["--capacity-memory", "4"]);
    server.tapit("create app shop image=web:v1 memory=0.5 demand=2 --wait").ok();
    let status = server.tapit("status -o json").ok().json();
    assert_eq!(status["engine"], "embedded");
    assert_eq!(status["api"], server.api());
    assert_eq!(status["http"], server.http().to_string());
    assert_eq!(status["pid"], server.pid());
    assert_eq!((&status["apps"], &status["processes"], &status["instances"]), (&json!(1), &json!(1), &json!(2)));
    assert_eq!((&status["capacity_memory"], &status["used_memory"]), (&json!(4.0), &json!(1.0)));
    assert!(
        status["version"].is_string() && status["started_at"].is_string() && status["server_memory_bytes"].is_u64()
    );
    server.tapit("-o table status").ok().says("embedded");
}

#[test]
fn a_process_shows_everything_that_is_promised() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=1 spot=1 --wait")).ok();
    let shown = server.show("default");
    let keys = [
        "name",
        "app",
        "engine",
        "status",
        "disabled",
        "public",
        "url",
        "memory",
        "cpu",
        "demand_count",
        "spot_count",
        "running",
        "pending",
        "command",
        "image",
        "image_digest",
        "version",
        "port",
        "health",
        "generation",
        "running_generation",
        "created_at",
        "updated_at",
        "restarted_at",
        "rollout",
        "instances",
        "blocked",
        "events",
    ];
    for key in keys {
        assert!(shown.get(key).is_some(), "{key} in {shown:#}");
    }
    let rollout = ["id", "kind", "state", "from", "to", "started_at", "finished_at", "reason", "requests"];
    let instance = [
        "id",
        "kind",
        "state",
        "reason",
        "ip",
        "generation",
        "started_at",
        "healthy_at",
        "memory_bytes",
        "memory_peak_bytes",
        "cpu_percent",
        "restarts",
        "last_exit",
    ];
    for (part, keys) in [(&shown["rollout"], &rollout[..]), (&shown["instances"][0], &instance[..])] {
        for key in keys {
            assert!(part.get(key).is_some(), "{key} in {part:#}");
        }
    }
    assert_eq!((&shown["engine"], &shown["public"], &shown["port"]), (&json!("embedded"), &json!(true), &json!(8080)));
    assert!(shown["url"].as_str().is_some_and(|url| url.contains("shop.localhost")), "{shown:#}");
    assert!(shown["instances"][0]["memory_bytes"].as_u64() > Some(0), "{shown:#}");
    assert!(shown["created_at"].as_str().is_some_and(|time| time.ends_with('Z')), "times are in UTC");
    assert!(shown["events"].as_array().is_some_and(|events| (1..=10).contains(&events.len())));
    let table = server.tapit("-o table show process name=default").ok().stdout;
    assert!(table.contains("default") && table.contains("web:v1"), "{table}");
}

#[test]
fn lists_are_arrays_in_a_stable_order() {
    let server = Server::with_images(&[]);
    assert_eq!(server.tapit("list apps -o json").ok().json(), json!([]));
    server.tapit("create app shop image=web:v1 demand=0").ok();
    for name in ["zeta", "alpha", "mid"] {
        server.tapit(&format!("create process name={name} demand_count=0")).ok();
    }
    let names = |line: &str| -> Vec<Value> {
        let all = server.tapit(line).ok().json();
        all.as_array().expect("an array").iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names("list processes"), ["alpha", "default", "mid", "zeta"], "JSON without a terminal");
    assert_eq!(names("list apps"), ["shop"]);
    server.tapit("-o table list processes").ok().says("alpha");
}

#[test]
fn help_and_version_need_no_server() {
    let server = Server::start();
    let nowhere = [("TAPIT_BASEURL", "unix:///nowhere/tapit.sock")];
    for (line, part) in [
        ("tapit help", "create process"),
        ("tapit help exit-codes", "cannot be reached"),
        ("tapit help set process", "desired_count"),
        ("tapit set process --help", "desired_count"),
        ("tapit --version", "0.1"),
        ("tapit completion bash", "tapit"),
        ("tapit help man", "tapit"),
    ] {
        server.shell(&nowhere).type_line(line).ok().says(part);
    }
    server.shell(&nowhere).type_line("tapit list apps").exits(6).says("/nowhere/tapit.sock");
}
