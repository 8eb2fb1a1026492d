//! A cursor as one short word: it travels with every page of a followed log, and back in the address of a request.
//!
//! `OFFSET` alone where no line is half there, which is nearly always; else `OFFSET.OUT.ERR`, and each of these two is
//! what has come of the line in hexadecimal, when that was, and what is still to be skipped: `6f6e65~1700000000000~0`.

use std::fmt;
use std::str::FromStr;

use super::LogCursor;
use super::lines::{MAX_LINE, Pending};

/// Not the word of any cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no position in a log")]
pub struct NoCursor;

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.offset)?;
        // When the last bytes of a line came does not matter once it was whole.
        if self.pending.iter().all(|pending| pending.bytes.is_empty() && pending.skip == 0) {
            return Ok(());
        }
        for Pending { bytes, at_ms, skip } in &self.pending {
            f.write_str(".")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            write!(f, "~{at_ms}~{skip}")?;
        }
        Ok(())
    }
}

impl FromStr for LogCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.split('.');
        let offset = parts.next().and_then(|offset| offset.parse().ok()).ok_or(NoCursor)?;
        let pending = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => [Pending::default(), Pending::default()],
            (Some(out), Some(err), None) => [pending(out).ok_or(NoCursor)?, pending(err).ok_or(NoCursor)?],
            (Some(_), ..) => return Err(NoCursor),
        };
        Ok(Self { offset, pending })
    }
}

fn pending(text: &str) -> Option<Pending> {
    let mut parts = text.split('~');
    let (hex, at_ms, skip) = (parts.next()?, parts.next()?, parts.next()?);
    let pairs = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let pending =
        Pending { bytes: pairs.collect::<Option<_>>()?, at_ms: at_ms.parse().ok()?, skip: skip.parse().ok()? };
    let legal = parts.next().is_none() && hex.len() % 2 == 0 && pending.bytes.len() <= MAX_LINE;
    legal.then_some(pending).filter(|pending| pending.skip <= MAX_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_a_word() {
        let half = Pending { bytes: b"one\xff".to_vec(), at_ms: 1_700_000_000_000, skip: 0 };
        for (pending, word) in [
            ([Pending::default(), Pending::default()], "77"),
            ([half, Pending::default()], "77.6f6e65ff~1700000000000~0.~0~0"),
            ([Pending::default(), Pending::skipping()], "77.~0~0.~0~16384"),
        ] {
            let cursor = LogCursor { offset: 77, pending };
            assert_eq!(cursor.to_string(), word);
            assert_eq!(word.parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_left_of_a_whole_line_is_not_carried_along() {
        let whole = || Pending { bytes: Vec::new(), at_ms: 1_700_000_000_000, skip: 0 };
        assert_eq!(LogCursor { offset: 77, pending: [whole(), Pending::default()] }.to_string(), "77");
    }

    #[test]
    fn nonsense_is_no_cursor() {
        let long = format!("1.{}~0~0.~0~0", "00".repeat(MAX_LINE + 1));
        for text in
            ["", "x", "-1", "1.", "1.~0~0", "1.0~0~0.~0~0", "1.zz~0~0.~0~0", "1.~0.~0", "1.~0~0.~0~99999", &long]
        {
            assert_eq!(text.parse::<LogCursor>(), Err(NoCursor), "{text:.40}");
        }
    }
}
