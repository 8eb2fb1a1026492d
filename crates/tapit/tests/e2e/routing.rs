//! Requests from outside: which app they reach, and what happens while nobody can answer.

use std::time::{Duration, Instant};

use crate::harness::{SMALL, Server, http};

#[test]
fn a_request_that_comes_before_the_first_instance_waits_for_it() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL}")).ok();
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn a_request_that_nobody_can_answer_is_held_for_a_while_and_then_told_to_come_back() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:failing {SMALL}")).ok();
    let begun = Instant::now();
    let answer = server.get("shop.localhost", "/");
    let held = begun.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some(), "it says when to come back");
    assert!((Duration::from_secs(4)..Duration::from_secs(12)).contains(&held), "{held:?}");
}

#[test]
fn the_only_app_answers_for_any_host_and_among_several_each_for_its_own() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app one image=web:v1 {SMALL} --wait")).ok();
    for host in ["one.localhost", "ONE.localhost:80", "anything.example", "127.0.0.1"] {
        assert!(server.get(host, "/").body.contains(" of one,"), "{host}");
    }
    server.tapit(&format!("create app two image=web:v1 {SMALL} --wait")).ok();
    assert!(server.get("one.localhost", "/").body.contains(" of one,"));
    assert!(server.get("two.localhost", "/").body.contains(" of two,"));
    let unknown = server.get("anything.example", "/");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("anything.example"), "{}", unknown.body);
}

#[test]
fn a_process_that_is_not_public_is_not_reached_from_outside() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server.tapit(&format!("create process name=api {SMALL} --wait")).ok();
    server.tapit("create app other demand=0").ok();
    for _ in 0..10 {
        assert!(server.get("shop.localhost", "/").body.starts_with("hello from default."));
    }
    for host in ["api.localhost", "api.shop.localhost", "api.shop.internal"] {
        assert_eq!(server.get(host, "/").status, 404, "{host}");
    }
}

#[test]
fn the_host_reaches_an_instance_at_the_address_that_show_tells() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server.tapit(&format!("create process name=api port=9100 {SMALL} --wait")).ok();
    let shown = server.show("api");
    let one = crate::harness::views::instances(&shown, &["healthy"]).next().expect("an instance");
    let answer = http::get(crate::harness::views::address(&shown, one), "api", "/").expect("an answer");
    assert!(answer.body.starts_with("hello from api."), "{}", answer.body);
}
