//! One-off tasks: they run once, are heard to their end, and end as their command does.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{SMALL, Server, cli, holds, leaks, until};

/// What a server and its first instances may take after a kill.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with an app whose own process is switched off.
fn stage(flags: &[&str]) -> Server {
    let server = Server::with_images(flags);
    server.tapit(&format!("create app shop image=worker:v1 {SMALL} demand=0")).ok();
    server
}

fn task(server: &Server, id: u64) -> Value {
    server.tapit(&format!("show task id={id} -o json")).ok().json()
}

fn until_state(server: &Server, id: u64, state: &str) -> Value {
    until(30, state, || {
        let shown = task(server, id);
        holds(shown["state"] == state, format!("{shown:#}")).map(|()| shown)
    })
}

fn written(server: &Server, id: u64) -> Vec<String> {
    let lines = server.tapit(&format!("logs task={id} -o json")).ok().stdout;
    let text = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON")["text"].clone();
    lines.lines().map(|line| text(line).as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_task_prints_what_it_writes_and_ends_as_its_command_does() {
    let server = stage(&[]);
    for (command, status, out, says) in [
        ("echo out; echo err >&2", 0, "out\n", "err"),
        ("echo out; exit 3", 3, "out\n", "task 2 failed: its command ended with exit 3"),
        ("kill -9 $$", 137, "", "its command ended with signal 9"),
        ("no-such-program", 127, "", "there is no such program"),
    ] {
        let answer = server.tapit(&format!("create task {SMALL} '{command}' --wait")).exits(status);
        assert_eq!(answer.stdout, out, "{command}");
        answer.says(says);
    }
    let shown = server.tapit(&format!("create task {SMALL} 'echo out; exit 4' -w -o json")).exits(4).says("out").json();
    assert_eq!((&shown["state"], &shown["exit_status"]), (&Value::from("failed"), &Value::from(4)));
    assert!(shown["started_at"].is_string() && shown["ended_at"].is_string(), "{shown:#}");
    let listed = server.tapit("list tasks -o json").ok().json();
    let states: Vec<_> = listed.as_array().expect("a list").iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["failed", "failed", "failed", "failed", "succeeded"]);
    assert_eq!(written(&server, 2), ["out"], "what it wrote stays there to be read");
}

#[test]
fn a_task_is_no_process_and_goes_with_its_app() {
    let server = stage(&[]);
    server.tapit("create task 'sleep 1000'").ok();
    until_state(&server, 1, "running");
    let app = server.tapit("show app -o json").ok().json();
    assert_eq!(app["processes"], serde_json::json!(["default"]));
    assert_eq!(server.tapit("list processes -o json").ok().json().as_array().map(Vec::len), Some(1));
    server.tapit("restart process name=task-1").exits(4).says("stop task id=1");
    server.tapit("set app image=worker:v2 --wait").ok();
    assert_eq!(task(&server, 1)["state"], "running");
    server.tapit("exec task=1 'echo from inside'").ok().says("from inside");
    server.tapit("delete app shop --force --wait").ok();
    until(30, "gone", || holds(leaks::containers(server.tag()) == 0, "a container"));
    server.tapit(&format!("create app shop image=worker:v1 {SMALL} demand=0")).ok();
    server.tapit("create task 'sleep 0' --wait").ok().says("create task 2 of app shop");
}

#[test]
fn a_task_that_is_asked_to_stop_ends_and_is_told_as_stopped() {
    let server = stage(&[]);
    server.tapit("create task 'echo begun; exec sleep 1000'").ok().says("undo: tapit -a shop stop task id=1");
    until(20, "begun", || holds(written(&server, 1) == ["begun"], "nothing written"));
    let shown = server.tapit("stop task id=1 --wait -o json").ok().json();
    assert_eq!((&shown["state"], &shown["exit_status"]), (&Value::from("stopped"), &Value::from(143)));
    assert_eq!(written(&server, 1), ["begun"]);
    server.tapit("stop task id=1").ok().says("nothing to change: task 1 of app shop has stopped already");
    server.tapit("stop task id=2").exits(3).says("it remembers 1");
}

#[test]
fn a_task_waits_for_room_and_may_be_stopped_before_it_ever_ran() {
    let server = stage(&["--capacity-memory", "1"]);
    server.tapit("create task memory=2 'echo ran'").ok();
    let shown = until(20, "waiting for room", || {
        let shown = task(&server, 1);
        holds(shown["blocked"][0]["code"] == "capacity", format!("{shown:#}")).map(|()| shown)
    });
    assert_eq!(shown["state"], "pending");
    assert!(shown["reason"].as_str().is_some_and(|text| text.contains("--capacity-memory")), "{shown:#}");
    server.tapit("stop task id=1 --wait").ok();
    let shown = until_state(&server, 1, "stopped");
    assert_eq!((&shown["reason"], &shown["exit_status"]), (&"stopped before it had started".into(), &1.into()));
    assert_eq!(written(&server, 1), Vec::<String>::new());
}

#[test]
fn a_task_whose_image_cannot_be_had_has_failed() {
    let server = stage(&[]);
    let answer = server.tapit("create task image=127.0.0.1:1/none:v1 'echo ran' --wait").exits(1);
    answer.says("127.0.0.1:1/none:v1 could not be had");
    assert_eq!(task(&server, 1)["state"], "failed");
}

#[test]
fn whoever_waits_for_a_task_hears_it_over_the_death_of_the_server() {
    let mut server = stage(&[]);
    let mut client = Command::new(env!("CARGO_BIN_EXE_tapit"));
    client.env_clear().env("TAPIT_DATA_DIR", server.data()).current_dir(server.home());
    client.args([
        "create",
        "task",
        "echo begun; while [ ! -e /dev/shm/go ]; do sleep 0.1; done; echo done; exit 5",
        "-w",
    ]);
    client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = client.spawn().expect("the client");
    until(20, "begun", || holds(server.tapit("logs task=1").stdout.contains("begun"), "nothing written"));
    server.kill9();
    server.restart();
    server.tapit("exec task=1 'echo > /dev/shm/go'").ok();
    let status = cli::wait(&mut client, PATIENCE);
    // It has ended, unless the test has failed.
    let _ = client.kill();
    let output = client.wait_with_output().expect("its output");
    assert_eq!((status.and_then(|status| status.code()), output.stdout), (Some(5), b"begun\ndone\n".to_vec()));
}

#[test]
fn a_task_runs_once_whenever_the_server_dies() {
    let mut server = stage(&[]);
    for id in 1..=12u64 {
        server.tapit(&format!("create task {SMALL} 'echo ran'")).ok();
        // The moment of the kill moves through the life of the task.
        std::thread::sleep(Duration::from_millis(id * 7));
        server.kill9();
        server.restart();
        let shown = until(30, "ended", || {
            let shown = task(&server, id);
            holds(shown["ended_at"].is_string(), format!("{shown:#}")).map(|()| shown)
        });
        assert_eq!(shown["state"], "succeeded", "{shown:#}");
        assert_eq!(written(&server, id), ["ran"], "{shown:#}");
    }
}

#[test]
fn the_last_twenty_that_have_ended_are_remembered() {
    let server = stage(&[]);
    for _ in 0..22 {
        server.tapit(&format!("create task {SMALL} 'sleep 0' --wait")).ok();
    }
    until(20, "forgotten", || {
        let listed = server.tapit("list tasks -o json").ok().json();
        let ids: Vec<_> = listed.as_array().into_iter().flatten().map(|one| one["id"].as_u64()).collect();
        holds(ids == (3..=22).rev().map(Some).collect::<Vec<_>>(), format!("{ids:?}"))
    });
    server.tapit("show task id=1").exits(3).says("no task 1");
    server.tapit("logs task=22").ok();
}
