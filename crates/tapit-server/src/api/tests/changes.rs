//! Calls that change something: the words reach the core typed, and wrong ones do not reach it.

use tapit_model::{AppName, ImageRef, ProcessName, ProcessPatch, Request, Words};

use super::Server;
use super::client::Ask;

fn app() -> AppName {
    AppName::parse("shop").unwrap()
}

fn web() -> ProcessName {
    ProcessName::parse("web").unwrap()
}

/// What the command line would make of the words.
fn patch(words: &[(&str, &str)], create: bool) -> ProcessPatch {
    let words: Words = words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ProcessPatch::parse(&words, create).unwrap()
}

#[tokio::test]
async fn each_change_reaches_the_core_as_its_typed_request() {
    let server = Server::start();
    let image = ImageRef::parse("shop/web:v1").ok();
    let created = patch(&[("memory", "0.5"), ("demand_count", "3")], true);
    let set = patch(&[("disabled", "true"), ("spot", "+1"), ("command", "")], false);
    let empty = ProcessPatch::default;
    let words = r#""memory": 0.5, "demand_count": 3"#;
    for (line, body, request) in [
        (
            "POST /v1/apps",
            format!(r#"{{"name": "shop", "image": "shop/web:v1", {words}}}"#),
            Request::CreateApp { app: app(), image: image.clone(), patch: created.clone() },
        ),
        (
            "POST /v1/apps",
            r#"{"name": "shop", "image": ""}"#.to_owned(),
            Request::CreateApp { app: app(), image: None, patch: empty() },
        ),
        (
            "PATCH /v1/apps/shop",
            r#"{"image": "shop/web:v1"}"#.to_owned(),
            Request::SetApp { app: app(), image: Some(image.clone()) },
        ),
        ("PATCH /v1/apps/shop", r#"{"image": ""}"#.to_owned(), Request::SetApp { app: app(), image: Some(None) }),
        ("DELETE /v1/apps/shop", String::new(), Request::DeleteApp { app: app() }),
        (
            "POST /v1/apps/shop/processes",
            format!(r#"{{"name": "web", {words}}}"#),
            Request::CreateProcess { app: app(), process: web(), patch: created },
        ),
        (
            "PATCH /v1/apps/shop/processes/web",
            r#"{"disabled": true, "spot": "+1", "command": ""}"#.to_owned(),
            Request::SetProcess { app: app(), process: web(), patch: set },
        ),
        (
            "POST /v1/apps/shop/processes/web/restart",
            String::new(),
            Request::RestartProcess { app: app(), process: web() },
        ),
        ("DELETE /v1/apps/shop/processes/web", String::new(), Request::DeleteProcess { app: app(), process: web() }),
    ] {
        for (query, verb) in [("", "do"), ("?dry_run=false", "do"), ("?dry_run=true", "try")] {
            let answer = server.ask(Ask::new(&format!("{line}{query}")).json(&body)).await;
            assert_eq!(answer.status, 200, "{line}: {answer:?}");
            assert_eq!(answer.json["dry_run"], verb == "try", "{line}");
            assert_eq!(server.script.calls(), [format!("{verb} {request:?}")], "{line}");
        }
    }
}

#[tokio::test]
async fn interrupts_and_image_changes_pass_the_dry_run_on() {
    let server = Server::start();
    let interrupt = "POST /v1/apps/shop/processes/web/interrupt";
    for (line, body, call) in [
        (interrupt, r#"{"count": 2}"#, "interrupt shop/web 2"),
        (interrupt, "{}", "interrupt shop/web 1"),
        ("DELETE /v1/image?ref=a/b:v1", "", "delete image a/b:v1"),
        ("POST /v1/images/prune", "", "prune"),
        (
            "PATCH /v1/registry?name=Ghcr.io",
            r#"{"username": "ann", "password": "secret", "plain_http": false}"#,
            "set registry ghcr.io RegistryPatch { username: Some(\"ann\"), password: Some(\"hidden\"), mirrors: None, \
             plain_http: Some(false) }",
        ),
        ("DELETE /v1/registry?name=ghcr.io:443", "", "delete registry ghcr.io:443"),
    ] {
        let mark = if line.contains('?') { '&' } else { '?' };
        server.ask(Ask::new(&format!("{line}{mark}dry_run=true")).json(body)).await;
        server.ask(Ask::new(line).json(body)).await;
        assert_eq!(server.script.calls(), [format!("try {call}"), format!("do {call}")]);
    }
}

#[tokio::test]
async fn wrong_words_are_refused_before_anything_is_asked_of_the_core() {
    let server = Server::start();
    let long = format!(r#"{{"command": "{}"}}"#, "x".repeat(40_000));
    for (line, body, part) in [
        ("PATCH /v1/apps/shop/processes/web", r#"{"memroy": 1}"#, "did you mean memory?"),
        ("PATCH /v1/apps/shop/processes/web", r#"{"memory": "1", "memory": "2"}"#, "given twice"),
        ("PATCH /v1/apps/shop/processes/web", r#"{"memory": null}"#, "a string, a number or a boolean"),
        ("PATCH /v1/apps/shop/processes/web", r#"{"memory": [1]}"#, "a string, a number or a boolean"),
        ("PATCH /v1/apps/shop/processes/web", r#"{"demand": 1, "demand_count": 2}"#, "same key"),
        ("PATCH /v1/apps/shop/processes/web", r#"{"demand": 99999999999999999999}"#, "whole number"),
        ("PATCH /v1/apps/shop/processes/web", "[]", "object"),
        ("PATCH /v1/apps/shop/processes/web", "", "object"),
        ("PATCH /v1/apps/shop/processes/web", &long, "at most 32768"),
        ("POST /v1/apps/shop/processes", r#"{"memory": 1}"#, "\"name\" is missing"),
        ("POST /v1/apps/shop/processes", r#"{"name": "web", "disabled": true}"#, "not of create"),
        ("POST /v1/apps/shop/processes", r#"{"name": "We b"}"#, "process name"),
        ("POST /v1/apps", r#"{"name": "../x"}"#, "app name"),
        ("POST /v1/apps", r#"{"name": "shop", "image": "UP"}"#, "image reference"),
        ("PATCH /v1/apps/shop", r#"{"memory": 1}"#, "one key, image"),
        ("PATCH /v1/apps/shop", "{}", "nothing to set"),
        ("PATCH /v1/apps/Shop/processes/web", "{}", "app name"),
        ("PATCH /v1/apps/shop/processes/%2e%2e", "{}", "process name"),
        ("PATCH /v1/apps/shop/processes/%ff", "{}", "UTF-8"),
        ("POST /v1/apps/shop/processes/web/interrupt", r#"{"count": 0}"#, "1 to 1000"),
        ("POST /v1/apps/shop/processes/web/interrupt", r#"{"count": "+1"}"#, "1 to 1000"),
        ("POST /v1/apps/shop/processes/web/interrupt", r#"{"cuont": 1}"#, "one key, count"),
        ("POST /v1/apps/shop/processes/web/restart?dry_run=perhaps", "", "dry_run"),
        ("POST /v1/apps/shop/processes/web/restart?dryrun=true", "", "dry_run"),
        ("POST /v1/apps/shop/processes/web/restart?dry_run=true&dry_run=false", "", "dry_run"),
        ("DELETE /v1/image", "", "ref"),
        ("PATCH /v1/registry?name=ghcr.io", r#"{"pasword": "x"}"#, "did you mean password?"),
        ("PATCH /v1/registry?name=ghcr.io", "{}", "needs something to change"),
        ("PATCH /v1/registry?name=https://ghcr.io", "{}", "is not a registry"),
        ("PATCH /v1/registry", "{}", "name"),
        ("DELETE /v1/registry?name=..", "", "is not a registry"),
        ("DELETE /v1/image?ref=..", "", "image reference"),
    ] {
        server.ask(Ask::new(line).json(body)).await.refuses(400, "usage", part);
        assert!(server.script.calls().is_empty(), "{line} {body}");
    }
}

#[tokio::test]
async fn a_body_must_be_small_json() {
    let server = Server::start();
    let line = "PATCH /v1/apps/shop/processes/web";
    let form = Ask::new(line).header("Content-Type", "application/x-www-form-urlencoded").bytes(b"memory=1");
    server.ask(form).await.refuses(400, "usage", "application/json");

    let large = format!(r#"{{"command": "{}"}}"#, "x".repeat(2 * 1024 * 1024));
    server.ask(Ask::new(line).json(&large)).await.refuses(413, "usage", "1 MiB");

    let charset = Ask::new(line).header("Content-Type", "Application/JSON; charset=utf-8").bytes(br#"{"memory": 1}"#);
    assert_eq!(server.ask(charset).await.status, 200);
    assert_eq!(server.ask(Ask::new(line).bytes(br#"{"memory": 1}"#)).await.status, 200);
}

#[tokio::test]
async fn every_code_has_its_status() {
    let server = Server::start();
    for (app, status, code) in [
        ("failed", 500, "failed"),
        ("usage", 400, "usage"),
        ("not-found", 404, "not_found"),
        ("conflict", 409, "conflict"),
        ("denied", 403, "denied"),
        ("unavailable", 503, "unavailable"),
    ] {
        let told = format!("refused as {app}");
        server.ask(Ask::new(&format!("GET /v1/apps/{app}"))).await.refuses(status, code, &told);
        server.ask(Ask::new(&format!("DELETE /v1/apps/{app}"))).await.refuses(status, code, &told);
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_goes_on() {
    let server = Server::start();
    for line in ["GET /v1/apps/panic", "DELETE /v1/apps/panic"] {
        server.ask(Ask::new(line)).await.refuses(500, "failed", "a bug of tapit");
    }
    assert_eq!(server.ask(Ask::new("GET /v1/status")).await.status, 200);
}
