//! Starts one container: writes the order, runs the shim, waits for its one line of answer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use super::files::FileError;
use super::{InstanceDir, Order, Record, Running};
use crate::linux::{pidfd::PidFd, verbs};

/// A start takes some ten milliseconds; on a host that thrashes it may take seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// After its end, nothing new comes.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// The answer is a line of some hundred bytes, or an error text.
const MAX_ANSWER: u64 = 64 * 1024;
/// How much of the shim's complaints is worth showing.
const MAX_COMPLAINT: usize = 600;

/// What a shim says to its server: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Started(Record),
    Failed { fault: Fault, text: String },
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
    #[error("running {exe}")]
    Spawn { exe: PathBuf, source: io::Error },
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
    dir.write_order(order)?;
    let mut child = spawn(exe, dir)?;
    let result = converse(&mut child, dir, order).await;
    if result.is_err() {
        // It may have ended by itself; the error to report is the first one.
        let _ = child.start_kill();
    }
    // Its end is noticed through a descriptor; this only keeps it from staying a zombie.
    tokio::spawn(async move { child.wait().await });
    result
}

fn spawn(exe: &Path, dir: &InstanceDir) -> Result<Child, LaunchError> {
    let path = dir.file("shim.log");
    let log = File::create(&path).map_err(|source| LaunchError::Log { path, source })?;
    Command::new(exe)
        .arg(verbs::SHIM)
        .arg(dir.path())
        // The container's own environment is in the order; the server's is none of its business.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        // Not in the server's process group, so that a Ctrl-C meant for the server does not end it.
        .process_group(0)
        .spawn()
        .map_err(|source| LaunchError::Spawn { exe: exe.to_owned(), source })
}

async fn converse(child: &mut Child, dir: &InstanceDir, order: &Order) -> Result<Running, LaunchError> {
    let silent = || LaunchError::Silent { complaint: complaint(dir) };
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(silent)?;
    // Held before it can have been waited for, so this is our child and nobody else.
    let monitor = PidFd::open(pid).map_err(|source| LaunchError::Hold { pid, source })?;
    let stdout = child.stdout.take().ok_or_else(silent)?;
    let text =
        tokio::time::timeout(PATIENCE, read_answer(stdout, &monitor)).await.map_err(|_| LaunchError::Timeout)??;
    if text.is_empty() {
        return Err(silent());
    }
    match serde_json::from_str(&text) {
        Ok(Answer::Started(record)) => {
            let pid = record.init.pid;
            Running::new(dir.clone(), order.clone(), record, monitor)
                .map_err(|source| LaunchError::Hold { pid, source })
        }
        Ok(Answer::Failed { fault, text }) => Err(LaunchError::Failed { fault, text, complaint: complaint(dir) }),
        Err(_) => Err(LaunchError::Garbled { text: text.chars().take(200).collect() }),
    }
}

/// Everything up to the end of the line, of the pipe, or of the shim: processes that it was making may hold the pipe
/// longer than it lives.
async fn read_answer(stdout: ChildStdout, monitor: &PidFd) -> Result<String, LaunchError> {
    let watch = |source| LaunchError::Watch { source };
    let ended = monitor.watch().map_err(watch)?;
    let mut bytes = Vec::new();
    let mut stdout = stdout.take(MAX_ANSWER);
    let mut block = [0; 4096];
    while !bytes.ends_with(b"\n") {
        let read = tokio::select! {
            read = stdout.read(&mut block) => read,
            _ = ended.readable() => {
                // What it wrote at the very end is in the pipe already.
                let rest = tokio::time::timeout(LAST_WORDS, stdout.read(&mut block)).await;
                rest.unwrap_or(Ok(0))
            }
        };
        match read.map_err(watch)? {
            0 => break,
            len => bytes.extend_from_slice(&block[..len]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
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
