//! Starts one container: writes the order, runs the shim, gives it the word, reads its answers.
//!
//! A shim makes everything first and says so, and then waits for a byte on its standard input. `launch` sends it at once;
//! `make` sends none, and what it answers is a spare, which starts with `Waiting::go` or ends with its server.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::files::FileError;
use super::running::Watched;
use super::watcher::Watcher;
use super::{InstanceDir, Order, Record, Running};
use crate::linux::{cgroup, pidfd::PidFd, program::Program, verbs};

/// A start takes some ten milliseconds; on a host that thrashes it may take seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// After its end, nothing new comes.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// An answer is a line of some hundred bytes, or an error text.
const MAX_ANSWER: usize = 64 * 1024;
/// Anything will do; the end of the pipe without it means that the container is not wanted.
const GO: &[u8] = b"\n";
/// How much of the shim's complaints is worth showing.
const MAX_COMPLAINT: usize = 600;

/// What a shim says to its server: one line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// All is made and waits for the word, in a container with this process 1.
    Made {
        init: i32,
    },
    Started(Record),
    Failed {
        fault: Fault,
        text: String,
    },
}

/// Who can do something about a failed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The image or the order: it fails again wherever it is tried.
    Image,
    /// This host.
    Host,
}

/// After any of these `InstanceDir::release` removes what was made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("recording the order")]
    Order(#[from] FileError),
    #[error("making {path}")]
    Log { path: PathBuf, source: io::Error },
    #[error("making the program that watches containers")]
    Program { source: io::Error },
    #[error("running {exe}")]
    Spawn { exe: PathBuf, source: io::Error },
    #[error("giving the shim its word")]
    Word { source: io::Error },
    #[error("watching the shim")]
    Watch { source: io::Error },
    #[error("holding process {pid}")]
    Hold { pid: i32, source: Errno },
    #[error("the container was not made within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("the shim ended without an answer{complaint}")]
    Silent { complaint: String },
    #[error("the shim's answer is not one: {text}")]
    Garbled { text: String },
    #[error("{text}{complaint}")]
    Failed { fault: Fault, text: String, complaint: String },
}

/// Starts the container of an order in its directory, which must exist. Answers once its program is about to run.
///
/// `exe` is the program to re-execute: one that calls `child_main`. Dropping the future does not stop the shim; `release`
/// does.
pub async fn launch(exe: &Path, dir: &InstanceDir, order: &Order) -> Result<Running, LaunchError> {
    let mut shim = Shim::spawn(exe, dir, order).await?;
    let started = async {
        shim.say_go().await?;
        shim.made(dir).await?;
        shim.started(dir, order).await
    };
    let result = started.await;
    shim.leave(result.is_err());
    result
}

/// Makes the container of an order up to where it could start. Once what it answers is dropped, the shim takes the container
/// back; the directory stays.
pub async fn make(exe: &Path, dir: &InstanceDir, order: &Order) -> Result<Waiting, LaunchError> {
    let mut shim = Shim::spawn(exe, dir, order).await?;
    match shim.made(dir).await {
        Ok(init) => Ok(Waiting { shim, init, dir: dir.clone(), order: order.clone() }),
        Err(error) => {
            shim.leave(true);
            Err(error)
        }
    }
}

/// A container that is made and waits for its word. Nothing of the image has run in it.
pub struct Waiting {
    shim: Shim,
    init: i32,
    dir: InstanceDir,
    order: Order,
}

impl Waiting {
    /// Whether starting it would carry out this order: it differs in nothing that a container is made from. Its size is put
    /// in force when it starts, the rest are books.
    pub fn fits(&self, order: &Order) -> bool {
        let Order { generation, slot, restarts, size, .. } = self.order;
        Order { generation, slot, restarts, size, ..order.clone() } == self.order
    }

    /// Whether its shim still waits.
    pub fn is_alive(&self) -> bool {
        self.shim.monitor.is_alive()
    }

    /// The memory that it takes: the pages of its two processes, of shared ones their part, and what its cgroup holds.
    pub fn memory_bytes(&self) -> u64 {
        let processes = pss(self.shim.pid) + pss(self.init);
        let group = cgroup::Leaf::new(&self.order.cgroup).and_then(|leaf| leaf.memory());
        processes + group.map_or(0, |memory| memory.total_bytes)
    }

    /// Starts it under an order that fits. After an error `InstanceDir::release` removes what is left; whether it ran is told
    /// by its record.
    pub async fn go(self, order: &Order) -> Result<Running, LaunchError> {
        let Self { mut shim, dir, .. } = self;
        let started = async {
            write(&dir, order).await?;
            shim.say_go().await?;
            shim.started(&dir, order).await
        };
        let result = started.await;
        shim.leave(result.is_err());
        result
    }
}

/// Writes the order. Other tasks go on while the disk is waited for.
async fn write(dir: &InstanceDir, order: &Order) -> Result<(), FileError> {
    let (path, task, order) = (dir.path().to_owned(), dir.clone(), order.clone());
    let written = tokio::task::spawn_blocking(move || task.write_order(&order)).await;
    written.unwrap_or_else(|error| Err(FileError::Write { path, source: io::Error::other(error) }))
}

/// Bytes of memory of a process, of pages that it shares its part; 0 when it is gone.
fn pss(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or(0) * 1024
}

/// A shim at work, as its server speaks with it.
struct Shim {
    exe: PathBuf,
    pid: i32,
    child: Child,
    /// The same process goes on as the container's monitor.
    monitor: PidFd,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Read and not looked at yet.
    unread: Vec<u8>,
}

impl Shim {
    async fn spawn(exe: &Path, dir: &InstanceDir, order: &Order) -> Result<Self, LaunchError> {
        // Not waited for: it only gives the shim's later work a head start.
        tokio::task::spawn_blocking(cgroup::prime);
        write(dir, order).await?;
        let path = dir.file("shim.log");
        let log = File::create(&path).map_err(|source| LaunchError::Log { path, source })?;
        let program = Program::shared().map_err(|source| LaunchError::Program { source })?;
        let mut child = Command::new(exe)
            .arg(verbs::SHIM)
            .arg(dir.path())
            .arg(program.path())
            // The container's own environment is in the order; the server's is none of its business.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Not in the server's process group, so that a Ctrl-C meant for the server does not end it.
            .process_group(0)
            .spawn()
            .map_err(|source| LaunchError::Spawn { exe: exe.to_owned(), source })?;
        let silent = || LaunchError::Silent { complaint: complaint(dir) };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(silent)?;
        // Held before it can have been waited for, so this is our child and nobody else.
        let monitor = PidFd::open(pid).map_err(|source| LaunchError::Hold { pid, source })?;
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or_else(silent)?;
        Ok(Self { exe: exe.to_owned(), pid, child, monitor, stdin, stdout, unread: Vec::new() })
    }

    async fn say_go(&mut self) -> Result<(), LaunchError> {
        match self.stdin.write_all(GO).await {
            // It has ended already; its answer says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            said => said.map_err(|source| LaunchError::Word { source }),
        }
    }

    async fn made(&mut self, dir: &InstanceDir) -> Result<i32, LaunchError> {
        match self.answer(dir).await? {
            Answer::Made { init } => Ok(init),
            Answer::Started(_) => Err(LaunchError::Garbled { text: "it started without having been made".to_owned() }),
            Answer::Failed { fault, text } => Err(LaunchError::Failed { fault, text, complaint: complaint(dir) }),
        }
    }

    async fn started(&mut self, dir: &InstanceDir, order: &Order) -> Result<Running, LaunchError> {
        match self.answer(dir).await? {
            Answer::Started(record) => {
                let pid = record.init.pid;
                // Not waited for yet, so the id is still its.
                let monitor = PidFd::open(self.pid).map_err(|source| LaunchError::Hold { pid: self.pid, source })?;
                let watched = Watched { exe: self.exe.clone(), watcher: Watcher::new(monitor) };
                Running::new(dir.clone(), order.clone(), record, watched)
                    .map_err(|source| LaunchError::Hold { pid, source })
            }
            Answer::Made { .. } => Err(LaunchError::Garbled { text: "it was made twice".to_owned() }),
            Answer::Failed { fault, text } => Err(LaunchError::Failed { fault, text, complaint: complaint(dir) }),
        }
    }

    async fn answer(&mut self, dir: &InstanceDir) -> Result<Answer, LaunchError> {
        let line = tokio::time::timeout(PATIENCE, self.line()).await.map_err(|_| LaunchError::Timeout)??;
        if line.is_empty() {
            return Err(LaunchError::Silent { complaint: complaint(dir) });
        }
        serde_json::from_str(&line).map_err(|_| LaunchError::Garbled { text: line.chars().take(200).collect() })
    }

    /// Everything up to the end of the line, of the pipe, or of the shim: processes that it was making may hold the pipe
    /// longer than it lives.
    async fn line(&mut self) -> Result<String, LaunchError> {
        let watch = |source| LaunchError::Watch { source };
        let ended = self.monitor.watch().map_err(watch)?;
        let mut block = [0; 4096];
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let read = tokio::select! {
                read = self.stdout.read(&mut block) => read,
                _ = ended.readable() => {
                    // What it wrote at the very end is in the pipe already.
                    let rest = tokio::time::timeout(LAST_WORDS, self.stdout.read(&mut block)).await;
                    rest.unwrap_or(Ok(0))
                }
            };
            match read.map_err(watch)? {
                0 => return Ok(String::from_utf8_lossy(&std::mem::take(&mut self.unread)).trim_end().to_owned()),
                _ if self.unread.len() > MAX_ANSWER => {
                    return Err(LaunchError::Garbled { text: "it does not end".to_owned() });
                }
                len => self.unread.extend_from_slice(&block[..len]),
            }
        }
    }

    /// Lets go of it: one that failed is ended, should it not have ended by itself.
    fn leave(mut self, failed: bool) {
        if failed {
            // The error to report is the first one.
            let _ = self.child.start_kill();
        }
        // Its end is noticed through a descriptor; this only keeps it from staying a zombie.
        tokio::spawn(async move { self.child.wait().await });
    }
}

/// The end of what the shim wrote to its log, as the tail of an error message.
fn complaint(dir: &InstanceDir) -> String {
    let text = fs::read(dir.file("shim.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().rev().nth(MAX_COMPLAINT) {
        Some((at, _)) => format!(" (…{})", &text[at..]),
        None if text.is_empty() => String::new(),
        None => format!(" ({text})"),
    }
}
