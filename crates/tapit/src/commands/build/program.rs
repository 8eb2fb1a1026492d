//! Runs another program: its output is handed on as talk, its last words are kept, and it never outlives its user's
//! patience.

use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::Screen;

const CHUNK: usize = 16 * 1024;
/// So much of its last words is kept.
const MAX_TAIL: usize = 16 * 1024;
/// Something that a program left behind may hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A program that is interrupted, as by a keyboard, may tidy up for so long.
const TIDYING: Duration = Duration::from_secs(5);
/// A daemon that does not answer a question within this is as good as none.
const ANSWER: Duration = Duration::from_secs(20);
const MAX_ANSWER: u64 = 64 * 1024;

pub enum Ended {
    Exited(ExitStatus),
    /// We were told to end; with this status.
    Interrupted(u8),
}

/// Being told to end.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on neither signal ends this program by itself.
    pub fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The exit status that the next one asks for.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

/// The end of what a program wrote.
#[derive(Debug, Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(MAX_TAIL);
        self.0.drain(..excess);
    }

    /// The last lines that say anything; of a line that was rewritten in place, how it was left.
    pub fn last(&self, count: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let left = |line: &str| line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        let lines: Vec<String> = text.lines().map(left).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

/// Runs a program to its end. Both of its streams go to the talk, in their order, unless `archive` takes the first.
pub async fn run(
    screen: &mut Screen<'_>,
    mut command: Command,
    archive: Option<File>,
    interrupts: &mut Interrupts,
) -> io::Result<(Ended, Tail)> {
    let (reader, writer) = io::pipe()?;
    match archive {
        Some(file) => command.stdout(file),
        None => command.stdout(writer.try_clone()?),
    };
    let mut child = command.stderr(writer).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    // It holds our copies of the pipe's other end, without which the pipe has no end.
    drop(command);
    let mut reader = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut buffer = vec![0; CHUNK];
    let mut tail = Tail::default();
    let mut open = true;
    let ended = loop {
        tokio::select! {
            read = reader.read(&mut buffer), if open => match read? {
                0 => open = false,
                length => {
                    screen.pass_talk(&buffer[..length]);
                    tail.take(&buffer[..length]);
                }
            },
            status = child.wait() => break Ended::Exited(status?),
            status = interrupts.next() => {
                end(&mut child, status).await?;
                break Ended::Interrupted(status);
            }
        }
    };
    while let Ok(Ok(length)) = tokio::time::timeout(LAST_WORDS, reader.read(&mut buffer)).await
        && length > 0
    {
        screen.pass_talk(&buffer[..length]);
        tail.take(&buffer[..length]);
    }
    Ok((ended, tail))
}

/// A keyboard interrupts the program as well as us, and it may tidy up; otherwise it knows of nothing yet.
async fn end(child: &mut Child, status: u8) -> io::Result<()> {
    let tidied = status == 130 && tokio::time::timeout(TIDYING, child.wait()).await.is_ok();
    if tidied { Ok(()) } else { child.kill().await }
}

/// What a program answers to a short question; otherwise why it does not.
pub async fn answer(command: &mut Command) -> Result<String, String> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talk = async {
        let (answer, complaint) = tokio::join!(text(stdout), text(stderr));
        (child.wait().await, answer, complaint)
    };
    let done = tokio::time::timeout(ANSWER, talk).await;
    let (status, answer, complaint) = done.map_err(|_| format!("it did not answer within {} s", ANSWER.as_secs()))?;
    match status {
        Ok(status) if status.success() => Ok(answer),
        Ok(status) => Err(complaint.trim().lines().last().map_or_else(|| status.to_string(), str::to_owned)),
        Err(error) => Err(error.to_string()),
    }
}

async fn text(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What cannot be read says nothing; the exit status says the rest.
        let _ = (&mut pipe).take(MAX_ANSWER).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_lines_as_they_were_left() {
        let mut tail = Tail::default();
        tail.take("x".repeat(2 * MAX_TAIL).as_bytes());
        tail.take(b"\none\n\n10 %\r20 %\r100 %\r\ntwo");
        assert_eq!(tail.last(3), ["one", "100 %", "two"]);
        assert_eq!(tail.last(1), ["two"]);
        assert!(tail.0.len() <= MAX_TAIL);
        assert_eq!(Tail::default().last(3), [""; 0]);
    }
}
