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
    TaskCreated,
    /// It was asked to stop.
    TaskStopping,
    TaskEnded,
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
    ConfinementLoosened,
    SpotInterrupted,
    FallbackStarted,
    FallbackPaidBack,
    Blocked,
    Unblocked,
}

impl EventKind {
    /// The word that the API and the store use.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::AppCreated => "app_created",
            EventKind::AppChanged => "app_changed",
            EventKind::AppDeleted => "app_deleted",
            EventKind::ProcessCreated => "process_created",
            EventKind::ProcessChanged => "process_changed",
            EventKind::ProcessDisabled => "process_disabled",
            EventKind::ProcessEnabled => "process_enabled",
            EventKind::ProcessDeleted => "process_deleted",
            EventKind::TaskCreated => "task_created",
            EventKind::TaskStopping => "task_stopping",
            EventKind::TaskEnded => "task_ended",
            EventKind::RolloutStarted => "rollout_started",
            EventKind::RolloutSucceeded => "rollout_succeeded",
            EventKind::RolloutRolledBack => "rollout_rolled_back",
            EventKind::RolloutFailed => "rollout_failed",
            EventKind::RolloutSuperseded => "rollout_superseded",
            EventKind::ImagePinned => "image_pinned",
            EventKind::ImageUnavailable => "image_unavailable",
            EventKind::InstanceStarting => "instance_starting",
            EventKind::InstanceHealthy => "instance_healthy",
            EventKind::InstanceUnhealthy => "instance_unhealthy",
            EventKind::InstanceDraining => "instance_draining",
            EventKind::InstanceStopping => "instance_stopping",
            EventKind::InstanceStopped => "instance_stopped",
            EventKind::InstanceResized => "instance_resized",
            EventKind::ConfinementLoosened => "confinement_loosened",
            EventKind::SpotInterrupted => "spot_interrupted",
            EventKind::FallbackStarted => "fallback_started",
            EventKind::FallbackPaidBack => "fallback_paid_back",
            EventKind::Blocked => "blocked",
            EventKind::Unblocked => "unblocked",
        }
    }
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
