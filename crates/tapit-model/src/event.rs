//! The log of what happened, for people and for `--wait`.

use serde::{Deserialize, Serialize};

use crate::{AppName, InstanceId, ProcessName, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    AppCreated,
    AppChanged,
    AppDeleted,
    ProcessCreated,
    ProcessChanged,
    ProcessDisabled,
    ProcessEnabled,
    ProcessDeleted,
    RolloutStarted,
    RolloutSucceeded,
    RolloutRolledBack,
    RolloutFailed,
    RolloutSuperseded,
    ImagePinned,
    ImageUnavailable,
    InstanceStarting,
    InstanceHealthy,
    InstanceUnhealthy,
    InstanceDraining,
    InstanceStopping,
    InstanceStopped,
    InstanceResized,
    SpotInterrupted,
    Blocked,
    Unblocked,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    pub app: AppName,
    pub process: Option<ProcessName>,
    pub instance: Option<InstanceId>,
    pub kind: EventKind,
    pub text: String,
}
