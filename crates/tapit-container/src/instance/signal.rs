//! The two things that a container can be told, and the image's own word for the first of them.

use serde::{Deserialize, Serialize};

/// What the supervisor may tell a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ask it to stop: its image's stop signal, SIGTERM unless that says otherwise.
    Stop,
    /// Kill everything in it.
    Kill,
}

/// The number of the signal that asks an image's program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct StopSignal(i32);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal; a name such as SIGTERM or a number from 1 to 64 is")]
pub struct StopSignalError(String);

/// First of the real-time signals as the C library counts them, and the highest number of any signal.
const SIGRTMIN: i32 = 34;
const MAX: i32 = 64;

impl StopSignal {
    pub const TERM: StopSignal = StopSignal(15);

    /// Parses `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` and their like.
    pub fn parse(text: &str) -> Result<Self, StopSignalError> {
        let error = || StopSignalError(text.chars().take(40).collect());
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if let Ok(number) = name.parse::<i32>() {
            number
        } else if let Some(rest) = name.strip_prefix("RTMIN") {
            SIGRTMIN.checked_add(offset(rest).ok_or_else(error)?).ok_or_else(error)?
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            MAX.checked_add(offset(rest).ok_or_else(error)?).ok_or_else(error)?
        } else {
            let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().map_err(|_| error())?;
            signal as i32
        };
        Self::try_from(number).map_err(|_| error())
    }

    pub fn number(self) -> i32 {
        self.0
    }
}

/// `+3`, `-3`, or nothing.
fn offset(text: &str) -> Option<i32> {
    match text {
        "" => Some(0),
        _ if text.starts_with(['+', '-']) => text.parse().ok(),
        _ => None,
    }
}

impl TryFrom<i32> for StopSignal {
    type Error = StopSignalError;
    fn try_from(number: i32) -> Result<Self, StopSignalError> {
        if (1..=MAX).contains(&number) { Ok(Self(number)) } else { Err(StopSignalError(number.to_string())) }
    }
}

impl From<StopSignal> for i32 {
    fn from(signal: StopSignal) -> i32 {
        signal.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_signals_are_read_by_name_and_by_number() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("15", 15),
            ("SIGQUIT", 3),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SIGWINCH", 28),
        ] {
            assert_eq!(StopSignal::parse(text).map(StopSignal::number), Ok(number), "{text}");
        }
        for bad in ["", "0", "65", "-1", "SIGNOPE", "RTMIN3", "RTMAX+1", "99999999999", "SIG"] {
            assert!(StopSignal::parse(bad).is_err(), "{bad:?}");
        }
    }
}
