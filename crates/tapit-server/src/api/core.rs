//! The one door from the API to the rest of the server. The API knows nothing behind it, which is what lets its tests
//! put a script there.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::Stream;
use tapit_engine::{ExecRequest, ExecSession};
use tapit_model::{
    AppName, AppView, DifferenceView, EngineKind, EventView, ImageKey, ImageRef, ImageView, InstanceId,
    InstanceUsageView, LogLineView, Outcome, ProcessName, ProcessView, Progress, Refusal, RegistryName, RegistryPatch,
    RegistryView, Request, Since, StatusView, TaskId, TaskView, TransferFrame,
};
use tapit_store::EventFilter;

use crate::metrics::Measurements;

/// What is wanted of an app's logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    pub app: AppName,
    pub process: Option<ProcessName>,
    pub instance: Option<InstanceId>,
    /// At most so many of what was written before, all instances together.
    pub lines: usize,
    pub since: Option<Since>,
    pub time: LogTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTime {
    /// What was written so far.
    Past,
    /// And what will be. With the last `resume` of a stream that broke off, only what follows it.
    Onwards { resume: Option<String> },
}

/// Some lines in order, and the place where a reader goes on who has all lines up to here.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    pub lines: Vec<LogLineView>,
    pub resume: Option<String>,
}

/// A stream of pages that ends before its time; whoever reads may ask again with the last `resume`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LogsBroken(pub String);

pub type LogPages = Pin<Box<dyn Stream<Item = Result<LogPage, LogsBroken>> + Send>>;

/// How far an image on its way is; `None` is a sign of life. The last frame has the outcome. The transfer goes on when the
/// stream is dropped.
pub type TransferFrames = Pin<Box<dyn Stream<Item = Option<TransferFrame>> + Send>>;

/// A command to run in an instance of a process; without a name, in the newest healthy one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecAsked {
    pub app: AppName,
    pub process: ProcessName,
    pub instance: Option<InstanceId>,
    pub request: ExecRequest,
}

/// Everything that can be asked of a server. Names are legal and words are parsed by the time they get here.
///
/// Calls that change something are run to their end even when whoever asked has gone away.
#[async_trait]
pub trait Core: Send + Sync + 'static {
    /// Changes what is wanted; with `dry_run`, only says what would be done.
    async fn submit(&self, request: Request, dry_run: bool) -> Result<Outcome, Refusal>;

    async fn apps(&self) -> Vec<AppView>;

    async fn app(&self, app: &AppName) -> Result<AppView, Refusal>;

    /// What its processes would find different on that engine.
    async fn diff(&self, app: &AppName, engine: EngineKind) -> Result<Vec<DifferenceView>, Refusal>;

    /// One row for each process, without usage and events.
    async fn processes(&self, app: &AppName) -> Result<Vec<ProcessView>, Refusal>;

    /// Everything known of a process.
    async fn process(&self, app: &AppName, process: &ProcessName) -> Result<ProcessView, Refusal>;

    /// The one-off tasks of an app that are remembered, the newest first and without events.
    async fn tasks(&self, app: &AppName) -> Result<Vec<TaskView>, Refusal>;

    async fn task(&self, app: &AppName, task: TaskId) -> Result<TaskView, Refusal>;

    /// How far the change with this revision has come. Returns early when it is settled, else after `wait`, which is at
    /// most 25 seconds. Without a process: all of the app.
    async fn settled(
        &self,
        app: &AppName,
        process: Option<&ProcessName>,
        revision: u64,
        wait: Duration,
    ) -> Result<Progress, Refusal>;

    /// Gives `count` spot instances a notice, as if their capacity were reclaimed.
    async fn interrupt(
        &self,
        app: &AppName,
        process: &ProcessName,
        count: u32,
        dry_run: bool,
    ) -> Result<Outcome, Refusal>;

    /// Newest last. The limit is 1 to 1,000.
    async fn events(&self, filter: EventFilter) -> Result<Vec<EventView>, Refusal>;

    /// Pages are made as they are taken.
    async fn logs(&self, query: LogQuery) -> Result<LogPages, Refusal>;

    /// Answers once the command runs.
    async fn exec(&self, asked: ExecAsked) -> Result<ExecSession, Refusal>;

    /// Returns once the server is to end, so that what lasts by nature comes to an end.
    async fn closing(&self);

    /// What the instances of an app or of one process use now.
    async fn usage(&self, app: &AppName, process: Option<&ProcessName>) -> Result<Vec<InstanceUsageView>, Refusal>;

    /// Everything that metrics are drawn from.
    async fn measurements(&self) -> Result<Measurements, Refusal>;

    async fn status(&self) -> StatusView;

    async fn images(&self) -> Result<Vec<ImageView>, Refusal>;

    async fn image(&self, key: &ImageKey) -> Result<ImageView, Refusal>;

    /// Asks the registry what an image is now, and holds that.
    async fn pull_image(&self, name: ImageRef) -> TransferFrames;

    /// Sends an image that is held to a registry, and tells how far that is. The last frame calls it what it is called
    /// there.
    async fn push_image(&self, name: ImageRef, to: ImageRef) -> Result<TransferFrames, Refusal>;

    /// Imports an archive that the API has spooled, and that it removes afterwards.
    async fn import_image(&self, archive: &Path, name: Option<ImageRef>) -> Result<Vec<ImageView>, Refusal>;

    /// The same for an archive that was just built.
    async fn import_built(&self, archive: &Path, name: ImageRef) -> Result<Vec<ImageView>, Refusal>;

    async fn delete_image(&self, key: &ImageKey, dry_run: bool) -> Result<Outcome, Refusal>;

    async fn prune_images(&self, dry_run: bool) -> Result<Outcome, Refusal>;

    /// What is set for registries, by name.
    async fn registries(&self) -> Result<Vec<RegistryView>, Refusal>;

    async fn registry(&self, name: &RegistryName) -> Result<RegistryView, Refusal>;

    /// Changes what is set for a registry. Images that could not be had are asked for again.
    async fn set_registry(&self, name: &RegistryName, patch: RegistryPatch, dry_run: bool) -> Result<Outcome, Refusal>;

    async fn delete_registry(&self, name: &RegistryName, dry_run: bool) -> Result<Outcome, Refusal>;

    /// Where uploads are written before they are imported; made if it is missing.
    fn spool_dir(&self) -> PathBuf;
}
