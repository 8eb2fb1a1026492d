//! Request bodies: some bytes, or a stream that is read as it is sent, so that an archive of any size takes one buffer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

const CHUNK: usize = 64 * 1024;

/// What a request carries.
pub struct Upload(BoxBody<Bytes, std::io::Error>);

impl Upload {
    pub fn empty() -> Self {
        Self::bytes(Vec::new())
    }

    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self(Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}).boxed())
    }

    /// A stream; `length` is announced when it is known.
    pub fn stream(reader: impl AsyncRead + Send + Sync + 'static, length: Option<u64>) -> Self {
        Self(BodyExt::boxed(Stream { reader: Box::pin(reader), left: length, buffer: vec![0; CHUNK].into() }))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

struct Stream {
    reader: Pin<Box<dyn AsyncRead + Send + Sync>>,
    left: Option<u64>,
    buffer: Box<[u8]>,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        // A file that grows while it is sent is sent at the length that was announced.
        let room = this.left.map_or(CHUNK, |left| left.min(CHUNK as u64) as usize);
        if room == 0 {
            return Poll::Ready(None);
        }
        let mut buffer = ReadBuf::new(&mut this.buffer[..room]);
        if let Err(error) = ready!(this.reader.as_mut().poll_read(cx, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let read = Bytes::copy_from_slice(buffer.filled());
        if read.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(left) = &mut this.left {
            *left -= read.len() as u64;
        }
        Poll::Ready(Some(Ok(Frame::data(read))))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
