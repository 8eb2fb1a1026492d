//! Fetches blobs: into memory, or wherever a `Sink` puts them.
//!
//! What broke off is gone on with where it broke off, from whichever mirror has it; a registry that cannot do that is
//! asked for all of it again. The digest is taken over everything that was handed on, in the order in which it was.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use tapit_model::Digest;

use super::super::config::MAX_DOCUMENT;
use super::super::error::Fault;
use super::super::hash;
use super::super::manifest::Descriptor;
use super::host::{ATTEMPTS, Ask, Host, Operation, Reply, paced};
use super::pace::Pace;
use super::words::{self, Again, Trouble};
use super::{Endpoint, Registry, refused};

/// Of one blob, however far each of them comes: a registry that sends a byte at a time ends, too.
const MAX_ATTEMPTS: u32 = 20;

/// Where the bytes of a blob go. A sink must not wait for another blob of the same registry: it holds a connection.
pub trait Sink: Send {
    /// The next bytes, in order. They are not verified until the fetch has ended well.
    fn take(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Everything so far is void; the next bytes are the first ones.
    fn restart(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
}

impl Registry {
    /// A small blob, in memory.
    pub async fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>, Fault> {
        if blob.size > MAX_DOCUMENT {
            return Err(Fault::invalid(format!(
                "its configuration has {} bytes; at most {MAX_DOCUMENT} are allowed",
                blob.size
            )));
        }
        let mut memory = Memory(Vec::new());
        self.blob_into(blob, &mut memory).await?;
        Ok(memory.0)
    }

    /// A blob into a sink. Its size and digest are verified when this returns well, and nothing is before.
    pub async fn blob_into(&self, blob: &Descriptor, sink: &mut impl Sink) -> Result<(), Fault> {
        let mut got = Got::default();
        let (mut fruitless, mut mirrors) = (0, Vec::new());
        for _ in 0..MAX_ATTEMPTS {
            let Some((endpoint, is_last)) = self.next() else { break };
            let before = got.bytes;
            let trouble = match self.part(&endpoint.host, blob, &mut got, sink).await {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            if !is_last {
                // The next one goes on where this one failed, without a rest.
                endpoint.out.store(true, Ordering::Relaxed);
                mirrors.push(trouble.fault);
                continue;
            }
            fruitless = if got.bytes > before { 1 } else { fruitless + 1 };
            match trouble.again {
                Again::Broken | Again::Down if fruitless < ATTEMPTS => {
                    tokio::time::sleep(self.limits.retry_pause * fruitless).await;
                }
                Again::Broken | Again::Down | Again::Never => {
                    mirrors.push(trouble.fault);
                    return Err(super::joined(mirrors));
                }
            }
        }
        let host = self.endpoints.last().map_or("", |endpoint| endpoint.host.name.as_str());
        Err(words::unreachable(host, &format!("{} broke off {MAX_ATTEMPTS} times", blob.digest)))
    }

    /// Whom to ask, and whether it is the registry itself.
    fn next(&self) -> Option<(&Endpoint, bool)> {
        let mut usable = self.usable();
        let first = usable.next()?;
        Some((first, usable.next().is_none()))
    }

    /// One request for all that is missing.
    async fn part(&self, host: &Host, blob: &Descriptor, got: &mut Got, sink: &mut impl Sink) -> Result<(), Trouble> {
        let mut reply = self.ask_for(host, blob, got.bytes).await?;
        let resumed = match begin(host, blob, got.bytes, &mut reply).await? {
            Begin::Resumed => true,
            Begin::Fresh => {
                got.restart(sink).await?;
                false
            }
            Begin::Over => {
                got.restart(sink).await?;
                return Err(Trouble::broken(words::unreachable(&host.name, "it cannot go on where it broke off")));
            }
        };
        let mut pace = Pace::new(self.limits.pace_window, self.limits.pace_floor);
        while let Some(chunk) = paced(host, &mut reply.response, &mut pace).await? {
            if chunk.len() as u64 > blob.size - got.bytes {
                return Err(too_long(host, blob).into());
            }
            got.take(chunk, sink).await?;
        }
        if got.bytes < blob.size {
            let left = blob.size - got.bytes;
            return Err(Trouble::broken(words::unreachable(
                &host.name,
                &format!("{} ended {left} bytes early", blob.digest),
            )));
        }
        if got.digest().as_ref() == Some(&blob.digest) {
            return Ok(());
        }
        got.restart(sink).await?;
        let text = format!(
            "the registry {} sent other content for {}; push the image again, or mend what stands between",
            host.name, blob.digest
        );
        // Parts from two answers may not belong together; one answer alone has no such excuse.
        if resumed { Err(Trouble::broken(Fault::invalid(text))) } else { Err(Fault::invalid(text).into()) }
    }

    async fn ask_for(&self, host: &Host, blob: &Descriptor, from: u64) -> Result<Reply, Trouble> {
        let url = host.url(&format!("{}/blobs/{}", self.scope.repository, blob.digest))?;
        let mut headers = Vec::new();
        if from > 0 {
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        host.ask(&Ask { method: Method::GET, url, headers, scope: &self.scope }).await
    }
}

/// How an answer begins.
enum Begin {
    /// With what is missing.
    Resumed,
    /// With the first byte.
    Fresh,
    /// Neither; only asking for all of it can help.
    Over,
}

async fn begin(host: &Host, blob: &Descriptor, from: u64, reply: &mut Reply) -> Result<Begin, Trouble> {
    let header = |name| reply.response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match reply.response.status() {
        StatusCode::OK => {
            let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
            match length {
                Some(length) if length > blob.size => Err(too_long(host, blob).into()),
                Some(length) if length < blob.size => Err(Fault::invalid(format!(
                    "its manifest says that {} has {} bytes, but the registry {} has {length}; push the image again",
                    blob.digest, blob.size, host.name
                ))
                .into()),
                Some(_) | None => Ok(Begin::Fresh),
            }
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = header(CONTENT_RANGE).and_then(parse_range);
            Ok(if from > 0 && range == Some((from, blob.size - 1)) { Begin::Resumed } else { Begin::Over })
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(Begin::Over),
        StatusCode::NOT_FOUND => {
            let text = format!("the registry {} lacks a part of it, {}; push the image again", host.name, blob.digest);
            Err(Fault::invalid(text).into())
        }
        _ => Err(refused(host, Operation::Pull, reply).await),
    }
}

fn too_long(host: &Host, blob: &Descriptor) -> Fault {
    Fault::invalid(format!(
        "the registry {} sent more than the {} bytes of {}; push the image again",
        host.name, blob.size, blob.digest
    ))
}

/// The first and the last byte of `bytes A-B/C`.
pub(super) fn parse_range(header: &str) -> Option<(u64, u64)> {
    let (range, _) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

/// What was handed on so far.
#[derive(Default)]
struct Got {
    bytes: u64,
    hasher: Sha256,
}

impl Got {
    async fn take(&mut self, chunk: Bytes, sink: &mut impl Sink) -> Result<(), Fault> {
        self.hasher.update(&chunk);
        self.bytes += chunk.len() as u64;
        sink.take(chunk).await
    }

    async fn restart(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        if self.bytes > 0 {
            *self = Self::default();
            sink.restart().await?;
        }
        Ok(())
    }

    fn digest(&self) -> Option<Digest> {
        hash::digest(self.hasher.clone())
    }
}

struct Memory(Vec<u8>);

impl Sink for Memory {
    async fn take(&mut self, bytes: Bytes) -> Result<(), Fault> {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Fault> {
        self.0.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_servers_write_them() {
        assert_eq!(parse_range("bytes 5-99/100"), Some((5, 99)));
        assert_eq!(parse_range("bytes 5-99/*"), Some((5, 99)));
        for bad in ["", "bytes */100", "5-99/100", "bytes 5-99", "bytes a-b/c", "bytes -5/6"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
