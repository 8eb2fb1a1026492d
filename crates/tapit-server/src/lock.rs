//! One server per data directory: a lock file that the kernel releases when the server dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A helper that a killed server was just about to run holds the lock until it does.
const LAST_HELPER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "another server{} runs on {}; stop it first, or give this one its own --data-dir",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), dir.display()
    )]
    Held { dir: PathBuf, pid: Option<i32> },
    #[error("locking {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Held as long as it lives.
#[derive(Debug)]
pub struct DataDirLock {
    file: File,
}

impl Drop for DataDirLock {
    /// Not left to the closing of the file: a helper that is just about to be run has it open as well.
    fn drop(&mut self) {
        // The kernel does it when the last of them is closed, if not now.
        let _ = self.file.unlock();
    }
}

impl DataDirLock {
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let deadline = Instant::now() + LAST_HELPER;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            let pid = holder(&mut file);
            if pid.is_none_or(is_alive) || Instant::now() >= deadline {
                return Err(LockError::Held { dir: dir.to_owned(), pid });
            }
            std::thread::sleep(PAUSE);
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        write!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { file })
    }
}

fn holder(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// One that has ended, and that nobody has waited for yet, runs no program any more.
fn is_alive(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_one_data_dir_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let first = DataDirLock::take(dir.path()).expect("free");
        match DataDirLock::take(dir.path()) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id() as i32)),
            other => panic!("{other:?}"),
        }
        // As a child has it between its fork and its program.
        let inherited = first.file.try_clone().expect("a descriptor");
        drop(first);
        DataDirLock::take(dir.path()).expect("free again");
        drop(inherited);
    }

    #[test]
    fn a_lock_that_a_dead_servers_helper_still_holds_is_waited_for() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let first = DataDirLock::take(dir.path()).expect("free");
        let mut dead = std::process::Command::new("true").spawn().expect("runs");
        dead.wait().expect("ends");
        std::fs::write(dir.path().join("lock"), dead.id().to_string()).expect("writes");
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| DataDirLock::take(dir.path()));
            drop(first);
            waiting.join().expect("no panic")
        });
        second.expect("free in time");
    }
}
