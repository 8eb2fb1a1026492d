//! Logs of the fake: a position is the number of lines before it.

use tapit_model::LogLine;

use crate::{EngineError, LogPart, LogPosition, LogReading};

pub(super) fn read(log: &[LogLine], part: &LogPart) -> Result<LogReading, EngineError> {
    let (lines, next): (Vec<LogLine>, usize) = match part {
        LogPart::Last { lines, since } => {
            let fresh = log.iter().filter(|line| since.is_none_or(|since| line.at >= since));
            let fresh: Vec<_> = fresh.cloned().collect();
            (fresh[fresh.len().saturating_sub(*lines)..].to_vec(), log.len())
        }
        LogPart::Next { after, limit } => {
            let begin = after.as_ref().map_or(Ok(0), index)?.min(log.len());
            let lines: Vec<_> = log[begin..].iter().take(*limit).cloned().collect();
            let next = begin + lines.len();
            (lines, next)
        }
    };
    Ok(LogReading { lines, next: LogPosition(next.to_string()) })
}

fn index(position: &LogPosition) -> Result<usize, EngineError> {
    position.0.parse().map_err(|_| EngineError::UnknownPosition(position.0.clone()))
}
