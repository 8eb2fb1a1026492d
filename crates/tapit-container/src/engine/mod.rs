//! The embedded engine: runs instances as containers on this machine.
//!
//! The server calls it through `tapit_engine::Engine`. One task (`actor`) plans and acts; tasks of their own launch,
//! watch and check each instance and only ever report into the state. Everything that must survive the server lies in
//! the instances' directories (`adopt` reads it back). This module decides nothing: `tapit_plan::host` does.

mod actor;
mod adopt;
mod apps;
pub mod clock;
pub(crate) mod dns;
mod exec;
mod execute;
mod health;
mod life;
mod logs;
mod lots;
mod open;
mod order;
mod reserve;
mod resize;
mod serials;
mod shared;
mod spares;
mod start;
mod state;
mod tasks;
mod teardown;
mod usage;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tapit_engine::{
    Applied, Capacity, Engine, EngineError, ExecRequest, ExecSession, Images, LogPart, LogReading, Prepared, Traffic,
};
use tapit_model::{
    ImageRef, InstanceId, InstanceKey, InstanceKind, MemoryMib, Presence, ProcessKey, ProcessObserved, ProcessTarget,
    ReasonCode, Usage, UsageOf,
};
use tapit_plan::host::Phase;
use tokio::task::JoinHandle;

use shared::Shared;

/// How to open the engine.
pub struct EmbeddedConfig {
    pub data_dir: PathBuf,
    /// The program that is re-executed as shim, monitor and unpacker: one that calls `child_main` first. A server gives
    /// `/proc/self/exe`, which stays right when the file on disk is replaced by a newer one.
    pub exe: PathBuf,
    /// Memory for instances; `None`: most of the host's.
    pub capacity: Option<MemoryMib>,
    /// Memory for containers that are made before they are needed; 0: none are.
    pub spares_memory: MemoryMib,
    /// Memory that the host should keep available: below it, spot instances are reclaimed. `None`: a small share of it.
    pub reserve_memory: Option<MemoryMib>,
    pub traffic: Arc<dyn Traffic>,
}

pub struct Embedded {
    shared: Arc<Shared>,
    actor: Mutex<Option<JoinHandle<()>>>,
    warnings: Vec<String>,
    /// Memory that the host should keep available.
    reserve: MemoryMib,
    meter: usage::Meter,
}

impl Embedded {
    /// Prepares the host (network, cgroup, images). Nothing is started or stopped before `adopt`.
    pub async fn open(config: EmbeddedConfig) -> Result<Arc<Self>, EngineError> {
        let opened = open::open(config).await?;
        let shared = Arc::new(opened.shared);
        let asked = Arc::downgrade(&shared);
        let running = move || asked.upgrade().map(|shared| shared.state().images()).unwrap_or_default();
        shared.images.spare_running(Box::new(running));
        let engine = Self {
            shared,
            actor: Mutex::new(None),
            warnings: opened.warnings,
            reserve: opened.reserve,
            meter: usage::Meter::default(),
        };
        Ok(Arc::new(engine))
    }

    async fn stop_planning(&self) {
        self.shared.state().closing = true;
        let actor = self.actor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(actor) = actor {
            actor.abort();
            // Aborted is what it is to be.
            let _ = actor.await;
        }
    }
}

#[async_trait]
impl Engine for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn adopt(&self, targets: Vec<ProcessTarget>) -> Result<(), EngineError> {
        adopt::adopt(&self.shared, targets).await?;
        self.shared.tasks.spawn(apps::tend(Arc::clone(&self.shared)));
        self.shared.tasks.spawn(reserve::watch(Arc::clone(&self.shared), self.reserve));
        let actor = tokio::spawn(actor::run(Arc::clone(&self.shared)));
        *self.actor.lock().unwrap_or_else(PoisonError::into_inner) = Some(actor);
        Ok(())
    }

    async fn apply(&self, target: ProcessTarget) -> Result<Applied, EngineError> {
        // Read before the lock is taken: the disk may be slow. Serials only grow, and only while the process is known.
        let last_serial = serials::last(&self.shared.process_dir(&target.key));
        let mut state = self.shared.state();
        let process = state.processes.entry(target.key.clone()).or_default();
        process.last_serial = process.last_serial.max(last_serial);
        if process.target.as_ref().is_some_and(|held| held.revision > target.revision) {
            return Ok(Applied::Stale);
        }
        if size(process.target.as_ref()) != size(Some(&target)) {
            // What did not fit the last size may fit this one.
            process.instances.values_mut().for_each(|instance| instance.outgrown = false);
        }
        process.target = Some(target);
        drop(state);
        self.shared.changed();
        Ok(Applied::Accepted)
    }

    async fn observe(&self) -> Result<Vec<ProcessObserved>, EngineError> {
        Ok(self.shared.state().observe(clock::moment()))
    }

    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        self.shared.images.prepare(image).await
    }

    async fn interrupt(&self, key: &ProcessKey, count: u32) -> Result<Vec<InstanceId>, EngineError> {
        let chosen: Vec<_> = {
            let state = self.shared.state();
            let process = state.processes.get(key).ok_or_else(|| EngineError::UnknownProcess(key.clone()))?;
            let live = process.instances.values().rev().filter(|instance| match instance.life.phase {
                Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => {
                    instance.kind == InstanceKind::Spot
                }
                Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => false,
            });
            live.take(count as usize).map(|instance| instance.key.id.clone()).collect()
        };
        for id in &chosen {
            execute::drain(&self.shared, key, id, ReasonCode::Reclaimed);
        }
        Ok(chosen)
    }

    async fn usage(&self, of: &UsageOf) -> Result<Vec<(InstanceKey, Usage)>, EngineError> {
        self.meter.read(&self.shared, of).await
    }

    async fn log_tail(&self, instance: &InstanceKey, lines: usize) -> Result<Vec<String>, EngineError> {
        logs::tail(&self.shared, instance, lines).await
    }

    async fn logs(&self, instance: &InstanceKey, part: &LogPart) -> Result<LogReading, EngineError> {
        logs::read(&self.shared, instance, part).await
    }

    async fn exec(&self, instance: &InstanceKey, request: ExecRequest) -> Result<ExecSession, EngineError> {
        exec::exec(&self.shared, instance, request).await
    }

    fn capacity(&self) -> Option<Capacity> {
        let state = self.shared.state();
        Some(Capacity { total: state.capacity, used: state.used() })
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.watch()
    }

    fn nudge(&self) {
        self.shared.nudge();
    }

    fn images(&self) -> &dyn Images {
        &self.shared.images
    }

    async fn close(&self) {
        self.stop_planning().await;
        self.shared.tasks.close().await;
        spares::clear(&self.shared).await;
    }

    async fn teardown(&self) -> Result<(), EngineError> {
        self.stop_planning().await;
        teardown::teardown(&self.shared).await
    }
}

fn size(target: Option<&ProcessTarget>) -> Option<tapit_model::Size> {
    match &target?.presence {
        Presence::Present(formation) => Some(formation.size),
        Presence::Absent(_) => None,
    }
}
