//! Which port a process has, and how its health is checked.

use tapit_model::{Check, Port, PortSetting, ProcessName, ProcessPatch, ProcessSpec, Seconds, Words};

use super::super::{health_check, resolve_port, template};

/// A process with these words, of an image that exposes these ports.
fn check(name: &str, words: &[(&str, &str)], exposed: &[u16], expected: (Option<u16>, &str)) {
    let words: Words = words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let patch = ProcessPatch::parse(&words, true).expect("legal words");
    let template = template::wanted(&patch.apply_to(&ProcessSpec::default()).expect("legal"), None, None);
    let exposed: Vec<Port> = exposed.iter().filter_map(|port| (*port).try_into().ok()).collect();
    let port = resolve_port(template.port, &exposed).map(Port::get);
    let text = match health_check(&ProcessName::parse(name).expect(name), &template, &exposed) {
        Check::Tcp(port) => format!("tcp {port}"),
        Check::Http { port, path } => format!("http {port}{path}"),
        Check::Uptime(Seconds(seconds)) => format!("uptime {seconds}"),
    };
    assert_eq!((port, text.as_str()), expected, "{name} {words:?} {exposed:?}");
}

#[test]
fn the_port_is_the_given_one_else_the_images_only_one_else_8080() {
    check("default", &[("port", "9000")], &[3000], (Some(9000), "tcp 9000"));
    check("default", &[], &[3000], (Some(3000), "tcp 3000"));
    check("default", &[], &[], (Some(8080), "tcp 8080"));
    check("default", &[], &[80, 443], (Some(8080), "tcp 8080"));
}

#[test]
fn a_path_is_asked_by_http() {
    check("default", &[("health_path", "/up")], &[3000], (Some(3000), "http 3000/up"));
    check("api", &[("health_path", "/up")], &[], (Some(8080), "http 8080/up"));
}

#[test]
fn a_process_that_may_listen_nowhere_only_has_to_run() {
    check("worker", &[], &[], (Some(8080), "uptime 2"));
    check("worker", &[("command", "work")], &[3000], (Some(3000), "uptime 2"));
    check("worker", &[("min_healthy_time", "9s")], &[80, 443], (Some(8080), "uptime 9"));
    check("api", &[], &[3000], (Some(3000), "tcp 3000"));
    check("api", &[("command", "serve"), ("port", "3000")], &[], (Some(3000), "tcp 3000"));
}

#[test]
fn no_port_means_no_port_whatever_else_is_said() {
    check("default", &[("port", "none")], &[3000], (None, "uptime 2"));
    check("api", &[("port", "none"), ("health_path", "/up")], &[], (None, "uptime 2"));
    assert_eq!(resolve_port(PortSetting::None, &[]), None);
}
