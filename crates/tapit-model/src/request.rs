//! What can be asked to change. Everything here is typed; admission decides against the present state.

use crate::{AppName, ImageRef, ProcessName, ProcessPatch, TaskId};

/// One closed door for every change of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Creates the app with its public process, which `patch` configures.
    CreateApp {
        app: AppName,
        image: Option<ImageRef>,
        patch: ProcessPatch,
    },
    /// `image`: the inner `None` clears it.
    SetApp {
        app: AppName,
        image: Option<Option<ImageRef>>,
    },
    DeleteApp {
        app: AppName,
    },
    CreateProcess {
        app: AppName,
        process: ProcessName,
        patch: ProcessPatch,
    },
    SetProcess {
        app: AppName,
        process: ProcessName,
        patch: ProcessPatch,
    },
    RestartProcess {
        app: AppName,
        process: ProcessName,
    },
    DeleteProcess {
        app: AppName,
        process: ProcessName,
    },
    /// `patch` holds its command, and what else a task can have.
    CreateTask {
        app: AppName,
        patch: ProcessPatch,
    },
    StopTask {
        app: AppName,
        task: TaskId,
    },
}
