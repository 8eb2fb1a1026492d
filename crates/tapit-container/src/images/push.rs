//! Sends a held image to a registry: every layer that it lacks, the configuration byte for byte, then the manifest.
//!
//! Layers are held unpacked, so each is written again as the tar that it was, compressed into a spool file, because its
//! digest must be known before it is sent, and sent from there. What the registry has in a form that is remembered
//! (`blobs`) is neither made nor sent. A manifest of the same layers is made anew each time and has the same bytes.

mod document;
mod pack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use tapit_engine::{EngineError, ImageFault, TransferWatch};
use tapit_model::{Digest, ImageRef, LayerState, RegistrySettings, Transfer};
use tokio::sync::mpsc;

use super::Inner;
use super::blobs::{Blob, Packing};
use super::config::MAX_DOCUMENT;
use super::disk;
use super::error::Fault;
use super::hash::sha256;
use super::layers::{Link, chain};
use super::progress::Progress;
use super::registry::{Content, Operation, Registry, Told};

/// Layers that are made or sent at once, over all images: each takes a compressor and a spool file.
pub const PUSHES: usize = 2;

pub async fn run(
    inner: &Arc<Inner>,
    image: &ImageRef,
    to: &ImageRef,
    transfer: &TransferWatch,
) -> Result<Digest, EngineError> {
    let named = inner.books.name(image);
    let named = named.ok_or_else(|| Fault::new(ImageFault::NotFound, "no image of this name is on this host"));
    let digest = named.map_err(|fault| fault.about(image))?.digest;
    let held = held(inner, &digest).await.map_err(|fault| fault.about(image))?;
    let sent = async {
        let registry = Registry::to_push(to, &inner.registries)?;
        send(inner, held, (&registry, to), transfer).await
    };
    sent.await.map_err(|fault| fault.about(to))
}

/// Sends the image of this digest with a login that was got for that.
pub async fn with(
    inner: &Arc<Inner>,
    digest: &Digest,
    to: &ImageRef,
    given: &RegistrySettings,
) -> Result<Digest, Fault> {
    let held = held(inner, digest).await?;
    let registry = Registry::with(to, &inner.registries, given, Operation::Push)?;
    let (transfer, _) = tokio::sync::watch::channel(Transfer::default());
    send(inner, held, (&registry, to), &transfer).await
}

/// An image that can be sent.
struct Held {
    config: Vec<u8>,
    digest: Digest,
    diff_ids: Vec<Digest>,
}

async fn held(inner: &Arc<Inner>, digest: &Digest) -> Result<Held, Fault> {
    let diff_ids = inner.books.image(digest)?.diff_ids.clone();
    inner.layers.paths(&diff_ids)?;
    let path = inner.layout.image(digest);
    let config = blocking({
        let path = path.clone();
        move || disk::read(&path, MAX_DOCUMENT)
    });
    let config = config.await?.map_err(|error| Fault::host_at("read", &path, &error))?;
    if sha256(&config).as_ref() != Some(digest) {
        return Err(Fault::new(ImageFault::Host, format!("its configuration {} was changed", path.display())));
    }
    Ok(Held { config, digest: digest.clone(), diff_ids })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::host("send an image", &error))
}

/// To a registry, under a tag there.
type Place<'a> = (&'a Registry, &'a ImageRef);

async fn send(inner: &Arc<Inner>, held: Held, to: Place<'_>, transfer: &TransferWatch) -> Result<Digest, Fault> {
    let limit = inner.limits.total_timeout;
    tokio::time::timeout(limit, send_all(inner, held, to, transfer)).await.unwrap_or_else(|_| {
        Err(Fault::new(ImageFault::Unreachable, format!("sending it took longer than {} s", limit.as_secs())))
    })
}

async fn send_all(inner: &Arc<Inner>, held: Held, to: Place<'_>, transfer: &TransferWatch) -> Result<Digest, Fault> {
    let (registry, to) = to;
    let Some(tag) = to.tag().filter(|_| to.digest().is_none()) else {
        return Err(Fault::invalid("an image is pushed under a tag, not under a digest"));
    };
    let links = chain(&held.diff_ids);
    let _hold = inner.layers.hold(&links);
    let progress = Progress::over(transfer);
    // The same layer may stand in an image many times; it is sent once, and has one row.
    let mut seen = BTreeSet::new();
    let places: Vec<usize> = (0..links.len()).filter(|at| seen.insert(&held.diff_ids[*at])).collect();
    progress.begin(places.iter().map(|at| (&held.diff_ids[*at], 0)));
    let (packing, mut packers) = mpsc::channel(1);
    let diff_ids = &held.diff_ids[..];
    let push = Push { inner, registry, diff_ids, links: &links, progress: &progress, packing };
    let layers = places.into_iter().enumerate().map(|(row, at)| push.layer(at, row));
    let layers = futures_util::stream::iter(layers).buffer_unordered(PUSHES);
    let sent: Result<BTreeMap<Digest, Blob>, Fault> = layers.try_collect().await;
    // After a failure others may be packed still. They end at once, and what they made is gone before anybody is told.
    drop(push);
    let _ = packers.recv().await;
    let sent = sent?;
    let config = Content::Bytes(&held.config);
    let size = held.config.len() as u64;
    if !registry.has_blob(&held.digest).await? {
        registry.push_blob(&held.digest, size, config, Arc::new(|_| {})).await?;
    }
    let layers: Vec<&Blob> = held.diff_ids.iter().filter_map(|layer| sent.get(layer)).collect();
    let manifest = document::manifest(&held.digest, size, &layers);
    let digest = registry.push_manifest(&manifest, document::MANIFEST, tag).await?;
    let inner = inner.clone();
    blocking(move || inner.blobs.save(&inner.books.diff_ids())).await?;
    Ok(digest)
}

/// One image on its way to a registry.
struct Push<'a> {
    inner: &'a Arc<Inner>,
    registry: &'a Registry,
    diff_ids: &'a [Digest],
    links: &'a [Link],
    progress: &'a Progress,
    /// Held by whoever packs a layer, for as long as that has a file.
    packing: mpsc::Sender<()>,
}

impl Push<'_> {
    /// Sees to it that the registry has a layer, and says as what. `row` is its place among those that are told of.
    async fn layer(&self, at: usize, row: usize) -> Result<(Digest, Blob), Fault> {
        let diff_id = self.diff_ids[at].clone();
        for blob in self.inner.blobs.of(&diff_id) {
            if self.registry.has_blob(&blob.digest).await? {
                self.through(row, LayerState::Held, blob.size);
                return Ok((diff_id, blob));
            }
        }
        let permit = self.inner.pushes.acquire().await;
        self.progress.reached(row, LayerState::Pushing);
        let (path, blob) = self.pack(at).await?;
        let size = blob.size;
        let state = if self.registry.has_blob(&blob.digest).await? {
            LayerState::Held
        } else {
            let progress = self.progress.clone();
            let told: Told = Arc::new(move |done| progress.sent(row, (done, size)));
            self.registry.push_blob(&blob.digest, size, Content::File(&path), told).await?;
            LayerState::Done
        };
        drop(permit);
        self.through(row, state, size);
        self.inner.blobs.note(&diff_id, blob.clone());
        Ok((diff_id, blob))
    }

    fn through(&self, row: usize, state: LayerState, size: u64) {
        self.progress.sent(row, (size, size));
        self.progress.reached(row, state);
    }

    /// Makes the compressed form of a layer, off the async threads. It is given up when nobody waits for it any more.
    async fn pack(&self, at: usize) -> Result<(tempfile::TempPath, Blob), Fault> {
        let (inner, links) = (self.inner.clone(), self.links[..=at].to_vec());
        let given_up = pack::GiveUp::default();
        let flag = given_up.flag();
        let spool: PathBuf = self.inner.layout.spool.clone();
        let packing = self.packing.clone();
        // The file goes before the sign that it is there, also where nobody takes the answer.
        let packed = blocking(move || (pack::pack(&spool, &flag, |sink| inner.layers.assemble(&links, sink)), packing));
        let (packed, _) = packed.await?;
        drop(given_up);
        let packed = packed?;
        Ok((packed.path, Blob { digest: packed.digest, size: packed.size, packing: Packing::Gzip }))
    }
}
