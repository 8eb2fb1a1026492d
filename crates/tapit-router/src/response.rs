//! Bodies of responses: a backend's as it streams, or a text of the router's own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::backend::{Backend, Lease, Sender};
use crate::client::Busy;
use crate::stats::Tally;

/// How long a connection may take to become idle after its response has ended; only the rest of the request can hold it
/// up.
const SETTLE: Duration = Duration::from_secs(1);

/// The body of an answer to a client, which counts as busy until it is dropped.
pub(crate) struct Answer {
    content: Content,
    _busy: Busy,
}

impl Answer {
    pub(crate) fn new(content: Content, busy: Busy) -> Self {
        Self { content, _busy: busy }
    }
}

pub(crate) enum Content {
    /// `None` once it was given away.
    Text(Option<Bytes>),
    Stream(Download),
}

impl Content {
    pub(crate) fn text(text: String) -> Self {
        Self::Text(Some(Bytes::from(text)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.content {
            Content::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Stream(download) => download.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Stream(download) => download.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Content::Stream(download) => download.inner.size_hint(),
        }
    }
}

/// What is settled when a response has ended.
pub(crate) struct Exchange {
    pub(crate) lease: Lease,
    pub(crate) sender: Sender,
    pub(crate) tally: Tally,
    /// Idle connections that the backend's pool may hold.
    pub(crate) idle_most: usize,
}

impl Exchange {
    fn end(self) {
        self.tally.ok();
        if self.sender.is_ready() {
            self.lease.backend().park(self.sender, self.idle_most);
        } else if !self.sender.is_closed() {
            tokio::spawn(settle(Arc::clone(self.lease.backend()), self.sender, self.idle_most));
        }
    }
}

/// Parks a connection as soon as its own task has seen the end of the response, too.
async fn settle(backend: Arc<Backend>, mut sender: Sender, idle_most: usize) {
    if let Ok(Ok(())) = tokio::time::timeout(SETTLE, sender.ready()).await {
        backend.park(sender, idle_most);
    }
}

/// A backend's response as it streams. Dropped before its end, the client went away: the connection to the backend goes
/// with it, so that the backend notices.
pub(crate) struct Download {
    inner: Incoming,
    /// `None` once the response has ended.
    exchange: Option<Exchange>,
}

impl Download {
    pub(crate) fn new(inner: Incoming, exchange: Exchange) -> Self {
        let mut download = Self { inner, exchange: Some(exchange) };
        // The server may not ask for a body that has no bytes.
        if download.inner.is_end_stream() {
            download.end();
        }
        download
    }

    fn end(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.end();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            None => self.end(),
            // The server asks no further after the last byte of a known length, or after trailers.
            Some(Ok(frame)) if frame.is_trailers() || self.inner.is_end_stream() => self.end(),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                if let Some(Exchange { lease, tally, .. }) = self.exchange.take() {
                    tracing::warn!(backend = lease.backend().id(), %error, "a response was cut off");
                    tally.failed();
                }
            }
        }
        Poll::Ready(frame)
    }
}
