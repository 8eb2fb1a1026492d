//! One connection of a client, watched from below the HTTP parser: how long a header may take, how long it may be idle,
//! how long it may refuse what is written to it.
//!
//! ```text
//! header ──request parsed──▶ busy ──response ended──▶ idle ──first byte──▶ header
//! ```
//!
//! The connection's own task is the only owner: it reads and writes through [`Watched`], starts requests, and asks for
//! the verdict from time to time. The lock is therefore never contended.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::limits::Limits;
use crate::scan::HeadScan;
use crate::serve::Pass;

#[derive(Debug, Clone, Copy)]
enum Stage {
    Header { since: Instant },
    Busy,
    Idle { since: Instant },
}

#[derive(Debug)]
struct State {
    stage: Stage,
    scan: HeadScan,
    /// Since when the client takes nothing of what is written.
    blocked_since: Option<Instant>,
}

/// What is known of a client's connection.
pub(crate) struct Client {
    peer: IpAddr,
    state: Mutex<State>,
    pass: Pass,
}

/// Whether a header named two lengths for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Plain,
    Ambiguous,
}

/// Whether a connection may go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look again then.
    Wait(Instant),
    /// Close it, for this reason.
    Close(&'static str),
}

impl Client {
    pub(crate) fn new(peer: IpAddr, pass: Pass) -> Self {
        let stage = Stage::Header { since: Instant::now() };
        Self { peer, state: Mutex::new(State { stage, scan: HeadScan::default(), blocked_since: None }), pass }
    }

    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    pub(crate) fn pass(&self) -> &Pass {
        &self.pass
    }

    /// A request was parsed. The connection is busy until the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> (Busy, Framing) {
        let mut state = self.state();
        state.stage = Stage::Busy;
        let framing = if state.scan.is_ambiguous() { Framing::Ambiguous } else { Framing::Plain };
        (Busy { client: Arc::clone(self) }, framing)
    }

    pub(crate) fn verdict(&self, limits: &Limits) -> Verdict {
        let now = Instant::now();
        let state = self.state();
        if let Some(since) = state.blocked_since
            && now >= since + limits.stall
        {
            return Verdict::Close("the client takes nothing of the response");
        }
        let soon = soon(now, limits);
        match state.stage {
            Stage::Header { since } if now >= since + limits.header_read => {
                Verdict::Close("the request's header did not arrive in time")
            }
            Stage::Idle { since } if now >= since + limits.keep_alive => Verdict::Close("idle"),
            Stage::Header { since } => Verdict::Wait(soon.min(since + limits.header_read)),
            Stage::Idle { since } => Verdict::Wait(soon.min(since + limits.keep_alive)),
            Stage::Busy => Verdict::Wait(soon),
        }
    }

    /// When to ask for the first verdict.
    pub(crate) fn next_look(&self, limits: &Limits) -> Instant {
        soon(Instant::now(), limits)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        match state.stage {
            Stage::Busy => return,
            Stage::Header { .. } => {}
            Stage::Idle { .. } => state.stage = Stage::Header { since: Instant::now() },
        }
        state.scan.feed(bytes);
    }

    fn wrote<T>(&self, outcome: &Poll<T>) {
        let mut state = self.state();
        match outcome {
            Poll::Pending => state.blocked_since = state.blocked_since.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => state.blocked_since = None,
        }
    }
}

/// Something may begin right now, so the next look is never further away than the shortest of the limits.
fn soon(now: Instant, limits: &Limits) -> Instant {
    now + limits.header_read.min(limits.keep_alive).min(limits.stall)
}

/// A request is being answered on the connection.
pub(crate) struct Busy {
    client: Arc<Client>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.client.state();
        state.stage = Stage::Idle { since: Instant::now() };
        state.scan = HeadScan::default();
    }
}

/// The client's socket; tells the [`Client`] what passes.
pub(crate) struct Watched {
    stream: TcpStream,
    client: Arc<Client>,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, client: Arc<Client>) -> Self {
        Self { stream, client }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.client.received(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.client.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.client.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
