//! Reads instances' logs from CloudWatch.
//!
//! A position is a token of CloudWatch's behind a mark. CloudWatch tells output and errors not apart, so every line is one
//! of output. Whoever follows a log asks many times a second, and AWS allows a few readings a second for the whole
//! account: a log that had nothing new is not asked for again within a moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tapit_engine::{EngineError, LogPart, LogPosition, LogReading};
use tapit_model::{InstanceKey, LogLine, LogStream, ProcessKey, Timestamp};
use tokio::time::Instant;

use crate::api::{ApiFault, LogEventsOf, LogFrom, Request};
use crate::definition;
use crate::engine::Shared;

/// The most that AWS gives at once.
const LIMIT: usize = 10_000;
/// CloudWatch may give an empty page before one that is not.
const PAGES_AT_MOST: usize = 5;
const REST: Duration = Duration::from_secs(1);
/// A task's last lines reach CloudWatch some seconds after its end.
pub const LAG: Duration = Duration::from_secs(10);
/// Logs that rest, of which the oldest are forgotten.
const RESTING_AT_MOST: usize = 1000;

/// Before the first line of a log.
const START: &str = "start";
const AFTER: &str = "after ";

/// When logs were found to hold nothing new.
#[derive(Default)]
pub struct Readings {
    empty: Mutex<BTreeMap<(InstanceKey, String), Instant>>,
}

/// Some lines, and where they end; `None`: there is no log yet.
type Page = Option<(Vec<LogLine>, String)>;

impl Readings {
    pub async fn read(
        &self,
        shared: &Shared,
        (process, instance): (&ProcessKey, &InstanceKey),
        part: &LogPart,
    ) -> Result<LogReading, EngineError> {
        let log = Log { shared, process, instance };
        match part {
            LogPart::Last { lines, since } => log.last(*lines, *since).await,
            LogPart::Next { after, limit } => {
                let from = from(after.as_ref())?;
                let position = position(&from);
                if *limit == 0 || self.rests(instance, &position) {
                    return Ok(LogReading { lines: Vec::new(), next: position });
                }
                let reading = log.next(from, *limit).await?;
                if reading.lines.is_empty() {
                    self.rest(instance, &reading.next);
                }
                Ok(reading)
            }
        }
    }

    fn rests(&self, instance: &InstanceKey, position: &LogPosition) -> bool {
        let empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        empty.get(&(instance.clone(), position.0.clone())).is_some_and(|since| since.elapsed() < REST)
    }

    fn rest(&self, instance: &InstanceKey, position: &LogPosition) {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        if empty.len() >= RESTING_AT_MOST {
            empty.retain(|_, since| since.elapsed() < REST);
        }
        if empty.len() < RESTING_AT_MOST {
            empty.insert((instance.clone(), position.0.clone()), Instant::now());
        }
    }
}

struct Log<'a> {
    shared: &'a Shared,
    process: &'a ProcessKey,
    instance: &'a InstanceKey,
}

impl Log<'_> {
    async fn last(&self, lines: usize, since: Option<Timestamp>) -> Result<LogReading, EngineError> {
        // Also where no line is wanted, the place of the end is.
        let Some((mut last, token)) = self.page(LogFrom::End, since, lines.max(1)).await? else {
            return Ok(LogReading { lines: Vec::new(), next: position(&LogFrom::Start) });
        };
        last.retain(|line| since.is_none_or(|since| line.at >= since));
        let surplus = last.len().saturating_sub(lines);
        last.drain(..surplus);
        Ok(LogReading { lines: last, next: position(&LogFrom::Token(token)) })
    }

    async fn next(&self, mut from: LogFrom, limit: usize) -> Result<LogReading, EngineError> {
        for _ in 0..PAGES_AT_MOST {
            let Some((lines, token)) = self.page(from.clone(), None, limit).await? else { break };
            let next = LogFrom::Token(token);
            let is_end = next == from;
            from = next;
            if is_end || !lines.is_empty() {
                return Ok(LogReading { lines, next: position(&from) });
            }
        }
        Ok(LogReading { lines: Vec::new(), next: position(&from) })
    }

    async fn page(&self, after: LogFrom, since: Option<Timestamp>, limit: usize) -> Result<Page, EngineError> {
        let task = self.instance.id.as_str();
        let request = Request::GetLogEvents(LogEventsOf {
            group: self.shared.install.log_group(&self.process.app),
            stream: format!("{}/{}/{task}", definition::log_prefix(self.process), definition::CONTAINER),
            after,
            since,
            limit: u16::try_from(limit.min(LIMIT)).unwrap_or(u16::MAX),
        });
        let operation = request.operation();
        let answered = self.shared.api.call(request).await.and_then(|answer| answer.log_events(operation));
        match answered {
            Ok((events, token)) => {
                let line = |event: crate::api::LogEvent| LogLine {
                    at: event.at,
                    stream: LogStream::Stdout,
                    text: event.message.trim_end_matches(['\n', '\r']).to_owned(),
                };
                Ok(Some((events.into_iter().map(line).collect(), token)))
            }
            // Nothing was written yet, or the instance never ran.
            Err(error) if error.fault == ApiFault::NotFound => Ok(None),
            Err(error) => Err(EngineError::act(format!("reading the log of {}", self.instance), error)),
        }
    }
}

fn position(from: &LogFrom) -> LogPosition {
    LogPosition(match from {
        LogFrom::Start | LogFrom::End => START.to_owned(),
        LogFrom::Token(token) => format!("{AFTER}{token}"),
    })
}

fn from(position: Option<&LogPosition>) -> Result<LogFrom, EngineError> {
    let Some(position) = position else { return Ok(LogFrom::Start) };
    match (position.0.as_str(), position.0.strip_prefix(AFTER)) {
        (START, _) => Ok(LogFrom::Start),
        (_, Some(token)) if !token.is_empty() => Ok(LogFrom::Token(token.to_owned())),
        (_, _) => Err(EngineError::UnknownPosition(position.0.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_nonsense_is_told() {
        for place in [LogFrom::Start, LogFrom::Token("f/36".to_owned())] {
            assert_eq!(from(Some(&position(&place))).expect("ours"), place);
        }
        assert_eq!(from(None).expect("the start"), LogFrom::Start);
        for nonsense in ["", "after ", "f/36", "nonsense"] {
            assert!(from(Some(&LogPosition(nonsense.to_owned()))).is_err(), "{nonsense}");
        }
    }
}
