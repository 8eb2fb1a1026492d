//! Every example of the page that the project implements, typed in its order, on ECS.

use serde_json::Value;

use crate::harness::page::{CUSTOM_COMMANDS, Reader, WEB_PROCESS};
use crate::harness::{SMALL, Server, holds, until, views};

fn in_app<'a>(server: &'a Server, environment: &'a [(&'a str, &'a str)]) -> Reader<'a> {
    Reader { shell: server.shell(environment), smallest: SMALL, patience_seconds: 150 }
}

#[test]
fn every_example_of_the_page_works_as_written_and_in_order() {
    let Some(server) = Server::with_images() else { return };
    server.tapit("create app shop image=web:v1").ok();
    let reader = in_app(&server, &[("TAPIT_APP", "shop")]);
    reader.types_the_whole_page();
    assert_eq!(server.get("shop", "/").status, 200);

    // Fifteen containers, each the task of an instance that is shown, at the address that is shown.
    let shown = ["api", "auth-service", "default", "migrate", "scheduler", "worker"].map(|name| reader.show(name));
    let addresses: Vec<&str> = shown.iter().flat_map(|one| views::instances(one, &["healthy"])).map(address).collect();
    assert_eq!(addresses.len(), 15, "{shown:#?}");
    assert!(addresses.iter().all(|ip| ip.split('.').count() == 4), "{addresses:?}");
    until(30, "rid of the containers of earlier generations", || {
        let running = server.account().containers().len();
        holds(running == 15, format!("{running} containers"))
    });
}

fn address(instance: &Value) -> &str {
    instance["ip"].as_str().unwrap_or_default()
}

#[test]
fn the_examples_of_the_custom_commands_make_what_they_say_in_a_fresh_app() {
    let Some(server) = Server::with_images() else { return };
    server.tapit("create app plain image=web:v1").ok();
    server.tapit("create app sized image=web:v1").ok();
    let plain = in_app(&server, &[("TAPIT_APP", "plain")]);
    let sized = in_app(&server, &[("TAPIT_APP", "sized")]);
    for line in CUSTOM_COMMANDS {
        plain.types(line).ok();
    }
    sized.types(WEB_PROCESS).ok();
    plain.steady();
    sized.steady();
    assert_eq!(server.get("plain", "/").status, 200);
    assert_eq!(server.get("sized", "/").status, 200);
    let shown = sized.show("default");
    assert_eq!((&shown["running"]["demand"], &shown["running"]["spot"]), (&Value::from(3), &Value::from(1)));
}

#[test]
fn a_size_that_fargate_does_not_have_is_refused_before_any_call() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server.account().strict().take_counts();
    server.tapit("set process memory=4").exits(2).says("memory=2").says("cpu=0.5");
    server.tapit("create process name=odd cpu=0.3 memory=0.5").exits(2);
    let counts = server.account().strict().take_counts();
    let writes = counts.keys().filter(|name| !["Describe", "List", "Get"].iter().any(|read| name.contains(read)));
    assert_eq!(writes.collect::<Vec<_>>(), Vec::<&String>::new(), "{counts:?}");
    assert_eq!(server.show("default")["memory"], 0.5);
}
