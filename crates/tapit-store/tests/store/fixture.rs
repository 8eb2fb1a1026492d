//! A store in a directory that goes with it, and rows to put there.

use std::path::PathBuf;

use tapit_model::{
    App, AppName, Confinement, Event, EventKind, Exit, Fallback, Generation, ImageRef, ImageSource, InstanceId,
    InstanceKind, InstanceObserved, InstanceState, Process, ProcessKey, ProcessName, ProcessSpec, Reason, ReasonCode,
    Revision, Rollout, RolloutKind, RolloutState, Task, TaskEnd, TaskId, Template, Timestamp,
};
use tapit_store::Store;
use tempfile::TempDir;

pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub fn database(&self) -> PathBuf {
        self.directory.path().join("tapit.db")
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("tapit.db{suffix}"))
    }

    pub fn open(&self) -> Store {
        Store::open(&self.database()).expect("the store opens")
    }

    /// What the refusal to open says.
    pub fn refusal(&self) -> String {
        Store::open(&self.database()).expect_err("the store is refused").to_string()
    }

    /// What a statement finds, in its first column.
    pub fn number(&self, sql: &str) -> u32 {
        let connection = rusqlite::Connection::open(self.database()).expect("the file opens");
        connection.query_row(sql, [], |row| row.get(0)).expect("the statement finds a number")
    }

    /// Changes the file behind the store's back.
    pub fn tamper(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.database()).expect("the file opens");
        connection.execute_batch(sql).expect("the statement runs");
    }
}

pub fn app_name(name: &str) -> AppName {
    AppName::parse(name).expect("a legal name")
}

pub fn key(app: &str, process: &str) -> ProcessKey {
    ProcessKey::new(&app_name(app), &ProcessName::parse(process).expect("a legal name"))
}

pub fn app(name: &str) -> App {
    let image = ImageRef::parse("shop/web:v1").ok();
    App { name: app_name(name), image, created_at: Timestamp(1), updated_at: Timestamp(2), deleting: false }
}

pub fn process(key: &ProcessKey, generation: u64, revision: u64) -> Process {
    Process {
        key: key.clone(),
        spec: ProcessSpec::default(),
        task: None,
        configured: true,
        revision: Revision(revision),
        generation,
        running_generation: generation.saturating_sub(1),
        rolled_back: false,
        fallback: Fallback::default(),
        created_at: Timestamp(3),
        updated_at: Timestamp(4),
        restarted_at: None,
        deleting: false,
    }
}

/// A task, which has ended when there is a status.
pub fn task(app: &str, id: u64, status: Option<i32>) -> Process {
    let end = |code| TaskEnd {
        at: Timestamp(9),
        started_at: Some(Timestamp(8)),
        exit: Some(Exit { code: Some(code), signal: None, oom: false, at: Timestamp(9) }),
        reason: Reason { code: ReasonCode::Crashed, text: "its command ended".to_owned() },
    };
    let task = Task { id: TaskId(id), end: status.map(end) };
    Process { task: Some(task), ..process(&TaskId(id).key(&app_name(app)), 1, 2) }
}

pub fn generation(key: &ProcessKey, number: u64) -> Generation {
    let spec = ProcessSpec::default();
    let template = Template {
        image: ImageSource::Unknown,
        command: None,
        port: spec.port,
        health: spec.health,
        lifecycle: spec.lifecycle,
        size: spec.size,
        confinement: Confinement::default(),
        variables: vec![("KEY".to_owned(), "a \"quoted\"\nvalue \u{1f980}".to_owned())],
    };
    Generation { key: key.clone(), number, template }
}

pub fn rollout(key: &ProcessKey, id: u64) -> Rollout {
    Rollout {
        id,
        key: key.clone(),
        kind: RolloutKind::Update,
        state: RolloutState::Running,
        from: 1,
        to: 2,
        started_at: Timestamp(5),
        finished_at: None,
        reason: None,
        last_exit: None,
        log_tail: vec!["line".to_owned()],
    }
}

pub fn event(app: &str, process: Option<&str>, text: &str) -> Event {
    Event {
        at: Timestamp(6),
        app: app_name(app),
        process: process.map(|name| ProcessName::parse(name).expect("a legal name")),
        instance: process.map(|name| InstanceId::opaque(&format!("{name}.1"))),
        kind: EventKind::ProcessChanged,
        text: text.to_owned(),
    }
}

pub fn instance(process: &str, serial: u64) -> InstanceObserved {
    InstanceObserved {
        id: InstanceId::opaque(&format!("{process}.{serial}")),
        kind: InstanceKind::Spot,
        generation: 3,
        state: InstanceState::Healthy,
        reason: None,
        size: ProcessSpec::default().size,
        ip: Some([10, 64, 0, 9].into()),
        port: Some(8080),
        created_at: Timestamp(7),
        started_at: Some(Timestamp(8)),
        healthy_at: None,
        stopped_at: None,
        restarts: 2,
        last_exit: None,
    }
}
