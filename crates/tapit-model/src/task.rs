//! One-off tasks: a command that runs once, to its end.

use serde::{Deserialize, Serialize};

use crate::{AppName, Exit, ProcessKey, ProcessName, Reason, ReasonCode, Timestamp};

const NAME: &str = "task-";

/// The number of a task. No other task of the installation ever has it, of whatever app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

impl TaskId {
    /// Digits alone, without leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.parse().ok().map(Self)?;
        (id.to_string() == text).then_some(id)
    }

    /// A task runs under this name: as the process of its app that has one instance, which is never replaced.
    pub fn process(self) -> ProcessName {
        ProcessName::of_task(format!("{NAME}{self}"))
    }

    pub fn key(self, app: &AppName) -> ProcessKey {
        ProcessKey { app: app.clone(), process: self.process() }
    }

    /// The task that a name stands for; such names are kept for tasks.
    pub fn of(process: &ProcessName) -> Option<Self> {
        process.as_str().strip_prefix(NAME).and_then(Self::parse)
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What makes a process a one-off task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    /// Once it has ended it never runs again.
    pub end: Option<TaskEnd>,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEnd {
    pub at: Timestamp,
    /// `None`: its command never ran.
    pub started_at: Option<Timestamp>,
    pub exit: Option<Exit>,
    pub reason: Reason,
}

/// The one-word state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    Pending,
    Running,
    /// Told to stop, or about to be.
    Stopping,
    /// Its command ended with status 0.
    Succeeded,
    Failed,
    /// It was asked to stop before it had ended.
    Stopped,
}

impl TaskState {
    pub fn as_str(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::Running => "running",
            TaskState::Stopping => "stopping",
            TaskState::Succeeded => "succeeded",
            TaskState::Failed => "failed",
            TaskState::Stopped => "stopped",
        }
    }
}

impl TaskEnd {
    pub fn state(&self) -> TaskState {
        match self.reason.code {
            ReasonCode::Completed => TaskState::Succeeded,
            ReasonCode::Surplus
            | ReasonCode::Replaced
            | ReasonCode::RolledBack
            | ReasonCode::Disabled
            | ReasonCode::Deleted => TaskState::Stopped,
            ReasonCode::Reclaimed
            | ReasonCode::Crashed
            | ReasonCode::OutOfMemory
            | ReasonCode::StartFailed
            | ReasonCode::Unhealthy
            | ReasonCode::Lost
            | ReasonCode::Starting
            | ReasonCode::BackOff => TaskState::Failed,
        }
    }

    /// In words: `task 7 failed: its command ended with exit 3`.
    pub fn describe(&self, id: TaskId) -> String {
        format!("task {id} {}: {}", self.state().as_str(), self.reason.text)
    }

    /// The status that a shell would give: the command's own, or 128 and the signal that ended it. A task that never ran
    /// has 1.
    pub fn status(&self) -> u8 {
        const BY_SIGNAL: i32 = 128;
        let status = match self.exit {
            Some(Exit { signal: Some(signal), .. }) => BY_SIGNAL + signal,
            Some(Exit { code: Some(code), .. }) => code,
            Some(Exit { code: None, signal: None, .. }) | None => 1,
        };
        let failed = self.state() != TaskState::Succeeded;
        // Whatever the kernel said of its command, one that failed never looks as if it had not.
        u8::try_from(status).ok().filter(|status| *status != 0 || !failed).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: ReasonCode, exit: Option<(Option<i32>, Option<i32>)>) -> TaskEnd {
        let at = Timestamp(0);
        let exit = exit.map(|(code, signal)| Exit { code, signal, oom: false, at });
        TaskEnd { at, started_at: Some(at), exit, reason: Reason { code, text: String::new() } }
    }

    #[test]
    fn a_task_ends_with_the_status_that_a_shell_would_give() {
        for (end, status) in [
            (ended(ReasonCode::Completed, Some((Some(0), None))), 0),
            (ended(ReasonCode::Crashed, Some((Some(3), None))), 3),
            (ended(ReasonCode::Crashed, Some((None, Some(9)))), 137),
            (ended(ReasonCode::Surplus, Some((Some(0), None))), 1),
            (ended(ReasonCode::Surplus, Some((None, Some(15)))), 143),
            (ended(ReasonCode::StartFailed, None), 1),
            (ended(ReasonCode::Crashed, Some((Some(300), None))), 1),
        ] {
            assert_eq!(end.status(), status, "{end:?}");
        }
    }

    #[test]
    fn a_task_has_failed_unless_its_command_succeeded_or_it_was_asked_to_stop() {
        use ReasonCode::{
            Completed, Crashed, Deleted, Disabled, Lost, OutOfMemory, Reclaimed, StartFailed, Surplus, Unhealthy,
        };
        for (codes, expected) in [
            (vec![Completed], TaskState::Succeeded),
            (vec![Surplus, Disabled, Deleted], TaskState::Stopped),
            (vec![Crashed, OutOfMemory, StartFailed, Unhealthy, Lost, Reclaimed], TaskState::Failed),
        ] {
            for code in codes {
                assert_eq!(ended(code, None).state(), expected, "{code:?}");
            }
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        assert_eq!(TaskId::parse("17"), Some(TaskId(17)));
        assert_eq!(TaskId::parse("18446744073709551615"), Some(TaskId(u64::MAX)));
        for other in ["", "017", "+17", "-1", " 17", "17 ", "1.0", "x", "18446744073709551616"] {
            assert_eq!(TaskId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_tasks_are_known_by_their_form() {
        let name = |text| ProcessName::parse(text).expect("a legal name");
        assert_eq!(TaskId::of(&name("task-17")), Some(TaskId(17)));
        assert_eq!(TaskId(17).process(), name("task-17"));
        for other in ["task-017", "task-", "task-x", "task", "mytask-1", "task-1-2"] {
            assert_eq!(ProcessName::parse(other).ok().and_then(|name| TaskId::of(&name)), None, "{other}");
        }
    }
}
