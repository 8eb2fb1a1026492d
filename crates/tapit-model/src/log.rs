//! What instances write, and from when on somebody wants to read it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    Stdout,
    Stderr,
    /// A remark of our own, for example on lines that are lost.
    Tapit,
}

impl LogStream {
    pub fn as_str(self) -> &'static str {
        match self {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
            LogStream::Tapit => "tapit",
        }
    }
}

/// One line of an instance's log, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Timestamp,
    pub stream: LogStream,
    pub text: String,
}

/// The beginning of what is wanted of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So many milliseconds before now.
    Ago(i64),
    At(Timestamp),
}

const LEGAL: &str = "give a time such as 30s, 10m, 1h, 2d or 1h30m, or one in RFC 3339 such as 2026-01-31T12:00:00Z";

impl Since {
    /// Reads `1h`, `1h30m`, `2d` or a time in RFC 3339.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("since={text} is not legal; {LEGAL}");
        if text.contains('-') || text.contains(':') {
            let at = text.parse::<jiff::Timestamp>().map_err(|_| wrong())?;
            return Ok(Since::At(Timestamp(at.as_millisecond())));
        }
        duration(text).map(Since::Ago).ok_or_else(wrong)
    }

    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(millis) => Timestamp(now.0.saturating_sub(millis)),
            Since::At(at) => at,
        }
    }
}

/// Numbers, each with its unit.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut millis: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1_000,
            b'm' => 60_000,
            b'h' => 3_600_000,
            b'd' => 86_400_000,
            _ => return None,
        };
        millis = millis.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_span_before_now_or_a_time() {
        let now = Timestamp(10 * 86_400_000);
        let ago = |text: &str| now.0 - Since::parse(text).expect(text).at(now).0;
        for (text, millis) in [("0s", 0), ("90s", 90_000), ("10m", 600_000), ("1h", 3_600_000), ("2d", 172_800_000)] {
            assert_eq!(ago(text), millis, "{text}");
        }
        assert_eq!(ago("1h30m"), 5_400_000);
        for (text, millis) in [("1970-01-01T00:00:01Z", 1_000), ("1970-01-01T01:00:00.500+01:00", 500)] {
            assert_eq!(Since::parse(text).expect(text).at(now), Timestamp(millis), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for text in
            ["", "1", "h", "1x", "-1h", "1h ", "1.5h", "1hm", "yesterday", "2026-01-31", "99999999999999999999d"]
        {
            let refusal = Since::parse(text).expect_err(text);
            assert!(refusal.contains("1h30m") && refusal.contains(text), "{refusal}");
        }
        assert!(Since::parse("9223372036854775807d").is_err(), "too long a time");
    }
}
