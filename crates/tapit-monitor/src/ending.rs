//! How a container ended, and the record of it.

use crate::text::Text;

/// A shell's status for a program that a signal has ended.
pub const SIGNALLED: i32 = 128;
const KILLED: i32 = 9;
/// In the status file for as long as the program has not ended; no wait status looks like it.
pub const NOT_YET: i32 = -1;

/// As exit status or signal, of which a signal implies a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    pub code: i32,
    pub signal: Option<i32>,
}

impl Ending {
    /// What a wait status means.
    pub fn of(status: i32) -> Self {
        match status & 0x7f {
            0 => Self { code: (status >> 8) & 0xff, signal: None },
            signal => Self { code: SIGNALLED + signal, signal: Some(signal) },
        }
    }

    /// As the program did if process 1 lived to tell; else as process 1 itself, if it was our child. If it was not, it was
    /// killed: nothing but SIGKILL ends it before it has told, since it blocks every other signal and its file has its
    /// place on the disk already.
    pub fn of_container(program: Option<i32>, init: Option<i32>) -> Self {
        Self::of(program.or(init).unwrap_or(KILLED))
    }

    /// The exit record as the server reads it.
    pub fn json(self, oom: bool, at_ms: u64) -> Text<128> {
        let mut json = Text::new();
        json.push(b"{\"code\":").push_number(u64::from(self.code.unsigned_abs())).push(b",\"signal\":");
        match self.signal {
            Some(signal) => json.push_number(u64::from(signal.unsigned_abs())),
            None => json.push(b"null"),
        };
        json.push(if oom { b",\"oom\":true" } else { b",\"oom\":false" });
        json.push(b",\"at\":").push_number(at_ms).push(b"}");
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_program_counts_and_else_that_of_process_1() {
        let check = |program, init, expected| {
            let ending = Ending::of_container(program, init);
            assert_eq!((ending.code, ending.signal), expected);
        };
        check(Some(3 << 8), Some(3 << 8), (3, None));
        check(Some(15), Some(143 << 8), (143, Some(15)));
        check(Some(143 << 8), None, (143, None));
        check(None, Some(9), (137, Some(9)));
        check(None, Some(1 << 8), (1, None));
        check(Some(35), Some(163 << 8), (163, Some(35)));
        check(Some(0x80 | 11), None, (139, Some(11)));
        check(None, None, (137, Some(9)));
    }

    #[test]
    fn the_record_is_what_the_server_reads() {
        for (status, oom) in [(0, false), (3 << 8, false), (9, true), (255 << 8, false)] {
            let ending = Ending::of(status);
            let json = ending.json(oom, 1_767_323_045_678);
            let exit: tapit_model::Exit = serde_json::from_slice(json.bytes()).expect("is an exit");
            let expected = tapit_model::Exit {
                code: Some(ending.code),
                signal: ending.signal,
                oom,
                at: tapit_model::Timestamp(1_767_323_045_678),
            };
            assert_eq!(exit, expected);
        }
    }
}
