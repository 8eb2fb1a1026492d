//! What the shim leaves in an instance's directory once its container exists, and how a process is told from a later one
//! that was given the same id.

use serde::{Deserialize, Serialize};
use tapit_model::Timestamp;

/// The form of record and exit files and of what monitors do. A monitor outlives an upgrade of the binary, so a server
/// must know whose files it reads.
pub const PROTOCOL: u32 = 2;

/// A process id with the start time that tells it from a later process of the same id, within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStamp {
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot.
    pub start_ticks: u64,
}

/// Written after the container was created and before any of its own code runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub protocol: u32,
    pub boot_id: String,
    /// The shim, which becomes the monitor.
    pub monitor: ProcessStamp,
    /// The container's process 1.
    pub init: ProcessStamp,
    pub started_at: Timestamp,
}
