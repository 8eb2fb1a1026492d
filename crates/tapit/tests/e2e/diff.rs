//! What an app would find different on ECS, as a server with containers of its own tells it.

use serde_json::Value;

use crate::harness::{SMALL, Server};

/// The differences as JSON, by process and thing.
fn differences(server: &Server, line: &str) -> Vec<Value> {
    let answer = server.tapit(&format!("{line} -o json")).ok();
    answer.json().as_array().cloned().unwrap_or_else(|| panic!("no array\n{answer}"))
}

#[track_caller]
fn row<'a>(rows: &'a [Value], process: &str, what: &str) -> &'a Value {
    let found = rows.iter().find(|row| row["process"] == process && row["what"] == what);
    found.unwrap_or_else(|| panic!("no {what} of {process} in {rows:#?}"))
}

#[test]
fn an_app_is_told_what_would_be_different_on_ecs() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server
        .tapit("create process name=work memory=0.0625 cpu=0.1 port=none stop_timeout=300s spot_count=1 userns=false")
        .ok();

    let rows = differences(&server, "diff app shop engine=ecs");
    let size = row(&rows, "work", "size");
    assert_eq!((&size["here"], &size["there"]), (&"cpu=0.1 memory=0.0625".into(), &"cpu=0.25 memory=0.5".into()));
    assert_eq!(row(&rows, "work", "stop_timeout")["there"], "120s");
    assert_eq!(row(&rows, "work", "userns")["here"], "false");
    assert_eq!(row(&rows, "work", "spot_count")["there"], "Fargate Spot");
    assert!(row(&rows, "default", "image")["here"].as_str().is_some_and(|image| image.contains("web:v1")), "{rows:#?}");
    assert_eq!(row(&rows, "default", "names")["there"], "none");
    assert!(rows.iter().all(|row| row["note"].as_str().is_some_and(|note| !note.is_empty())), "{rows:#?}");

    let table = server.tapit("diff app shop engine=ecs -o table").ok();
    let header = table.stdout.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    assert_eq!(header, ["PROCESS", "WHAT", "HERE", "THERE", "NOTE"], "{table}");
    assert_eq!(table.stdout.lines().count(), rows.len() + 1, "{table}");

    assert_eq!(differences(&server, "diff app engine=embedded"), Vec::<Value>::new(), "it runs there already");
    server.tapit("diff app nope engine=ecs").exits(3).says("no app nope");
    server.tapit("diff app shop").exits(2).says("engine=embedded or engine=ecs");
    server.tapit("show process name=work").ok();
}

#[test]
fn settings_of_another_engine_are_refused_before_a_server_starts() {
    let server = Server::start();
    let line = |flags: &str| format!("tapit server --data-dir ./other {flags}");
    let shell = server.shell(&[]);
    shell.type_line(&line("--ecs-region eu-north-1")).exits(2).says("--ecs-region is a setting of --engine ecs");
    shell.type_line(&line("--engine docker")).exits(2).says("embedded or ecs");
    assert!(!server.home().join("other").exists());

    std::fs::create_dir(server.home().join("aws")).expect("a directory");
    std::fs::write(server.home().join("aws/engine.json"), r#"{"engine":"ecs"}"#).expect("a note");
    let text = "holds apps of the ecs engine; start it with --engine ecs";
    shell.type_line("tapit server --data-dir ./aws --http 127.0.0.1:0").exits(4).says(text);
}
