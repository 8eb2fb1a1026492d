//! A connection that was upgraded to the frames of `exec`.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tapit_model::ExecFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};

/// What the server says.
pub struct FrameReader(ReadHalf<TokioIo<Upgraded>>);

/// What is said to the server.
pub struct FrameWriter(WriteHalf<TokioIo<Upgraded>>);

pub fn frames(connection: Upgraded) -> (FrameReader, FrameWriter) {
    let (reader, writer) = split(TokioIo::new(connection));
    (FrameReader(reader), FrameWriter(writer))
}

impl FrameReader {
    /// The next frame; `None` when the connection has ended, or makes no sense any more. Must not be dropped half-way.
    pub async fn next(&mut self) -> Option<ExecFrame> {
        let mut header = [0; ExecFrame::HEADER];
        self.0.read_exact(&mut header).await.ok()?;
        let (kind, length) = ExecFrame::header(header).ok()?;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        ExecFrame::decode(kind, payload).ok()
    }
}

impl FrameWriter {
    /// Must not be dropped half-way.
    pub async fn send(&mut self, frame: &ExecFrame) -> std::io::Result<()> {
        self.0.write_all(&frame.encode()).await?;
        self.0.flush().await
    }
}
