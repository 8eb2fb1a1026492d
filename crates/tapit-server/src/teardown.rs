//! `tapit teardown`: removes everything that a server made, whether it runs or not.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapit_engine::Traffic;
use tapit_model::{InstanceKey, Refusal};

use crate::engine;
use crate::lock::{DataDirLock, LockError};
use crate::server::{ServerError, refusal, remove_data, with_runtime};

/// How long a running server may take to end before the teardown gives up.
const SERVER_END: Duration = Duration::from_secs(60);

/// No router runs, so no request reaches anything.
struct NoTraffic;

impl Traffic for NoTraffic {
    fn withdraw(&self, _instance: &InstanceKey) {}

    fn is_routed(&self, _instance: &InstanceKey) -> bool {
        false
    }

    fn in_flight(&self, _instance: &InstanceKey) -> u32 {
        0
    }
}

/// Answers a sentence that says what was done.
pub fn teardown(given: &Path) -> Result<String, Refusal> {
    let dir = std::path::absolute(given).map_err(|e| Refusal::usage(format!("--data-dir {}: {e}", given.display())))?;
    if !looks_like_ours(&dir) {
        return Err(Refusal::not_found(format!(
            "{} is not the data directory of a tapit server; nothing was removed",
            dir.display()
        )));
    }
    let lock = take_over(&dir)?;
    let removed = with_runtime(async {
        let engine = engine::open(&engine::for_teardown(&dir)?, &dir, Arc::new(NoTraffic)).await?;
        engine.teardown().await?;
        engine.close().await;
        remove_data(&dir)
    });
    drop(lock);
    removed.map_err(|error: ServerError| refusal(&error))?;
    Ok(format!("removed everything of {}", dir.display()))
}

/// A directory that a server has used holds its lock file.
fn looks_like_ours(dir: &Path) -> bool {
    dir.join("lock").is_file()
        && ["tapit.db", "network.json", "instances", engine::FILE].iter().any(|name| dir.join(name).exists())
}

/// Ends a running server and holds its lock from then on.
fn take_over(dir: &Path) -> Result<DataDirLock, Refusal> {
    let end = Instant::now() + SERVER_END;
    let mut told = None;
    loop {
        match DataDirLock::take(dir) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { pid: Some(pid), .. }) if Instant::now() < end => {
                if told != Some(pid) {
                    tell(pid)?;
                    told = Some(pid);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            // An ephemeral server has removed its directory on the way out; then there is nothing left to do.
            Err(LockError::Io { .. }) if told.is_some() && !dir.exists() => {
                return Err(Refusal::not_found(format!("the server of {} removed everything itself", dir.display())));
            }
            Err(error @ (LockError::Held { .. } | LockError::Io { .. })) => {
                return Err(refusal(&ServerError::Lock(error)));
            }
        }
    }
}

/// SIGTERM. The lock names the pid and is held, so the pid is that server's.
fn tell(pid: i32) -> Result<(), Refusal> {
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)
        .map_err(|error| Refusal::failed(format!("telling the server (pid {pid}) to end: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_directory_that_is_not_a_servers_is_left_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        File::create(dir.path().join("precious")).expect("writable");
        let refusal = teardown(dir.path()).expect_err("not ours");
        assert!(refusal.message.contains("nothing was removed"), "{refusal}");
        assert!(dir.path().join("precious").exists());
    }
}
