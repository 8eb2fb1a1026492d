//! Numbers and names as text, without an allocator.

use core::ffi::CStr;

/// Text of a bounded length. What does not fit marks it as overflown and is not taken, and it then names nothing.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    overflown: bool,
}

impl<const N: usize> Text<N> {
    pub fn new() -> Self {
        Self { bytes: [0; N], len: 0, overflown: false }
    }

    pub fn push(&mut self, bytes: &[u8]) -> &mut Self {
        // One byte stays free for the NUL.
        match self.bytes.get_mut(self.len..self.len + bytes.len()) {
            Some(place) if self.len + bytes.len() < N => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            Some(_) | None => self.overflown = true,
        }
        self
    }

    pub fn push_number(&mut self, number: u64) -> &mut Self {
        const LONGEST: usize = 20;
        let mut digits = [0; LONGEST];
        let mut at = LONGEST;
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(&digits[at..])
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// `None` when it did not all fit or holds a NUL.
    pub fn c_str(&self) -> Option<&CStr> {
        if self.overflown { None } else { CStr::from_bytes_with_nul(&self.bytes[..=self.len]).ok() }
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A decimal number and nothing else.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number behind a word at the beginning of a line: `oom_kill 3`.
pub fn counter(text: &[u8], word: &[u8]) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.find_map(|line| number(line.strip_prefix(word)?.strip_prefix(b" ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_was_pushed_and_names_nothing_once_something_did_not_fit() {
        let mut text = Text::<8>::new();
        assert_eq!(text.push(b"log.").push_number(120).c_str(), Some(c"log.120"));
        assert_eq!(text.push(b"x").c_str(), None);
        assert_eq!(text.bytes(), b"log.120");
        assert_eq!(Text::<8>::new().push(b"a\0").c_str(), None);
        assert_eq!(Text::<32>::new().push_number(u64::MAX).bytes(), u64::MAX.to_string().as_bytes());
        assert_eq!(Text::<32>::new().push_number(0).bytes(), b"0");
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for wrong in [&b""[..], b"-1", b"1 ", b"0x1", b"18446744073709551616"] {
            assert_eq!(number(wrong), None);
        }
    }

    #[test]
    fn a_counter_is_found_by_its_whole_word() {
        let text = b"oom_kill_disable 0\nunder_oom 1\noom_kill 12\n";
        assert_eq!(counter(text, b"oom_kill"), Some(12));
        assert_eq!(counter(b"low 0\noom 1\n", b"oom_kill"), None);
    }
}
