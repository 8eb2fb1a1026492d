//! A body that is read line by line, for as long as the server has something to say.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;

/// A server that streams says something, if only an empty line, every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
const MAX_LINE: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub struct Lines {
    address: String,
    path: String,
    body: Incoming,
    /// What has come and was not handed out.
    held: BytesMut,
    /// So much of it is known to hold no line end.
    searched: usize,
}

impl Lines {
    pub(super) fn new(address: String, path: &str, body: Incoming) -> Self {
        Self { address, path: path.to_owned(), body, held: BytesMut::new(), searched: 0 }
    }

    /// The next line, without its end; `None` when the server has said all. A stream that breaks off is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(end) = self.held[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.held.split_to(self.searched + end).freeze();
                self.held.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.held.len();
            if self.searched > MAX_LINE {
                return Err(self.broken(format!("a line is longer than {MAX_LINE} bytes").into()));
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let slow = |_| ClientError::Slow { address: self.address.clone(), limit: SILENCE };
            match frame.map_err(slow)? {
                Some(Ok(frame)) => self.held.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(self.broken(error.into())),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(self.broken("it ends in the middle of a line".into())),
            }
        }
    }

    /// Reads a line as what it should be.
    pub fn parse<T: DeserializeOwned>(&self, line: &[u8]) -> Result<T, ClientError> {
        let wrong = |source| ClientError::Answer { address: self.address.clone(), path: self.path.clone(), source };
        serde_json::from_slice(line).map_err(wrong)
    }

    fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
        ClientError::Body { address: self.address.clone(), source }
    }
}
