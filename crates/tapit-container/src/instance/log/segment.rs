//! One segment of a log on disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tapit_monitor::index::{self, Chunk, Header, RECORD};

use super::Stream;
use super::lines::{Lines, Pending};

const BLOCK: usize = 256 * 1024;

pub struct Segment {
    header: Header,
    data: File,
    index: File,
    /// Bytes of data that surely have their records.
    len: u64,
    records: u64,
}

/// The highest number of a segment that has data; 1 when there is none yet.
pub fn newest(dir: &Path) -> u64 {
    numbers(dir).last().copied().unwrap_or(1)
}

fn numbers(dir: &Path) -> Vec<u64> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("log.")?.parse().ok();
    let mut numbers: Vec<u64> = names.filter_map(|entry| number(entry.file_name())).collect();
    numbers.sort_unstable();
    numbers
}

impl Segment {
    /// All that are there, oldest first, without gaps: one that cannot be read ends the log towards the past.
    pub fn all(dir: &Path) -> Vec<Self> {
        let mut segments: Vec<Self> = Vec::new();
        for number in numbers(dir) {
            // It may be dropped at this moment, if it is the oldest.
            let Ok(Some(segment)) = Self::open(dir, number) else { continue };
            if segments.last().is_some_and(|last| last.end() != segment.base()) {
                segments.clear();
            }
            segments.push(segment);
        }
        segments
    }

    fn open(dir: &Path, number: u64) -> io::Result<Option<Self>> {
        let data = File::open(dir.join(format!("log.{number}")))?;
        let index = File::open(dir.join(format!("log.{number}.idx")))?;
        // In this order: whatever is within this length now has its record already.
        let len = data.metadata()?.len();
        let records = (index.metadata()?.len() / RECORD as u64).saturating_sub(1);
        let mut header = [0; RECORD];
        index.read_exact_at(&mut header, 0)?;
        // A base near the end of all numbers is of a damaged index: no log is that long.
        let header = Header::decode(&header).filter(|header| header.base.checked_add(len).is_some());
        Ok(header.map(|header| Self { header, data, index, len, records }))
    }

    pub fn base(&self) -> u64 {
        self.header.base
    }

    fn end(&self) -> u64 {
        self.header.base + self.len
    }

    /// What is pending at the beginning when all before is gone.
    pub fn pending(&self) -> [Pending; 2] {
        self.header.continues.map(|continues| if continues { Pending::skipping() } else { Pending::default() })
    }

    pub fn first_at_ms(&self) -> i64 {
        self.record(0).map_or(0, at_ms)
    }

    fn record(&self, at: u64) -> Option<Chunk> {
        let mut bytes = [0; RECORD];
        self.index.read_exact_at(&mut bytes, (at + 1) * RECORD as u64).ok()?;
        Chunk::decode(&bytes)
    }

    /// Feeds what lies behind a position to `lines` until they are full. Answers the position after it.
    pub fn feed(&self, lines: &mut Lines, from: u64) -> u64 {
        let mut at = from.max(self.base());
        if from >= self.end() {
            return from;
        }
        let mut block = vec![0; BLOCK];
        let mut window: std::ops::Range<u64> = 0..0;
        let mut number = self.covering(at);
        let mut chunk = self.record(number);
        while at < self.end() && !lines.is_full() {
            let next = self.record(number + 1).filter(|next| next.start >= at);
            let end = next.map_or(self.end(), |next| next.start.min(self.end()));
            while at < end && !lines.is_full() {
                if !window.contains(&at) {
                    match self.data.read_at(&mut block, at - self.base()) {
                        Ok(read) if read > 0 => window = at..at + read as u64,
                        // It cannot be read, or was cut: there is nothing to wait for here.
                        Ok(_) | Err(_) => return self.end(),
                    }
                }
                let piece = &block[(at - window.start) as usize..(end.min(window.end) - window.start) as usize];
                let (stream, ms) = chunk.map_or((Stream::Monitor, 0), |chunk| (stream(chunk.stream), at_ms(chunk)));
                at += lines.feed(stream, ms, piece) as u64;
            }
            if at >= end {
                number += 1;
                chunk = next;
            }
        }
        at
    }

    /// The number of the last record that does not start behind a position.
    fn covering(&self, position: u64) -> u64 {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle).is_some_and(|chunk| chunk.start <= position) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low.saturating_sub(1)
    }

    /// Looks from the end backwards for so many line ends, and answers where; `None` when there are fewer here.
    pub fn back(&self, ends: &mut usize, budget: &mut u64) -> Option<u64> {
        let mut block = vec![0; BLOCK];
        let mut start = self.len;
        while start > 0 {
            let len = (BLOCK as u64).min(start);
            start -= len;
            let block = &mut block[..len as usize];
            if self.data.read_exact_at(block, start).is_err() || *budget < len {
                return Some(self.base() + start + len);
            }
            *budget -= len;
            for at in (0..block.len()).rev().filter(|at| block[*at] == b'\n') {
                if *ends == 0 {
                    return Some(self.base() + start + at as u64 + 1);
                }
                *ends -= 1;
            }
        }
        None
    }
}

fn stream(stream: index::Stream) -> Stream {
    match stream {
        index::Stream::Stdout => Stream::Stdout,
        index::Stream::Stderr => Stream::Stderr,
        index::Stream::Remark => Stream::Monitor,
    }
}

fn at_ms(chunk: Chunk) -> i64 {
    i64::try_from(chunk.at_ms).unwrap_or(i64::MAX)
}
