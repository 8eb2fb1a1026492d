//! A `Core` that notes what it was asked, and answers by the names in the question.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tapit_engine::{EXEC_QUEUE, ExecInput, ExecOutput, ExecSession};
use tapit_model::{
    AppName, AppView, Code, DifferenceView, EngineKind, EventView, ImageKey, ImageRef, ImageView, InstanceUsageView,
    LogLineView, Outcome, ProcessName, ProcessView, Progress, Refusal, RegistryName, RegistryPatch, RegistryView,
    Request, StatusView, TaskId, TaskView, Transfer, TransferFrame,
};
use tapit_store::EventFilter;
use tokio::sync::{mpsc, watch};

use crate::api::{Core, ExecAsked, LogPage, LogPages, LogQuery, LogsBroken, TransferFrames};
use crate::metrics::Measurements;

pub struct Script {
    calls: Mutex<Vec<String>>,
    pub spool: PathBuf,
    /// Commands whose session was dropped before they had ended.
    let_go: Arc<AtomicU32>,
    closing: watch::Sender<bool>,
}

impl Script {
    pub fn new(spool: PathBuf) -> Self {
        Self { calls: Mutex::default(), spool, let_go: Arc::default(), closing: watch::Sender::new(false) }
    }

    /// What was asked since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn let_go(&self) -> u32 {
        self.let_go.load(Ordering::Relaxed)
    }

    /// The server is to end.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

/// Gives back its input, names signals, and ends with 7 when its input does.
async fn echo(mut inputs: mpsc::Receiver<ExecInput>, outputs: mpsc::Sender<ExecOutput>, let_go: Arc<AtomicU32>) {
    while let Some(input) = inputs.recv().await {
        let told = match input {
            ExecInput::Bytes(bytes) => {
                let taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                vec![ExecOutput::Stdout(bytes), ExecOutput::Taken(taken)]
            }
            ExecInput::Signal(number) => vec![ExecOutput::Stderr(format!("signal {number}").into_bytes())],
            ExecInput::Resize(_) => Vec::new(),
            ExecInput::End => {
                let _ = outputs.send(ExecOutput::Exited(7)).await;
                return;
            }
        };
        for output in told {
            let _ = outputs.send(output).await;
        }
    }
    let_go.fetch_add(1, Ordering::Relaxed);
}

/// An app named after a code is refused with it, and one named `panic` panics.
fn by_name(app: &AppName) -> Result<(), Refusal> {
    let word = app.as_str().replace('-', "_");
    assert!(word != "panic", "as the script says");
    match serde_json::from_value::<Code>(word.into()) {
        Ok(code) => Err(Refusal::new(code, format!("refused as {app}"))),
        Err(_) => Ok(()),
    }
}

fn outcome(dry_run: bool) -> Outcome {
    Outcome {
        message: "done".to_owned(),
        changed: true,
        dry_run,
        inverse: None,
        notes: Vec::new(),
        revision: 2,
        app: None,
        process: None,
        task: None,
    }
}

#[async_trait]
impl Core for Script {
    async fn submit(&self, request: Request, dry_run: bool) -> Result<Outcome, Refusal> {
        match &request {
            Request::CreateApp { app, .. }
            | Request::SetApp { app, .. }
            | Request::DeleteApp { app }
            | Request::CreateProcess { app, .. }
            | Request::SetProcess { app, .. }
            | Request::RestartProcess { app, .. }
            | Request::DeleteProcess { app, .. }
            | Request::CreateTask { app, .. }
            | Request::StopTask { app, .. } => by_name(app)?,
        }
        self.note(format!("{} {request:?}", if dry_run { "try" } else { "do" }));
        Ok(outcome(dry_run))
    }

    async fn tasks(&self, app: &AppName) -> Result<Vec<TaskView>, Refusal> {
        by_name(app)?;
        Ok(Vec::new())
    }

    async fn task(&self, app: &AppName, task: TaskId) -> Result<TaskView, Refusal> {
        by_name(app)?;
        Err(Refusal::not_found(format!("no task {task}")))
    }

    async fn apps(&self) -> Vec<AppView> {
        Vec::new()
    }

    async fn app(&self, app: &AppName) -> Result<AppView, Refusal> {
        by_name(app)?;
        Ok(AppView {
            name: app.to_string(),
            status: "running".to_owned(),
            image: None,
            url: None,
            processes: Vec::new(),
            created_at: String::new(),
            updated_at: String::new(),
        })
    }

    async fn diff(&self, app: &AppName, engine: EngineKind) -> Result<Vec<DifferenceView>, Refusal> {
        by_name(app)?;
        self.note(format!("diff {app} {engine}"));
        Ok(Vec::new())
    }

    async fn processes(&self, app: &AppName) -> Result<Vec<ProcessView>, Refusal> {
        by_name(app).map(|()| Vec::new())
    }

    async fn process(&self, _app: &AppName, process: &ProcessName) -> Result<ProcessView, Refusal> {
        Err(Refusal::not_found(format!("no process {process}")))
    }

    async fn settled(
        &self,
        app: &AppName,
        process: Option<&ProcessName>,
        revision: u64,
        wait: Duration,
    ) -> Result<Progress, Refusal> {
        let name = process.map(ProcessName::as_str);
        self.note(format!("settled {app} {name:?} {revision} {wait:?}"));
        Ok(Progress { settled: true, ok: true, text: "steady".to_owned(), log_tail: Vec::new() })
    }

    async fn interrupt(
        &self,
        app: &AppName,
        process: &ProcessName,
        count: u32,
        dry_run: bool,
    ) -> Result<Outcome, Refusal> {
        self.note(format!("{} interrupt {app}/{process} {count}", if dry_run { "try" } else { "do" }));
        Ok(outcome(dry_run))
    }

    async fn events(&self, filter: EventFilter) -> Result<Vec<EventView>, Refusal> {
        self.note(format!("{filter:?}"));
        Ok(Vec::new())
    }

    async fn logs(&self, query: LogQuery) -> Result<LogPages, Refusal> {
        by_name(&query.app)?;
        let line = LogLineView {
            at: "2026-01-31T12:00:00.000Z".to_owned(),
            process: "web".to_owned(),
            instance: "web.1".to_owned(),
            stream: "stderr".to_owned(),
            text: "one\u{1b}[0m".to_owned(),
        };
        self.note(format!("{query:?}"));
        let page = LogPage { lines: vec![line.clone(), line], resume: Some("here".to_owned()) };
        let quiet = LogPage { lines: Vec::new(), resume: None };
        let mut pages = vec![Ok(page), Ok(quiet)];
        if query.process.is_some() {
            pages.push(Err(LogsBroken("as the script says".to_owned())));
        }
        // What is ready at once goes out together; a break right behind it would take it along.
        let one_by_one = futures_util::stream::iter(pages).then(async |page| {
            tokio::task::yield_now().await;
            page
        });
        Ok(Box::pin(one_by_one))
    }

    async fn exec(&self, asked: ExecAsked) -> Result<ExecSession, Refusal> {
        by_name(&asked.app)?;
        if let Some(id) = asked.instance.as_ref().filter(|id| id.as_str().starts_with("gone")) {
            return Err(Refusal::not_found(format!("there is no {id}")));
        }
        self.note(format!("{asked:?}"));
        let (input, inputs) = mpsc::channel(EXEC_QUEUE);
        let (outputs, output) = mpsc::channel(EXEC_QUEUE);
        tokio::spawn(echo(inputs, outputs, Arc::clone(&self.let_go)));
        Ok(ExecSession { input, output })
    }

    async fn closing(&self) {
        // The sender lives as long as the script.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    async fn usage(&self, app: &AppName, process: Option<&ProcessName>) -> Result<Vec<InstanceUsageView>, Refusal> {
        by_name(app)?;
        self.note(format!("usage {app} {:?}", process.map(ProcessName::as_str)));
        Ok(Vec::new())
    }

    async fn measurements(&self) -> Result<Measurements, Refusal> {
        Ok(Measurements {
            status: self.status().await,
            started_at: 1.0,
            server_cpu_seconds: 0.5,
            server_open_files: 3,
            processes: Vec::new(),
            instances: Vec::new(),
            requests: Vec::new(),
        })
    }

    async fn status(&self) -> StatusView {
        StatusView {
            version: "0".to_owned(),
            engine: "script".to_owned(),
            api: String::new(),
            http: String::new(),
            data_dir: String::new(),
            started_at: String::new(),
            pid: 1,
            apps: 0,
            processes: 0,
            instances: 0,
            capacity_memory: None,
            used_memory: 0.0,
            images_bytes: 0,
            images_disk: None,
            server_memory_bytes: 0,
            warnings: Vec::new(),
        }
    }

    async fn images(&self) -> Result<Vec<ImageView>, Refusal> {
        Ok(Vec::new())
    }

    async fn image(&self, key: &ImageKey) -> Result<ImageView, Refusal> {
        Err(Refusal::not_found(format!("no image {key}")))
    }

    /// Some progress, a silence, and a refusal with the code that the tag says.
    async fn pull_image(&self, name: ImageRef) -> TransferFrames {
        self.note(format!("pull {name}"));
        let code = name.tag().and_then(|tag| serde_json::from_value::<Code>(tag.into()).ok());
        let end = Refusal::new(code.unwrap_or(Code::Failed), format!("no {name} to be had"));
        let frames = [Some(TransferFrame::Progress(Transfer::default())), None, Some(TransferFrame::Failed(end))];
        Box::pin(futures_util::stream::iter(frames))
    }

    async fn push_image(&self, name: ImageRef, to: ImageRef) -> Result<TransferFrames, Refusal> {
        self.note(format!("push {name} to {to}"));
        Err(Refusal::not_found(format!("no image {name}")))
    }

    async fn import_image(&self, archive: &Path, name: Option<ImageRef>) -> Result<Vec<ImageView>, Refusal> {
        let name = name.map(|name| name.to_string());
        let text = std::fs::read_to_string(archive).map_err(|error| Refusal::failed(error.to_string()))?;
        self.note(format!("import {text:?} as {name:?}"));
        if text == "broken" { Err(Refusal::usage("not an archive")) } else { Ok(Vec::new()) }
    }

    async fn import_built(&self, archive: &Path, name: ImageRef) -> Result<Vec<ImageView>, Refusal> {
        let text = std::fs::read_to_string(archive).map_err(|error| Refusal::failed(error.to_string()))?;
        self.note(format!("import {text:?}, built, as {name}"));
        Ok(Vec::new())
    }

    async fn delete_image(&self, key: &ImageKey, dry_run: bool) -> Result<Outcome, Refusal> {
        self.note(format!("{} delete image {key}", if dry_run { "try" } else { "do" }));
        Ok(outcome(dry_run))
    }

    async fn prune_images(&self, dry_run: bool) -> Result<Outcome, Refusal> {
        self.note(format!("{} prune", if dry_run { "try" } else { "do" }));
        Ok(outcome(dry_run))
    }

    async fn registries(&self) -> Result<Vec<RegistryView>, Refusal> {
        Ok(Vec::new())
    }

    async fn registry(&self, name: &RegistryName) -> Result<RegistryView, Refusal> {
        Err(Refusal::not_found(format!("nothing is set for {name}")))
    }

    async fn set_registry(&self, name: &RegistryName, patch: RegistryPatch, dry_run: bool) -> Result<Outcome, Refusal> {
        self.note(format!("{} set registry {name} {patch:?}", if dry_run { "try" } else { "do" }));
        Ok(outcome(dry_run))
    }

    async fn delete_registry(&self, name: &RegistryName, dry_run: bool) -> Result<Outcome, Refusal> {
        self.note(format!("{} delete registry {name}", if dry_run { "try" } else { "do" }));
        Ok(outcome(dry_run))
    }

    fn spool_dir(&self) -> PathBuf {
        self.spool.clone()
    }
}
