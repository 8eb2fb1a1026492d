//! Reading what `show` and `list` answer.

use std::collections::BTreeSet;

use serde_json::Value;

/// The instances of a process in one of these states.
pub fn instances<'a>(process: &'a Value, states: &'a [&'a str]) -> impl Iterator<Item = &'a Value> {
    let all = process["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(move |one| one["state"].as_str().is_some_and(|state| states.contains(&state)))
}

/// The ids of those that serve.
pub fn healthy(process: &Value) -> BTreeSet<String> {
    instances(process, &["healthy"]).map(id).collect()
}

/// The ids of everything that is not stopped.
pub fn present(process: &Value) -> BTreeSet<String> {
    let states = ["pending", "pulling", "starting", "healthy", "unhealthy", "draining", "stopping"];
    instances(process, &states).map(id).collect()
}

pub fn of_kind<'a>(process: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    instances(process, &["healthy"]).filter(move |one| one["kind"] == kind)
}

pub fn id(instance: &Value) -> String {
    instance["id"].as_str().unwrap_or_default().to_owned()
}

/// The address at which an instance can be reached.
pub fn address(process: &Value, instance: &Value) -> std::net::SocketAddr {
    let ip = instance["ip"].as_str().and_then(|ip| ip.parse().ok());
    let ip: std::net::IpAddr = ip.unwrap_or_else(|| panic!("an instance without an address: {instance}"));
    let port = process["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    std::net::SocketAddr::new(ip, port.unwrap_or_else(|| panic!("a process without a port: {process}")))
}

/// Whether one of the reasons for waiting has this code.
pub fn blocked_by(process: &Value, code: &str) -> bool {
    process["blocked"].as_array().is_some_and(|all| all.iter().any(|one| one["code"] == code))
}
