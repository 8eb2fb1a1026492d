//! Every example of the page that the project implements, typed in its order.

use serde_json::Value;

use crate::harness::cli::Answer;
use crate::harness::views::healthy;
use crate::harness::{Server, holds, until};

/// Every line of the page in its order. Where it shows a process that was made further up, the second creation conflicts.
const LINES: &[(i32, &str)] = &[
    (0, "tapit create process name=default"),
    (0, "tapit create process name=api memory=2.0 cpu=1.0 demand_count=3 spot_count=0"),
    (
        0,
        r#"tapit create process name=worker memory=1.0 cpu=0.5 demand_count=1 spot_count=2 command="python worker.py""#,
    ),
    (0, "tapit create process name=auth-service image=myapp/auth:latest memory=0.5 cpu=0.25 demand_count=2"),
    (0, "tapit set process name=default desired_count=5"),
    (0, "tapit set process name=worker memory=2.0"),
    (0, r#"tapit set process name=scheduler command="python manage.py run_scheduler""#),
    (0, "tapit set process name=worker disabled=true"),
    (0, "tapit set process name=worker disabled=false"),
    (0, "tapit set process name=api image=myapp/api:v2.1.0"),
    (0, "tapit restart process name=default"),
    (0, "tapit restart process name=worker"),
    (0, "tapit  show process name=default"),
    (0, "tapit  list processes"),
    (2, "tapit delete process name=old-worker"),
    (2, "tapit delete process name=test-api"),
    (4, "tapit create process name=default memory=1.0 cpu=0.5 demand_count=3 spot_count=1"),
    (4, r#"tapit create process name=default command="npm start""#),
    (4, r#"tapit create process name=worker command="python -m celery worker -A app""#),
    (0, r#"tapit create process name=migrate command="python manage.py migrate" demand_count=1"#),
];

/// Processes that the page takes for granted, as small as an example may be.
const TAKEN_FOR_GRANTED: [&str; 3] = ["scheduler", "old-worker", "test-api"];

/// Memory is counted as promised, not as used: the page's sizes must not depend on the machine.
const ROOMY: [&str; 2] = ["--capacity-memory", "64"];

fn in_app(server: &Server, app: &str, line: &str) -> Answer {
    server.shell(&[("TAPIT_APP", app)]).type_line(line)
}

/// Types what a person answers who is asked on a terminal.
fn on_terminal(server: &Server, app: &str, line: &str, keys: &str) -> Answer {
    let typed = format!("printf '{keys}' | script -qec '{line}' /dev/null");
    server.shell(&[("TAPIT_APP", app)]).type_line(&typed)
}

fn processes(server: &Server, app: &str) -> Vec<Value> {
    let all = in_app(server, app, "tapit list processes -o json").ok().json();
    all.as_array().expect("an array").clone()
}

/// All instances that are asked for, no other, and no rollout that goes on.
fn steady(server: &Server, app: &str) {
    until(90, "steady", || {
        let waits = |one: &Value| {
            let wanted = one["demand_count"].as_u64().unwrap_or(0) + one["spot_count"].as_u64().unwrap_or(0);
            let there = healthy(one).len() as u64;
            (there != wanted || one["status"] != "running")
                .then(|| format!("{} {} {there}/{wanted} {}", one["name"], one["status"], one["blocked"]))
        };
        let waiting: Vec<String> = processes(server, app).iter().filter_map(waits).collect();
        holds(waiting.is_empty(), waiting.join("; "))
    });
}

#[test]
fn every_example_of_the_page_works_as_written_and_in_order() {
    let server = Server::with_images(&ROOMY);
    server.tapit("create app shop image=web:v1").ok();
    for name in TAKEN_FOR_GRANTED {
        server.tapit(&format!("create process name={name} memory=0.03 cpu=0.1")).ok();
    }
    for (code, line) in LINES {
        let answer = in_app(&server, "shop", line).exits(*code);
        match code {
            2 => drop(answer.says("--force")),
            4 => drop(answer.says("exists already")),
            _ => {}
        }
    }
    in_app(&server, "shop", "tapit delete process name=test-api --force --wait").ok();
    on_terminal(&server, "shop", "tapit delete process name=old-worker --wait", "n\\n").exits(1).says("old-worker");
    in_app(&server, "shop", "tapit show process name=old-worker -o json").ok();
    on_terminal(&server, "shop", "tapit delete process name=old-worker --wait", "y\\n").ok().says("old-worker");

    steady(&server, "shop");
    let names: Vec<Value> = processes(&server, "shop").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["api", "auth-service", "default", "migrate", "scheduler", "worker"]);
    let show = |name: &str| in_app(&server, "shop", &format!("tapit show process name={name} -o json")).ok().json();
    let worker = show("worker");
    assert_eq!((&worker["memory"], &worker["cpu"]), (&Value::from(2.0), &Value::from(0.5)));
    assert_eq!(worker["command"], serde_json::json!(["python", "worker.py"]));
    assert_eq!((&worker["running"]["demand"], &worker["running"]["spot"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(show("api")["image"], "myapp/api:v2.1.0");
    assert_eq!(show("scheduler")["command"], serde_json::json!(["python", "manage.py", "run_scheduler"]));
    assert_eq!(show("default")["demand_count"], 5);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn the_examples_of_the_custom_commands_make_what_they_say_in_a_fresh_app() {
    let server = Server::with_images(&ROOMY);
    server.tapit("create app plain image=web:v1").ok();
    server.tapit("create app sized image=web:v1").ok();
    for line in [
        r#"tapit create process name=default command="npm start""#,
        r#"tapit create process name=worker command="python -m celery worker -A app""#,
        r#"tapit create process name=migrate command="python manage.py migrate" demand_count=1"#,
    ] {
        in_app(&server, "plain", line).ok();
    }
    in_app(&server, "sized", "tapit create process name=default memory=1.0 cpu=0.5 demand_count=3 spot_count=1").ok();
    steady(&server, "plain");
    steady(&server, "sized");
    assert_eq!(server.get("plain.localhost", "/").status, 200);
    assert_eq!(server.get("sized.localhost", "/").status, 200);
    let sized = in_app(&server, "sized", "tapit show process name=default -o json").ok().json();
    assert_eq!((&sized["running"]["demand"], &sized["running"]["spot"]), (&Value::from(3), &Value::from(1)));
}
