//! The page that the project implements, typed in its order: the same on every engine.

use serde_json::Value;

use super::cli::{Answer, Shell};
use super::views::healthy;
use super::{holds, until};

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

/// Processes that the page takes for granted.
const TAKEN_FOR_GRANTED: [&str; 3] = ["scheduler", "old-worker", "test-api"];

/// Somebody who reads the page and types it, in one app. The shell is in that app.
pub struct Reader<'a> {
    pub shell: Shell<'a>,
    /// As small as a process may be here: `memory=0.03 cpu=0.1`.
    pub smallest: &'a str,
    /// Until everything is as it was asked for.
    pub patience_seconds: u64,
}

impl Reader<'_> {
    pub fn types(&self, line: &str) -> Answer {
        self.shell.type_line(line)
    }

    /// Types what a person answers who is asked on a terminal.
    fn on_terminal(&self, line: &str, keys: &str) -> Answer {
        self.types(&format!("printf '{keys}' | script -qec '{line}' /dev/null"))
    }

    pub fn show(&self, process: &str) -> Value {
        self.types(&format!("tapit show process name={process} -o json")).ok().json()
    }

    fn processes(&self) -> Vec<Value> {
        let all = self.types("tapit list processes -o json").ok().json();
        all.as_array().expect("an array").clone()
    }

    /// All instances that are asked for, no other, and no rollout that goes on.
    pub fn steady(&self) {
        until(self.patience_seconds, "steady", || {
            let waits = |one: &Value| {
                let wanted = one["demand_count"].as_u64().unwrap_or(0) + one["spot_count"].as_u64().unwrap_or(0);
                let there = healthy(one).len() as u64;
                (there != wanted || one["status"] != "running")
                    .then(|| format!("{} {} {there}/{wanted} {}", one["name"], one["status"], one["blocked"]))
            };
            let waiting: Vec<String> = self.processes().iter().filter_map(waits).collect();
            holds(waiting.is_empty(), waiting.join("; "))
        });
    }

    /// Types every example in an app whose `default` nobody has configured yet, and checks what came of it.
    pub fn types_the_whole_page(&self) {
        for name in TAKEN_FOR_GRANTED {
            self.types(&format!("tapit create process name={name} {}", self.smallest)).ok();
        }
        for (code, line) in LINES {
            let answer = self.types(line).exits(*code);
            match code {
                2 => drop(answer.says("--force")),
                4 => drop(answer.says("exists already")),
                _ => {}
            }
        }
        self.types("tapit delete process name=test-api --force --wait").ok();
        self.on_terminal("tapit delete process name=old-worker --wait", "n\\n").exits(1).says("old-worker");
        self.types("tapit show process name=old-worker -o json").ok();
        self.on_terminal("tapit delete process name=old-worker --wait", "y\\n").ok().says("old-worker");

        self.steady();
        let names: Vec<Value> = self.processes().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["api", "auth-service", "default", "migrate", "scheduler", "worker"]);
        let worker = self.show("worker");
        assert_eq!((&worker["memory"], &worker["cpu"]), (&Value::from(2.0), &Value::from(0.5)));
        assert_eq!(worker["command"], serde_json::json!(["python", "worker.py"]));
        assert_eq!((&worker["running"]["demand"], &worker["running"]["spot"]), (&Value::from(1), &Value::from(2)));
        assert_eq!(self.show("api")["image"], "myapp/api:v2.1.0");
        assert_eq!(self.show("scheduler")["command"], serde_json::json!(["python", "manage.py", "run_scheduler"]));
        assert_eq!(self.show("default")["demand_count"], 5);
    }
}

/// The examples of custom commands, which the page shows for an app of their own.
pub const CUSTOM_COMMANDS: [&str; 3] = [
    r#"tapit create process name=default command="npm start""#,
    r#"tapit create process name=worker command="python -m celery worker -A app""#,
    r#"tapit create process name=migrate command="python manage.py migrate" demand_count=1"#,
];

/// The example of a web process, likewise.
pub const WEB_PROCESS: &str = "tapit create process name=default memory=1.0 cpu=0.5 demand_count=3 spot_count=1";
