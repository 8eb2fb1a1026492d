//! Puts lines together from pieces of two streams.

use serde::{Deserialize, Serialize};
use tapit_model::Timestamp;

use super::{LogLine, Stream};

/// A longer line is split.
pub const MAX_LINE: usize = 16 * 1024;

/// The beginning of a line whose end has not come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pending {
    pub(super) bytes: Vec<u8>,
    /// When its last bytes came.
    pub(super) at_ms: i64,
    /// How much may still be dropped as the rest of a line whose beginning is not known.
    pub(super) skip: usize,
}

impl Pending {
    /// What comes next is the rest of a line.
    pub fn skipping() -> Self {
        Self { skip: MAX_LINE, ..Self::default() }
    }
}

/// Pieces in, lines out, up to a limit.
pub struct Lines {
    pending: [Pending; 2],
    done: Vec<(i64, Stream, String)>,
    limit: usize,
}

impl Lines {
    pub fn new(pending: [Pending; 2], limit: usize) -> Self {
        Self { pending, done: Vec::new(), limit }
    }

    pub fn is_full(&self) -> bool {
        self.done.len() >= self.limit
    }

    /// Takes bytes of one stream that came at one time. Answers how many it took; fewer than all once it is full.
    pub fn feed(&mut self, stream: Stream, at_ms: i64, bytes: &[u8]) -> usize {
        let output = match stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
            Stream::Monitor => return self.feed_remark(at_ms, bytes),
        };
        let mut taken = 0;
        while taken < bytes.len() && !self.is_full() {
            let rest = &bytes[taken..];
            let pending = &mut self.pending[output];
            let end = rest.iter().take(MAX_LINE + 1).position(|byte| *byte == b'\n');
            if pending.skip > 0 {
                let dropped = end.map_or(rest.len(), |end| end + 1).min(pending.skip);
                pending.skip = if end.is_some_and(|end| end < dropped) { 0 } else { pending.skip - dropped };
                taken += dropped;
                continue;
            }
            let fits = MAX_LINE - pending.bytes.len();
            let piece = end.unwrap_or(rest.len()).min(fits);
            pending.bytes.extend_from_slice(&rest[..piece]);
            pending.at_ms = at_ms;
            taken += piece;
            if end == Some(piece) {
                taken += 1;
                self.emit(output, stream);
            } else if piece < rest.len() {
                // One of exactly the longest length stays whole, since its end may come; more of it has come instead.
                self.emit(output, stream);
            }
        }
        taken
    }

    /// A remark is one line or a torn one, and there is nothing in it worth a limit's trouble.
    fn feed_remark(&mut self, at_ms: i64, bytes: &[u8]) -> usize {
        if !self.is_full() {
            self.remark(at_ms, String::from_utf8_lossy(bytes).trim_end());
            return bytes.len();
        }
        0
    }

    pub fn remark(&mut self, at_ms: i64, text: &str) {
        self.done.push((at_ms, Stream::Monitor, text.to_owned()));
    }

    fn emit(&mut self, output: usize, stream: Stream) {
        let pending = &mut self.pending[output];
        self.done.push((pending.at_ms, stream, String::from_utf8_lossy(&pending.bytes).into_owned()));
        pending.bytes.clear();
    }

    /// Nothing more comes: what is left of either stream is a line too.
    pub fn finish(&mut self) {
        for (output, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            if !self.pending[output].bytes.is_empty() {
                self.emit(output, stream);
            }
        }
    }

    pub fn drop_before(&mut self, since: Timestamp) {
        self.done.retain(|(at_ms, ..)| *at_ms >= since.0);
    }

    pub fn keep_last(&mut self, lines: usize) {
        self.done.drain(..self.done.len().saturating_sub(lines));
    }

    pub fn into_parts(self) -> (Vec<LogLine>, [Pending; 2]) {
        let line = |(at_ms, stream, text)| LogLine { at: Timestamp(at_ms).to_string(), stream, text };
        (self.done.into_iter().map(line).collect(), self.pending)
    }
}
