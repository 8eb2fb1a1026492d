//! The core of the server over an engine in memory: from a request to its outcome.

mod capacity;
mod changes;
mod ends;
mod engines;
mod images;
mod logs;
mod restarts;
mod rollouts;
mod stage;
mod tasks;
