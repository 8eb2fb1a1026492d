//! Reads the last lines of an instance's log, across rotation.
//!
//! The monitor writes the files: `log` is the one being written, `log.1` the one before it, and so on. Each line is
//! `2026-01-02T03:04:05.678Z stdout text`. Reading never fails for what is in the files: a torn or foreign line is shown
//! as text.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The most lines that one call answers, and the most bytes it looks at for them.
const MAX_LINES: usize = 10_000;
const MAX_BYTES: u64 = 32 * 1024 * 1024;
const BLOCK: u64 = 64 * 1024;

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
    /// RFC 3339 in UTC, as it was written; empty on a line that is not of the known form.
    pub at: String,
    pub stream: Stream,
    pub text: String,
}

impl LogLine {
    fn parse(line: &[u8]) -> Self {
        let line = String::from_utf8_lossy(line);
        let known = || {
            let (at, rest) = line.split_once(' ')?;
            let (stream, text) = rest.split_once(' ')?;
            let stream =
                [Stream::Stdout, Stream::Stderr, Stream::Monitor].into_iter().find(|s| s.as_str() == stream)?;
            at.ends_with('Z').then(|| Self { at: at.to_owned(), stream, text: text.to_owned() })
        };
        known().unwrap_or_else(|| Self { at: String::new(), stream: Stream::Monitor, text: line.clone().into_owned() })
    }
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.at, self.stream.as_str(), self.text)
    }
}

/// The file that is `age` rotations old; 0 is the one being written.
pub fn file(dir: &Path, age: u32) -> PathBuf {
    if age == 0 { dir.join("log") } else { dir.join(format!("log.{age}")) }
}

/// The last lines, oldest first. No file yet means no lines.
pub fn tail(dir: &Path, lines: usize) -> Vec<LogLine> {
    let wanted = lines.min(MAX_LINES);
    let mut newest_first: Vec<LogLine> = Vec::new();
    let mut budget = MAX_BYTES;
    for age in 0.. {
        let missing = wanted.saturating_sub(newest_first.len());
        // A gap in the numbers ends the log: a file is only ever renamed to the next number.
        let Ok(file) = File::open(file(dir, age)) else { break };
        if missing == 0 || budget == 0 {
            break;
        }
        // A file that cannot be read to its end still has shown what was read.
        let Ok(end) = end_of(file, missing, &mut budget) else { break };
        let complete = end.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        newest_first.extend(complete.rev().take(missing).map(LogLine::parse));
    }
    newest_first.reverse();
    newest_first
}

/// The end of a file with at least this many line ends in it, or all of it.
fn end_of(mut file: File, lines: usize, budget: &mut u64) -> io::Result<Vec<u8>> {
    let mut start = file.seek(SeekFrom::End(0))?;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut seen = 0;
    // One more line end than lines: the first line of what was read may have begun before it.
    while start > 0 && seen <= lines && *budget > 0 {
        let len = BLOCK.min(start).min(*budget);
        start -= len;
        *budget -= len;
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        (&mut file).take(len).read_to_end(&mut block)?;
        seen += block.iter().filter(|byte| **byte == b'\n').count();
        blocks.push(block);
    }
    blocks.reverse();
    Ok(blocks.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_read_across_rotated_files() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(tail(dir.path(), 5).is_empty());
        let line = |n: usize| format!("2026-01-02T03:04:05.678Z stdout line {n} {}\n", "x".repeat(n % 300));
        let write = |age, range: std::ops::Range<usize>| {
            std::fs::write(file(dir.path(), age), range.map(line).collect::<String>()).expect("writes");
        };
        write(2, 0..1000);
        write(1, 1000..2000);
        write(0, 2000..2003);
        for wanted in [0, 1, 3, 4, 500, 1003, 1004, 2003] {
            let found = tail(dir.path(), wanted);
            let expected: Vec<_> =
                (2003 - wanted..2003).map(|n| LogLine::parse(line(n).trim_end_matches('\n').as_bytes())).collect();
            assert_eq!(found, expected, "{wanted}");
        }
        assert_eq!(tail(dir.path(), usize::MAX).len(), 2003);
    }

    #[test]
    fn lines_of_no_known_form_are_shown_as_text() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(file(dir.path(), 0), b"torn\n2026-01-02T03:04:05.678Z stderr \xff\xfe\nZ nowhere x\n")
            .expect("writes");
        let found = tail(dir.path(), 9);
        let texts: Vec<_> = found.iter().map(|line| (line.stream, line.text.as_str())).collect();
        let expected =
            [(Stream::Monitor, "torn"), (Stream::Stderr, "\u{fffd}\u{fffd}"), (Stream::Monitor, "Z nowhere x")];
        assert_eq!(texts, expected);
    }
}
