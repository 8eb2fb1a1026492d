//! The server's handle on a container that runs: wait for its end, signal, resize, measure.
//!
//! It holds descriptors of the container's process 1 and of its monitor, so nothing it does can reach another process
//! that was given the same id. A monitor that is killed is replaced by whoever waits for the end. Dropping it changes
//! nothing; `InstanceDir::adopt` makes a new one.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use tapit_model::{Exit, Size, Timestamp};

use super::files::{FileError, Stored};
use super::watcher::{Attempts, Watcher, hold_output};
use super::{InstanceDir, Order, Record, Signal};
use crate::linux::cgroup::{CgroupPath, Counters, Leaf, LeafError, LimitError, Limits};
use crate::linux::pidfd::{self, PidFd};

pub struct Running {
    dir: InstanceDir,
    record: Record,
    /// `None` when it had already ended as it was looked for; its monitor is about to say how.
    init: Option<PidFd>,
    watcher: Mutex<Arc<Watcher>>,
    /// Locked while a monitor is replaced.
    attempts: tokio::sync::Mutex<Attempts>,
    /// The program that becomes a monitor.
    exe: PathBuf,
    /// Never read: being open is all they are for.
    _outputs: [Option<File>; 2],
    /// The order with the size in force. Locked while a resize goes on, so that two never mix.
    order: Mutex<Order>,
    /// Of the order, and never changed, so that measuring waits for no resize.
    cgroup: CgroupPath,
    veth: Option<String>,
}

/// Who watches a container, and the program that can become another one who does.
pub(super) struct Watched {
    pub exe: PathBuf,
    pub watcher: Watcher,
}

/// How the wait for a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitOutcome {
    Exited(Exit),
    /// Its monitor is gone without having said how it ended, and others in its place have not either. Whatever was left of
    /// it has been killed; the text says what was found.
    Lost(String),
}

#[derive(Debug, thiserror::Error)]
#[error("sending signal {number} to process {pid}")]
pub struct SignalError {
    number: i32,
    pid: i32,
    source: Errno,
}

#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    /// Its old limits are in force; it must be replaced to get the new ones.
    #[error("it uses {in_use} bytes of memory, which does not fit into {wanted}")]
    DoesNotFit { in_use: u64, wanted: u64 },
    #[error("the container has ended")]
    Ended,
    #[error(transparent)]
    Cgroup(#[from] LeafError),
    #[error("setting its limits")]
    Limits(#[source] LimitError),
    #[error("recording its new size")]
    Record(#[from] FileError),
}

#[derive(Debug, thiserror::Error)]
#[error("reading what it uses")]
pub struct UsageError(#[from] LeafError);

impl Running {
    pub(super) fn new(dir: InstanceDir, order: Order, record: Record, watched: Watched) -> Result<Self, Errno> {
        pidfd::allow_many();
        let init = PidFd::of(record.init)?;
        let Watched { exe, watcher } = watched;
        let (watcher, outputs) = (Mutex::new(Arc::new(watcher)), hold_output(&dir));
        let (cgroup, veth) = (order.cgroup.clone(), order.network.as_ref().map(|attach| attach.veth.clone()));
        Ok(Self {
            dir,
            record,
            init,
            watcher,
            attempts: tokio::sync::Mutex::default(),
            exe,
            _outputs: outputs,
            order: Mutex::new(order),
            cgroup,
            veth,
        })
    }

    /// The container's process 1, as the host numbers it.
    pub fn pid(&self) -> i32 {
        self.record.init.pid
    }

    pub fn started_at(&self) -> Timestamp {
        self.record.started_at
    }

    /// The size in force.
    pub fn size(&self) -> Size {
        self.order().size
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        // The order is replaced whole or not at all, so a panic elsewhere cannot have left half of one.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the container has ended and its monitor has cleaned up behind it. May be called again, and by several
    /// tasks. Needs a tokio runtime.
    pub async fn wait_exit(&self) -> WaitOutcome {
        let outcome = loop {
            let watcher = self.watcher();
            if let Err(error) = watcher.ended().await {
                return WaitOutcome::Lost(format!("its monitor cannot be watched: {error}"));
            }
            match self.dir.exit() {
                Stored::Found(exit) => break WaitOutcome::Exited(exit),
                Stored::Missing => {
                    if let Err(why) = self.replace(&watcher).await {
                        break self.lost(&why).await;
                    }
                }
                Stored::Corrupt(text) => break self.lost(&format!("its exit record is unreadable: {text}")).await,
            }
        };
        if let Some(init) = &self.init {
            init.reap();
        }
        outcome
    }

    fn watcher(&self) -> Arc<Watcher> {
        // Replaced whole or not at all.
        Arc::clone(&self.watcher.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts another monitor in the place of one that ended without a word, also when the container has ended too: what it
    /// wrote last is still to be kept, and its end to be recorded.
    async fn replace(&self, gone: &Arc<Watcher>) -> Result<(), String> {
        let mut attempts = self.attempts.lock().await;
        if !Arc::ptr_eq(&self.watcher(), gone) {
            // Another task was quicker.
            return Ok(());
        }
        if self.dir.pending_order() == Stored::Missing {
            return Err("its monitor was killed while it was being removed".to_owned());
        }
        if !attempts.allow(Instant::now()) {
            return Err("its monitor was killed, and so were those that took its place".to_owned());
        }
        let (exe, dir) = (self.exe.clone(), self.dir.clone());
        let started = tokio::task::spawn_blocking(move || Watcher::replace(&exe, &dir)).await;
        let failed = |error: &dyn std::error::Error| {
            format!("its monitor was killed and cannot be replaced: {}", tapit_model::describe(error))
        };
        let watcher = started.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        tracing::warn!(dir = %self.dir.path().display(), "a monitor was killed; another one takes its place");
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(watcher);
        Ok(())
    }

    async fn lost(&self, why: &str) -> WaitOutcome {
        let alive = self.init.as_ref().is_some_and(PidFd::is_alive);
        // A full disk takes no record, but what process 1 has noted has its place already.
        let noted = if alive { None } else { self.dir.unrecorded_exit(&self.order()) };
        let dir = self.dir.clone();
        // Killing waits for the kernel, which must not hold up other tasks.
        let cleaned = tokio::task::spawn_blocking(move || dir.release()).await;
        if let Some(exit) = noted {
            tracing::warn!(dir = %self.dir.path().display(), why, "the end of a container was not recorded");
            return WaitOutcome::Exited(exit);
        }
        let found =
            if alive { "the container was still running without it and was killed" } else { "nothing ran any more" };
        WaitOutcome::Lost(match cleaned {
            Ok(Ok(())) => format!("{why}; {found}"),
            Ok(Err(error)) => format!("{why}; {found}; cleaning up failed: {error}"),
            Err(error) => format!("{why}; {found}; cleaning up failed: {error}"),
        })
    }

    /// Sends a signal to the container's process 1, which passes a stop on to the program and dies of a kill together
    /// with everything in the container. To one that has ended already it is a no-op: `wait_exit` tells.
    pub fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        let number = match signal {
            Signal::Stop => self.order().stop_signal.number(),
            Signal::Kill => {
                // Dying takes cpu, which a bomb in a small container would not leave.
                if let Ok(leaf) = Leaf::new(&self.order().cgroup) {
                    leaf.unleash();
                }
                libc::SIGKILL
            }
        };
        match self.init.as_ref().map_or(Err(Errno::ESRCH), |init| init.signal(number)) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(source) => Err(SignalError { number, pid: self.pid(), source }),
        }
    }

    /// Kills everything in the container.
    pub fn kill_all(&self) -> Result<(), SignalError> {
        self.signal(Signal::Kill)
    }

    /// Puts new limits in force on the running container. On any error the old ones stay in force, except that after
    /// `Record` the new ones are in force until the next change. Blocks while the kernel reclaims memory.
    pub fn resize(&self, size: Size) -> Result<(), ResizeError> {
        let mut order = self.order();
        let leaf = self.own_leaf()?;
        limits(&order, size).apply(&leaf).map_err(|error| match error {
            LimitError::DoesNotFit { in_use, wanted } => ResizeError::DoesNotFit { in_use, wanted },
            // It ended between the look and the write, and its cgroup with it.
            _ if !self.is_in(&leaf) => ResizeError::Ended,
            other => {
                // Half of them may be in force. The first error is the one that tells.
                let _ = limits(&order, order.size).apply(&leaf);
                ResizeError::Limits(other)
            }
        })?;
        order.size = size;
        self.dir.write_order(&order)?;
        Ok(())
    }

    /// Puts the limits of the order in force once more: a server that was killed in the middle of a resize has left some
    /// of the old ones and some of the new.
    pub fn enforce_size(&self) -> Result<(), ResizeError> {
        let order = self.order();
        let leaf = self.own_leaf()?;
        limits(&order, order.size).apply(&leaf).map_err(ResizeError::Limits)
    }

    /// Its cgroup, as long as it is its own: the limits of an ended container's cgroup are nobody's to set. The path comes
    /// from the order and not from what the kernel says of a process, which for a zombie names the group above.
    fn own_leaf(&self) -> Result<Leaf, ResizeError> {
        let leaf = Leaf::new(&self.cgroup)?;
        if self.is_in(&leaf) { Ok(leaf) } else { Err(ResizeError::Ended) }
    }

    fn is_in(&self, leaf: &Leaf) -> bool {
        self.init.as_ref().is_some_and(|init| leaf.holds(self.pid()) && init.is_alive())
    }

    /// What its cgroup has counted.
    pub fn usage(&self) -> Result<Counters, UsageError> {
        Ok(Leaf::new(&self.cgroup)?.counters()?)
    }

    /// The host's end of its network interface.
    pub fn veth(&self) -> Option<&str> {
        self.veth.as_deref()
    }
}

pub(crate) fn limits(order: &Order, size: Size) -> Limits {
    Limits { memory_bytes: size.memory.bytes(), cpu_millis: size.cpu.millis(), cpu_shares: order.cpu_shares(size) }
}
