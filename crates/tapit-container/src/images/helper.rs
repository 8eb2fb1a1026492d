//! The unpacking helper as the server sees it: what it is ordered to do, what it answers, and how it is run.
//!
//! Order and answer are one line of JSON each, on stdin and stdout. Stdin stays open while the server wants the work
//! done: the helper ends when it closes, so that none outlives a killed server for long.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tapit_engine::ImageFault;
use tapit_model::Digest;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::error::Fault;

/// The hidden verb that the executable is started with.
pub const VERB: &str = "__unpack";
pub const MAX_ORDER: u64 = 1 << 20;
const MAX_ANSWER: u64 = 16 << 20;
const MAX_STDERR: u64 = 4 << 10;

/// A stretch of a file: a blob on its own, or a member of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub file: PathBuf,
    pub offset: u64,
    /// `None`: up to the end of the file.
    pub length: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Bytes after decompression.
    pub bytes: u64,
    pub entries: u64,
}

/// In which form layers are held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// As directories that containers here can be made from.
    #[default]
    Unpacked,
    /// As they came, to be sent on only: their content is not looked into, and no root is needed.
    Packed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Unpack one layer into an empty directory, or all of it into `split`.
    Layer {
        keep: Keep,
        blob: Span,
        /// Of the blob as it is, compressed or not; checked before anything is made of it.
        digest: Option<Digest>,
        /// Of the decompressed stream.
        diff_id: Digest,
        target: PathBuf,
        /// An empty file that takes what the tar holds besides content (`images::split`).
        split: PathBuf,
        /// The directory that holds all layers, and below it the names of those under this one, lowest first.
        layers: PathBuf,
        below: Vec<String>,
        /// An empty directory to mount on.
        empty: PathBuf,
        budget: Budget,
    },
    /// List the members of an archive. A compressed one is first decompressed into `spool`, an existing file; `empty`
    /// is an empty directory to live in.
    Index { archive: PathBuf, spool: PathBuf, empty: PathBuf, budget: Budget },
}

/// What unpacking a layer made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    pub bytes: u64,
    pub entries: u64,
    pub skipped_devices: u64,
    pub skipped_xattrs: u64,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    /// Normalised: no leading slash, no `.` or `..`.
    pub name: String,
    pub offset: u64,
    pub length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Unpacked(Unpacked),
    Index {
        spooled: bool,
        members: Vec<Indexed>,
    },
    /// The layer or archive is to blame.
    Bad(String),
    /// This host is to blame.
    Host(String),
}

/// Runs the helper to its end. It is killed when the future is dropped or `limit` has passed.
pub async fn run(exe: &std::path::Path, order: &Order, limit: Duration) -> Result<Answer, Fault> {
    let done = tokio::time::timeout(limit, talk(exe, order)).await;
    done.unwrap_or_else(|_| {
        Err(Fault::new(ImageFault::Host, format!("unpacking took longer than {} s and was ended", limit.as_secs())))
    })
}

async fn talk(exe: &std::path::Path, order: &Order) -> Result<Answer, Fault> {
    let failed = |act: &str, error: &std::io::Error| Fault::host(act, error);
    let mut line = serde_json::to_vec(order).map_err(|error| Fault::host("write the unpacking order", &error))?;
    line.push(b'\n');
    let mut child = Command::new(exe)
        .arg(VERB)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Fault::host_at("start the unpacking helper", exe, &error))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Fault::new(ImageFault::Host, "the unpacking helper has no pipes"));
    };
    // A helper that died early is told apart below, by its answer that is missing.
    let sent = stdin.write_all(&line).await;
    let (answer, complaint) = tokio::join!(first_line(stdout), bounded(stderr));
    let status = child.wait().await.map_err(|error| failed("wait for the unpacking helper", &error))?;
    drop(stdin);
    let answer = answer.map_err(|error| failed("read from the unpacking helper", &error))?;
    match serde_json::from_slice(&answer) {
        Ok(answer) => Ok(answer),
        Err(_) => {
            let sent = sent.err().map(|error| format!("; {}", tapit_model::describe(&error))).unwrap_or_default();
            let complaint = String::from_utf8_lossy(&complaint);
            Err(Fault::new(
                ImageFault::Host,
                format!("the unpacking helper ended without an answer ({status}{sent}) {}", complaint.trim()),
            ))
        }
    }
}

async fn first_line(pipe: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(pipe).take(MAX_ANSWER).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// The first bytes of what the helper complains of; the rest is read too, or it would block on a full pipe.
async fn bounded(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = (&mut pipe).take(MAX_STDERR).read_to_end(&mut text).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    text
}
