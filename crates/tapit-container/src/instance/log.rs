//! Reads an instance's log: its last lines, or onwards from a position, exactly, across rotation.
//!
//! The form on disk is `tapit_monitor::index`: segments `log.1`, `log.2` and so on of raw output, each with an index that
//! tells time and stream. A line may be spread over chunks and segments; it is put together here, and one that is longer
//! than 16 KiB is split. Reading never fails for what is in the files: what is not there any more is told in a line of our
//! own, and what makes no sense is passed over.

mod lines;
mod position;
mod segment;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tapit_model::Timestamp;

use lines::{Lines, Pending};
use segment::Segment;
pub use segment::newest;

/// The most lines that one call answers, and the most bytes it looks at for the last ones.
const MAX_LINES: usize = 10_000;
const MAX_BYTES: u64 = 32 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    /// The monitor's own remark, for example on lines that a full disk has swallowed.
    Monitor,
}

impl Stream {
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Monitor => "tapit",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// RFC 3339 in UTC: when its end came.
    pub at: String,
    pub stream: Stream,
    pub text: String,
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.at, self.stream.as_str(), self.text)
    }
}

/// A position in an instance's log: all lines before it were answered, none after it. It stays right when segments are
/// rotated, and when it is written down and read by another server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogCursor {
    /// Counted from the instance's first byte.
    offset: u64,
    /// Per output, what of its last line has come.
    pending: [Pending; 2],
}

/// Whether more can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Alive,
    /// What there is of a last line is all there will be.
    Ended,
}

/// Lines from a position on, at most so many, and the position after them. Without one, from the oldest that is kept.
pub fn read(dir: &Path, cursor: Option<&LogCursor>, limit: usize, writer: Writer) -> (Vec<LogLine>, LogCursor) {
    let limit = limit.min(MAX_LINES);
    let segments = Segment::all(dir);
    let Some(oldest) = segments.first() else { return (Vec::new(), cursor.cloned().unwrap_or_default()) };
    let mut lines;
    let mut offset;
    match cursor {
        Some(cursor) if cursor.offset >= oldest.base() => {
            lines = Lines::new(cursor.pending.clone(), limit);
            offset = cursor.offset;
        }
        _ => {
            lines = Lines::new(oldest.pending(), limit);
            offset = oldest.base();
            if let Some(gone) = cursor.and_then(|cursor| oldest.base().checked_sub(cursor.offset)) {
                lines.remark(
                    oldest.first_at_ms(),
                    &format!("{gone} bytes of output were rotated away before they were read"),
                );
            }
        }
    }
    for segment in &segments {
        // A later segment would begin at its own beginning.
        if lines.is_full() {
            break;
        }
        offset = segment.feed(&mut lines, offset);
    }
    if writer == Writer::Ended && !lines.is_full() {
        lines.finish();
    }
    let (lines, pending) = lines.into_parts();
    (lines, LogCursor { offset, pending })
}

/// The last lines, oldest first, none from before a time; and the position after them.
pub fn last(dir: &Path, lines: usize, since: Option<Timestamp>, writer: Writer) -> (Vec<LogLine>, LogCursor) {
    let wanted = lines.min(MAX_LINES);
    let segments = Segment::all(dir);
    let Some(oldest) = segments.first() else { return (Vec::new(), LogCursor::default()) };
    let mut offset = start_of_last(&segments, wanted);
    let pending = if offset == oldest.base() { oldest.pending() } else { [Pending::skipping(), Pending::skipping()] };
    let mut lines = Lines::new(pending, usize::MAX);
    for segment in &segments {
        offset = segment.feed(&mut lines, offset);
    }
    if writer == Writer::Ended {
        lines.finish();
    }
    if let Some(since) = since {
        lines.drop_before(since);
    }
    lines.keep_last(wanted);
    let (lines, pending) = lines.into_parts();
    (lines, LogCursor { offset, pending })
}

/// A place before which none of the last lines begins. The first line of either stream behind it may be torn, and is not
/// counted.
fn start_of_last(segments: &[Segment], wanted: usize) -> u64 {
    const TORN: usize = 2;
    let mut ends = wanted + TORN;
    let mut budget = MAX_BYTES;
    let mut start = segments.first().map_or(0, Segment::base);
    for segment in segments.iter().rev() {
        match segment.back(&mut ends, &mut budget) {
            Some(found) => return found,
            None => start = segment.base(),
        }
    }
    start
}

#[cfg(test)]
mod tests;
