//! Finds and ends the processes that are making a container.
//!
//! Killing a shim is not enough: the runtime's own child goes on for a while, and would make cgroups that have just been
//! removed once more. All of them are forks of the shim, so they have its command line, which names the directory. Only a
//! start that was cut short needs this; once a container is recorded, nobody but its process 1 and its monitor is left.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::pidfd::PidFd;
use super::verbs;

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Debug, thiserror::Error)]
pub enum MakersError {
    #[error("listing processes")]
    List { source: std::io::Error },
    #[error("processes that make the container of {dir} outlive SIGKILL: {pids:?}")]
    Unkillable { dir: PathBuf, pids: Vec<i32> },
}

/// Kills every process at work on the container of a directory and waits until they are gone.
pub fn kill(dir: &Path) -> Result<(), MakersError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pids = find(dir)?;
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(MakersError::Unkillable { dir: dir.to_owned(), pids });
        }
        for pid in pids {
            // Looked at again once it is held: the id may have gone to somebody else.
            if let Ok(pidfd) = PidFd::open(pid)
                && is_maker(pid, dir)
            {
                // It can only fail because the process is gone.
                let _ = pidfd.signal(libc::SIGKILL);
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn find(dir: &Path) -> Result<Vec<i32>, MakersError> {
    let entries = fs::read_dir("/proc").map_err(|source| MakersError::List { source })?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|pid| is_maker(*pid, dir)).collect())
}

/// A process that has ended has no command line any more.
fn is_maker(pid: i32, dir: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).skip(1);
    let verb = words.next();
    verb == Some(verbs::SHIM.as_bytes()) && words.next() == Some(dir.as_os_str().as_bytes())
}
