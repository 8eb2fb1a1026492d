//! The complete order for one container: everything that the shim needs, so that it asks nobody.
//!
//! Written to the instance's directory before anything is made, which is how leftovers of a start that was cut short are
//! found again. After a resize in place the order holds the new size.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tapit_model::{Capability, InstanceKey, InstanceKind, ProcessName, Size};

use super::StopSignal;
use crate::linux::cgroup::CgroupPath;
use crate::linux::net::Attach;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub key: InstanceKey,
    pub process: ProcessName,
    pub kind: InstanceKind,
    pub generation: u64,
    pub slot: u32,
    pub serial: u64,
    pub restarts: u32,
    /// Directories of the unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Entrypoint and command; the first is looked up in `PATH` inside the container.
    pub argv: Vec<String>,
    /// Complete. `HOME` is added from the image's user list where it is missing.
    pub env: Vec<(String, String)>,
    /// Absolute; made when the image does not have it. Empty means `/`.
    pub cwd: String,
    /// As the image writes it: empty, `uid`, `name`, `uid:gid`, `name:group`.
    pub user: String,
    /// The host's ids that stand behind the container's; `None`: no user namespace, root inside is root.
    pub ids: Option<IdRange>,
    /// Capabilities beyond the default ones.
    pub cap_add: BTreeSet<Capability>,
    pub hostname: String,
    pub size: Size,
    /// How many processes and threads it may have.
    pub pids: u64,
    /// Its share of a contended cpu, as a percentage of what its cpu size gives it by itself.
    pub cpu_weight: u64,
    /// Added to its badness when the host runs out of memory: -1000 to 1000, and not below the server's own.
    pub oom_score_adj: i32,
    /// What asks it to stop.
    pub stop_signal: StopSignal,
    /// `None`: a network namespace of its own with nothing in it but an unconfigured loopback.
    pub network: Option<Attach>,
    pub cgroup: CgroupPath,
    pub log: LogBounds,
    pub etc: EtcFiles,
}

/// Host ids, of users and groups alike, that a container's ids 0 to 65,535 are mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub base: u32,
}

impl IdRange {
    /// How many ids a container has.
    pub const COUNT: u32 = 65_536;

    /// The host's id behind one of the container's.
    pub fn host(self, id: u32) -> Option<u32> {
        if id < Self::COUNT { self.base.checked_add(id) } else { None }
    }
}

/// How much of an instance's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBounds {
    /// A file that would grow beyond this is rotated. Never less than one longest line.
    pub file_bytes: u64,
    /// Files kept, the one being written included; at least one.
    pub files: u32,
}

impl Default for LogBounds {
    fn default() -> Self {
        Self { file_bytes: 10 * 1024 * 1024, files: 3 }
    }
}

/// Files below `/etc` that belong to the instance and not to its image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EtcFiles {
    pub hosts: String,
    pub resolv_conf: String,
    pub hostname: String,
}

impl Order {
    /// The v1 shares for a size: 1,024 for a whole cpu at full weight. v2 weights are derived from them by the runtime.
    pub fn cpu_shares(&self, size: Size) -> u64 {
        const PER_CPU: u64 = 1024;
        let shares = size.cpu.millis().saturating_mul(PER_CPU).saturating_mul(self.cpu_weight) / 100_000;
        shares.clamp(2, 262_144)
    }
}
