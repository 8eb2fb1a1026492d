//! An instance's directory: what was ordered, what runs, how it ended, what it wrote.
//!
//! ```text
//! order.json       before anything is made     lock        held by the shim, then the monitor
//! order.done.json  the same, once released     shim.log    what the shim and the monitor complain of
//! record.json      before its own code runs    log.1, log.1.idx, log.2 …  its output, see `log`
//! exit.json        after its end               stdout, stderr  fifos that it writes to
//! status           its program's wait status   rootfs upper work bundle state: its files while it is there
//! ```
//!
//! A directory may have been left in any state by a server, shim or monitor that was killed; all reading here expects so.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollTimeout;
use tapit_model::{Exit, Timestamp};
use tapit_monitor::ending::{self, Ending};

use super::files::{self, FileError, Stored, Survives};
use super::running::Watched;
use super::watcher::Watcher;
use super::{LogCursor, LogLine, Order, PROTOCOL, Record, Running, log};
use crate::linux::cgroup::{Leaf, LeafError};
use crate::linux::lock::{self, Lock, LockError, Taken};
use crate::linux::makers::{self, MakersError};
use crate::linux::pidfd::{self, PidFd};
use crate::linux::tree::{self, TreeError};

const ORDER: &str = "order.json";
/// An order that was released must not be carried out by a shim that comes late; its text is still needed.
const DONE: &str = "order.done.json";
pub(crate) const LOCK: &str = "lock";
pub(crate) const STATUS: &str = "status";

/// How long a monitor may take from the exit record to its own end before it is killed.
const FINISHING: Duration = Duration::from_secs(8);
/// How long a killed shim or monitor may take to be gone.
const DYING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
pub enum DirError {
    #[error("making the directory {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("taking back the order {path}")]
    Retire { path: PathBuf, source: io::Error },
    #[error("removing {path}")]
    Unlink { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("process {pid} holds {path} and does not end")]
    Held { path: PathBuf, pid: i32 },
    #[error("looking at process {pid}")]
    Process { pid: i32, source: Errno },
    #[error(transparent)]
    Makers(#[from] MakersError),
    #[error("removing its cgroup")]
    Cgroup(#[from] LeafError),
    /// What it may have left behind cannot be known from an order that cannot be read.
    #[error("the order cannot be read: {0}")]
    Order(String),
}

/// What became of an instance that an earlier server has left.
#[expect(clippy::large_enum_variant, reason = "made once per instance and taken apart at once")]
pub enum Adopted {
    Alive(Running),
    Exited(Exit),
    /// It ran and nobody knows how it ended. Nothing of it runs any more; the text says what was found.
    Lost(String),
    /// Its start was cut short before any of its own code ran. Nothing of it runs any more.
    NeverStarted,
}

#[derive(Debug, Clone)]
pub struct InstanceDir {
    path: PathBuf,
}

impl InstanceDir {
    /// Names a directory; touches nothing.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, with the directories above it. Only root may look inside: orders hold secrets.
    pub fn create(&self) -> Result<(), DirError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| DirError::Make { path: self.path.clone(), source })?;
        Ok(lock::create(&self.file(LOCK))?)
    }

    pub fn order(&self) -> Stored<Order> {
        match self.pending_order() {
            Stored::Missing => files::read_json(&self.file(DONE)),
            pending => pending,
        }
    }

    /// The order, if it is still to be carried out or being carried out.
    pub(crate) fn pending_order(&self) -> Stored<Order> {
        files::read_json(&self.file(ORDER))
    }

    pub fn record(&self) -> Stored<Record> {
        files::read_json(&self.file("record.json"))
    }

    pub fn exit(&self) -> Stored<Exit> {
        files::read_json(&self.file("exit.json"))
    }

    pub fn write_order(&self, order: &Order) -> Result<(), FileError> {
        files::write_json(&self.file(ORDER), order, Survives::ServerEnd)
    }

    pub(crate) fn write_record(&self, record: &Record) -> Result<(), FileError> {
        files::write_json(&self.file("record.json"), record, Survives::ServerEnd)
    }

    pub(crate) fn write_exit(&self, exit: &Exit) -> Result<(), FileError> {
        files::write_json(&self.file("exit.json"), exit, Survives::HostEnd)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The last lines that it wrote, oldest first; also after its end.
    pub fn log_tail(&self, lines: usize) -> Vec<LogLine> {
        self.log_last(lines, None).0
    }

    /// The last lines, none from before a time, oldest first; and where `log_read` goes on.
    pub fn log_last(&self, lines: usize, since: Option<Timestamp>) -> (Vec<LogLine>, LogCursor) {
        log::last(&self.path, lines, since, self.log_writer())
    }

    /// Lines from a position on, at most so many; without one, from the oldest that is kept. Where what was there has been
    /// rotated away, a line of our own says so first.
    pub fn log_read(&self, from: Option<&LogCursor>, limit: usize) -> (Vec<LogLine>, LogCursor) {
        log::read(&self.path, from, limit, self.log_writer())
    }

    /// To be asked before the log is looked at: all that an ended container wrote is in the log once its end is recorded.
    fn log_writer(&self) -> log::Writer {
        if self.file("exit.json").exists() { log::Writer::Ended } else { log::Writer::Alive }
    }

    /// Finds out what became of it. A container whose monitor was killed is given another: `exe` is the program that can
    /// become one. Blocks for as long as it takes to kill what must not go on.
    pub fn adopt(&self, exe: &Path) -> Result<Adopted, DirError> {
        let record = match self.record() {
            Stored::Found(record) => record,
            Stored::Missing => {
                self.release()?;
                return Ok(self.ended().unwrap_or(Adopted::NeverStarted));
            }
            Stored::Corrupt(text) => return self.lost(&format!("its record is unreadable: {text}")),
        };
        let same_boot = record.boot_id == pidfd::boot_id();
        // Whether the monitor lives is looked at before the exit record, which it writes before it ends.
        let monitor = if same_boot { self.monitor(&record)? } else { None };
        if let Some(ended) = self.ended() {
            return Ok(ended);
        }
        if !same_boot {
            return self.lost("the host was restarted");
        }
        if record.protocol != PROTOCOL {
            return self.lost("it was started by a version of this program that is not understood");
        }
        let order = match self.order() {
            Stored::Found(order) => order,
            Stored::Missing => return self.lost("its order is gone"),
            Stored::Corrupt(text) => return self.lost(&format!("its order is unreadable: {text}")),
        };
        let pid = record.init.pid;
        let watcher = match monitor {
            Some(monitor) => Watcher::new(monitor),
            None => match self.without_monitor(exe, &record, &order)? {
                Ok(watcher) => watcher,
                Err(adopted) => return Ok(adopted),
            },
        };
        Running::new(self.clone(), order, record, Watched { exe: exe.to_owned(), watcher })
            .map(Adopted::Alive)
            .map_err(|source| DirError::Process { pid, source })
    }

    /// The monitor, if it lives: the one that was recorded, or one that has just taken its place and holds the lock.
    fn monitor(&self, record: &Record) -> Result<Option<PidFd>, DirError> {
        let pid = record.monitor.pid;
        let recorded = PidFd::of(record.monitor).map_err(|source| DirError::Process { pid, source })?;
        if let Some(monitor) = recorded.filter(PidFd::is_alive) {
            return Ok(Some(monitor));
        }
        let Some(pid) = lock::holder(&self.file(LOCK))? else { return Ok(None) };
        let Ok(holder) = PidFd::open(pid) else { return Ok(None) };
        Ok((lock::holder(&self.file(LOCK))? == Some(pid)).then_some(holder))
    }

    /// A container whose monitor is gone is watched by another if it still runs; else its status file may know its end.
    fn without_monitor(
        &self,
        exe: &Path,
        record: &Record,
        order: &Order,
    ) -> Result<Result<Watcher, Adopted>, DirError> {
        let pid = record.init.pid;
        let init = PidFd::of(record.init).map_err(|source| DirError::Process { pid, source })?;
        if init.is_some_and(|init| init.is_alive()) {
            let path = self.path.display();
            tracing::warn!(dir = %path, "a monitor was killed while no server ran; another one takes its place");
            return match Watcher::replace(exe, self) {
                Ok(watcher) => Ok(Ok(watcher)),
                Err(error) => {
                    let why = format!("its monitor is gone and cannot be replaced: {}", tapit_model::describe(&error));
                    self.lost(&why).map(Err)
                }
            };
        }
        let Some(exit) = self.unrecorded_exit(order) else { return self.lost("its monitor is gone").map(Err) };
        if let Err(error) = self.write_exit(&exit) {
            // The status is still there for the next server.
            tracing::warn!(dir = %self.path.display(), error = %tapit_model::describe(&error), "recording an end");
        }
        Ok(Err(Adopted::Exited(exit)))
    }

    /// How a container ended whose process 1 is gone and of which no monitor has recorded it: as process 1 has noted. To be
    /// asked before its cgroup is removed.
    pub(super) fn unrecorded_exit(&self, order: &Order) -> Option<Exit> {
        let path = self.file(STATUS);
        let status = i32::from_ne_bytes(fs::read(&path).ok()?.try_into().ok()?);
        let at = jiff::Timestamp::try_from(fs::metadata(&path).ok()?.modified().ok()?).ok()?;
        if status == ending::NOT_YET {
            return None;
        }
        let ending = Ending::of(status);
        let oom = Leaf::new(&order.cgroup).and_then(|leaf| leaf.oom_kills()).is_ok_and(|kills| kills > 0);
        Some(Exit { code: Some(ending.code), signal: ending.signal, oom, at: Timestamp(at.as_millisecond()) })
    }

    fn ended(&self) -> Option<Adopted> {
        self.exit().found().map(Adopted::Exited)
    }

    fn lost(&self, why: &str) -> Result<Adopted, DirError> {
        match self.release() {
            // What was recorded has been killed; there is no more to be known.
            Ok(()) | Err(DirError::Order(_)) => Ok(Adopted::Lost(why.to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Ends whatever still runs of it and removes its cgroup and its files, except the order, how it ended and its log.
    ///
    /// Idempotent, right for a directory in any state, and safe at any time: a shim that is still starting the container
    /// is ended first, and one that comes later finds no order any more. Blocks, at worst for some twenty seconds.
    pub fn release(&self) -> Result<(), DirError> {
        if !self.path.exists() {
            return Ok(());
        }
        let lock = self.own()?;
        let cleared = self.clear();
        drop(lock);
        cleared
    }

    /// Removes all of it, log included. Idempotent.
    pub fn remove(&self) -> Result<(), DirError> {
        if !self.path.exists() {
            return Ok(());
        }
        let lock = self.own()?;
        match self.clear() {
            // An unreadable order is no reason to keep the directory for ever: its processes were killed by their record,
            // and a cgroup that is left below the server's own goes with that one.
            Ok(()) | Err(DirError::Order(_)) => {}
            Err(error) => return Err(error),
        }
        tree::remove(&self.path)?;
        drop(lock);
        Ok(())
    }

    /// The work of `release`, for the owner of the lock.
    fn clear(&self) -> Result<(), DirError> {
        match fs::rename(self.file(ORDER), self.file(DONE)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DirError::Retire { path: self.file(ORDER), source }),
        }
        match self.record() {
            Stored::Found(record) => kill_recorded(&record)?,
            Stored::Missing | Stored::Corrupt(_) => makers::kill(&self.path)?,
        }
        match self.order() {
            Stored::Found(order) => {
                let leaf = Leaf::new(&order.cgroup)?;
                leaf.kill()?;
                leaf.remove()?;
            }
            // The order comes before everything else, so without one nothing was made.
            Stored::Missing => {}
            Stored::Corrupt(text) => return Err(DirError::Order(text)),
        }
        for name in ["stdout", "stderr"] {
            match fs::remove_file(self.file(name)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(DirError::Unlink { path: self.file(name), source }),
            }
        }
        for name in ["rootfs", "upper", "work", "bundle", "state"] {
            tree::remove(&self.file(name))?;
        }
        Ok(())
    }

    /// Takes the directory over from the shim or monitor that owns it. One that has written the exit record is about to
    /// end by itself; any other is killed.
    fn own(&self) -> Result<Lock, DirError> {
        let path = self.file(LOCK);
        lock::create(&path)?;
        let deadline = Instant::now() + FINISHING + DYING;
        let patient_until = Instant::now() + FINISHING;
        loop {
            let pid = match Lock::take(&path)? {
                Taken::Mine(lock) => return Ok(lock),
                Taken::HeldBy(pid) => pid,
            };
            let finishing = self.exit().found().is_some() && Instant::now() < patient_until;
            if !finishing {
                self.kill_owner(pid)?;
            }
            if Instant::now() >= deadline {
                return Err(DirError::Held { path, pid });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Kills the owner, if it still is the owner once it is held.
    fn kill_owner(&self, pid: i32) -> Result<(), DirError> {
        let failed = |source| DirError::Process { pid, source };
        let pidfd = match PidFd::open(pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::ESRCH | Errno::EINVAL) => return Ok(()),
            Err(source) => return Err(failed(source)),
        };
        if lock::holder(&self.file(LOCK))? == Some(pid) {
            match pidfd.signal(libc::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(())
    }
}

/// Kills a container whose monitor is gone, also where its order, and so its cgroup, is not known.
fn kill_recorded(record: &Record) -> Result<(), DirError> {
    let failed = |source| DirError::Process { pid: record.init.pid, source };
    if record.boot_id != pidfd::boot_id() {
        return Ok(());
    }
    let Some(init) = PidFd::of(record.init).map_err(failed)? else { return Ok(()) };
    match init.signal(libc::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(source) => return Err(failed(source)),
    }
    // Whether it is gone is seen by its cgroup being empty; a zombie that its new parent never waits for is no matter.
    init.wait(PollTimeout::from(u16::try_from(DYING.as_millis()).unwrap_or(u16::MAX)));
    Ok(())
}
