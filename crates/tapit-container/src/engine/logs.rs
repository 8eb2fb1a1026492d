//! Reads instances' logs for the server. The files are the monitors'; nothing here writes or waits.
//!
//! A position is `CURSOR_SEGMENT_LENGTH`: where the reader is, and how long the newest segment was when it had read all
//! of it. A log that is followed and in which nothing is written costs two looks at file names that way.

use std::path::Path;

use tapit_engine::{EngineError, LogPart, LogPosition, LogReading};
use tapit_model::{InstanceKey, LogLine, LogStream, ProcessKey, ProcessName, Timestamp};

use super::shared::Shared;
use crate::instance::{self, InstanceDir, LogCursor, Stream, newest_log_segment};

/// The last lines as bare text.
pub async fn tail(shared: &Shared, instance: &InstanceKey, lines: usize) -> Result<Vec<String>, EngineError> {
    let part = LogPart::Last { lines, since: None };
    let reading = read(shared, instance, &part).await?;
    Ok(reading.lines.into_iter().map(|line| line.text).collect())
}

pub async fn read(shared: &Shared, instance: &InstanceKey, part: &LogPart) -> Result<LogReading, EngineError> {
    let dir = dir(shared, instance)?;
    if let LogPart::Next { after: Some(position), .. } = part
        && is_unchanged(dir.path(), position)
    {
        return Ok(LogReading { lines: Vec::new(), next: position.clone() });
    }
    let part = part.clone();
    // Other tasks go on while the disk is waited for.
    let read = tokio::task::spawn_blocking(move || reading(&dir, part)).await;
    read.map_err(|error| EngineError::act(format!("reading the log of {instance}"), error))?
}

fn dir(shared: &Shared, instance: &InstanceKey) -> Result<InstanceDir, EngineError> {
    // Looked up by what its name says, since a log that is followed is asked for many times a second.
    let find = || {
        let (process, serial) = instance.id.as_str().rsplit_once('.')?;
        let key = ProcessKey::new(&instance.app, &ProcessName::parse(process).ok()?);
        let serial = serial.parse().ok()?;
        let state = shared.state();
        let held = state.processes.get(&key)?.instances.get(&serial)?;
        (held.key == *instance).then(|| shared.instance_dir(&key, serial))
    };
    find().ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))
}

fn reading(dir: &InstanceDir, part: LogPart) -> Result<LogReading, EngineError> {
    // Before the log is read, so that what comes meanwhile counts as new.
    let mark = Mark::of(dir.path());
    let (lines, next, mark) = match part {
        LogPart::Last { lines, since } => {
            let (lines, next) = dir.log_last(lines, since);
            (lines, next, None)
        }
        LogPart::Next { after, limit } => {
            let (lines, next) = dir.log_read(after.map(cursor).transpose()?.as_ref(), limit);
            // Only a reading that found nothing more has seen the end.
            let mark = Some(mark).filter(|_| lines.is_empty() && limit > 0);
            (lines, next, mark)
        }
    };
    let mark = mark.map(|mark| format!("_{}_{}", mark.segment, mark.length)).unwrap_or_default();
    Ok(LogReading { lines: lines.into_iter().map(line).collect(), next: LogPosition(format!("{next}{mark}")) })
}

fn cursor(position: LogPosition) -> Result<LogCursor, EngineError> {
    let word = position.0.split('_').next().unwrap_or_default();
    word.parse().map_err(|_| EngineError::UnknownPosition(position.0.clone()))
}

/// How far a log has been written.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    segment: u64,
    length: u64,
}

impl Mark {
    fn of(dir: &Path) -> Self {
        let segment = newest_log_segment(dir);
        // One that is not there yet is as good as empty.
        Self { segment, length: length(dir, segment).unwrap_or(0) }
    }

    fn parse(text: &str) -> Option<Self> {
        let (segment, length) = text.split_once('_')?;
        Some(Self { segment: segment.parse().ok()?, length: length.parse().ok()? })
    }
}

fn length(dir: &Path, segment: u64) -> Option<u64> {
    std::fs::metadata(dir.join(format!("log.{segment}"))).ok().map(|file| file.len())
}

/// Nothing was written since the reader was at the end. Where half a line is held, the end of the instance would make it
/// a whole one, so there the log is read.
fn is_unchanged(dir: &Path, position: &LogPosition) -> bool {
    let Some((cursor, mark)) = position.0.split_once('_') else { return false };
    let Some(mark) = Mark::parse(mark).filter(|_| !cursor.contains('.')) else { return false };
    length(dir, mark.segment).unwrap_or(0) == mark.length && length(dir, mark.segment.saturating_add(1)).is_none()
}

fn line(line: instance::LogLine) -> LogLine {
    let stream = match line.stream {
        Stream::Stdout => LogStream::Stdout,
        Stream::Stderr => LogStream::Stderr,
        Stream::Monitor => LogStream::Tapit,
    };
    let at = line.at.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond());
    LogLine { at: Timestamp(at), stream, text: line.text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_unchanged_until_its_newest_segment_grows_or_has_a_successor() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("writes");
        let unchanged = |word: &str| is_unchanged(dir.path(), &LogPosition(word.to_owned()));
        assert_eq!(Mark::of(dir.path()), Mark { segment: 1, length: 0 });
        assert!(unchanged("0_1_0"), "nothing is there yet");
        write("log.7", "four");
        write("log.7.idx", "");
        assert_eq!(Mark::of(dir.path()), Mark { segment: 7, length: 4 });
        assert!(unchanged("99_7_4"));
        for word in ["99", "99_7_3", "99_6_4", "99.61~0~0.~0~0_7_4", "99_7", "99_x_4", "99_7_4_1", ""] {
            assert!(!unchanged(word), "{word}");
        }
        write("log.8", "");
        assert!(!unchanged("99_7_4"));
    }
}
