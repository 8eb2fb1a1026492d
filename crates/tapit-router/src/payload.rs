//! Bodies of requests on their way to a backend, and what is kept so that a request can be sent again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use crate::attempt::Reuse;
use crate::limits::Limits;

/// The client did not send the body that it owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokenUpload {
    /// It stopped sending.
    Stalled,
    /// It hung up, or sent bytes that are no body.
    Unreadable,
}

/// The body of a request to a backend.
pub(crate) enum Outgoing {
    /// Held in memory; `None` once it was given away, and for an empty one.
    Held(Option<Bytes>),
    Upload(Upload),
}

impl Outgoing {
    fn held(bytes: Bytes) -> Self {
        Self::Held(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Held(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upload(upload) => upload.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Held(bytes) => bytes.is_none(),
            Self::Upload(upload) => upload.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Held(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Upload(upload) => upload.inner.size_hint(),
        }
    }
}

/// A body that streams from the client.
pub(crate) struct Upload {
    inner: Incoming,
    progress: Arc<Progress>,
}

impl Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        self.progress.note(match &frame {
            Poll::Pending => Turn::Client,
            Poll::Ready(Some(Err(_))) => Turn::Nobody,
            Poll::Ready(Some(Ok(_)) | None) => Turn::Backend,
        });
        Poll::Ready(ready!(frame))
    }
}

/// Who has to move next in an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Client,
    Backend,
    /// The client's body broke.
    Nobody,
}

/// How far an upload is, seen from the one who waits for the response.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<(Turn, Instant)>,
}

impl Progress {
    fn new() -> Self {
        Self { state: Mutex::new((Turn::Backend, Instant::now())) }
    }

    fn note(&self, turn: Turn) {
        let mut state = self.state();
        // To be asked again while nothing has come is no progress of the client.
        if (state.0, turn) != (Turn::Client, Turn::Client) {
            *state = (turn, Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, (Turn, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the upload has to move, or the response to begin.
    pub(crate) fn deadline(&self, limits: &Limits) -> Instant {
        let (turn, since) = *self.state();
        match turn {
            Turn::Client => since + limits.stall,
            Turn::Backend | Turn::Nobody => since + limits.response_header,
        }
    }

    /// When an exchange failed: whether the client is to blame.
    pub(crate) fn broken(&self) -> Option<BrokenUpload> {
        match self.state().0 {
            Turn::Nobody => Some(BrokenUpload::Unreadable),
            Turn::Client | Turn::Backend => None,
        }
    }

    /// When a deadline passed: whether the client is to blame.
    pub(crate) fn stalled(&self) -> Option<BrokenUpload> {
        match self.state().0 {
            Turn::Client => Some(BrokenUpload::Stalled),
            Turn::Backend | Turn::Nobody => None,
        }
    }
}

/// A request that waits to be sent, once or more often.
pub(crate) enum Cargo {
    /// Idempotent, and all of it is here.
    Repeatable(Box<Request<Bytes>>),
    /// `None` while it is under way.
    Single(Option<Box<Request<Outgoing>>>, Option<Arc<Progress>>),
}

impl Cargo {
    /// Takes the body of a request in: the small body of an idempotent request is read now, any other will stream.
    pub(crate) async fn load(request: Request<Incoming>, limits: &Limits) -> Result<Self, BrokenUpload> {
        let (mut head, body) = request.into_parts();
        if body.is_end_stream() && is_idempotent(&head.method) {
            return Ok(Self::Repeatable(Box::new(Request::from_parts(head, Bytes::new()))));
        }
        if body.is_end_stream() {
            let request = Request::from_parts(head, Outgoing::Held(None));
            return Ok(Self::Single(Some(Box::new(request)), None));
        }
        let size = body.size_hint().exact();
        if is_idempotent(&head.method) && size.is_some_and(|size| size <= limits.replay_bytes) {
            let body = read(body, limits).await?;
            return Ok(Self::Repeatable(Box::new(Request::from_parts(head, body))));
        }
        if size.is_none() {
            // Said by ourselves, for the HTTP client would send a GET of unknown length without its body.
            head.headers.remove(CONTENT_LENGTH);
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let progress = Arc::new(Progress::new());
        let upload = Outgoing::Upload(Upload { inner: body, progress: Arc::clone(&progress) });
        Ok(Self::Single(Some(Box::new(Request::from_parts(head, upload))), Some(progress)))
    }

    /// The request to send; `None` when it was sent and cannot be sent again.
    pub(crate) fn take(&mut self) -> Option<Request<Outgoing>> {
        match self {
            Self::Repeatable(request) => Some(Request::clone(request).map(Outgoing::held)),
            Self::Single(request, _) => request.take().map(|request| *request),
        }
    }

    /// Gives a request back that was not sent.
    pub(crate) fn give_back(&mut self, unsent: Request<Outgoing>) {
        match self {
            Self::Repeatable(_) => {}
            Self::Single(request, _) => *request = Some(Box::new(unsent)),
        }
    }

    /// Which connections it may go over.
    pub(crate) fn reuse(&self, limits: &Limits) -> Reuse {
        match self {
            Self::Repeatable(_) => Reuse::Within(limits.idle),
            Self::Single(..) => Reuse::Within(limits.idle_unrepeatable),
        }
    }

    pub(crate) fn progress(&self) -> Option<&Arc<Progress>> {
        match self {
            Self::Repeatable(_) => None,
            Self::Single(_, progress) => progress.as_ref(),
        }
    }
}

fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

/// Reads a body whose length is known to be small.
async fn read(mut body: Incoming, limits: &Limits) -> Result<Bytes, BrokenUpload> {
    let mut bytes = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(limits.stall, body.frame()).await.map_err(|_| BrokenUpload::Stalled)?;
        match frame {
            None => return Ok(bytes.freeze()),
            Some(Err(_)) => return Err(BrokenUpload::Unreadable),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
        }
    }
}
