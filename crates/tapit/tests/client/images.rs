//! Images: how a pull is told, and how it ends.

use crate::server::Server;
use crate::support::{Run, User};

const IMAGE: &str = r#"{"name":"a/b:v1","digest":"sha256:0123456789abcdef","size":12000000,"shared":0,"unique":12000000,"layers":2,
    "source":"pull","created_at":"2026-01-01T00:00:00.000Z","used_at":"2026-01-01T00:00:00.000Z","used_by":[],"entrypoint":[],
    "command":[],"exposed_ports":[],"user":"","working_dir":""}"#;

fn progress(states: [(&str, u64, u64); 2]) -> String {
    let layer = |(number, (state, done, total)): (usize, &(&str, u64, u64))| {
        format!(r#"{{"layer":"{number:012x}","state":"{state}","done":{done},"total":{total}}}"#)
    };
    let layers: Vec<String> = states.iter().enumerate().map(layer).collect();
    format!("{{\"progress\":{{\"layers\":[{}]}}}}\n", layers.join(","))
}

fn done() -> String {
    format!("{{\"done\":{}}}\n", IMAGE.replace('\n', ""))
}

/// Pulls `a/b:v1` from a server that answers so.
fn pull(body: &str, user: impl FnOnce(User) -> User) -> Run {
    let server = Server::answering(&[("POST /v1/images/pull?ref=a%2Fb%3Av1", 200, body)]);
    let run = user(server.user()).run("tapit pull image a/b:v1");
    assert_eq!(server.seen().len(), 1);
    run
}

#[test]
fn without_a_terminal_a_pull_says_each_layer_once_and_prints_the_image() {
    let body = [
        progress([("waiting", 0, 0), ("held", 0, 9)]),
        "\n".to_owned(),
        progress([("fetching", 1, 5_000_000), ("held", 0, 9)]),
        progress([("fetching", 2_000_000, 5_000_000), ("held", 0, 9)]),
        progress([("done", 5_000_000, 5_000_000), ("held", 0, 9)]),
        done(),
    ];
    let run = pull(&body.concat(), |user| user);
    assert_eq!(run.status(), 0, "{}", run.err);
    let said = "1 layer is there already\nlayer 000000000000 done, 5.0 MB\npulled a/b:v1: 12.0 MB in 2 layers\n";
    assert_eq!(run.err, said);
    let image: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(image["name"], "a/b:v1");
}

#[test]
fn on_a_terminal_bars_are_drawn_and_taken_away_again() {
    let body = [progress([("fetching", 1_000_000, 5_000_000), ("held", 0, 9)]), done()].concat();
    let run = pull(&body, User::at_terminal);
    let bars = "000000000000  fetching       [=====                       ]  1.0 MB of 5.0 MB\n\
                000000000001  there already\n";
    let expected = format!("{bars}\u{1b}[2A\r\u{1b}[Jpulled a/b:v1: 12.0 MB in 2 layers\n");
    assert_eq!((run.status(), run.err.as_str()), (0, expected.as_str()));
    assert!(run.out.contains("a/b:v1  0123456789ab  12.0 MB  0 B     pull"), "{}", run.out);
}

#[test]
fn a_pull_that_fails_ends_with_the_status_of_its_reason() {
    for (code, status) in [("not_found", 3), ("denied", 5), ("failed", 1), ("usage", 2), ("unavailable", 6)] {
        let body = format!("{{\"failed\":{{\"code\":\"{code}\",\"message\":\"because of \\u001b[31mit\"}}}}\n");
        let run = pull(&body, |user| user);
        assert_eq!(run.status(), status, "{code}");
        assert!(run.err.contains("because of") && !run.err.contains('\u{1b}'), "{}", run.err);
    }
}

#[test]
fn a_pull_whose_server_goes_away_says_that_it_may_go_on() {
    let started = progress([("fetching", 1, 2), ("waiting", 0, 0)]);
    for body in [started.clone(), format!("{started}CUT")] {
        let run = pull(&body, |user| user);
        assert_eq!(run.status(), 6, "{}", run.err);
        assert!(run.err.contains("goes on with it"), "{}", run.err);
    }
    let server =
        Server::answering(&[("POST /v1/images/pull?ref=a%2Fb%3Av1", 400, r#"{"code":"usage","message":"no"}"#)]);
    let run = server.user().run("tapit pull image a/b:v1");
    assert_eq!((run.status(), run.out.as_str()), (2, ""), "{}", run.err);
}

#[test]
fn a_dry_run_of_a_pull_asks_nobody() {
    let run = User::script().run("tapit pull image a/b:v1 --dry-run");
    assert_eq!((run.status(), run.out.as_str()), (0, ""));
    assert!(run.err.contains("a/b:v1 would be pulled from docker.io"), "{}", run.err);
}

#[test]
fn an_image_is_shown_and_deleted_by_the_beginning_of_its_digest() {
    let outcome = r#"{"message":"deleted image a/b:v1, freed 12.0 MB","changed":true,"dry_run":false,"inverse":null,"notes":[],
        "revision":0,"app":null,"process":null}"#;
    let server = Server::answering(&[
        ("GET /v1/image?ref=0123456789ab", 200, IMAGE),
        ("GET /v1/image?ref=0123456789ab", 200, IMAGE),
        ("DELETE /v1/image?ref=0123456789ab", 200, outcome),
    ]);
    let run = server.user().at_terminal().run("tapit show image sha256:0123456789ab");
    assert!(run.out.contains("shared:         0 B, and 12.0 MB that go with this image alone\n"), "{}", run.out);
    assert_eq!(server.user().run("tapit show image 0123456789ab").status(), 0);
    let run = server.user().run("tapit delete image 0123456789ab --force");
    assert!(run.status() == 0 && run.err.contains("freed 12.0 MB"), "{}", run.err);
}
