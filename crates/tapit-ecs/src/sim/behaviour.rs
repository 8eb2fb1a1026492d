//! What containers do: the script of a task definition.

use std::sync::Arc;
use std::time::Duration;

use crate::api::NewTaskDefinition;

/// What the container of a task does from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    pub start: Start,
    /// `None`: it runs until it is told to stop.
    pub ending: Option<Ending>,
    /// From its start until it answers the load balancer well; `None`: never.
    pub healthy_after: Option<Duration>,
    pub term: OnTerm,
    /// Written as it starts, line by line.
    pub writes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Runs,
    CannotPull,
    /// The image never arrives.
    Hangs,
}

/// How a container ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// From its start.
    pub after: Duration,
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    OutOfMemory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTerm {
    Exits {
        after: Duration,
        code: i32,
    },
    /// It is killed once its time is over.
    Ignores,
}

impl Behaviour {
    /// Runs and answers until it is told to stop, and then ends within a second.
    pub fn serves() -> Self {
        Self {
            start: Start::Runs,
            ending: None,
            healthy_after: Some(Duration::ZERO),
            term: OnTerm::Exits { after: Duration::from_secs(1), code: 0 },
            writes: Vec::new(),
        }
    }

    /// Ends as it starts, before the task is RUNNING.
    pub fn crashes(code: i32) -> Self {
        Self::serves().ends_after(Duration::ZERO, End::Exit(code))
    }

    pub fn completes() -> Self {
        Self::crashes(0)
    }

    pub fn out_of_memory() -> Self {
        Self::serves().ends_after(Duration::ZERO, End::OutOfMemory)
    }

    pub fn cannot_pull() -> Self {
        Self { start: Start::CannotPull, ..Self::serves() }
    }

    /// Stays PENDING.
    pub fn hangs() -> Self {
        Self { start: Start::Hangs, ..Self::serves() }
    }

    /// Runs, and fails every check of the load balancer.
    pub fn never_healthy() -> Self {
        Self { healthy_after: None, ..Self::serves() }
    }

    pub fn ends_after(self, after: Duration, end: End) -> Self {
        Self { ending: Some(Ending { after, end }), ..self }
    }

    pub fn ignores_term(self) -> Self {
        Self { term: OnTerm::Ignores, ..self }
    }

    pub fn writes(self, lines: &[&str]) -> Self {
        Self { writes: lines.iter().map(|line| (*line).to_owned()).collect(), ..self }
    }
}

/// Which behaviour a task definition has.
#[derive(Clone)]
pub(super) struct Script(pub Arc<dyn Fn(&NewTaskDefinition) -> Behaviour + Send + Sync>);

impl Default for Script {
    fn default() -> Self {
        Self(Arc::new(|_| Behaviour::serves()))
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}
