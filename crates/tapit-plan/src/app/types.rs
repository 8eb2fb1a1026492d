//! What the app planner is told and what it answers.

use std::collections::BTreeMap;

use tapit_model::{
    AppName, Blocked, Change, EngineKind, Event, ImageRef, Moment, ProcessKey, ProcessObserved, ProcessTarget,
    Revision, Route, Timestamp, World,
};

/// What a request is judged against.
#[derive(Clone, Copy)]
pub struct Grounds<'a> {
    pub world: &'a World,
    /// It tells how many instances a change touches, and whether the present generation is in a crash loop, which asks for
    /// a new one; a look that is out of date does no harm.
    pub observed: &'a [ProcessObserved],
    /// What can be run, and what can be changed while it runs.
    pub engine: EngineKind,
    pub now: Timestamp,
}

/// A request that was admitted: what to commit, and what to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Empty when everything is so already.
    pub changes: Vec<Change>,
    pub events: Vec<Event>,
    /// One sentence that begins with a verb (`create process …`), so that a dry run can put "would" before it.
    pub message: String,
    /// The exact command that undoes it, where there is one.
    pub inverse: Option<String>,
    pub notes: Vec<String>,
    /// What `progress` must be asked for.
    pub revision: Revision,
}

pub struct AppInputs<'a> {
    /// For people.
    pub now: Timestamp,
    /// For timers.
    pub moment: Moment,
    pub world: &'a World,
    pub app: &'a AppName,
    /// What the engine sees; processes of other apps are ignored.
    pub observed: &'a [ProcessObserved],
    /// How the images that were asked for with `Prepare` are doing.
    pub images: &'a BTreeMap<ImageRef, ImageProgress>,
}

/// The state of one `Prepare`. A success is not listed: it is committed as a pinned generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageProgress {
    /// It was asked for just now. Where the image is held already, that is all there ever is.
    Asked,
    /// It takes a while.
    Preparing,
    /// `for_good`: the answer will not change by itself (not found, denied, invalid). Otherwise it is tried again.
    Failed { text: String, for_good: bool, attempts: u32 },
}

/// An image to resolve and fetch for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    pub key: ProcessKey,
    pub generation: u64,
    pub image: ImageRef,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppPlan {
    /// Outcomes to commit: rollouts that ended, rows that can go. With changes, plan again after the commit.
    pub changes: Vec<Change>,
    pub events: Vec<Event>,
    /// The target of every process that can have one now; the caller sends those that differ from what the engine holds.
    pub targets: Vec<ProcessTarget>,
    pub prepare: Vec<Prepare>,
    /// Why wanted things do not happen: the planner's own reasons and then what the engine reports.
    pub blocked: BTreeMap<ProcessKey, Vec<Blocked>>,
    /// The app's route, when it has a public process.
    pub route: Option<Route>,
    /// Without anything new to see, the next plan that differs is due then.
    pub look_again: Option<Moment>,
}

/// The one-word state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending,
    Running,
    Updating,
    Restarting,
    Degraded,
    RolledBack,
    Disabled,
    ScaledToZero,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Updating => "updating",
            Status::Restarting => "restarting",
            Status::Degraded => "degraded",
            Status::RolledBack => "rolled_back",
            Status::Disabled => "disabled",
            Status::ScaledToZero => "scaled_to_zero",
        }
    }
}
