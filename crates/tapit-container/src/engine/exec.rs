//! Commands in running containers: starts the helper (`linux/exec`) and carries bytes between it and a session.
//!
//! ```text
//! ExecSession ── input ──► carry ── stdin pipe or terminal ──► command
//!             ◄─ output ── pump  ◄─ stdout, stderr ───────────
//!                          carry ── signals ──► helper ── reports ──► carry
//! ```
//!
//! The helper ends the command when its socket closes, so whatever ends `carry` (the session was let go of, the engine
//! closes, the server dies) ends the command as well.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tapit_engine::{EXEC_QUEUE, EngineError, ExecInput, ExecOutput, ExecRequest, ExecSession};
use tapit_model::{EXEC_WINDOW, InstanceKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::shared::Shared;
use crate::instance::InstanceDir;
use crate::linux::exec::{ExecOrder, Master, Report, Reports, WireError, send_order};
use crate::linux::verbs;

/// A start takes some milliseconds; on a host that thrashes it may take seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the command wrote is there when its end is known, but a process that it left behind may hold the pipes open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// What the pipe or terminal of a command that has ended can hold.
const MAX_REST: usize = 1024 * 1024;
const BLOCK: usize = 32 * 1024;
/// How a terminal is told that there is no more input.
const END_OF_TRANSMISSION: u8 = 4;

type Source = Box<dyn AsyncRead + Send + Unpin>;
type Sink = Box<dyn AsyncWrite + Send + Unpin>;

pub async fn exec(shared: &Shared, instance: &InstanceKey, request: ExecRequest) -> Result<ExecSession, EngineError> {
    let dir = running(shared, instance)?;
    let started = tokio::time::timeout(PATIENCE, start(shared, &dir, request)).await;
    let act = || format!("running a command in {instance}");
    let streams = match started {
        Ok(Ok(streams)) => streams,
        Ok(Err(StartError::Refused(text))) => return Err(EngineError::act(act(), text)),
        Ok(Err(StartError::Host(error))) => return Err(EngineError::act(act(), error)),
        Err(_) => return Err(EngineError::act(act(), format!("it was not started within {} s", PATIENCE.as_secs()))),
    };
    let (input, inputs) = mpsc::channel(EXEC_QUEUE);
    let (outputs, output) = mpsc::channel(EXEC_QUEUE);
    shared.tasks.spawn(carry(streams, inputs, outputs));
    Ok(ExecSession { input, output })
}

/// The directory of an instance that has a container.
fn running(shared: &Shared, instance: &InstanceKey) -> Result<InstanceDir, EngineError> {
    let state = shared.state();
    let of_app = state.processes.iter().filter(|(key, _)| key.app == instance.app);
    let mut all = of_app.flat_map(|(key, process)| process.instances.values().map(move |held| (key, held)));
    let (key, held) = all
        .find(|(_, held)| held.key == *instance)
        .ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))?;
    if held.running.is_none() || held.is_stopped() {
        return Err(EngineError::NotRunning(instance.to_string()));
    }
    Ok(shared.instance_dir(key, held.serial))
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    /// The helper says why.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Host(Box<dyn std::error::Error + Send + Sync>),
}

impl StartError {
    fn host(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Host(Box::new(error))
    }
}

/// The server's ends of a command that runs.
struct Streams {
    socket: UnixStream,
    reports: Reports,
    stdin: Option<Sink>,
    stdout: Source,
    stderr: Option<Source>,
    terminal: Option<Master>,
}

/// The server's ends of three pipes.
struct Pipes {
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Pipes {
    /// With the command's ends, in the order of their numbers.
    fn new() -> io::Result<(Self, [OwnedFd; 3])> {
        let pair = || pipe2(OFlag::O_CLOEXEC);
        let (their_stdin, stdin) = pair()?;
        let (stdout, their_stdout) = pair()?;
        let (stderr, their_stderr) = pair()?;
        let own = Self {
            stdin: pipe::Sender::from_owned_fd(stdin)?,
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            stderr: pipe::Receiver::from_owned_fd(stderr)?,
        };
        Ok((own, [their_stdin, their_stdout, their_stderr]))
    }
}

async fn start(shared: &Shared, dir: &InstanceDir, request: ExecRequest) -> Result<Streams, StartError> {
    let mut socket = spawn(shared, dir)?;
    let terminal = request.terminal.map(|terminal| (terminal.name, terminal.size));
    let (pipes, theirs) = match terminal {
        Some(_) => (None, None),
        None => Pipes::new().map(|(own, theirs)| (Some(own), Some(theirs))).map_err(StartError::host)?,
    };
    let order = ExecOrder { argv: request.argv, terminal };
    // What the helper has to say about an order that it could not take is worth more than that it did not.
    let sent = send_order(&mut socket, &order, theirs).await;
    let mut reports = Reports::default();
    let report = reports.next(&socket).await.map_err(StartError::host)?;
    let attached = match report {
        Some((Report::Started, attached)) => attached,
        Some((Report::Failed(text), _)) => return Err(StartError::Refused(text)),
        Some((Report::Ended(_) | Report::Gone, _)) | None => {
            sent.map_err(StartError::host)?;
            return Err(StartError::Refused("the helper ended without an answer".to_owned()));
        }
    };
    match (pipes, attached.into_iter().next()) {
        (Some(pipes), _) => Ok(Streams {
            socket,
            reports,
            stdin: Some(Box::new(pipes.stdin)),
            stdout: Box::new(pipes.stdout),
            stderr: Some(Box::new(pipes.stderr)),
            terminal: None,
        }),
        (None, Some(fd)) => {
            let master = Master::new(fd).map_err(StartError::host)?;
            Ok(Streams {
                socket,
                reports,
                stdin: Some(Box::new(master.clone())),
                stdout: Box::new(master.clone()),
                stderr: None,
                terminal: Some(master),
            })
        }
        (None, None) => Err(StartError::host(WireError::Pipes)),
    }
}

/// Runs the helper with one end of a socket pair as its standard input; answers the other.
fn spawn(shared: &Shared, dir: &InstanceDir) -> Result<UnixStream, StartError> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(StartError::host)?;
    ours.set_nonblocking(true).map_err(StartError::host)?;
    let child = Command::new(&shared.exe)
        .arg(verbs::EXEC)
        .arg(dir.path())
        // The command's environment is in the order; the server's is none of its business.
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Not in the server's process group, so that a Ctrl-C meant for the server does not reach it.
        .process_group(0)
        .spawn();
    let mut child = child.map_err(StartError::host)?;
    // It ends by itself when the socket closes; this only keeps it from staying a zombie.
    tokio::spawn(async move { child.wait().await });
    UnixStream::from_std(ours).map_err(StartError::host)
}

/// How a command came to its end.
enum End {
    Exited(u8),
    Lost(&'static str),
    /// Nobody is there to be told.
    LetGo,
}

async fn carry(streams: Streams, inputs: mpsc::Receiver<ExecInput>, outputs: mpsc::Sender<ExecOutput>) {
    let Streams { socket, reports, stdin, stdout, stderr, terminal } = streams;
    let mut pumps = JoinSet::new();
    let (ended, told) = watch::channel(false);
    pumps.spawn(pump(stdout, ExecOutput::Stdout, outputs.clone(), told.clone()));
    if let Some(stderr) = stderr {
        pumps.spawn(pump(stderr, ExecOutput::Stderr, outputs.clone(), told));
    }
    let mut feed = Feed { stdin, terminal, waiting: VecDeque::new(), ending: false, taken: 0 };
    let end = attend(socket, reports, &mut feed, (inputs, &outputs)).await;
    let last = match end {
        End::Exited(status) => ExecOutput::Exited(status),
        End::Lost(text) => ExecOutput::Lost(text.to_owned()),
        End::LetGo => return,
    };
    ended.send_replace(true);
    while pumps.join_next().await.is_some() {}
    if feed.taken > 0 {
        // The command may have taken its last input and ended in one moment.
        let _ = outputs.send(ExecOutput::Taken(feed.taken)).await;
    }
    // Whoever does not listen any more needs no status either.
    let _ = outputs.send(last).await;
}

/// Reads one of the command's outputs: to its end, or once the command has ended, what it has written. A listener may be
/// as slow as it likes.
async fn pump(
    mut source: Source,
    kind: fn(Vec<u8>) -> ExecOutput,
    outputs: mpsc::Sender<ExecOutput>,
    mut ended: watch::Receiver<bool>,
) {
    let mut block = vec![0; BLOCK];
    let mut rest = MAX_REST;
    while rest > 0 {
        let over = *ended.borrow();
        let read = if over {
            tokio::time::timeout(LAST_WORDS, source.read(&mut block)).await.unwrap_or(Ok(0))
        } else {
            tokio::select! {
                read = source.read(&mut block) => read,
                _ = ended.changed() => continue,
            }
        };
        let len = read.unwrap_or(0);
        if len == 0 || outputs.send(kind(block[..len].to_vec())).await.is_err() {
            return;
        }
        if over {
            rest = rest.saturating_sub(len);
        }
    }
}

/// What is on its way to the command.
struct Feed {
    /// `None` once it has ended, or the command wants no more.
    stdin: Option<Sink>,
    terminal: Option<Master>,
    waiting: VecDeque<u8>,
    /// No more will come.
    ending: bool,
    /// Taken by the command and not yet told.
    taken: u32,
}

impl Feed {
    fn has_room(&self) -> bool {
        self.waiting.len() < EXEC_WINDOW
    }

    fn take_in(&mut self, bytes: &[u8]) {
        if self.stdin.is_some() {
            self.waiting.extend(bytes);
        } else {
            self.note_taken(bytes.len());
        }
    }

    fn end(&mut self) {
        if self.terminal.is_some() {
            self.waiting.push_back(END_OF_TRANSMISSION);
        } else {
            self.ending = true;
            self.close_when_empty();
        }
    }

    fn close_when_empty(&mut self) {
        if self.ending && self.waiting.is_empty() {
            self.stdin = None;
        }
    }

    fn note_taken(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn wants_to_write(&self) -> bool {
        self.stdin.is_some() && !self.waiting.is_empty()
    }

    /// Writes some of what is waiting. May be dropped half-way: nothing was written then.
    async fn write(&mut self) -> io::Result<usize> {
        match &mut self.stdin {
            Some(stdin) => stdin.write(self.waiting.as_slices().0).await,
            None => Ok(0),
        }
    }

    fn written(&mut self, written: io::Result<usize>) {
        let count = match written {
            Ok(count) => count,
            Err(_) => {
                // The command has closed it: what still comes is thrown away, as by a pipe.
                self.stdin = None;
                self.waiting.len()
            }
        };
        self.waiting.drain(..count);
        self.note_taken(count);
        self.close_when_empty();
    }

    fn resize(&self, size: tapit_model::WindowSize) {
        if let Some(terminal) = &self.terminal {
            // It can only fail because the terminal is gone, which its reader finds out too.
            let _ = terminal.resize(size);
        }
    }
}

async fn attend(
    mut socket: UnixStream,
    mut reports: Reports,
    feed: &mut Feed,
    (mut inputs, outputs): (mpsc::Receiver<ExecInput>, &mpsc::Sender<ExecOutput>),
) -> End {
    loop {
        tokio::select! {
            report = reports.next(&socket) => return match report {
                Ok(Some((Report::Ended(status), _))) => End::Exited(status),
                Ok(Some((Report::Gone, _))) => End::Lost("the instance has ended, and the command with it"),
                Ok(Some((Report::Started | Report::Failed(_), _)) | None) | Err(_) => {
                    End::Lost("nobody knows how the command ended: its helper was killed")
                }
            },
            input = inputs.recv(), if feed.has_room() => match input {
                Some(ExecInput::Bytes(bytes)) => feed.take_in(&bytes),
                Some(ExecInput::End) => feed.end(),
                Some(ExecInput::Resize(size)) => feed.resize(size),
                Some(ExecInput::Signal(number)) => {
                    // A helper that takes no more has ended, which its report says.
                    let _ = socket.write_all(&[number]).await;
                }
                None => return End::LetGo,
            },
            written = feed.write(), if feed.wants_to_write() => feed.written(written),
            permit = outputs.reserve(), if feed.taken > 0 => match permit {
                Ok(permit) => permit.send(ExecOutput::Taken(std::mem::take(&mut feed.taken))),
                Err(_) => return End::LetGo,
            },
            () = outputs.closed() => return End::LetGo,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A command that says a word and has ended before anybody looks. Answers how much of its input reached it, and what
    /// was told of it.
    async fn carried() -> (usize, Vec<ExecOutput>) {
        let (ours, mut helper) = std::os::unix::net::UnixStream::pair().expect("a pair");
        helper.write_all(b"{\"ended\":0}\n").expect("has room");
        ours.set_nonblocking(true).expect("can be");
        let (stdin, mut command) = tokio::io::duplex(64);
        let streams = Streams {
            socket: UnixStream::from_std(ours).expect("a socket"),
            reports: Reports::default(),
            stdin: Some(Box::new(stdin)),
            stdout: Box::new(&b"word"[..]),
            stderr: None,
            terminal: None,
        };
        let (input, inputs) = mpsc::channel(EXEC_QUEUE);
        let (outputs, mut output) = mpsc::channel(EXEC_QUEUE);
        input.send(ExecInput::Bytes(vec![0; 8])).await.expect("has room");
        carry(streams, inputs, outputs).await;
        let mut told = Vec::new();
        while let Some(output) = output.recv().await {
            told.push(output);
        }
        let mut reached = Vec::new();
        command.read_to_end(&mut reached).await.expect("reads");
        (reached.len(), told)
    }

    #[tokio::test]
    async fn what_a_command_took_just_before_its_end_is_told_before_it() {
        let mut most = 0;
        // Which of several things that have happened is seen first is a matter of chance.
        for _ in 0..200 {
            let (reached, told) = carried().await;
            assert!(matches!(told.last(), Some(ExecOutput::Exited(0))), "{told:?}");
            assert!(
                told.iter().any(|output| matches!(output, ExecOutput::Stdout(text) if text == b"word")),
                "{told:?}"
            );
            let taken = told.iter().map(|output| if let ExecOutput::Taken(count) = output { *count } else { 0 });
            assert_eq!(taken.sum::<u32>(), u32::try_from(reached).expect("is little"), "{told:?}");
            most = most.max(reached);
        }
        assert_eq!(most, 8, "the input never reached it");
    }
}
