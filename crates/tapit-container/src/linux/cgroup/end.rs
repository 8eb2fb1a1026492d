//! Makes everything in an instance's cgroup end soon, whatever it does meanwhile.
//!
//! SIGKILL alone is not enough: a process must be scheduled to die, and a thousand of them that share a fifth of a cpu
//! take minutes, in which they go on forking. So first no new one may be made and all the cpu that dying takes may be used;
//! only then are they killed. All of it is done as far as it goes, since every part alone helps; whether the cgroup is
//! empty is looked at by whoever waits for it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Layout;
use super::leaf::{Leaf, members};

/// For the kernel to freeze a group: it waits for system calls under way.
const FREEZING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(2);

impl Leaf {
    /// No forks any more, and no cap on cpu. For an instance that is to be killed.
    pub fn unleash(&self) {
        put(&self.dir("pids").join("pids.max"), "0");
        match self.layout {
            Layout::V1(_) => put(&self.dir("cpu").join("cpu.cfs_quota_us"), "-1"),
            Layout::V2 => put(&self.dir("cpu").join("cpu.max"), "max"),
        }
    }

    /// Sends SIGKILL to every member at one moment.
    pub(super) fn kill_members(&self) {
        match self.layout {
            Layout::V1(_) => self.kill_frozen(),
            Layout::V2 => put(&self.dir("cpu").join("cgroup.kill"), "1"),
        }
    }

    /// A frozen process neither forks nor ends, so the list of members stays right while they are killed; they die when
    /// they are thawed.
    fn kill_frozen(&self) {
        let group = self.dir("freezer");
        let state = group.join("freezer.state");
        put(&state, "FROZEN");
        let deadline = Instant::now() + FREEZING;
        while fs::read_to_string(&state).is_ok_and(|now| now.trim() == "FREEZING") && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        if fs::read_to_string(&state).is_ok_and(|now| now.trim() == "FROZEN") {
            for pid in members(&group).unwrap_or_default() {
                // It can only fail because the process is gone, which is what is wanted.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        put(&state, "THAWED");
    }
}

/// A file that is not there belongs to a group that is gone, or to a controller that this host lacks.
fn put(path: &Path, value: &str) {
    let _ = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, value.as_bytes()));
}
