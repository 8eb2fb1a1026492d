//! A command that runs in an instance beside its program, as channels of plain data.
//!
//! Whoever holds the session feeds its input and takes its output; both channels are bounded, so neither side runs ahead
//! of the other. Letting go of either ends the command.

use tapit_model::WindowSize;
use tokio::sync::mpsc;

/// What to run, as the instance's own user, in its working directory, with its variables, confined as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// The first word is looked for in the instance's `PATH`. At least one.
    pub argv: Vec<String>,
    /// `None`: three pipes.
    pub terminal: Option<Terminal>,
}

/// A terminal to run a command on: one stream in each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// What `TERM` is to say.
    pub name: String,
    pub size: WindowSize,
}

/// What is told to a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// Standard input. No more than `EXEC_WINDOW` bytes are held that the command has not taken; beyond that the channel
    /// fills up, and signals with it.
    Bytes(Vec<u8>),
    /// There is no more of it.
    End,
    /// Means something to a terminal only.
    Resize(WindowSize),
    /// To the command's process group, by its number: 1 to 64.
    Signal(u8),
}

/// What comes of a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// Never longer than `EXEC_MAX_PAYLOAD`. Of a terminal, all output.
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// So many bytes of standard input were taken, or thrown away because the command wants none.
    Taken(u32),
    /// The last: its status, 128 and more for a signal, as in a shell. 127: no such program; 126: it cannot be run.
    Exited(u8),
    /// The last: it ended together with its instance, or nobody knows how; one sentence.
    Lost(String),
}

/// A command under way.
#[derive(Debug)]
pub struct ExecSession {
    pub input: mpsc::Sender<ExecInput>,
    /// Closed after the last.
    pub output: mpsc::Receiver<ExecOutput>,
}

/// How many messages wait on either channel.
pub const EXEC_QUEUE: usize = 16;
