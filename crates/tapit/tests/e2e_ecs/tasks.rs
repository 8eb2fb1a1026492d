//! One-off tasks: RunTask in the place of a service, and still once and no more.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{SMALL, Server, holds, until};

/// How long a client that waits may take to end once its task has.
const PATIENCE: Duration = Duration::from_secs(90);

fn stage() -> Option<Server> {
    let server = Server::with_images()?;
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=0")).ok();
    Some(server)
}

fn task(server: &Server, id: u64) -> Value {
    server.tapit(&format!("show task id={id} -o json")).ok().json()
}

fn written(server: &Server, id: u64) -> Vec<String> {
    let lines = server.tapit(&format!("logs task={id} -o json")).ok().stdout;
    let text = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON")["text"].clone();
    lines.lines().map(|line| text(line).as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_task_prints_what_it_writes_and_ends_as_its_command_does() {
    let Some(server) = stage() else { return };
    for (command, status) in [("echo ran", 0), ("echo ran; exit 3", 3)] {
        let answer = server.tapit(&format!("create task {SMALL} '{command}' --wait")).exits(status);
        assert_eq!(answer.stdout, "ran\n", "{command}");
    }
    let listed = server.tapit("list tasks -o json").ok().json();
    let states: Vec<_> = listed.as_array().expect("a list").iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["failed", "succeeded"]);
    assert_eq!(server.tapit("list processes -o json").ok().json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_task_is_stopped_and_its_app_takes_it_along() {
    let Some(server) = stage() else { return };
    server.tapit(&format!("create task {SMALL} 'echo begun; exec sleep 1000'")).ok();
    until(60, "begun", || holds(written(&server, 1) == ["begun"], "nothing written"));
    let shown = server.tapit("stop task id=1 --wait -o json").ok().json();
    assert_eq!(shown["state"], "stopped", "{shown:#}");
    server.tapit(&format!("create task {SMALL} 'exec sleep 1000'")).ok();
    until(60, "running", || {
        let shown = task(&server, 2);
        holds(shown["state"] == "running", format!("{shown:#}"))
    });
    server.tapit("delete app shop --force --wait").ok();
    until(30, "gone", || {
        let left = server.account().containers();
        holds(left.is_empty(), format!("{} containers", left.len()))
    });
}

#[test]
fn a_task_runs_once_whenever_the_server_dies() {
    let Some(mut server) = stage() else { return };
    for id in 1..=4u64 {
        let mut client = server.program();
        client.args(["create", "task", "echo ran; sleep 2; exit 4", "--wait"]);
        let mut client =
            client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs");
        until(30, "asked for", || {
            let listed = server.tapit("list tasks -o json").ok().json();
            holds(listed[0]["id"] == id, format!("{listed:#}"))
        });
        // The moment of the kill moves through the calls.
        std::thread::sleep(Duration::from_millis(id * 120));
        server.kill9();
        server.start();
        let status = crate::harness::cli::wait(&mut client, PATIENCE);
        // It has ended, unless the test has failed.
        let _ = client.kill();
        let output = client.wait_with_output().expect("its output");
        assert_eq!(status.and_then(|status| status.code()), Some(4), "{:#}", task(&server, id));
        assert_eq!(output.stdout, b"ran\n", "{:#}", task(&server, id));
        assert_eq!(written(&server, id), ["ran"]);
    }
}
