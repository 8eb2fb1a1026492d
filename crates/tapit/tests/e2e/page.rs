//! Every example of the page that the project implements, typed in its order.

use serde_json::Value;

use crate::harness::page::{CUSTOM_COMMANDS, Reader, WEB_PROCESS};
use crate::harness::{SMALL, Server};

/// Memory is counted as promised, not as used: the page's sizes must not depend on the machine.
const ROOMY: [&str; 2] = ["--capacity-memory", "64"];

fn in_app<'a>(server: &'a Server, environment: &'a [(&'a str, &'a str)]) -> Reader<'a> {
    Reader { shell: server.shell(environment), smallest: SMALL, patience_seconds: 90 }
}

#[test]
fn every_example_of_the_page_works_as_written_and_in_order() {
    let server = Server::with_images(&ROOMY);
    server.tapit("create app shop image=web:v1").ok();
    in_app(&server, &[("TAPIT_APP", "shop")]).types_the_whole_page();
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn the_examples_of_the_custom_commands_make_what_they_say_in_a_fresh_app() {
    let server = Server::with_images(&ROOMY);
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
    assert_eq!(server.get("plain.localhost", "/").status, 200);
    assert_eq!(server.get("sized.localhost", "/").status, 200);
    let shown = sized.show("default");
    assert_eq!((&shown["running"]["demand"], &shown["running"]["spot"]), (&Value::from(3), &Value::from(1)));
}
