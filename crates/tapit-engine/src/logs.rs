//! What an engine is asked about logs, and what it answers: plain data, read piece by piece.
//!
//! A reader asks for the end of a log first and goes on from the position that it was answered. Nothing is held for it
//! meanwhile, so a slow reader costs nothing and one that comes back after a restart of the server finds its place.

use tapit_model::{LogLine, Timestamp};

/// A place in the log of one instance, in the engine's own words; only an engine makes one or looks into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition(pub String);

/// Which lines are wanted, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPart {
    /// The last `lines` of those written at or after `since`.
    Last { lines: usize, since: Option<Timestamp> },
    /// Those that follow a position, without one from the oldest that is kept; about `limit` of them at most.
    Next { after: Option<LogPosition>, limit: usize },
}

/// Some lines, and where the next reading goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReading {
    /// Where lines were lost between the position that was asked for and the first of these, a remark
    /// (`LogStream::Tapit`) stands in their place.
    pub lines: Vec<LogLine>,
    pub next: LogPosition,
}
