//! How an instance is confined, and what a user may loosen.

use serde_json::{Value, json};

use crate::harness::views::healthy;
use crate::harness::{SMALL, Server, leaks};

const NET_ADMIN: u64 = 1 << 12;

/// Host id behind the container's root, and what its processes may do.
fn seen(server: &Server) -> (u64, u64) {
    let ids = healthy(&server.show("worker"));
    let id = ids.iter().next().expect("a healthy instance");
    let container = format!("shop.{id}");
    let read = |name| leaks::proc_files(server.tag(), &container, name).pop().expect("a process");
    let map = read("uid_map");
    let base = map.split_whitespace().nth(1).and_then(|base| base.parse().ok());
    let status = read("status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    (base.unwrap_or_else(|| panic!("a map: {map}")), effective.unwrap_or_else(|| panic!("capabilities: {status}")))
}

fn settings(shown: &Value) -> (Value, Value) {
    (shown["userns"].clone(), shown["cap_add"].clone())
}

#[test]
fn confinement_is_loosened_by_name_told_and_taken_back() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=0")).ok();
    server.tapit(&format!("create process name=worker image=worker:v1 {SMALL} min_healthy_time=0 --wait")).ok();
    assert_eq!(settings(&server.show("worker")), (json!(true), json!([])));
    let (root, capabilities) = seen(&server);
    assert!(root >= 65_536 && capabilities & NET_ADMIN == 0, "{root} {capabilities:x}");

    let loosened = server.tapit("set process name=worker userns=false cap_add=cap_net_admin --wait").ok();
    let shown = server.show("worker");
    assert_eq!(settings(&shown), (json!(false), json!(["NET_ADMIN"])));
    let (root, capabilities) = seen(&server);
    assert!(root == 0 && capabilities & NET_ADMIN != 0, "{root} {capabilities:x}");
    let events = server.tapit("events lines=100 -o json").ok().json();
    let events = events.as_array().expect("an array").iter();
    let told: Vec<_> =
        events.filter(|event| event["kind"] == "confinement_loosened").map(|e| e["text"].clone()).collect();
    assert_eq!(
        told,
        [
            json!("process worker runs without a user namespace: root inside is root on this machine"),
            json!("process worker is given NET_ADMIN beyond the default")
        ]
    );

    server.shell(&[]).type_line(&format!("{} --wait", loosened.inverse())).ok();
    assert_eq!(settings(&server.show("worker")), (json!(true), json!([])));
    let (root, capabilities) = seen(&server);
    assert!(root >= 65_536 && capabilities & NET_ADMIN == 0, "{root} {capabilities:x}");
}
