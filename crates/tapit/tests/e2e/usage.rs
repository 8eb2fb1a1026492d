//! What instances use, as `top` and a collector of metrics see it, and what `doctor` says of this machine.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::harness::{Load, SMALL, Server, holds, until};

/// Asks the API over its socket; answers the head and the body.
fn ask(socket: &Path, path: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).expect("the socket accepts");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("is answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    (head.to_owned(), body.to_owned())
}

/// The samples of a metric: labels as written, and the value.
fn samples<'a>(text: &'a str, name: &str) -> BTreeMap<&'a str, f64> {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    samples.map(|(labels, value)| (labels, value.parse().expect("a number"))).collect()
}

#[test]
fn a_collector_sees_every_instance_with_its_size_its_work_and_its_traffic() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 --wait")).ok();
    let load = Load::start(server.http(), "shop.localhost");
    load.until_answered(60);
    load.finish().assert_none_failed("before metrics are read");

    let socket = server.data().join("tapit.sock");
    let (head, text) = ask(&socket, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let sum = |name: &str| samples(&text, name).values().sum::<f64>();
    assert_eq!(samples(&text, "tapit_instance_pids{").len(), 3, "{text}");
    assert!(sum("tapit_instance_cpu_seconds_total") > 0.0, "{text}");
    assert!(samples(&text, "tapit_instance_memory_limit_bytes").values().all(|bytes| *bytes == f64::from(31 << 20)));
    assert!(sum("tapit_instance_network_receive_bytes_total") > 1000.0, "{text}");
    assert!(sum("tapit_instance_network_transmit_bytes_total") > 1000.0, "{text}");
    assert!(sum("tapit_router_requests_total{app=\"shop\"}") >= 60.0, "{text}");
    assert_eq!(sum("tapit_process_instances{app=\"shop\",process=\"default\",state=\"healthy\"}"), 3.0, "{text}");
    assert_eq!(sum("tapit_capacity_memory_used_bytes"), f64::from(3 * (31 << 20)), "{text}");

    let (head, refusal) = ask(&socket, "/metrics?name=x");
    assert!(head.starts_with("HTTP/1.1 400") && refusal.contains("name"), "{head} {refusal}");
}

#[test]
fn metrics_are_guarded_like_everything_else() {
    let server = Server::with_token("secret", &["--api", "127.0.0.1:0"]);
    let url = server.api().to_owned();
    let line = |token: &str| format!("curl -s -o /dev/null -w '%{{http_code}}' {token} {url}/metrics");
    assert_eq!(server.shell(&[]).type_line(&line("")).ok().stdout, "403");
    assert_eq!(server.shell(&[]).type_line(&line("-H 'Authorization: Bearer secret'")).ok().stdout, "200");
}

#[test]
fn top_tells_who_is_held_back_by_its_size() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server.tapit("create process name=busy image=web:v1 memory=0.03 cpu=0.05 port=none command='sh -c \"while :; do :; done\"' --wait").ok();
    let rows = until(30, "the busy one is held back", || {
        let rows = server.tapit("top -o json").ok().json();
        let busy = rows.as_array().into_iter().flatten().find(|row| row["process"] == "busy").cloned();
        let throttled = busy.as_ref().and_then(|row| row["throttled_percent"].as_f64()).unwrap_or(0.0);
        holds(throttled > 50.0, format!("{rows:#}"))?;
        Ok(rows)
    });
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), 2, "{rows:?}");
    let busy = rows.iter().find(|row| row["process"] == "busy").expect("listed");
    assert!(busy["cpu_percent"].as_f64().is_some_and(|cpu| (1.0..15.0).contains(&cpu)), "{busy:#}");
    assert_eq!((&busy["state"], &busy["restarts"]), (&"healthy".into(), &0.into()), "{busy:#}");
    assert!(busy["memory_unreclaimable_bytes"].as_u64() <= busy["memory_limit_bytes"].as_u64(), "{busy:#}");

    let table = server.tapit("top name=busy --once -o table").ok();
    assert!(table.stdout.starts_with("INSTANCE") && table.stdout.contains("busy.1"), "{table}");
    assert!(!table.stdout.contains("default.1"), "{table}");
    server.tapit("top name=bussy").exits(3).says("did you mean busy");
}

#[test]
fn top_on_a_terminal_draws_until_q_and_gives_the_terminal_back() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    let drawn = server.tapit("top >/dev/null; printf q | script -qec 'tapit top; stty -a' /dev/null").ok().stdout;
    let (enter, leave) = (drawn.find("\x1b[?1049h"), drawn.rfind("\x1b[?1049l"));
    assert!(enter.zip(leave).is_some_and(|(enter, leave)| enter < leave), "{drawn:?}");
    assert!(drawn.contains("INSTANCE") && drawn.contains("default.1") && drawn.contains("q ends"), "{drawn:?}");
    let after = drawn.rsplit("\x1b[?1049l").next().unwrap_or_default();
    assert!(after.contains(" icanon") && !after.contains("-icanon") && after.contains(" echo "), "{after:?}");
}

#[test]
fn doctor_finds_that_containers_run_here_with_and_without_a_server() {
    let server = Server::start();
    let report = server.tapit("doctor -o json").ok().json();
    assert_eq!((&report["ok"], report["server"].is_string()), (&true.into(), true), "{report:#}");
    let checks = report["checks"].as_array().expect("an array");
    for feature in ["kernel", "cgroups", "network", "seccomp filters", "firewall", "open files"] {
        assert!(checks.iter().any(|check| check["feature"] == feature), "{feature}: {report:#}");
    }
    assert!(checks.iter().all(|check| check["state"] != "unknown"), "root can tell all: {report:#}");

    let alone = [("TAPIT_BASEURL", "unix:///nonexistent/tapit.sock")];
    server
        .shell(&alone)
        .type_line("tapit doctor -o table")
        .ok()
        .says("No server answers here")
        .says("Containers can run");

    // The program and its directory may be closed to others, which is not what is asked here.
    let program = server.home().join("tapit");
    std::fs::copy(env!("CARGO_BIN_EXE_tapit"), &program).expect("a copy of the program");
    let line = format!(
        "chmod 755 . && setpriv --reuid=65534 --regid=65534 --clear-groups {} doctor -o table",
        program.display()
    );
    server.shell(&[]).type_line(&line).exits(1).says("only root can tell").says("does not run as root");
}
