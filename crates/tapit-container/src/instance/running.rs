//! The server's handle on a container that runs: wait for its end, signal, resize, measure.
//!
//! It holds descriptors of the container's process 1 and of its monitor, so nothing it does can reach another process
//! that was given the same id. Dropping it changes nothing; `InstanceDir::adopt` makes a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use tapit_model::{Exit, Size, Timestamp};

use super::files::{FileError, Stored};
use super::{InstanceDir, Order, Record, Signal};
use crate::linux::cgroup::{Leaf, LeafError, LimitError, Limits};
use crate::linux::pidfd::PidFd;

pub struct Running {
    dir: InstanceDir,
    record: Record,
    /// `None` when it had already ended as it was looked for; its monitor is about to say how.
    init: Option<PidFd>,
    monitor: PidFd,
    /// The order with the size in force. Locked while a resize goes on, so that two never mix.
    order: Mutex<Order>,
}

/// How the wait for a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitOutcome {
    Exited(Exit),
    /// Its monitor is gone without having said how it ended. Whatever was left of it has been killed; the text says what
    /// was found.
    Lost(String),
}

/// What an instance uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumption {
    pub memory_bytes: u64,
    pub memory_peak_bytes: u64,
    /// Cpu time since it started.
    pub cpu_usec: u64,
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
    pub(super) fn new(dir: InstanceDir, order: Order, record: Record, monitor: PidFd) -> Result<Self, Errno> {
        let init = PidFd::of(record.init)?;
        Ok(Self { dir, record, init, monitor, order: Mutex::new(order) })
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
        if let Err(text) = self.monitor_ended().await {
            return WaitOutcome::Lost(text);
        }
        match self.dir.exit() {
            Stored::Found(exit) => WaitOutcome::Exited(exit),
            Stored::Missing => self.lost("its monitor was killed").await,
            Stored::Corrupt(text) => self.lost(&format!("its exit record is unreadable: {text}")).await,
        }
    }

    async fn monitor_ended(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("its monitor cannot be watched: {error}");
        let watched = self.monitor.watch().map_err(failed)?;
        watched.readable().await.map(drop).map_err(failed)
    }

    async fn lost(&self, why: &str) -> WaitOutcome {
        let alive = self.init.as_ref().is_some_and(PidFd::is_alive);
        let dir = self.dir.clone();
        // Killing waits for the kernel, which must not hold up other tasks.
        let cleaned = tokio::task::spawn_blocking(move || dir.release()).await;
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
        let leaf = Leaf::new(&order.cgroup)?;
        // Looked at in the moment of writing: the limits of an ended container's cgroup are nobody's to set.
        let ours = self.init.as_ref().is_some_and(|init| leaf.holds(self.pid()) && init.is_alive());
        if !ours {
            return Err(ResizeError::Ended);
        }
        limits(&order, size).apply(&leaf).map_err(|error| match error {
            LimitError::DoesNotFit { in_use, wanted } => ResizeError::DoesNotFit { in_use, wanted },
            other => ResizeError::Limits(other),
        })?;
        order.size = size;
        self.dir.write_order(&order)?;
        Ok(())
    }

    pub fn usage(&self) -> Result<Consumption, UsageError> {
        let leaf = Leaf::new(&self.order().cgroup)?;
        let counters = leaf.counters()?;
        Ok(Consumption {
            memory_bytes: counters.memory_bytes,
            memory_peak_bytes: counters.memory_peak_bytes,
            cpu_usec: counters.cpu_usec,
        })
    }
}

fn limits(order: &Order, size: Size) -> Limits {
    Limits { memory_bytes: size.memory.bytes(), cpu_millis: size.cpu.millis(), cpu_shares: order.cpu_shares(size) }
}
