//! What a client and a server say to each other while a command runs in an instance: frames of a kind, a length and a
//! payload, over a connection that was upgraded to `tapit-exec/1`.
//!
//! ```text
//! kind: 1 byte   length: 4 bytes, big-endian   payload: at most 64 KiB
//! ```
//!
//! The client may have `EXEC_WINDOW` bytes of standard input on their way that were not reported as taken. So a server
//! never has to stop reading, and a signal is never stuck behind input that the command does not want.

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The protocol as the `Upgrade` header names it.
pub const EXEC_PROTOCOL: &str = "tapit-exec/1";
/// Of a payload. A longer one is a broken or hostile peer.
pub const EXEC_MAX_PAYLOAD: usize = 64 * 1024;
/// Bytes of standard input that may be on their way.
pub const EXEC_WINDOW: usize = 256 * 1024;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub columns: u16,
    pub rows: u16,
}

impl WindowSize {
    /// Reads `80x24`.
    pub fn parse(text: &str) -> Option<Self> {
        let (columns, rows) = text.split_once('x')?;
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        Some(Self { columns: number(columns)?, rows: number(rows)? })
    }
}

impl std::fmt::Display for WindowSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.columns, self.rows)
    }
}

/// One message in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecFrame {
    /// Client: some standard input.
    Stdin(Vec<u8>),
    /// Client: there is no more of it.
    StdinEnd,
    /// Client: the terminal has another size.
    Resize(WindowSize),
    /// Client: a signal for the command, by its number.
    Signal(u8),
    /// Server: some standard output; of a terminal, all output.
    Stdout(Vec<u8>),
    /// Server: some standard error.
    Stderr(Vec<u8>),
    /// Server: so many bytes of standard input are no longer on their way.
    Taken(u32),
    /// Server, the last: the command has ended with this status; 128 and more is a signal, as in a shell.
    Exit(u8),
    /// Server, the last: why there is no status.
    Error(Refusal),
}

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecFrameError {
    #[error("a frame of {0} bytes is announced; at most {EXEC_MAX_PAYLOAD} are legal")]
    TooLong(usize),
    #[error("a frame has the unknown kind {0}")]
    Kind(u8),
    #[error("a frame of the kind {0} holds what it cannot")]
    Payload(u8),
}

impl ExecFrame {
    pub const HEADER: usize = 5;

    const STDIN: u8 = 0x01;
    const STDIN_END: u8 = 0x02;
    const RESIZE: u8 = 0x03;
    const SIGNAL: u8 = 0x04;
    const STDOUT: u8 = 0x81;
    const STDERR: u8 = 0x82;
    const TAKEN: u8 = 0x83;
    const EXIT: u8 = 0x84;
    const ERROR: u8 = 0x85;

    /// Kind and length of the frame that a header announces.
    pub fn header(bytes: [u8; Self::HEADER]) -> Result<(u8, usize), ExecFrameError> {
        let [kind, a, b, c, d] = bytes;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > EXEC_MAX_PAYLOAD { Err(ExecFrameError::TooLong(length)) } else { Ok((kind, length)) }
    }

    /// Reads the payload of a frame.
    pub fn decode(kind: u8, payload: Vec<u8>) -> Result<Self, ExecFrameError> {
        let wrong = ExecFrameError::Payload(kind);
        match kind {
            Self::STDIN => Ok(Self::Stdin(payload)),
            Self::STDIN_END if payload.is_empty() => Ok(Self::StdinEnd),
            Self::RESIZE => match payload[..] {
                [a, b, c, d] => {
                    let size = WindowSize { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) };
                    Ok(Self::Resize(size))
                }
                _ => Err(wrong),
            },
            Self::SIGNAL => match payload[..] {
                [number] => Ok(Self::Signal(number)),
                _ => Err(wrong),
            },
            Self::STDOUT => Ok(Self::Stdout(payload)),
            Self::STDERR => Ok(Self::Stderr(payload)),
            Self::TAKEN => payload.try_into().map(|bytes| Self::Taken(u32::from_be_bytes(bytes))).map_err(|_| wrong),
            Self::EXIT => match payload[..] {
                [status] => Ok(Self::Exit(status)),
                _ => Err(wrong),
            },
            Self::ERROR => read_refusal(&payload).map(Self::Error).ok_or(wrong),
            Self::STDIN_END => Err(wrong),
            unknown => Err(ExecFrameError::Kind(unknown)),
        }
    }

    /// The frame as it travels. Its payload must not be longer than is legal.
    pub fn encode(&self) -> Vec<u8> {
        let framed = |kind: u8, payload: &[u8]| {
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            [&[kind][..], &length.to_be_bytes(), payload].concat()
        };
        match self {
            Self::Stdin(bytes) => framed(Self::STDIN, bytes),
            Self::StdinEnd => framed(Self::STDIN_END, &[]),
            Self::Resize(size) => {
                let [a, b] = size.columns.to_be_bytes();
                let [c, d] = size.rows.to_be_bytes();
                framed(Self::RESIZE, &[a, b, c, d])
            }
            Self::Signal(number) => framed(Self::SIGNAL, &[*number]),
            Self::Stdout(bytes) => framed(Self::STDOUT, bytes),
            Self::Stderr(bytes) => framed(Self::STDERR, bytes),
            Self::Taken(count) => framed(Self::TAKEN, &count.to_be_bytes()),
            Self::Exit(status) => framed(Self::EXIT, &[*status]),
            Self::Error(refusal) => framed(Self::ERROR, &write_refusal(refusal)),
        }
    }
}

/// The status that a command ends the client with, before the text.
fn write_refusal(refusal: &Refusal) -> Vec<u8> {
    let room = EXEC_MAX_PAYLOAD - 1;
    let text = refusal.message.as_bytes();
    [&[refusal.code.exit_status()][..], &text[..text.len().min(room)]].concat()
}

fn read_refusal(payload: &[u8]) -> Option<Refusal> {
    let (status, text) = payload.split_first()?;
    let code = crate::Code::ALL.into_iter().find(|code| code.exit_status() == *status)?;
    Some(Refusal::new(code, String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn every_frame_is_read_as_it_was_written() {
        let frames = [
            ExecFrame::Stdin(b"in".to_vec()),
            ExecFrame::StdinEnd,
            ExecFrame::Resize(WindowSize { columns: 80, rows: 500 }),
            ExecFrame::Signal(15),
            ExecFrame::Stdout(vec![0; EXEC_MAX_PAYLOAD]),
            ExecFrame::Stderr(Vec::new()),
            ExecFrame::Taken(70_000),
            ExecFrame::Exit(143),
            ExecFrame::Error(Refusal::new(Code::Unavailable, "gone")),
        ];
        for frame in frames {
            let bytes = frame.encode();
            let header: [u8; ExecFrame::HEADER] = bytes[..ExecFrame::HEADER].try_into().expect("has a header");
            let (kind, length) = ExecFrame::header(header).expect("is legal");
            assert_eq!(bytes.len(), ExecFrame::HEADER + length);
            assert_eq!(ExecFrame::decode(kind, bytes[ExecFrame::HEADER..].to_vec()), Ok(frame));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_unknown_or_misshapen_is_refused() {
        assert!(ExecFrame::header([1, 0, 1, 0, 0]).is_ok());
        assert_eq!(ExecFrame::header([1, 0, 1, 0, 1]), Err(ExecFrameError::TooLong(EXEC_MAX_PAYLOAD + 1)));
        assert_eq!(ExecFrame::decode(9, Vec::new()), Err(ExecFrameError::Kind(9)));
        for (kind, payload) in
            [(2, vec![1]), (3, vec![1, 2, 3]), (4, vec![]), (0x83, vec![1]), (0x84, vec![]), (0x85, vec![])]
        {
            assert_eq!(ExecFrame::decode(kind, payload), Err(ExecFrameError::Payload(kind)));
        }
    }

    #[test]
    fn a_window_size_is_columns_by_rows() {
        assert_eq!(WindowSize::parse("80x24"), Some(WindowSize { columns: 80, rows: 24 }));
        for wrong in ["", "80", "x", "80x", "x24", "+1x2", "80x24x1", "70000x1", "-1x1"] {
            assert_eq!(WindowSize::parse(wrong), None, "{wrong:?}");
        }
    }
}
