//! What is wanted and what was decided: the rows that the store keeps, as one value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AppName, CommandLine, Confinement, CountChange, Exit, Fallback, Health, ImageRef, InstanceKind, Lifecycle,
    PinnedImage, PortSetting, ProcessKey, ProcessSpec, Restart, Size, Task, TaskId, Timestamp,
};

/// Orders the targets of a process; grows with every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    pub name: AppName,
    pub image: Option<ImageRef>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Being deleted: no instance may be left, then the row goes.
    pub deleting: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub key: ProcessKey,
    pub spec: ProcessSpec,
    /// It is a one-off task. One that was asked to stop is disabled.
    #[serde(default)]
    pub task: Option<Task>,
    /// False for the `default` that `create app` made and nobody configured yet.
    pub configured: bool,
    pub revision: Revision,
    /// The newest generation; `generations` holds it.
    pub generation: u64,
    /// The generation that serves: the last one whose rollout succeeded. 0: none yet.
    pub running_generation: u64,
    /// The last rollout was rolled back: the engine is told to run `running_generation`, not `generation`.
    pub rolled_back: bool,
    /// What is noted of missing spot instances and of those that stand in for them.
    #[serde(default)]
    pub fallback: Fallback,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub restarted_at: Option<Timestamp>,
    /// Being deleted: no instance may be left, then the row goes.
    pub deleting: bool,
}

impl Process {
    pub fn restart(&self) -> Restart {
        if self.task.is_some() { Restart::Never } else { Restart::Always }
    }

    /// It is a task that has come to its end.
    pub fn has_ended(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.end.is_some())
    }

    /// So many instances of a kind are to run: those that were asked for, and among the demand ones those that stand in for
    /// spot instances. Of a task that has ended, none.
    pub fn wanted(&self, kind: InstanceKind) -> u32 {
        if self.has_ended() {
            return 0;
        }
        let asked = self.spec.wanted(kind);
        match kind {
            InstanceKind::Demand => asked + self.stand_ins(),
            InstanceKind::Spot => asked,
        }
    }

    /// So many demand instances are to stand in for spot ones, and no more than the largest count leaves.
    pub fn stand_ins(&self) -> u32 {
        let most = CountChange::MAX.saturating_sub(self.spec.demand);
        if self.spec.disabled { 0 } else { self.fallback.stand_ins.min(most) }
    }

    /// The revision that the last change was admitted with, plus one after a rollback of it. Stand-ins that come and go
    /// raise the revision without anybody's asking, and whoever waits for a change need not know.
    pub fn asked_revision(&self) -> Revision {
        Revision(self.revision.0.saturating_sub(self.fallback.raised))
    }
}

/// Where a generation's image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Neither the process nor the app names an image.
    Unknown,
    /// Named, not resolved yet.
    Named(ImageRef),
    Pinned(PinnedImage),
}

/// What a new instance is made from. A change of it needs new instances, but for `size`, `health` and `lifecycle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub image: ImageSource,
    pub command: Option<CommandLine>,
    pub port: PortSetting,
    pub health: Health,
    pub lifecycle: Lifecycle,
    pub size: Size,
    #[serde(default)]
    pub confinement: Confinement,
    pub variables: Vec<(String, String)>,
}

/// One numbered, frozen configuration of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    pub key: ProcessKey,
    pub number: u64,
    pub template: Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutKind {
    Create,
    Update,
    Restart,
    Resize,
    Enable,
}

impl RolloutKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RolloutKind::Create => "create",
            RolloutKind::Update => "update",
            RolloutKind::Restart => "restart",
            RolloutKind::Resize => "resize",
            RolloutKind::Enable => "enable",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    Running,
    Succeeded,
    /// The old generation serves again.
    RolledBack,
    /// There was no older generation to go back to; attempts go on.
    Failed,
    Superseded,
}

impl RolloutState {
    pub fn as_str(self) -> &'static str {
        match self {
            RolloutState::Running => "running",
            RolloutState::Succeeded => "succeeded",
            RolloutState::RolledBack => "rolled_back",
            RolloutState::Failed => "failed",
            RolloutState::Superseded => "superseded",
        }
    }
}

/// The move of a process from one generation to the next; each process keeps its newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    pub id: u64,
    pub key: ProcessKey,
    pub kind: RolloutKind,
    pub state: RolloutState,
    /// 0: there was none.
    pub from: u64,
    pub to: u64,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub last_exit: Option<Exit>,
    /// The last lines of the failed instance's log.
    pub log_tail: Vec<String>,
}

/// Everything wanted, in memory. The store loads it once and persists each `Change`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    pub apps: BTreeMap<AppName, App>,
    pub processes: BTreeMap<ProcessKey, Process>,
    /// Per process and number. Only those that may still run are kept.
    pub generations: BTreeMap<(ProcessKey, u64), Generation>,
    /// The newest rollout of each process.
    pub rollouts: BTreeMap<ProcessKey, Rollout>,
    /// The last generation number and revision that a process of this name ever had, also after its deletion.
    pub marks: BTreeMap<ProcessKey, (u64, Revision)>,
    pub next_rollout: u64,
    /// The number of the next task, of whatever app.
    pub next_task: TaskId,
}

/// One change of the world: the only way to it, in memory and in the store alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    PutApp(App),
    RemoveApp(AppName),
    PutProcess(Process),
    /// Removes the process with its generations and rollout. Its marks stay, but for a task: its name never comes again.
    RemoveProcess(ProcessKey),
    PutGeneration(Generation),
    RemoveGeneration(ProcessKey, u64),
    PutRollout(Rollout),
}

impl World {
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutApp(app) => {
                self.apps.insert(app.name.clone(), app.clone());
            }
            Change::RemoveApp(name) => {
                self.apps.remove(name);
            }
            Change::PutProcess(process) => {
                let mark = self.marks.entry(process.key.clone()).or_default();
                mark.0 = mark.0.max(process.generation);
                mark.1 = mark.1.max(process.revision);
                if let Some(task) = &process.task {
                    self.next_task = self.next_task.max(TaskId(task.id.0.saturating_add(1)));
                }
                self.processes.insert(process.key.clone(), process.clone());
            }
            Change::RemoveProcess(key) => {
                if self.processes.remove(key).is_some_and(|process| process.task.is_some()) {
                    self.marks.remove(key);
                }
                self.generations.retain(|(owner, _), _| owner != key);
                self.rollouts.remove(key);
            }
            Change::PutGeneration(generation) => {
                self.generations.insert((generation.key.clone(), generation.number), generation.clone());
            }
            Change::RemoveGeneration(key, number) => {
                self.generations.remove(&(key.clone(), *number));
            }
            Change::PutRollout(rollout) => {
                self.next_rollout = self.next_rollout.max(rollout.id + 1);
                self.rollouts.insert(rollout.key.clone(), rollout.clone());
            }
        }
    }

    /// The processes of an app, by name; without its tasks.
    pub fn processes_of<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = &'a Process> {
        self.everything_of(app).filter(|process| process.task.is_none())
    }

    /// The tasks of an app that are remembered, the newest last.
    pub fn tasks_of<'a>(&'a self, app: &'a AppName) -> Vec<(&'a Process, &'a Task)> {
        let mut tasks: Vec<_> = self.everything_of(app).filter_map(|row| Some((row, row.task.as_ref()?))).collect();
        tasks.sort_by_key(|(_, task)| task.id);
        tasks
    }

    /// A task that is remembered.
    pub fn task(&self, app: &AppName, id: TaskId) -> Option<(&Process, &Task)> {
        let row = self.processes.get(&id.key(app))?;
        Some((row, row.task.as_ref()?))
    }

    /// Processes and tasks of an app.
    pub fn everything_of<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = &'a Process> {
        self.processes.values().filter(move |process| process.key.app == *app)
    }
}
