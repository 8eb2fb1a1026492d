//! The process that watches a container, as its server sees it, and the start of another one in its place.
//!
//! A monitor that was killed takes nothing with it: the container's output waits in fifos that the server holds open too,
//! what it has written is in the log, and how the program ends is told by a file. So another process takes up its work,
//! and the container is none the wiser.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::InstanceDir;
use crate::linux::pidfd::PidFd;
use crate::linux::program::Program;
use crate::linux::verbs;

/// So many in a row are replaced, each within this time of the one before; then there is something wrong that another
/// one does not cure.
const ATTEMPTS: u32 = 3;
const IN_A_ROW: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    #[error("making the program that watches containers")]
    Program { source: io::Error },
    #[error("making {path}")]
    Log { path: PathBuf, source: io::Error },
    #[error("running {exe}")]
    Spawn { exe: PathBuf, source: io::Error },
    #[error("holding process {pid}")]
    Hold { pid: u32, source: Errno },
}

#[derive(Debug)]
pub struct Watcher {
    pidfd: PidFd,
    /// Where it is this process's own child and nobody else waits for it.
    child: Mutex<Option<Child>>,
}

impl Watcher {
    pub fn new(pidfd: PidFd) -> Self {
        Self { pidfd, child: Mutex::new(None) }
    }

    /// Starts one in the place of one that is gone. `exe` is a program that calls `child_main`.
    pub fn replace(exe: &Path, dir: &InstanceDir) -> Result<Self, ReplaceError> {
        let program = Program::shared().map_err(|source| ReplaceError::Program { source })?;
        let path = dir.file("shim.log");
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let child = Command::new(exe)
            .arg(verbs::MONITOR)
            .arg(dir.path())
            .arg(program.path())
            .env_clear()
            .current_dir("/")
            // Not in the server's process group, so that what is meant for the server does not end it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_err(|source| ReplaceError::Log { path, source })?)
            .spawn()
            .map_err(|source| ReplaceError::Spawn { exe: exe.to_owned(), source })?;
        let pid = child.id();
        // Not waited for yet, so the id is still its.
        let pidfd = PidFd::open(pid.cast_signed()).map_err(|source| ReplaceError::Hold { pid, source })?;
        Ok(Self { pidfd, child: Mutex::new(Some(child)) })
    }

    /// Waits for its end. Needs a tokio runtime.
    pub async fn ended(&self) -> io::Result<()> {
        let watched = self.pidfd.watch()?;
        watched.readable().await.map(drop)?;
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It has ended, so this takes no time; it only keeps it from staying a zombie.
        child.map_or(Ok(()), |mut child| child.wait().map(drop))
    }
}

/// Whether one more may be started.
#[derive(Debug, Default)]
pub struct Attempts {
    count: u32,
    last: Option<Instant>,
}

impl Attempts {
    pub fn allow(&mut self, now: Instant) -> bool {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= IN_A_ROW) {
            self.count = 0;
        }
        self.last = Some(now);
        self.count += 1;
        self.count <= ATTEMPTS
    }
}

/// The container's output, held so that nothing of it is lost while no monitor is there. What cannot be opened is gone,
/// and then there is nothing to hold.
pub fn hold_output(dir: &InstanceDir) -> [Option<File>; 2] {
    ["stdout", "stderr"].map(|name| {
        // Both ends, or opening would wait for the other one.
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(dir.file(name)).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_replaced_in_a_row() {
        let mut attempts = Attempts::default();
        let start = Instant::now();
        let allowed = |attempts: &mut Attempts, after: Duration| attempts.allow(start + after);
        for _ in 0..ATTEMPTS {
            assert!(allowed(&mut attempts, Duration::ZERO));
        }
        assert!(!allowed(&mut attempts, IN_A_ROW / 2));
        assert!(allowed(&mut attempts, IN_A_ROW * 2), "one that lived long starts the count again");
    }
}
