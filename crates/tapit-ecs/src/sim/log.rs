//! Log groups and their streams.

use std::collections::BTreeMap;

use tapit_model::Timestamp;

use super::refusal::{Answered, Refusal};
use super::world::World;
use crate::api::{Answer, LogEvent, LogEventsOf, LogFrom};

/// The retentions that CloudWatch Logs knows, in days.
const RETENTIONS: [u16; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

#[derive(Debug, Clone, Default)]
pub(super) struct LogGroup {
    pub streams: BTreeMap<String, Vec<LogEvent>>,
}

impl World {
    pub fn create_log_group(&mut self, name: &str) -> Answered {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
        if name.is_empty() || name.len() > 512 || !name.chars().all(legal) {
            return Err(Refusal::invalid(format_args!("logGroupName {name:?} is no name for a group")));
        }
        self.logs.entry(name.to_owned()).or_default();
        Ok(Answer::Done)
    }

    pub fn set_log_retention(&mut self, name: &str, days: u16) -> Answered {
        self.logs.get(name).ok_or_else(no_group)?;
        if !RETENTIONS.contains(&days) {
            return Err(Refusal::invalid(format_args!("retentionInDays {days} is not one of those there are")));
        }
        Ok(Answer::Done)
    }

    pub fn delete_log_group(&mut self, name: &str) -> Answered {
        self.logs.remove(name);
        Ok(Answer::Done)
    }

    pub fn get_log_events(&self, of: &LogEventsOf) -> Answered {
        if !(1..=10_000).contains(&of.limit) {
            return Err(Refusal::invalid("limit must be 1 to 10000"));
        }
        let group = self.logs.get(&of.group).ok_or_else(no_group)?;
        let no_stream = || missing("The specified log stream does not exist.");
        let stream = group.streams.get(&of.stream).ok_or_else(no_stream)?;
        // Those that are old enough come first, since a stream is written in the order of time.
        let first = of.since.map_or(0, |since| stream.partition_point(|event| event.at < since));
        let limit = usize::from(of.limit);
        let (from, to) = match &of.after {
            LogFrom::Start => (first, first.saturating_add(limit).min(stream.len())),
            LogFrom::End => (stream.len().saturating_sub(limit).max(first), stream.len()),
            LogFrom::Token(token) => {
                let index = token.strip_prefix("f/").and_then(|digits| digits.parse::<usize>().ok());
                let bad = || Refusal::invalid("The specified nextToken is invalid.");
                let from = index.filter(|index| *index <= stream.len()).ok_or_else(bad)?.max(first);
                (from, from.saturating_add(limit).min(stream.len()))
            }
        };
        let events = stream.get(from..to).unwrap_or_default().to_vec();
        Ok(Answer::LogEvents { events, next: format!("f/{to:056}") })
    }

    /// `false`: there is no such group, so nothing can be written.
    pub fn open_stream(&mut self, group: &str, stream: &str) -> bool {
        let Some(group) = self.logs.get_mut(group) else { return false };
        group.streams.entry(stream.to_owned()).or_default();
        true
    }

    pub fn write(&mut self, (group, stream): (&str, &str), lines: &[String]) {
        let at = Timestamp(self.now);
        let stream = self.logs.get_mut(group).and_then(|group| group.streams.get_mut(stream));
        if let Some(stream) = stream {
            stream.extend(lines.iter().map(|line| LogEvent { at, message: line.clone() }));
        }
    }
}

fn no_group() -> Refusal {
    missing("The specified log group does not exist.")
}

fn missing(message: &str) -> Refusal {
    Refusal::not_found("ResourceNotFoundException", message)
}
