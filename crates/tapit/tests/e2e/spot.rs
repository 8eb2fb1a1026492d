//! Spot instances: they make room for demand after a notice, say why they wait, and come back.

use std::path::Path;

use serde_json::Value;

use crate::harness::views::{blocked_by, healthy, instances, of_kind};
use crate::harness::{Load, Server, holds, until};

/// Says so when it gets the notice, as an app would that saves its work.
const POLITE: &str = r#"trap "echo got the notice; exit 0" TERM; while :; do sleep 0.1; done"#;

/// A server with room for four instances of one GB, three of which are spot.
fn three_spot() -> Server {
    let server = Server::with_images(&["--capacity-memory", "4"]);
    server.tapit("create app shop image=worker:v1 demand=0").ok();
    let line = format!("create process name=batch memory=1 demand_count=0 spot_count=3 command='{POLITE}'");
    server.tapit(&line).ok();
    spot_count(&server, 3);
    server
}

fn spot_count(server: &Server, wanted: usize) -> Value {
    until(30, "as many spot instances as there is room for", || {
        let shown = server.show("batch");
        let there = of_kind(&shown, "spot").count();
        holds(there == wanted, format!("{shown:#}")).map(|()| shown)
    })
}

/// Whether a line was written to the log of any instance.
fn logged(directory: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let holds =
        |path: &Path| std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|w| w == text.as_bytes()));
    entries.into_iter().any(|entry| {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
            // The roots of containers hold programs, not logs.
            !matches!(entry.file_name().to_str(), Some("rootfs" | "upper" | "images" | "layers")) && logged(&path, text)
        } else {
            kind.is_ok_and(|kind| kind.is_file()) && path.to_string_lossy().contains("log") && holds(&path)
        }
    })
}

#[test]
fn demand_takes_the_room_of_spot_after_a_notice_and_spot_comes_back() {
    let server = three_spot();
    let before = healthy(&server.show("batch"));
    server.tapit("create process name=big memory=1 demand_count=2 --wait").ok();

    let shown = spot_count(&server, 2);
    assert!(healthy(&shown).is_subset(&before), "the newest went: {before:?} {shown:#}");
    assert!(blocked_by(&shown, "capacity"), "{shown:#}");
    assert_eq!(shown["pending"]["spot"], 1);
    assert_eq!(shown["status"], "running", "missing spot capacity is no failure");
    assert!(logged(server.data(), "got the notice"), "it was told with SIGTERM");
    server.tapit("events name=batch -o json").ok().says("spot_interrupted");

    server.tapit("set process name=big demand_count=1 --wait").ok();
    let shown = spot_count(&server, 3);
    assert!(!blocked_by(&shown, "capacity"), "{shown:#}");
}

#[test]
fn a_demand_instance_that_fits_nowhere_waits_and_says_why() {
    let server = three_spot();
    server.tapit("create process name=huge memory=5 demand_count=1").ok();
    let shown = until(20, "waiting for capacity", || {
        let shown = server.show("huge");
        holds(blocked_by(&shown, "capacity"), format!("{shown:#}")).map(|()| shown)
    });
    assert_eq!(shown["status"], "pending");
    let text = shown["blocked"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains('5') && text.contains("--capacity-memory"), "it says what to do: {text}");
    assert_eq!(of_kind(&server.show("batch"), "spot").count(), 3, "nobody is reclaimed for what would not fit anyway");
}

#[test]
fn a_notice_by_hand_replaces_the_newest_spot_instance() {
    let server = three_spot();
    let before = healthy(&server.show("batch"));
    server.tapit("interrupt process name=batch count=1 --wait").ok();
    let shown = until(30, "back", || {
        let shown = server.show("batch");
        let now = healthy(&shown);
        holds(now.len() == 3 && now != before, format!("{now:?}")).map(|()| shown)
    });
    assert_eq!(healthy(&shown).intersection(&before).count(), 2);
    assert!(logged(server.data(), "got the notice"));
    let kinds: Vec<&Value> = instances(&shown, &["healthy"]).map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["spot"; 3]);
}

#[test]
fn a_full_machine_restarts_one_instance_at_a_time_and_loses_no_request() {
    let server = Server::with_images(&["--capacity-memory", "3"]);
    server.tapit("create app shop image=web:v1 memory=1 cpu=0.1 demand=3 --wait").ok();
    let before = healthy(&server.show("default"));
    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(20);
    server.tapit("restart process name=default --wait").ok();
    load.until_answered(20);
    load.finish().assert_none_failed("restart of 3 instances without room for another");
    let after = healthy(&server.show("default"));
    assert!(after.len() == 3 && after.is_disjoint(&before), "{before:?} {after:?}");
}

#[test]
fn a_host_short_of_memory_takes_its_spot_instances_back_and_leaves_demand_alone() {
    let mut server = three_spot();
    server.tapit("create process name=web image=worker:v1 memory=0.25 demand_count=1 --wait").ok();
    let demand = healthy(&server.show("web"));
    server.sigterm();
    // More than this machine has available, and the most that can be asked for.
    server.restart_with(&["--capacity-memory", "4", "--reserve-memory", "1024"]);

    spot_count(&server, 0);
    until(20, "they say why they wait", || {
        let shown = server.show("batch");
        let text = shown["blocked"][0]["text"].as_str().unwrap_or_default();
        holds(blocked_by(&shown, "capacity") && text.contains("the host itself is short of memory"), &shown)
    });
    until(20, "they are told with SIGTERM", || holds(logged(server.data(), "got the notice"), "no line of it"));
    assert_eq!(healthy(&server.show("web")), demand, "demand instances stay");
    server.tapit("set process name=web demand_count=2 --wait").ok();

    server.sigterm();
    server.restart_with(&["--capacity-memory", "4", "--reserve-memory", "0"]);
    spot_count(&server, 3);
}
