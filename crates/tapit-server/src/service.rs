//! What the API can ask: admits changes, answers views, waits for outcomes.

mod changes;
mod diff;
mod exec;
mod images;
mod logs;
mod push;
mod reading;
mod registries;
mod tasks;
mod transfer;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tapit_engine::ExecSession;
use tapit_model::{
    AppName, AppView, Code, DifferenceView, EngineKind, EventView, ImageKey, ImageRef, ImageView, InstanceUsageView,
    Outcome, ProcessName, ProcessView, Progress, Refusal, RegistryName, RegistryPatch, RegistryView, Request,
    StatusView, TaskId, TaskView, World, describe,
};
use tapit_plan::app::unknown_task;
use tapit_store::{EventFilter, StoreError};

use tokio::sync::Semaphore;

use crate::api::{Core, ExecAsked, LogPages, LogQuery, TransferFrames};
use crate::hub::Hub;
use crate::metrics::Measurements;

#[cfg(test)]
pub use transfer::frames;

pub struct Service {
    hub: Arc<Hub>,
    log_readers: Arc<Semaphore>,
}

impl Service {
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, log_readers: Arc::new(Semaphore::new(logs::READERS)) }
    }
}

#[async_trait]
impl Core for Service {
    async fn submit(&self, request: Request, dry_run: bool) -> Result<Outcome, Refusal> {
        changes::submit(&self.hub, &request, dry_run)
    }

    async fn apps(&self) -> Vec<AppView> {
        reading::apps(&self.hub)
    }

    async fn app(&self, app: &AppName) -> Result<AppView, Refusal> {
        reading::app(&self.hub, app)
    }

    async fn diff(&self, app: &AppName, engine: EngineKind) -> Result<Vec<DifferenceView>, Refusal> {
        diff::diff(&self.hub, app, engine).await
    }

    async fn processes(&self, app: &AppName) -> Result<Vec<ProcessView>, Refusal> {
        reading::processes(&self.hub, app)
    }

    async fn process(&self, app: &AppName, process: &ProcessName) -> Result<ProcessView, Refusal> {
        reading::process(&self.hub, app, process).await
    }

    async fn settled(
        &self,
        app: &AppName,
        process: Option<&ProcessName>,
        revision: u64,
        wait: Duration,
    ) -> Result<Progress, Refusal> {
        Ok(reading::settled(&self.hub, app, process, revision, wait).await)
    }

    async fn interrupt(
        &self,
        app: &AppName,
        process: &ProcessName,
        count: u32,
        dry_run: bool,
    ) -> Result<Outcome, Refusal> {
        changes::interrupt(&self.hub, app, process, count, dry_run).await
    }

    async fn tasks(&self, app: &AppName) -> Result<Vec<TaskView>, Refusal> {
        tasks::list(&self.hub, app)
    }

    async fn task(&self, app: &AppName, task: TaskId) -> Result<TaskView, Refusal> {
        tasks::show(&self.hub, app, task)
    }

    async fn events(&self, filter: EventFilter) -> Result<Vec<EventView>, Refusal> {
        reading::events(&self.hub, &filter)
    }

    async fn logs(&self, query: LogQuery) -> Result<LogPages, Refusal> {
        logs::open(&self.hub, &self.log_readers, query).await
    }

    async fn usage(&self, app: &AppName, process: Option<&ProcessName>) -> Result<Vec<InstanceUsageView>, Refusal> {
        usage::usage(&self.hub, app, process).await
    }

    async fn measurements(&self) -> Result<Measurements, Refusal> {
        usage::measurements(&self.hub).await
    }

    async fn exec(&self, asked: ExecAsked) -> Result<ExecSession, Refusal> {
        exec::exec(&self.hub, asked).await
    }

    async fn closing(&self) {
        let mut passes = self.hub.passes();
        // A hub that is gone has closed as well.
        while !self.hub.is_closing() && passes.changed().await.is_ok() {}
    }

    async fn status(&self) -> StatusView {
        reading::status(&self.hub).await
    }

    async fn images(&self) -> Result<Vec<ImageView>, Refusal> {
        images::list(&self.hub).await
    }

    async fn image(&self, key: &ImageKey) -> Result<ImageView, Refusal> {
        images::show(&self.hub, key).await
    }

    async fn push_image(&self, name: ImageRef, to: ImageRef) -> Result<TransferFrames, Refusal> {
        push::push(&self.hub, name, to).await
    }

    async fn pull_image(&self, name: ImageRef) -> TransferFrames {
        images::pull(&self.hub, name)
    }

    async fn import_image(&self, archive: &Path, name: Option<ImageRef>) -> Result<Vec<ImageView>, Refusal> {
        images::import(&self.hub, archive, name.as_ref()).await
    }

    async fn import_built(&self, archive: &Path, name: ImageRef) -> Result<Vec<ImageView>, Refusal> {
        images::import_built(&self.hub, archive, &name).await
    }

    async fn delete_image(&self, key: &ImageKey, dry_run: bool) -> Result<Outcome, Refusal> {
        images::delete(&self.hub, key, dry_run).await
    }

    async fn prune_images(&self, dry_run: bool) -> Result<Outcome, Refusal> {
        images::prune(&self.hub, dry_run).await
    }

    async fn registries(&self) -> Result<Vec<RegistryView>, Refusal> {
        registries::list(&self.hub).await
    }

    async fn registry(&self, name: &RegistryName) -> Result<RegistryView, Refusal> {
        registries::show(&self.hub, name).await
    }

    async fn set_registry(&self, name: &RegistryName, patch: RegistryPatch, dry_run: bool) -> Result<Outcome, Refusal> {
        registries::set(&self.hub, name, patch, dry_run).await
    }

    async fn delete_registry(&self, name: &RegistryName, dry_run: bool) -> Result<Outcome, Refusal> {
        registries::delete(&self.hub, name, dry_run).await
    }

    fn spool_dir(&self) -> PathBuf {
        self.hub.facts.data_dir.join("spool")
    }
}

/// Of a change that is complete when it is answered, and of nothing that has a view of its own.
fn outcome(message: String, dry_run: bool, changed: bool) -> Outcome {
    Outcome {
        message,
        changed,
        dry_run,
        inverse: None,
        notes: Vec::new(),
        revision: 0,
        app: None,
        process: None,
        task: None,
    }
}

/// A store that cannot be written or read is this host's trouble: nothing was changed, and trying again may help.
fn store_failed(error: &StoreError) -> Refusal {
    Refusal::new(Code::Failed, format!("the change was not stored, so nothing was changed: {}", describe(error)))
}

fn known_app(world: &World, app: &AppName) -> Result<(), Refusal> {
    if world.apps.contains_key(app) {
        return Ok(());
    }
    let names: Vec<_> = world.apps.keys().map(AppName::as_str).collect();
    let there = match names.as_slice() {
        [] => format!("there is none yet; tapit create app {app} makes it"),
        names => format!("there are: {}", names.join(", ")),
    };
    Err(Refusal::not_found(format!("no app {app}; {there}")))
}

fn unknown_process(world: &World, app: &AppName, process: &ProcessName) -> Refusal {
    if let Some(task) = TaskId::of(process) {
        return unknown_task(world, app, task);
    }
    let names: Vec<_> = world.processes_of(app).map(|row| row.key.process.as_str()).collect();
    let guess = tapit_model::nearest(process.as_str(), names.iter().copied());
    let guess = guess.map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    let there = if names.is_empty() { "it has none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    Refusal::not_found(format!("app {app} has no process {process}; {guess}{there}"))
}
