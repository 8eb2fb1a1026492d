//! `--wait`: the loop of long polls and how it ends.

use crate::server::{Server, outcome, process, refusal};

const SETTLED: &str = "GET /v1/apps/shop/processes/web/settled?revision=9&wait=20";
const RESTART: &str = "POST /v1/apps/shop/processes/web/restart";
const SHOW: &str = "GET /v1/apps/shop/processes/web";

fn progress(settled: bool, ok: bool, text: &str) -> String {
    format!(r#"{{"settled":{settled},"ok":{ok},"text":"{text}","log_tail":["Traceback","boom"]}}"#)
}

fn restarted() -> String {
    outcome("restarting web", Some(&process("web", "restarting")))
}

#[test]
fn it_waits_until_the_change_has_settled_and_shows_the_newest_state() {
    let server = Server::answering(&[
        (RESTART, 200, &restarted()),
        (SETTLED, 200, &progress(false, false, "1/3 healthy")),
        (SETTLED, 200, &progress(false, false, "1/3 healthy")),
        (SETTLED, 200, &progress(true, true, "3/3 healthy")),
        (SHOW, 200, &process("web", "running")),
    ]);
    let run = server.user().run("tapit restart process name=web -a shop --wait");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert!(run.out.contains(r#""status": "running""#), "{}", run.out);
    assert!(run.err.ends_with("1/3 healthy\n3/3 healthy\n"), "a line for every change: {}", run.err);
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn on_a_terminal_progress_is_rewritten_in_place() {
    let server = Server::answering(&[
        (RESTART, 200, &restarted()),
        (SETTLED, 200, &progress(false, false, "1/3 healthy")),
        (SETTLED, 200, &progress(true, true, "3/3 healthy")),
        (SHOW, 200, &process("web", "running")),
    ]);
    let run = server.user().at_terminal().run("tapit restart process name=web -a shop -w");
    assert!(run.err.ends_with("\r\u{1b}[K1/3 healthy\r\u{1b}[K3/3 healthy\n"), "{:?}", run.err);
}

#[test]
fn a_change_that_did_not_get_healthy_fails_with_its_reason_and_log() {
    let server = Server::answering(&[
        (RESTART, 200, &restarted()),
        (SETTLED, 200, &progress(true, false, "rolled back: 3 crashes in a row")),
        (SHOW, 200, &process("web", "rolled_back")),
    ]);
    let run = server.user().run("tapit restart process name=web -a shop --wait");
    assert_eq!(run.status(), 1);
    assert!(run.err.ends_with("tapit: rolled back: 3 crashes in a row\n  | Traceback\n  | boom\n"), "{}", run.err);
    assert!(run.out.contains("rolled_back"), "{}", run.out);
}

#[test]
fn a_lost_connection_ends_the_wait_and_says_that_the_change_goes_on() {
    let server = Server::answering(&[(RESTART, 200, &restarted()), (SETTLED, 0, "")]);
    let run = server.user().run("tapit restart process name=web -a shop --wait");
    assert_eq!(run.status(), 6);
    assert!(run.err.contains("the change was accepted"), "{}", run.err);
}

#[test]
fn a_deletion_is_waited_for_until_it_is_gone() {
    let script = [
        ("DELETE /v1/apps/shop/processes/web", 200, outcome("deleting web", Some(&process("web", "running")))),
        (SETTLED, 200, progress(false, false, "2 draining")),
        (SETTLED, 404, refusal("not_found", "no process web")),
    ];
    let script: Vec<_> = script.iter().map(|(line, status, body)| (*line, *status, body.as_str())).collect();
    let server = Server::answering(&script);
    let run = server.user().run("tapit delete process name=web -a shop --force --wait");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert!(run.err.contains("2 draining"), "{}", run.err);
    assert!(run.out.contains(r#""process": null"#), "what is gone is not shown: {}", run.out);
}

#[test]
fn an_app_is_waited_for_as_a_whole() {
    let server = Server::answering(&[
        ("PATCH /v1/apps/shop", 200, &outcome("image set", None)),
        ("GET /v1/apps/shop/settled?revision=9&wait=20", 200, &progress(true, true, "steady")),
    ]);
    let run = server.user().run("tapit set app shop image=a:b --wait");
    assert_eq!(run.status(), 0, "{}", run.err);
}

#[test]
fn nothing_is_waited_for_after_a_dry_run() {
    let answer = restarted().replace("\"dry_run\":false", "\"dry_run\":true");
    let server = Server::answering(&[("POST /v1/apps/shop/processes/web/restart?dry_run=true", 200, &answer)]);
    assert_eq!(server.user().run("tapit restart process name=web -a shop -w -n").status(), 0);
    assert_eq!(server.seen().len(), 1);
}
