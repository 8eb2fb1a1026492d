//! An engine in memory for tests: it keeps the contract, runs nothing, and moves only when told to.
//!
//! Instances live by the `Script` of their image. Time passes by `tick` alone, so a test is the same on every machine.
//! The machine (instances, images, clock) outlives the engine: `restarted` is what a new server finds after the old one
//! died.

mod exec;
mod logs;
mod machine;
mod plan;
mod script;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapit_model::{
    AppName, EngineKind, ImageRef, InstanceId, InstanceKey, Lifecycle, LogLine, LogStream, MemoryMib, Moment,
    PinnedImage, Presence, ProcessKey, ProcessObserved, ProcessTarget, Revision, Usage, UsageOf,
};
use tokio::sync::watch;

use crate::{
    Applied, Capacity, Engine, EngineError, ExecRequest, ExecSession, ImageFault, Images, LogPart, LogReading,
    Prepared, Traffic,
};
use machine::{Machine, Process};

pub use machine::TICK_MILLIS;
pub use script::{Ending, Script};

pub struct Fake {
    machine: Mutex<Machine>,
    shelf: script::Shelf,
    traffic: Arc<dyn Traffic>,
    changes: watch::Sender<u64>,
}

impl Fake {
    pub fn new(capacity: MemoryMib, traffic: Arc<dyn Traffic>) -> Arc<Self> {
        let shelf = script::Shelf::default();
        let machine = Machine {
            now: Moment(TICK_MILLIS),
            capacity,
            processes: BTreeMap::new(),
            shelf: shelf.clone(),
            serials: BTreeMap::new(),
            kind: EngineKind::Embedded,
            log_lag: Duration::ZERO,
        };
        Arc::new(Self { machine: Mutex::new(machine), shelf, traffic, changes: watch::Sender::new(0) })
    }

    /// The machine as a new server finds it: the instances are there, the targets were in the old server's memory.
    pub fn restarted(&self, traffic: Arc<dyn Traffic>) -> Arc<Self> {
        let mut machine = self.machine().clone();
        for process in machine.processes.values_mut() {
            process.target = None;
            process.planned = None;
        }
        Arc::new(Self {
            machine: Mutex::new(machine),
            shelf: self.shelf.clone(),
            traffic,
            changes: watch::Sender::new(0),
        })
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// One second passes: instances move on, and what the targets want is begun.
    pub fn tick(&self) {
        self.machine().tick(&*self.traffic);
        self.changed();
    }

    /// Puts an image on the shelf, or changes what instances that start from now on do.
    pub fn put_image(&self, image: &ImageRef, script: Script) -> PinnedImage {
        self.shelf.put(image, script)
    }

    /// From now on, asking for the image fails so.
    pub fn spoil_image(&self, image: &ImageRef, fault: ImageFault) {
        self.shelf.spoil(image, fault);
    }

    /// Ends a running instance as if it had done so by itself. False: there is no such instance.
    pub fn end(&self, instance: &InstanceKey, ending: Ending) -> bool {
        let ended = self.machine().end(instance, ending);
        self.traffic.withdraw(instance);
        self.changed();
        ended
    }

    /// A running or stopped instance has written a line now. False: there is no such instance.
    pub fn write(&self, instance: &InstanceKey, text: &str) -> bool {
        let mut machine = self.machine();
        let at = machine::stamp(machine.now);
        let member = machine.member_mut(instance);
        let line = LogLine { at, stream: LogStream::Stdout, text: text.to_owned() };
        member.map(|member| member.log.push(line)).is_some()
    }

    /// Says from now on that it is of this kind. One on ECS has an address of its own for every app that it knows.
    pub fn act_as(&self, kind: EngineKind) {
        self.machine().kind = kind;
    }

    /// Says from now on that last lines may be so late.
    pub fn lag_logs(&self, lag: Duration) {
        self.machine().log_lag = lag;
    }

    pub fn set_capacity(&self, capacity: MemoryMib) {
        self.machine().capacity = capacity;
    }
}

#[async_trait]
impl Engine for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> EngineKind {
        self.machine().kind
    }

    fn log_lag(&self) -> Duration {
        self.machine().log_lag
    }

    fn url(&self, app: &AppName) -> Option<String> {
        let machine = self.machine();
        let known = machine.processes.keys().any(|key| key.app == *app);
        (known && machine.kind == EngineKind::Ecs).then(|| format!("http://{app}.example"))
    }

    async fn adopt(&self, targets: Vec<ProcessTarget>) -> Result<(), EngineError> {
        let mut machine = self.machine();
        for target in targets {
            enter(&mut machine, target);
        }
        for (key, process) in &mut machine.processes {
            let absent = || ProcessTarget {
                key: key.clone(),
                revision: Revision(0),
                presence: Presence::Absent(Lifecycle::default()),
            };
            process.target.get_or_insert_with(absent);
        }
        drop(machine);
        self.changed();
        Ok(())
    }

    async fn apply(&self, target: ProcessTarget) -> Result<Applied, EngineError> {
        let mut machine = self.machine();
        let held = machine.processes.get(&target.key).and_then(|process| process.target.as_ref());
        if held.is_some_and(|held| held.revision > target.revision) {
            return Ok(Applied::Stale);
        }
        enter(&mut machine, target);
        drop(machine);
        self.changed();
        Ok(Applied::Accepted)
    }

    async fn observe(&self) -> Result<Vec<ProcessObserved>, EngineError> {
        let machine = self.machine();
        let observed = machine.processes.iter().filter_map(|(key, process)| {
            process.target.as_ref()?;
            Some(ProcessObserved {
                key: key.clone(),
                revision: process.planned.unwrap_or_default(),
                instances: process.members.iter().map(|member| member.seen.clone()).collect(),
                blocked: process.blocked.clone(),
                failure: process.failure.clone(),
                seen_at: machine.now,
            })
        });
        Ok(observed.collect())
    }

    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        self.shelf.resolve(image).map(|image| Prepared { image, warning: None })
    }

    async fn interrupt(&self, key: &ProcessKey, count: u32) -> Result<Vec<InstanceId>, EngineError> {
        let chosen = {
            let mut machine = self.machine();
            if !machine.processes.contains_key(key) {
                return Err(EngineError::UnknownProcess(key.clone()));
            }
            machine.interrupt(key, count as usize)
        };
        for id in &chosen {
            self.traffic.withdraw(&InstanceKey { app: key.app.clone(), id: id.clone() });
        }
        self.changed();
        Ok(chosen)
    }

    async fn usage(&self, of: &UsageOf) -> Result<Vec<(InstanceKey, Usage)>, EngineError> {
        let machine = self.machine();
        let covered = machine.processes.iter().filter(|(key, _)| of.covers(key));
        let usage = Usage { memory_bytes: 1 << 20, memory_peak_bytes: 1 << 21, ..Usage::default() };
        let read = covered.flat_map(|(key, process)| {
            let members = process.members.iter().filter(|member| member.holds_memory());
            members.map(|member| (InstanceKey { app: key.app.clone(), id: member.seen.id.clone() }, usage))
        });
        Ok(read.collect())
    }

    async fn log_tail(&self, instance: &InstanceKey, lines: usize) -> Result<Vec<String>, EngineError> {
        let mut machine = self.machine();
        let member = machine.member_mut(instance).ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))?;
        let log = &member.log;
        Ok(log[log.len().saturating_sub(lines)..].iter().map(|line| line.text.clone()).collect())
    }

    async fn logs(&self, instance: &InstanceKey, part: &LogPart) -> Result<LogReading, EngineError> {
        let mut machine = self.machine();
        let member = machine.member_mut(instance).ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))?;
        logs::read(&member.log, part)
    }

    async fn exec(&self, instance: &InstanceKey, request: ExecRequest) -> Result<ExecSession, EngineError> {
        let mut machine = self.machine();
        let member = machine.member_mut(instance).ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))?;
        if !member.holds_memory() {
            return Err(EngineError::NotRunning(instance.to_string()));
        }
        Ok(exec::start(&request))
    }

    fn capacity(&self) -> Option<Capacity> {
        let machine = self.machine();
        Some(Capacity { total: machine.capacity, used: MemoryMib::from_mib(machine.used()) })
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Every tick looks at everything anyway.
    fn nudge(&self) {}

    fn images(&self) -> &dyn Images {
        &self.shelf
    }

    async fn close(&self) {}

    async fn teardown(&self) -> Result<(), EngineError> {
        let mut machine = self.machine();
        let all = machine.processes.iter().flat_map(|(key, process)| {
            process.members.iter().map(|m| InstanceKey { app: key.app.clone(), id: m.seen.id.clone() })
        });
        all.for_each(|instance| self.traffic.withdraw(&instance));
        machine.processes.clear();
        drop(machine);
        self.changed();
        Ok(())
    }
}

fn enter(machine: &mut Machine, target: ProcessTarget) {
    let last_serial = machine.serials.get(&target.key).copied().unwrap_or(0);
    let process =
        machine.processes.entry(target.key.clone()).or_insert_with(|| Process { last_serial, ..Process::default() });
    process.target = Some(target);
}
