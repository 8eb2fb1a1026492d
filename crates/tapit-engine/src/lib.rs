//! The contract between the server and whatever runs instances.
//!
//! It is declarative: the server hands over a complete `ProcessTarget` and looks at what came of it. An engine that
//! reconciles by itself (ECS) and one that must be told every step (the embedded one) fit behind it alike.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod exec;
#[cfg(feature = "fake")]
pub mod fake;
mod keep;
mod logs;
mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tapit_model::{
    AppName, Digest, EngineKind, ImageRef, ImageView, InstanceId, InstanceKey, MemoryMib, PinnedImage, ProcessKey,
    ProcessObserved, ProcessTarget, PruneExtent, RegistryName, RegistrySettings, Transfer, Usage, UsageOf,
};

pub use error::{EngineError, ImageFault};
pub use exec::{EXEC_QUEUE, ExecInput, ExecOutput, ExecRequest, ExecSession, Terminal};
pub use keep::{AskInUse, Forget, Freed, InUse};
pub use logs::{LogPart, LogPosition, LogReading};
pub use rest::rest_after;

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Accepted,
    /// The engine holds a newer revision; the target was ignored.
    Stale,
}

/// Memory that instances may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub total: MemoryMib,
    pub used: MemoryMib,
}

/// An image that is ready to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub image: PinnedImage,
    /// The registry could not be asked and a copy held here is used: one sentence that says so.
    pub warning: Option<String>,
}

#[async_trait]
pub trait Engine: Send + Sync {
    /// `embedded` or `ecs`.
    fn name(&self) -> &'static str;

    /// By whose rules instances are made and changed. One on the server's own machine need not say so.
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    /// Where the app is reached from outside; `None` where it is nowhere, or where the server's own router leads to it.
    /// Cheap: no system calls.
    fn url(&self, _app: &AppName) -> Option<String> {
        None
    }

    /// States the whole world once, at start-up: instances of processes that are not named are removed.
    async fn adopt(&self, targets: Vec<ProcessTarget>) -> Result<(), EngineError>;

    /// Makes one process be so. Returns once the target is accepted, not once it is reached.
    async fn apply(&self, target: ProcessTarget) -> Result<Applied, EngineError>;

    /// Every process that the engine holds a target for, or still has instances of. Cheap: no system calls. A revision is
    /// shown once the engine has acted on it, so that what is blocked and what failed is news of that very target.
    async fn observe(&self) -> Result<Vec<ProcessObserved>, EngineError>;

    /// Resolves a reference to a digest and makes the image ready to start: fetched, verified, unpacked. An image that
    /// was imported by hand is used as it is. Two callers for one image share the work.
    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError>;

    /// Gives a notice to the newest `count` live spot instances of a process, as if their capacity were reclaimed.
    async fn interrupt(&self, process: &ProcessKey, count: u32) -> Result<Vec<InstanceId>, EngineError>;

    /// What running instances use now; one that ends meanwhile is left out.
    async fn usage(&self, of: &UsageOf) -> Result<Vec<(InstanceKey, Usage)>, EngineError>;

    /// The last lines that an instance wrote, oldest first; also of one that has stopped.
    async fn log_tail(&self, instance: &InstanceKey, lines: usize) -> Result<Vec<String>, EngineError>;

    /// Reads the log of an instance, also of one that has stopped, as long as it is remembered. A line is there within a
    /// moment of being written; nothing is waited for.
    async fn logs(&self, instance: &InstanceKey, part: &LogPart) -> Result<LogReading, EngineError>;

    /// So long after an instance has ended the last lines that it wrote may still come.
    fn log_lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Runs a command in an instance, beside its program. Answers once it is about to run; a program that is not there
    /// ends with 127 like in a shell. The command does not outlive the instance, the session or the engine.
    async fn exec(&self, instance: &InstanceKey, request: ExecRequest) -> Result<ExecSession, EngineError>;

    /// `None` where capacity is not this engine's to count.
    fn capacity(&self) -> Option<Capacity>;

    /// What the host lacks, one sentence each.
    fn warnings(&self) -> Vec<String>;

    /// Wakes up when anything may look different. Carries no data; wake-ups may be joined.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Tells the engine that something outside of it may have changed (a route, an imported image): look again.
    fn nudge(&self);

    /// The images held here.
    fn images(&self) -> &dyn Images;

    /// Ends the engine's own work. Instances keep running.
    async fn close(&self);

    /// Stops every instance and removes everything that the engine ever made, network included.
    async fn teardown(&self) -> Result<(), EngineError>;
}

/// Images held by an engine. `used_by` of the views is left empty: only the server knows who uses what.
#[async_trait]
pub trait Images: Send + Sync {
    /// Imports a tar of `docker save` or of an OCI layout from a file. `name` names it when the archive does not, or
    /// instead of the archive's own name. Returns what was imported.
    async fn import(&self, archive: &std::path::Path, name: Option<&ImageRef>) -> Result<Vec<ImageView>, EngineError>;
    /// The same for an archive that a builder has just made.
    async fn import_built(&self, archive: &std::path::Path, name: &ImageRef) -> Result<Vec<ImageView>, EngineError>;
    async fn list(&self) -> Result<Vec<ImageView>, EngineError>;
    /// Unpacked bytes of all images, also of those on their way.
    async fn bytes(&self) -> Result<u64, EngineError>;
    /// Forgets a name, or all names of an image. The image itself goes as well unless another name or a user keeps it.
    async fn delete(&self, what: &Forget, in_use: &AskInUse) -> Result<Freed, EngineError>;
    /// Forgets images that nothing uses.
    async fn prune(&self, extent: PruneExtent, in_use: &AskInUse) -> Result<Freed, EngineError>;
    /// What `prune` would do now.
    async fn would_prune(&self, extent: PruneExtent, in_use: &AskInUse) -> Result<Freed, EngineError>;
    /// Asks the registry what an image is now and holds that. Unlike `prepare`, a copy held here is no answer when the
    /// registry gives none.
    async fn pull(&self, image: &ImageRef, transfer: &TransferWatch) -> Result<ImageView, EngineError>;
    /// Sends a held image to a registry under another name, or its own. Returns the digest of the manifest there.
    async fn push(&self, image: &ImageRef, to: &ImageRef, transfer: &TransferWatch) -> Result<Digest, EngineError>;
    /// What is set for registries, passwords included: who shows it hides them.
    async fn registries(&self) -> Result<BTreeMap<RegistryName, RegistrySettings>, EngineError>;
    /// Replaces what is set for one registry; `None` forgets it.
    async fn set_registry(&self, name: &RegistryName, settings: Option<RegistrySettings>) -> Result<(), EngineError>;
}

/// Where a transfer is told to whoever looks. It may be told more often than anybody looks.
pub type TransferWatch = tokio::sync::watch::Sender<Transfer>;

/// What an engine must know of the traffic to its instances, so that none is told to stop while requests reach it.
/// On the embedded engine the router answers; ids are `APP/INSTANCE` as `InstanceKey` prints them.
pub trait Traffic: Send + Sync {
    /// Takes the instance out of every route, for ever. After it returns, no new request is sent to it.
    fn withdraw(&self, instance: &InstanceKey);
    fn is_routed(&self, instance: &InstanceKey) -> bool;
    /// Requests and upgraded connections in flight to the instance.
    fn in_flight(&self, instance: &InstanceKey) -> u32;
}

/// An engine as the server holds it.
pub type SharedEngine = Arc<dyn Engine>;
