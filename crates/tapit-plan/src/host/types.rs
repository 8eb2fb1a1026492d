//! What `plan_host` is told and what it answers.

use serde::{Deserialize, Serialize};
use tapit_model::{Blocked, InstanceId, InstanceKind, MemoryMib, Moment, ProcessKey, ProcessTarget, ReasonCode, Size};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostInputs {
    pub now: Moment,
    /// Memory that instances may take all together.
    pub capacity: MemoryMib,
    pub host: HostMemory,
    /// Sorted by key. A process whose target is `Absent` is listed as long as it has instances.
    pub processes: Vec<ProcessInputs>,
}

/// What is available on the whole host, whatever else runs on it, against the reserve that it should keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMemory {
    Ample,
    /// Just enough, or only since a moment ago: no reason to reclaim, and none to start spot instances.
    Tight,
    /// This much is lacking.
    Short(MemoryMib),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInputs {
    pub target: ProcessTarget,
    /// The serial that the next instance of this process gets.
    pub next_serial: u64,
    /// By serial; stopped ones as long as they are remembered.
    pub instances: Vec<InstanceFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    pub id: InstanceId,
    pub serial: u64,
    pub generation: u64,
    pub kind: InstanceKind,
    /// Its place among the instances of its generation and kind; a replacement takes the same place.
    pub slot: u32,
    pub size: Size,
    /// Failures in a row in its place before it.
    pub restarts: u32,
    pub phase: Phase,
    /// The router may send requests to it.
    pub routed: bool,
    pub in_flight: u32,
    /// It uses more than the target's size allows, so it cannot be resized in place: it counts as old and is replaced
    /// like an instance of another generation, and gets no `Resize`.
    pub outgrown: bool,
}

/// The life of an instance.
///
/// ```text
/// Starting ──► Healthy ◄──► Unhealthy
///     └───────────┴─────────────┴──► Draining ──► Stopping ──► Stopped
/// ```
/// From any phase an exit leads to `Stopped` directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Being created, or waiting for its first health check to pass.
    Starting {
        since: Moment,
    },
    Healthy {
        since: Moment,
    },
    /// Was healthy; its checks fail since then.
    Unhealthy {
        since: Moment,
    },
    /// Out of the routes; requests in flight end.
    Draining {
        since: Moment,
        why: ReasonCode,
    },
    /// SIGTERM was sent.
    Stopping {
        since: Moment,
        why: ReasonCode,
        killed: bool,
    },
    Stopped {
        at: Moment,
        ended: Ended,
    },
}

/// How an instance ended, for back-off and failure counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `Surplus`, `Replaced`, `RolledBack`, `Disabled`, `Deleted` and `Reclaimed` were ordered; all others are failures.
    pub why: ReasonCode,
    /// How long it had been healthy in milliseconds, if it ever was.
    pub healthy_for: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Start(StartOrder),
    /// Withdraw its routes; it drains until `Terminate`.
    Drain {
        id: InstanceId,
        why: ReasonCode,
    },
    /// Send SIGTERM.
    Terminate {
        id: InstanceId,
    },
    /// Send SIGKILL to everything in the container.
    Kill {
        id: InstanceId,
    },
    /// Apply a new size to the running container.
    Resize {
        id: InstanceId,
        size: Size,
    },
    /// Forget a stopped instance and remove what is left of it, logs included.
    Forget {
        id: InstanceId,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartOrder {
    pub id: InstanceId,
    pub serial: u64,
    pub generation: u64,
    pub kind: InstanceKind,
    pub slot: u32,
    pub restarts: u32,
    pub size: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPlan {
    pub actions: Vec<(ProcessKey, Action)>,
    /// One for each process of the inputs, in their order.
    pub verdicts: Vec<ProcessVerdict>,
    /// When to plan again though nothing has changed.
    pub look_again: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessVerdict {
    pub key: ProcessKey,
    pub blocked: Vec<Blocked>,
    pub failure: Option<FailureVerdict>,
}

/// The target generation's failures in a row; the engine adds the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureVerdict {
    pub generation: u64,
    pub in_a_row: u32,
    /// The last one never got healthy before its deadline.
    pub deadline_passed: bool,
    pub id: InstanceId,
}
