//! Sends blobs and manifests to a registry.
//!
//! A blob is sent in one piece: a `POST` asks where to, a `PUT` brings it. Whoever calls asks `has_blob` first; a
//! manifest goes last, because a registry takes none whose blobs it lacks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{CONTENT_LENGTH, HeaderValue, LOCATION};
use reqwest::{Body, Method, StatusCode, Url};
use tapit_engine::ImageFault;
use tapit_model::Digest;
use tokio::io::AsyncReadExt;

use super::super::error::Fault;
use super::super::hash::sha256;
use super::host::{Ask, Host, Operation, Reply, Upload};
use super::words::{self, Again, Trouble};
use super::{Registry, refused};

/// Of a file at once.
const CHUNK: usize = 128 << 10;
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// A registry may hash and move a blob before it answers: so many times as long as it may be silent otherwise.
const PATIENCE: u32 = 10;

/// What a blob is made of. It may be read more than once.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    Bytes(&'a [u8]),
    File(&'a Path),
}

/// Is told how many bytes of a blob are on their way in all; less than before when it is sent anew.
pub type Told = Arc<dyn Fn(u64) + Send + Sync>;

impl Registry {
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Fault> {
        let host = self.own()?;
        let url = host.url(&format!("{}/blobs/{digest}", self.scope.repository))?;
        let ask = Ask { method: Method::HEAD, url, headers: Vec::new(), scope: &self.scope };
        let mut reply = host.ask(&ask).await.map_err(|trouble| trouble.fault)?;
        match reply.response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(host, Operation::Push, &mut reply).await.fault),
        }
    }

    /// Sends a blob of this digest and size. The registry verifies the digest.
    pub async fn push_blob(&self, digest: &Digest, size: u64, content: Content<'_>, told: Told) -> Result<(), Fault> {
        let host = self.own()?;
        let mut tries = self.tries();
        loop {
            told(0);
            match self.push_once(host, (digest, size), content, &told).await {
                Ok(()) => return Ok(()),
                Err(trouble) => tries.after(trouble, &[Again::Broken, Again::Down]).await?,
            }
        }
    }

    /// Sends a manifest or index under a tag or its digest. Returns its digest.
    pub async fn push_manifest(&self, bytes: &[u8], media_type: &str, reference: &str) -> Result<Digest, Fault> {
        let host = self.own()?;
        let digest = sha256(bytes).ok_or_else(|| Fault::invalid("its manifest has no digest"))?;
        let media_type = HeaderValue::try_from(media_type);
        let media_type = media_type.map_err(|_| Fault::invalid("its manifest has no legal media type"))?;
        let url = host.url(&format!("{}/manifests/{reference}", self.scope.repository))?;
        let mut tries = self.tries();
        loop {
            let (length, body) = (bytes.len() as u64, Body::from(bytes.to_vec()));
            let upload = Upload { media_type: media_type.clone(), length, body };
            match self.put_manifest(host, url.clone(), upload).await {
                Ok(()) => return Ok(digest),
                Err(trouble) => tries.after(trouble, &[Again::Broken]).await?,
            }
        }
    }

    async fn put_manifest(&self, host: &Host, url: Url, upload: Upload) -> Result<(), Trouble> {
        let limit = self.limits.stall_timeout * PATIENCE;
        let sending = host.upload(url, &self.scope, upload);
        let sent = tokio::time::timeout(limit, sending).await.map_err(|_| words::stalled(&host.name, limit))?;
        let mut reply = sent?;
        match reply.response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(not_taken(host, &mut reply).await),
        }
    }

    /// The registry itself: mirrors are not written to.
    fn own(&self) -> Result<&Host, Fault> {
        let last = self.endpoints.last().map(|endpoint| &*endpoint.host);
        last.ok_or_else(|| Fault::new(ImageFault::Host, "there is no registry to send to"))
    }

    async fn push_once(
        &self,
        host: &Host,
        (digest, size): (&Digest, u64),
        content: Content<'_>,
        told: &Told,
    ) -> Result<(), Trouble> {
        let mut place = self.begin_upload(host).await?;
        place.query_pairs_mut().append_pair("digest", digest.as_str());
        let sent = Arc::new(AtomicU64::new(0));
        let body = body(content, &sent, told).await?;
        let sending = host.upload(place, &self.scope, Upload { media_type: OCTETS, length: size, body });
        let mut reply = tokio::select! {
            reply = sending => reply?,
            stalled = watch(&sent, size, self.limits.stall_timeout) => {
                return Err(Trouble::broken(words::stalled(&host.name, stalled)));
            }
        };
        match reply.response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(not_taken(host, &mut reply).await),
        }
    }

    /// Asks where a blob may be sent to.
    async fn begin_upload(&self, host: &Host) -> Result<Url, Trouble> {
        let url = host.url(&format!("{}/blobs/uploads/", self.scope.repository))?;
        let headers = vec![(CONTENT_LENGTH, HeaderValue::from_static("0"))];
        let mut reply = host.ask(&Ask { method: Method::POST, url, headers, scope: &self.scope }).await?;
        if reply.response.status() != StatusCode::ACCEPTED {
            return Err(not_taken(host, &mut reply).await);
        }
        let told = reply.response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = told.and_then(|place| reply.response.url().join(place).ok());
        let place = place.filter(|place| place.scheme() == "https" || host.is_plain());
        place.ok_or_else(|| words::unreachable(&host.name, "it does not say where to send a blob to").into())
    }
}

/// What the status of an answer to something sent means.
async fn not_taken(host: &Host, reply: &mut Reply) -> Trouble {
    let status = reply.response.status();
    if super::host::is_busy(status) {
        return Trouble::broken(words::busy(&host.name, status, None));
    }
    // An upload's place is good for a while, and so is a token.
    let may_be_old = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND);
    let trouble = refused(host, Operation::Push, reply).await;
    if may_be_old { Trouble::broken(trouble.fault) } else { trouble }
}

/// The content as a body that counts what is taken of it.
async fn body(content: Content<'_>, sent: &Arc<AtomicU64>, told: &Told) -> Result<Body, Fault> {
    let (sent, told) = (sent.clone(), told.clone());
    let count = move |bytes: &Bytes| told(sent.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64);
    match content {
        Content::Bytes(bytes) => {
            let bytes = Bytes::copy_from_slice(bytes);
            count(&bytes);
            Ok(Body::from(bytes))
        }
        Content::File(path) => {
            let file = tokio::fs::File::open(path).await;
            let file = file.map_err(|error| Fault::host_at("read a layer from", path, &error))?;
            let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
                let mut chunk = Vec::with_capacity(CHUNK);
                let read = file.read_buf(&mut chunk).await?;
                Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
            });
            Ok(Body::wrap_stream(chunks.inspect(move |chunk| {
                if let Ok(bytes) = chunk {
                    count(bytes);
                }
            })))
        }
    }
}

/// Ends when nothing was taken for too long; says for how long.
async fn watch(sent: &AtomicU64, size: u64, silence: Duration) -> Duration {
    let mut before = 0;
    let mut quiet = 0;
    loop {
        tokio::time::sleep(silence).await;
        let now = sent.load(Ordering::Relaxed);
        quiet = if now > before { 0 } else { quiet + 1 };
        before = now;
        let limit = if now < size { 1 } else { PATIENCE };
        if quiet >= limit {
            return silence * quiet;
        }
    }
}
