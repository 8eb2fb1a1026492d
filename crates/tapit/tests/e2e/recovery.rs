//! The server is killed: containers go on, and the next server takes over what is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::harness::views::{address, healthy, id, instances, present};
use crate::harness::{SMALL, Server, holds, http, leaks, until};

/// What a start with twenty instances may take on a busy machine; it is some tenths of a second on an idle one.
const TAKE_OVER: Duration = Duration::from_secs(5);

fn addresses(process: &Value) -> BTreeMap<String, SocketAddr> {
    instances(process, &["healthy"]).map(|one| (id(one), address(process, one))).collect()
}

/// Every instance answers for itself at its own address.
fn assert_all_serve(addresses: &BTreeMap<String, SocketAddr>) {
    for (id, address) in addresses {
        let answer = http::get(*address, "shop.localhost", "/").unwrap_or_else(|error| panic!("{id}: {error}"));
        assert!(answer.body.starts_with(&format!("hello from {id} of shop")), "{id}: {}", answer.body);
    }
}

#[test]
fn instances_serve_on_while_the_server_is_dead_and_the_next_one_takes_them_over() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=20 --wait")).ok();
    let before = addresses(&server.show("default"));
    assert_eq!(before.len(), 20);

    server.kill9();
    assert_all_serve(&before);
    let time = server.restart();
    println!("a server with 20 instances is ready {} ms after its start", time.as_millis());
    assert!(time < TAKE_OVER, "{time:?}");

    let after = server.show("default");
    assert_eq!(addresses(&after), before, "the same instances at the same addresses");
    assert_eq!(present(&after).len(), 20, "none is doubled");
    assert_eq!(leaks::containers(server.tag()), 20, "none is doubled behind the server's back");
    assert_all_serve(&before);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
    assert_eq!(after["status"], "running");
}

#[test]
fn a_rollout_that_a_kill_cut_short_is_carried_on_to_its_end() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=4 --wait")).ok();
    for image in ["web:v2", "web:v1", "web:v2"] {
        let before = healthy(&server.show("default"));
        server.tapit(&format!("set process image={image}")).ok();
        if image == "web:v1" {
            until(20, "in the middle of the rollout", || {
                let now = healthy(&server.show("default"));
                holds(now.difference(&before).next().is_some(), format!("{now:?}"))
            });
        }
        server.kill9();
        server.restart();
        let shown = until(60, "rolled out", || {
            let shown = server.show("default");
            let done = shown["status"] == "running" && present(&shown).len() == 4;
            holds(done, format!("{} {:?}", shown["status"], present(&shown))).map(|()| shown)
        });
        let after = healthy(&shown);
        assert!(after.len() == 4 && after.is_disjoint(&before), "{before:?} {after:?}");
        assert_eq!((&shown["image"], &shown["rollout"]["state"]), (&Value::from(image), &Value::from("succeeded")));
        assert_eq!(leaks::containers(server.tag()), 4);
    }
}

#[test]
fn a_server_that_was_told_to_end_leaves_its_instances_running() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 --wait")).ok();
    let before = addresses(&server.show("default"));
    assert!(server.sigterm().success());
    assert_all_serve(&before);
    server.tapit("list processes").exits(6);
    server.restart();
    assert_eq!(addresses(&server.show("default")), before);
}

#[test]
fn an_instance_that_died_while_no_server_ran_is_replaced_at_the_next_start() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let before = healthy(&server.show("default"));
    server.kill9();
    let victim = before.iter().next().expect("two instances").clone();
    leaks::kill_init(server.tag(), &format!("shop.{victim}"));
    server.restart();
    let after = until(30, "replaced", || {
        let now = healthy(&server.show("default"));
        holds(now.len() == 2 && !now.contains(&victim), format!("{now:?}")).map(|()| now)
    });
    assert_eq!(before.intersection(&after).count(), 1, "the other one is left alone: {before:?} {after:?}");
}
