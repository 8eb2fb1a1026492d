//! What the parts of the engine share: the state behind its lock, the host's resources, and the wake-ups.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tapit_engine::Traffic;
use tapit_model::{InstanceId, InstanceKey, Moment, Presence, ProcessKey};
use tapit_plan::host::{Phase, plan_host};
use tokio::sync::{Notify, Semaphore, watch};

use super::apps::Apps;
use super::clock;
use super::serials::Serials;
use super::spares::Spares;
use super::state::{HostState, Instance, TrafficFacts};
use super::tasks::Tasks;
use crate::images::ImageStore;
use crate::instance::InstanceDir;
use crate::linux::cgroup;

/// How many containers are being made at once: more would only wait for each other in the kernel.
const LAUNCHES: usize = 4;

pub struct Shared {
    /// The program that is re-executed as shim and monitor.
    pub exe: PathBuf,
    /// `D/instances`.
    pub dir: PathBuf,
    pub apps: Apps,
    pub cgroup: cgroup::Root,
    pub images: ImageStore,
    pub traffic: Arc<dyn Traffic>,
    pub boot_id: String,
    /// The kernel can put containers into user namespaces.
    pub maps_ids: bool,
    pub launches: Semaphore,
    pub tasks: Tasks,
    pub spares: Spares,
    serials: Serials,
    /// Held while a life is written; taken before the state, never while it is held.
    recording: Mutex<()>,
    state: Mutex<HostState>,
    wake: Notify,
    changes: watch::Sender<u64>,
}

/// The host's resources, as `Shared` is made from them.
pub struct Resources {
    pub exe: PathBuf,
    pub dir: PathBuf,
    pub apps: Apps,
    pub cgroup: cgroup::Root,
    pub images: ImageStore,
    pub traffic: Arc<dyn Traffic>,
    /// The kernel can put containers into user namespaces.
    pub maps_ids: bool,
    /// Bytes for spares.
    pub spares: u64,
}

impl Shared {
    pub fn new(resources: Resources, state: HostState) -> Self {
        let Resources { exe, dir, apps, cgroup, images, traffic, maps_ids, spares } = resources;
        Self {
            exe,
            dir,
            apps,
            cgroup,
            images,
            traffic,
            boot_id: clock::boot_id(),
            maps_ids,
            launches: Semaphore::new(LAUNCHES),
            tasks: Tasks::default(),
            spares: Spares::new(spares),
            serials: Serials::default(),
            recording: Mutex::default(),
            state: Mutex::new(state),
            wake: Notify::new(),
            changes: watch::Sender::new(0),
        }
    }

    /// The state. Held for moments only, never across an await.
    pub fn state(&self) -> MutexGuard<'_, HostState> {
        // A panic while the lock was held is a bug that was already reported; the state is a plain value without
        // invariants that a half-done change could break for good, and the next plan looks at everything again.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `D/instances/APP/PROCESS/SERIAL`.
    pub fn instance_dir(&self, key: &ProcessKey, serial: u64) -> InstanceDir {
        InstanceDir::new(self.process_dir(key).join(serial.to_string()))
    }

    pub fn process_dir(&self, key: &ProcessKey) -> PathBuf {
        self.dir.join(key.app.as_str()).join(key.process.as_str())
    }

    /// The intention before the effect: a serial that was ever used is never used again, also after the process was
    /// deleted.
    pub fn remember_serial(&self, key: &ProcessKey, serial: u64) -> std::io::Result<()> {
        self.serials.remember(&self.process_dir(key), serial)
    }

    /// Leaves nothing but their serials of processes that are not known any more.
    pub fn retire_serials(&self) -> std::io::Result<()> {
        let known: BTreeSet<_> = self.state().processes.keys().map(|key| self.process_dir(key)).collect();
        let directories = |path: &Path| -> std::io::Result<Vec<PathBuf>> {
            Ok(std::fs::read_dir(path)?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        };
        for app in directories(&self.dir)? {
            let gone = directories(&app)?.into_iter().filter(|process| !known.contains(process));
            gone.into_iter().try_for_each(|process| self.serials.retire(&process))?;
        }
        Ok(())
    }

    /// Something changed here: plan again, and tell whoever watches.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.wake.notify_one();
    }

    /// Plan again; nothing visible has changed.
    pub fn nudge(&self) {
        self.wake.notify_one();
    }

    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes an instance under the lock, writes its life, and tells. Returns what `change` returns, `None` when the
    /// instance is gone.
    pub fn update<T>(&self, key: &ProcessKey, id: &InstanceId, change: impl FnOnce(&mut Instance) -> T) -> Option<T> {
        let (result, changed) = {
            let mut state = self.state();
            let instance = state.instance_mut(key, id)?;
            let before = instance.life.clone();
            let result = change(instance);
            (result, instance.life != before)
        };
        if changed {
            self.record(key, id);
        }
        self.changed();
        Some(result)
    }

    /// Writes the life of an instance to its directory, as it is at the moment of writing: of two that write at once, the
    /// later one writes the newer life. The disk is not waited for under the lock of the state. A failure (disk full) is
    /// told and not fatal: the file is only needed by the next server.
    pub fn record(&self, key: &ProcessKey, id: &InstanceId) {
        let _recording = self.recording.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = self.state().instance_mut(key, id).map(|instance| (instance.serial, instance.life.clone()));
        let Some((serial, life)) = found else { return };
        let dir = self.instance_dir(key, serial);
        // One that still waits for its turn to be made has no directory; its launch records it.
        if dir.path().exists()
            && let Err(error) = life.write(dir.path())
        {
            tracing::error!(instance = %id, error = &error as &dyn std::error::Error, "recording an instance");
        }
    }

    /// Plans once and keeps the verdicts. Answers the actions and when to look again.
    pub fn plan(&self) -> (Vec<(ProcessKey, tapit_plan::host::Action)>, Option<Moment>) {
        let now = clock::moment();
        let mut state = self.state();
        if !state.adopted || state.closing {
            return (Vec::new(), None);
        }
        let facts = |key: &InstanceKey| TrafficFacts {
            routed: self.traffic.is_routed(key),
            in_flight: self.traffic.in_flight(key),
        };
        let inputs = state.inputs(now, facts);
        let plan = plan_host(&inputs);
        let mut told = false;
        for verdict in plan.verdicts {
            if let Some(process) = state.processes.get_mut(&verdict.key) {
                let planned = process.target.as_ref().map(|target| target.revision);
                told |= process.blocked != verdict.blocked
                    || process.failure != verdict.failure
                    || process.planned != planned;
                process.blocked = verdict.blocked;
                process.failure = verdict.failure;
                process.planned = planned;
            }
        }
        let draining =
            inputs.processes.iter().flat_map(|p| &p.instances).any(|i| matches!(i.phase, Phase::Draining { .. }));
        let forgotten = forget_absent(&mut state);
        told |= forgotten;
        drop(state);
        if forgotten {
            self.apps.look_for_unused();
        }
        if told {
            self.changes.send_modify(|count| *count += 1);
        }
        // The router does not wake the engine for each request that ends, so a drain is looked at often while it lasts.
        let look_again = if draining { Some(now.plus_millis(DRAIN_POLL_MILLIS)) } else { plan.look_again };
        (plan.actions, look_again)
    }
}

const DRAIN_POLL_MILLIS: u64 = 20;

/// A process that is to be absent and has no instances left needs no entry. Answers whether there was one.
fn forget_absent(state: &mut HostState) -> bool {
    let before = state.processes.len();
    state.processes.retain(|_, process| {
        let absent = process.target.as_ref().is_some_and(|target| matches!(target.presence, Presence::Absent(_)));
        !(absent && process.instances.is_empty())
    });
    state.processes.len() < before
}
