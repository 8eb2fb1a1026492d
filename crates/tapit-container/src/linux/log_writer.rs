//! Writes a container's output to its log files: one line each, with time and stream, within bounds.
//!
//! Used by the monitor alone. What a disk that is full cannot take is dropped and counted, so that the container never
//! blocks on its output; once writing works again, a line says how much is missing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::instance::{LogBounds, Stream, log_file};

/// A longer line is split.
pub const MAX_LINE: usize = 16 * 1024;
/// A file holds at least a few of the longest lines.
const MIN_FILE: u64 = 4 * MAX_LINE as u64;

/// Cuts one stream into lines.
pub struct Lines {
    stream: Stream,
    partial: Vec<u8>,
}

impl Lines {
    pub fn new(stream: Stream) -> Self {
        Self { stream, partial: Vec::new() }
    }

    /// Takes bytes as they came and appends the lines that are complete now, as they are to be written.
    pub fn feed(&mut self, bytes: &[u8], now: &str, out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.take(&rest[..end], now, out);
            self.emit(now, out);
            rest = &rest[end + 1..];
        }
        self.take(rest, now, out);
    }

    /// Adds to the line that is being collected. One of exactly the longest length stays whole, since its end may come.
    fn take(&mut self, mut bytes: &[u8], now: &str, out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.partial.len() == MAX_LINE {
                self.emit(now, out);
            }
            let (fits, later) = bytes.split_at(bytes.len().min(MAX_LINE - self.partial.len()));
            self.partial.extend_from_slice(fits);
            bytes = later;
        }
    }

    /// The stream has ended: what is left is a line too.
    pub fn finish(&mut self, now: &str, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.emit(now, out);
        }
    }

    fn emit(&mut self, now: &str, out: &mut Vec<u8>) {
        write_line(now, self.stream, &self.partial, out);
        self.partial.clear();
    }
}

fn write_line(now: &str, stream: Stream, text: &[u8], out: &mut Vec<u8>) {
    for part in [now.as_bytes(), b" ", stream.as_str().as_bytes(), b" ", text, b"\n"] {
        out.extend_from_slice(part);
    }
}

/// The files of one instance.
pub struct LogWriter {
    dir: PathBuf,
    max_bytes: u64,
    files: u32,
    current: Option<(File, u64)>,
    lost: u64,
}

impl LogWriter {
    pub fn new(dir: &Path, bounds: LogBounds) -> Self {
        Self {
            dir: dir.to_owned(),
            max_bytes: bounds.file_bytes.max(MIN_FILE),
            files: bounds.files.max(1),
            current: None,
            lost: 0,
        }
    }

    /// Appends whole lines. Never fails: what cannot be written is counted as lost.
    pub fn append(&mut self, lines: &[u8], now: &str) {
        if self.lost > 0 {
            let mut remark = Vec::new();
            let text = format!("{} bytes of output were lost: the disk would not take them", self.lost);
            write_line(now, Stream::Monitor, text.as_bytes(), &mut remark);
            if self.write(&remark).is_ok() {
                self.lost = 0;
            }
        }
        if let Err(unwritten) = self.write(lines) {
            self.lost = self.lost.saturating_add(unwritten);
        }
    }

    /// The error is the number of bytes that were not written.
    fn write(&mut self, mut lines: &[u8]) -> Result<(), u64> {
        while !lines.is_empty() {
            let part = self.next_part(lines).map_err(|_| lines.len() as u64)?;
            let (now, later) = lines.split_at(part);
            self.write_part(now).map_err(|_| lines.len() as u64)?;
            lines = later;
        }
        Ok(())
    }

    /// How many bytes, whole lines, fit into the file that is open after this call; at least one line.
    fn next_part(&mut self, lines: &[u8]) -> io::Result<usize> {
        let (_, len) = self.open()?;
        let fitting = |room: u64| {
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
            lines[..room].iter().rposition(|byte| *byte == b'\n').map(|end| end + 1)
        };
        if let Some(part) = fitting(self.max_bytes.saturating_sub(len)) {
            return Ok(part);
        }
        if len > 0 {
            self.rotate()?;
        }
        let first = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        Ok(fitting(self.max_bytes).unwrap_or(first))
    }

    fn write_part(&mut self, part: &[u8]) -> io::Result<()> {
        self.open()?;
        let Some((file, len)) = &mut self.current else { return Ok(()) };
        file.write_all(part).inspect_err(|_| {
            // A torn line would run into the next one; if even this fails, it does.
            let _ = file.set_len(*len);
        })?;
        *len += part.len() as u64;
        Ok(())
    }

    fn open(&mut self) -> io::Result<(&File, u64)> {
        if self.current.is_none() {
            let path = log_file(&self.dir, 0);
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            let len = file.metadata()?.len();
            self.current = Some((file, len));
        }
        match &self.current {
            Some((file, len)) => Ok((file, *len)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The oldest file goes, every other one becomes one older.
    fn rotate(&mut self) -> io::Result<()> {
        self.current = None;
        for age in (1..self.files).rev() {
            match fs::rename(log_file(&self.dir, age - 1), log_file(&self.dir, age)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if self.files == 1 {
            fs::remove_file(log_file(&self.dir, 0))?;
        }
        self.open().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05.678Z";

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new(Stream::Stdout);
        let mut out = Vec::new();
        for piece in pieces {
            lines.feed(piece, NOW, &mut out);
        }
        lines.finish(NOW, &mut out);
        let text = String::from_utf8(out).expect("is text");
        let prefix = format!("{NOW} stdout ");
        text.lines().map(|line| line.strip_prefix(&prefix).expect("has its prefix").to_owned()).collect()
    }

    #[test]
    fn output_is_cut_into_lines_wherever_its_pieces_end() {
        assert_eq!(cut(&[b"a\nb", b"c\n", b"\n", b"d"]), ["a", "bc", "", "d"]);
        assert!(cut(&[b""]).is_empty());
        let long = "x".repeat(MAX_LINE);
        assert_eq!(cut(&[long.as_bytes(), b"\ny\n"]), [long.as_str(), "y"]);
        assert_eq!(cut(&[long.as_bytes(), long.as_bytes(), b"y\n"]), [long.as_str(), long.as_str(), "y"]);
    }

    #[test]
    fn files_are_rotated_by_size_at_line_ends_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut writer = LogWriter::new(dir.path(), LogBounds { file_bytes: 1, files: 3 });
        let line = |n: usize| format!("{NOW} stdout {n:06} {}\n", "y".repeat(1000));
        for start in (0..400).step_by(40) {
            let batch: String = (start..start + 40).map(line).collect();
            writer.append(batch.as_bytes(), NOW);
        }
        let sizes: Vec<u64> =
            (0..4).map(|age| fs::metadata(log_file(dir.path(), age)).map_or(0, |file| file.len())).collect();
        assert!(sizes[..3].iter().all(|size| (1..=MIN_FILE).contains(size)) && sizes[3] == 0, "{sizes:?}");
        let all: String =
            (0..3).rev().map(|age| fs::read_to_string(log_file(dir.path(), age)).expect("reads")).collect();
        let kept = all.lines().count();
        assert_eq!(all, (400 - kept..400).map(line).collect::<String>());
    }

    #[test]
    fn a_line_longer_than_a_file_is_still_written_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut writer = LogWriter::new(dir.path(), LogBounds { file_bytes: 1, files: 1 });
        writer.append(b"first\n", NOW);
        let long = format!("{}\n", "z".repeat(2 * MIN_FILE as usize));
        writer.append(long.as_bytes(), NOW);
        assert_eq!(fs::read_to_string(log_file(dir.path(), 0)).expect("reads"), long);
    }

    #[test]
    fn what_the_disk_does_not_take_is_counted_and_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = dir.path().join("later");
        let mut writer = LogWriter::new(&missing, LogBounds::default());
        writer.append(b"gone\n", NOW);
        fs::create_dir(&missing).expect("a directory");
        writer.append(b"kept\n", NOW);
        let text = fs::read_to_string(log_file(&missing, 0)).expect("reads");
        assert_eq!(text, format!("{NOW} tapit 5 bytes of output were lost: the disk would not take them\nkept\n"));
    }
}
