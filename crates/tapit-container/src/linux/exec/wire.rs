//! What server and helper say to each other over their socket pair. Both sides stand here, so that they cannot differ.
//!
//! To the helper: a length with the command's pipes attached, that many bytes of JSON, and from then on one byte for each
//! signal. Back: lines of JSON; the first may have the server's side of a terminal attached.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::unistd::{Uid, fchown};
use serde::{Deserialize, Serialize};
use tapit_model::WindowSize;
use tokio::io::Interest;

/// A command has at most 32 KiB, in JSON six times as much.
const MAX_ORDER: usize = 1024 * 1024;
/// A report is a line of some hundred bytes, or an error text.
const MAX_REPORT: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("speaking with the helper of an exec")]
    Speak { source: io::Error },
    #[error("the order of an exec is not one: {0}")]
    Order(String),
    #[error("the report of an exec is not one: {0}")]
    Report(String),
    #[error("the order of an exec came without its pipes")]
    Pipes,
}

fn speak(source: impl Into<io::Error>) -> WireError {
    WireError::Speak { source: source.into() }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOrder {
    pub argv: Vec<String>,
    /// What `TERM` is to say, and the size; `None`: pipes come along.
    pub terminal: Option<(String, WindowSize)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The command runs, or has ended with 126 or 127 because it cannot.
    Started,
    /// Nothing was started; why.
    Failed(String),
    /// The last: its status, 128 and more for a signal.
    Ended(u8),
    /// The last: it was killed because the container has ended.
    Gone,
}

/// The command's ends of its three pipes, in the order of their numbers.
pub struct Pipes([OwnedFd; 3]);

impl Pipes {
    /// Makes them the command's own, or it could not open `/dev/stdout` and the like by name unless it is root.
    pub fn owned_by(self, uid: u32) -> Result<Self, WireError> {
        for pipe in &self.0 {
            fchown(pipe.as_raw_fd(), Some(Uid::from_raw(uid)), None).map_err(speak)?;
        }
        Ok(self)
    }

    pub fn into_array(self) -> [OwnedFd; 3] {
        self.0
    }
}

/// The server's side: sends the order and hands the pipes over.
pub async fn send_order(
    socket: &mut tokio::net::UnixStream,
    order: &ExecOrder,
    pipes: Option<[OwnedFd; 3]>,
) -> Result<(), WireError> {
    let text = serde_json::to_vec(order).map_err(|error| WireError::Order(error.to_string()))?;
    let length = u32::try_from(text.len()).map_err(|_| WireError::Order("it is too long".to_owned()))?.to_le_bytes();
    let fds: Vec<RawFd> = pipes.iter().flatten().map(AsRawFd::as_raw_fd).collect();
    // Four bytes always fit into an empty socket.
    let sent = socket.async_io(Interest::WRITABLE, || Ok(send(socket.as_fd(), &length, &fds)?)).await;
    sent.map_err(speak)?;
    tokio::io::AsyncWriteExt::write_all(socket, &text).await.map_err(speak)
}

/// The helper's side of it.
pub fn receive_order(mut socket: &UnixStream) -> Result<(ExecOrder, Option<Pipes>), WireError> {
    let mut length = [0; 4];
    let (len, fds) = receive(socket.as_fd(), &mut length).map_err(speak)?;
    socket.read_exact(&mut length[len..]).map_err(speak)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_ORDER {
        return Err(WireError::Order(format!("it has {length} bytes")));
    }
    let mut text = vec![0; length];
    socket.read_exact(&mut text).map_err(speak)?;
    let order = serde_json::from_slice(&text).map_err(|error| WireError::Order(error.to_string()))?;
    Ok((order, fds.try_into().ok().map(Pipes)))
}

/// The helper's side: says how far it is.
pub fn report(socket: &UnixStream, report: &Report, attached: Option<BorrowedFd<'_>>) -> Result<(), WireError> {
    let mut line = serde_json::to_vec(report).map_err(|error| WireError::Report(error.to_string()))?;
    line.push(b'\n');
    let fds: Vec<RawFd> = attached.iter().map(AsRawFd::as_raw_fd).collect();
    let sent = send(socket.as_fd(), &line, &fds).map_err(speak)?;
    // The socket blocks, so the rest of a long line follows.
    let mut socket = socket;
    io::Write::write_all(&mut socket, &line[sent..]).map_err(speak)
}

/// The server's side of it: reads reports one by one.
#[derive(Default)]
pub struct Reports {
    read: Vec<u8>,
    attached: Vec<OwnedFd>,
}

impl Reports {
    /// The next report, and what was attached to it; `None` once the helper is gone. May be dropped half-way and called
    /// again.
    pub async fn next(&mut self, socket: &tokio::net::UnixStream) -> Result<Option<(Report, Vec<OwnedFd>)>, WireError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let report = serde_json::from_slice(&line).map_err(|error| WireError::Report(error.to_string()))?;
                return Ok(Some((report, std::mem::take(&mut self.attached))));
            }
            if self.read.len() > MAX_REPORT {
                return Err(WireError::Report("it has no end".to_owned()));
            }
            let mut block = [0; 4096];
            let received = socket.async_io(Interest::READABLE, || Ok(receive(socket.as_fd(), &mut block)?)).await;
            let (len, fds) = match received {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(speak(error)),
            };
            if len == 0 {
                return Ok(None);
            }
            self.read.extend_from_slice(&block[..len]);
            self.attached.extend(fds);
        }
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[RawFd]) -> Result<usize, Errno> {
    let attached = [ControlMessage::ScmRights(fds)];
    let attached = if fds.is_empty() { &attached[..0] } else { &attached[..] };
    loop {
        let sent = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], attached, MsgFlags::MSG_NOSIGNAL, None);
        if sent != Err(Errno::EINTR) {
            return sent;
        }
    }
}

/// Some bytes, and the descriptors that came with them.
fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([RawFd; 3]);
    let mut parts = [IoSliceMut::new(bytes)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for attached in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = attached {
            // SAFETY: the kernel has just made these descriptors for us and nobody else knows of them.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> ExecOrder {
        ExecOrder { argv: vec!["x".repeat(200_000)], terminal: None }
    }

    async fn check(pipes: Option<[OwnedFd; 3]>) {
        let (mut ours, theirs) = tokio::net::UnixStream::pair().expect("a pair");
        let given = pipes.is_some();
        let theirs = theirs.into_std().expect("is a socket");
        theirs.set_nonblocking(false).expect("can block");
        let helper = std::thread::spawn(move || {
            let received = receive_order(&theirs).map_err(|error| error.to_string());
            report(&theirs, &Report::Started, Some(theirs.as_fd())).expect("reports");
            report(&theirs, &Report::Ended(3), None).expect("reports");
            received.map(|(order, pipes)| (order, pipes.is_some()))
        });
        send_order(&mut ours, &order(), pipes).await.expect("is sent");
        let mut reports = Reports::default();
        let mut next = async || reports.next(&ours).await.expect("is legal").map(|(report, fds)| (report, fds.len()));
        assert_eq!(next().await, Some((Report::Started, 1)));
        assert_eq!(next().await, Some((Report::Ended(3), 0)));
        assert_eq!(next().await, None);
        assert_eq!(helper.join().expect("ends"), Ok((order(), given)));
    }

    #[tokio::test]
    async fn an_order_of_any_size_arrives_with_its_pipes_and_reports_come_back() {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("opens"));
        check(Some([null(), null(), null()])).await;
        check(None).await;
    }
}
