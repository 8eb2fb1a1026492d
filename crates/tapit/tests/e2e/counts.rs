//! Counts, sizes and other changes of a healthy process.

use std::collections::BTreeSet;

use crate::harness::views::{healthy, present};
use crate::harness::{Load, SMALL, Server};

#[test]
fn a_restart_under_load_replaces_every_instance_and_loses_no_request() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=5 --wait")).ok();
    server.tapit(&format!("create process name=api image=web:v1 {SMALL} demand_count=2 --wait")).ok();
    let (before, sibling) = (healthy(&server.show("default")), healthy(&server.show("api")));
    assert_eq!(before.len(), 5);

    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(50);
    server.tapit("restart process name=default --wait").ok();
    load.until_answered(50);
    let report = load.finish();

    report.assert_none_failed("restart of 5 instances");
    let shown = server.show("default");
    let after = healthy(&shown);
    assert_eq!(after.len(), 5, "{shown:#}");
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    assert_eq!(healthy(&server.show("api")), sibling, "a sibling is never touched");
    assert_eq!(shown["rollout"]["state"], "succeeded");
    assert_eq!(shown["rollout"]["requests"]["failed"], 0, "{shown:#}");
    assert!(after.iter().all(|id| report.answered.contains(id)), "every new one answers: {:?}", report.answered);
}

#[test]
fn scaling_keeps_those_that_stay() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let two = healthy(&server.show("default"));

    server.tapit("set process desired_count=5 --wait").ok();
    let five = healthy(&server.show("default"));
    assert_eq!(five.len(), 5);
    assert!(two.is_subset(&five), "{two:?} {five:?}");

    server.tapit("set process demand_count=-2 --wait").ok();
    let three: BTreeSet<String> = healthy(&server.show("default"));
    assert_eq!(three.len(), 3);
    assert!(three.is_subset(&five) && two.is_subset(&three), "the newest go first: {five:?} {three:?}");

    server.tapit("set process demand=0 --wait").ok();
    let shown = server.show("default");
    assert_eq!(shown["status"], "scaled_to_zero");
    assert!(present(&shown).is_empty(), "{shown:#}");
    let refused = server.get("shop.localhost", "/");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some(), "it says when to come back");
}
