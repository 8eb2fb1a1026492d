//! Reads instances' logs for the server. The files are the monitors'; nothing here writes or waits.

use tapit_engine::{EngineError, LogPart, LogPosition, LogReading};
use tapit_model::{InstanceKey, LogLine, LogStream, Timestamp};

use super::shared::Shared;
use crate::instance::{self, InstanceDir, Stream};

/// The last lines as bare text.
pub async fn tail(shared: &Shared, instance: &InstanceKey, lines: usize) -> Result<Vec<String>, EngineError> {
    let part = LogPart::Last { lines, since: None };
    let reading = read(shared, instance, &part).await?;
    Ok(reading.lines.into_iter().map(|line| line.text).collect())
}

pub async fn read(shared: &Shared, instance: &InstanceKey, part: &LogPart) -> Result<LogReading, EngineError> {
    let dir = dir(shared, instance)?;
    let part = part.clone();
    // Other tasks go on while the disk is waited for.
    let read = tokio::task::spawn_blocking(move || reading(&dir, part)).await;
    read.map_err(|error| EngineError::act(format!("reading the log of {instance}"), error))?
}

fn dir(shared: &Shared, instance: &InstanceKey) -> Result<InstanceDir, EngineError> {
    let state = shared.state();
    let found = state.processes.iter().filter(|(key, _)| key.app == instance.app).find_map(|(key, process)| {
        let found = process.instances.values().find(|held| held.key == *instance)?;
        Some(shared.instance_dir(key, found.serial))
    });
    found.ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))
}

fn reading(dir: &InstanceDir, part: LogPart) -> Result<LogReading, EngineError> {
    let (lines, next) = match part {
        LogPart::Last { lines, since } => dir.log_last(lines, since),
        LogPart::Next { after, limit } => {
            let after = after.map(|LogPosition(word)| word.parse().map_err(|_| EngineError::UnknownPosition(word)));
            dir.log_read(after.transpose()?.as_ref(), limit)
        }
    };
    Ok(LogReading { lines: lines.into_iter().map(line).collect(), next: LogPosition(next.to_string()) })
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
