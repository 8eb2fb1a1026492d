//! What was seen of a process.

use serde::{Deserialize, Serialize};

use crate::{InstanceId, InstanceKind, Moment, ProcessKey, Revision, Size, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    Pending,
    Pulling,
    Starting,
    Healthy,
    Unhealthy,
    /// Its route is gone; requests in flight end.
    Draining,
    /// Told to stop.
    Stopping,
    Stopped,
}

impl InstanceState {
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Pulling => "pulling",
            InstanceState::Starting => "starting",
            InstanceState::Healthy => "healthy",
            InstanceState::Unhealthy => "unhealthy",
            InstanceState::Draining => "draining",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
        }
    }

    /// Wanted and not on its way out.
    pub fn is_live(self) -> bool {
        match self {
            InstanceState::Pending
            | InstanceState::Pulling
            | InstanceState::Starting
            | InstanceState::Healthy
            | InstanceState::Unhealthy => true,
            InstanceState::Draining | InstanceState::Stopping | InstanceState::Stopped => false,
        }
    }
}

/// Why an instance is in its state: a code to branch on, a text to act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: ReasonCode,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Not asked for any more: scaled down.
    Surplus,
    /// Replaced by an instance of a newer generation.
    Replaced,
    /// The generation it belongs to was given up.
    RolledBack,
    Disabled,
    Deleted,
    /// A spot instance had to make room, or was given a notice by hand.
    Reclaimed,
    /// Exit status not 0, or a signal from outside.
    Crashed,
    /// Exit status 0 on its own.
    Completed,
    OutOfMemory,
    /// The container could not be created or started.
    StartFailed,
    /// Health checks failed, or the deadline passed.
    Unhealthy,
    /// Its record is there but nothing runs (host reboot, killed together with its supervisor).
    Lost,
    /// Waiting for its first health check to pass.
    Starting,
    /// Waits before the next attempt.
    BackOff,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub oom: bool,
    pub at: Timestamp,
}

impl Exit {
    /// In words: `exit 1`, `signal 9 (out of memory)`.
    pub fn describe(&self) -> String {
        let oom = if self.oom { " (out of memory)" } else { "" };
        match (self.signal, self.code) {
            (Some(signal), _) => format!("signal {signal}{oom}"),
            (None, Some(code)) => format!("exit {code}{oom}"),
            (None, None) => format!("unknown exit{oom}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceObserved {
    pub id: InstanceId,
    pub kind: InstanceKind,
    pub generation: u64,
    pub state: InstanceState,
    pub reason: Option<Reason>,
    pub size: Size,
    pub ip: Option<std::net::Ipv4Addr>,
    pub port: Option<u16>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub healthy_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    /// Failures in a row in this instance's place before it.
    pub restarts: u32,
    /// Of this instance when it has stopped, else of the one whose place it took.
    pub last_exit: Option<Exit>,
}

/// Why something wanted does not happen now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    pub code: BlockedCode,
    pub text: String,
    /// How many instances of which kind wait for it.
    pub demand: u32,
    pub spot: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockedCode {
    /// No image is known yet.
    NoImage,
    /// The image's name is being looked up: nothing to tell of where the image is held already.
    Resolving,
    /// The image is being fetched and unpacked.
    Pulling,
    /// The image could not be had.
    ImageUnavailable,
    /// No memory is left in the capacity.
    Capacity,
    /// A new attempt waits after failures.
    BackOff,
    /// Whoever runs the instances refuses, or does not answer.
    Provider,
}

impl BlockedCode {
    pub fn as_str(self) -> &'static str {
        match self {
            BlockedCode::NoImage => "no_image",
            BlockedCode::Resolving => "resolving",
            BlockedCode::Pulling => "pulling",
            BlockedCode::ImageUnavailable => "image_unavailable",
            BlockedCode::Capacity => "capacity",
            BlockedCode::BackOff => "back_off",
            BlockedCode::Provider => "provider",
        }
    }
}

/// The failures of the target generation in a row, without a healthy instance between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub generation: u64,
    pub in_a_row: u32,
    /// The last one did not get healthy before its deadline.
    pub deadline_passed: bool,
    pub instance: InstanceId,
    pub reason: Reason,
    pub exit: Option<Exit>,
}

/// One process as its engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessObserved {
    pub key: ProcessKey,
    /// Of the target that the engine holds.
    pub revision: Revision,
    /// Live ones, and stopped ones as far as they are remembered; by serial.
    pub instances: Vec<InstanceObserved>,
    pub blocked: Vec<Blocked>,
    pub failure: Option<Failure>,
    pub seen_at: Moment,
}
