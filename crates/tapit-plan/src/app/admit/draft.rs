//! An admission in the making: what it changes, in the order in which a store can take it.

use tapit_model::{
    AppName, Change, Confinement, EngineKind, Event, EventKind, Generation, InstanceObserved, Process, ProcessKey,
    ProcessObserved, Revision, Rollout, RolloutKind, RolloutState, Template, Timestamp, World,
};

use super::super::sight;
use super::super::types::{Admission, Grounds};
use super::step::Present;

/// Each admitted change raises the revision by this much; see the module doc of `app`.
const REVISION_STEP: u64 = 2;

pub(super) struct Draft<'a> {
    pub world: &'a World,
    observed: &'a [ProcessObserved],
    pub engine: EngineKind,
    pub now: Timestamp,
    pub changes: Vec<Change>,
    events: Vec<Event>,
    notes: Vec<String>,
    next_rollout: u64,
}

impl<'a> Draft<'a> {
    pub fn new(grounds: &Grounds<'a>) -> Self {
        let Grounds { world, observed, engine, now } = *grounds;
        let next_rollout = world.next_rollout.max(1);
        Self { world, observed, engine, now, changes: Vec::new(), events: Vec::new(), notes: Vec::new(), next_rollout }
    }

    pub fn finish(self, message: String, inverse: Option<String>, revision: Revision) -> Admission {
        let Self { changes, events, notes, .. } = self;
        Admission { changes, events, message, inverse, notes, revision }
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub fn event(&mut self, key: &ProcessKey, kind: EventKind, text: impl Into<String>) {
        self.push_event(&key.app, Some(key), kind, text.into());
    }

    /// Tells what instances are allowed beyond what they were.
    pub fn loosened(&mut self, key: &ProcessKey, from: &Confinement, to: &Confinement) {
        for text in to.loosened_since(from) {
            self.event(key, EventKind::ConfinementLoosened, format!("process {} {text}", key.process));
        }
    }

    pub fn app_event(&mut self, app: &AppName, kind: EventKind, text: impl Into<String>) {
        self.push_event(app, None, kind, text.into());
    }

    fn push_event(&mut self, app: &AppName, key: Option<&ProcessKey>, kind: EventKind, text: String) {
        let process = key.map(|key| key.process.clone());
        self.events.push(Event { at: self.now, app: app.clone(), process, instance: None, kind, text });
    }

    pub fn present(&self, process: &'a Process) -> Present<'a> {
        Present { world: self.world, process, observed: sight::of(self.observed, &process.key), engine: self.engine }
    }

    /// Instances of a process that run or are about to.
    pub fn live(&self, key: &ProcessKey) -> u32 {
        let instances = sight::instances(sight::of(self.observed, key));
        sight::number(instances.iter().filter(|i: &&InstanceObserved| i.state.is_live()).count())
    }

    /// The revision that the next change of a process has, also of one that was deleted and is made again.
    pub fn next_revision(&self, key: &ProcessKey) -> Revision {
        let (_, mark) = self.world.marks.get(key).copied().unwrap_or_default();
        let present = self.world.processes.get(key).map_or(Revision(0), |process| process.revision);
        Revision(mark.max(present).0 + REVISION_STEP)
    }

    fn next_generation(&self, key: &ProcessKey) -> u64 {
        let (mark, _) = self.world.marks.get(key).copied().unwrap_or_default();
        mark.max(self.world.processes.get(key).map_or(0, |process| process.generation)) + 1
    }

    /// Records a changed process, with a new revision. Returns the revision.
    pub fn put(&mut self, mut process: Process) -> Revision {
        process.revision = self.next_revision(&process.key);
        process.fallback.raised = 0;
        process.updated_at = self.now;
        let revision = process.revision;
        self.changes.push(Change::PutProcess(process));
        revision
    }

    /// Moves a process to a new generation.
    pub fn roll(&mut self, process: Process, template: Template, kind: RolloutKind) -> Revision {
        let number = self.next_generation(&process.key);
        let generation = Generation { key: process.key.clone(), number, template };
        self.roll_to(process, generation, kind)
    }

    /// Moves a process to a generation, new or known. A rollout in progress is superseded: its row is replaced, and the
    /// new one starts from what has proved itself.
    pub fn roll_to(&mut self, mut process: Process, generation: Generation, kind: RolloutKind) -> Revision {
        let key = process.key.clone();
        let (from, to) = (process.running_generation, generation.number);
        self.announce_superseded(&key);
        process.generation = to;
        process.rolled_back = false;
        let revision = self.put(process);
        self.changes.push(Change::PutGeneration(generation));
        self.changes.push(Change::PutRollout(Rollout {
            id: self.next_rollout,
            key: key.clone(),
            kind,
            state: RolloutState::Running,
            from,
            to,
            started_at: self.now,
            finished_at: None,
            reason: None,
            last_exit: None,
            log_tail: Vec::new(),
        }));
        self.next_rollout += 1;
        self.forget_generations(&key, from, to);
        let source = if from == 0 || from == to { String::new() } else { format!(" from generation {from}") };
        self.event(&key, EventKind::RolloutStarted, format!("{} rollout{source} to generation {to}", word(kind)));
        revision
    }

    /// Ends a rollout in progress without a new one.
    pub fn end_rollout(&mut self, key: &ProcessKey, reason: &str) {
        if !self.announce_superseded(key) {
            return;
        }
        if let Some(rollout) = self.world.rollouts.get(key) {
            self.changes.push(Change::PutRollout(Rollout {
                state: RolloutState::Superseded,
                finished_at: Some(self.now),
                reason: Some(reason.to_owned()),
                ..rollout.clone()
            }));
        }
    }

    fn announce_superseded(&mut self, key: &ProcessKey) -> bool {
        let running = self.world.rollouts.get(key).filter(|rollout| rollout.state == RolloutState::Running);
        let Some(rollout) = running else { return false };
        let text = format!("the rollout of {} to generation {} was superseded", key.process, rollout.to);
        self.event(key, EventKind::RolloutSuperseded, text.clone());
        self.note(text);
        true
    }

    /// Only what may still run is kept: the generation that serves and the one that is wanted.
    fn forget_generations(&mut self, key: &ProcessKey, serving: u64, wanted: u64) {
        let numbers = self.world.generations.keys().filter(|(owner, _)| owner == key).map(|(_, number)| *number);
        let unused = numbers.filter(|number| *number != serving && *number != wanted);
        self.changes.extend(unused.map(|number| Change::RemoveGeneration(key.clone(), number)));
    }
}

fn word(kind: RolloutKind) -> &'static str {
    match kind {
        RolloutKind::Create => "create",
        RolloutKind::Update => "update",
        RolloutKind::Restart => "restart",
        RolloutKind::Resize => "resize",
        RolloutKind::Enable => "enable",
    }
}
