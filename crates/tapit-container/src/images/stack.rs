//! Makes the layers of one image: fetched a few at a time, unpacked in their order.
//!
//! Both go on side by side. Layers are unpacked in order, because what a layer's directory must hold depends on
//! those below it. A blob is complete and verified before anything is made of it. Layers of an attempt that failed stay
//! for the next one; the next removal of anything, or the next start, collects them.

use futures_util::StreamExt;
use tapit_model::LayerState;
use tempfile::TempPath;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::blobs::{Blob, Packing};
use super::config::MAX_LAYERS;
use super::error::Fault;
use super::helper::Span;
use super::layers::Link;
use super::manifest::Descriptor;
use super::progress::Progress;
use super::registry::Registry;
use super::spool::Spool;
use super::{FETCHES, Inner};

struct Stack<'a> {
    inner: &'a Inner,
    registry: &'a Registry,
    links: &'a [Link],
    layers: &'a [Descriptor],
    progress: &'a Progress,
}

/// A layer that is about to be unpacked, or was there already.
enum Fetched {
    Present,
    /// The lock keeps others from unpacking the same layer meanwhile.
    Blob {
        path: TempPath,
        packing: Packing,
        lock: OwnedMutexGuard<()>,
    },
}

/// Makes every layer of `links` from the blob beside it. The caller holds the layers.
pub async fn build(
    inner: &Inner,
    registry: &Registry,
    (links, layers): (&[Link], &[Descriptor]),
    progress: &Progress,
) -> Result<(), Fault> {
    let stack = Stack { inner, registry, links, layers, progress };
    // It holds all layers: fetching is never held up by unpacking, where it would look stalled.
    let (fetched, blobs) = mpsc::channel(MAX_LAYERS);
    let (fetching, unpacking) = tokio::join!(stack.fetch_all(fetched), stack.unpack_all(blobs));
    // What was fetched is unpacked also when the rest fails: it need not be fetched again then.
    fetching.and(unpacking)
}

impl Stack<'_> {
    async fn fetch_all(&self, fetched: Sender<Fetched>) -> Result<(), Fault> {
        let fetches: Vec<_> = (0..self.links.len()).map(|number| self.fetch(number)).collect();
        let mut blobs = futures_util::stream::iter(fetches).buffered(FETCHES);
        loop {
            let blob = tokio::select! {
                blob = blobs.next() => blob,
                () = fetched.closed() => None,
            };
            let Some(blob) = blob else { return Ok(()) };
            // Nobody takes it after a layer that could not be unpacked.
            let _ = fetched.send(blob?).await;
        }
    }

    /// Locks are taken in the order of the chain and let go in it, and layers below another are the same for all who
    /// share it: nobody waits in a circle.
    async fn fetch(&self, number: usize) -> Result<Fetched, Fault> {
        let lock = self.inner.layers.lock(&self.links[number]).await;
        if self.inner.layers.is_done(&self.links[number]) {
            self.progress.reached(number, LayerState::Held);
            return Ok(Fetched::Present);
        }
        let failed = |error: std::io::Error| Fault::host("make room for a layer", &error);
        let path = tempfile::NamedTempFile::new_in(&self.inner.layout.spool).map_err(failed)?.into_temp_path();
        let _permit = self.inner.fetches.acquire().await;
        self.progress.reached(number, LayerState::Fetching);
        let mut spool = Spool::create(&path, self.progress, number)?;
        self.registry.blob_into(&self.layers[number], &mut spool).await?;
        let packing = spool.finish().await?;
        self.progress.reached(number, LayerState::Unpacking);
        Ok(Fetched::Blob { path, packing, lock })
    }

    async fn unpack_all(&self, mut blobs: Receiver<Fetched>) -> Result<(), Fault> {
        let mut number = 0;
        while let Some(fetched) = blobs.recv().await {
            match fetched {
                Fetched::Present => {}
                Fetched::Blob { path, packing, lock } => {
                    let blob = Span { file: path.to_path_buf(), offset: 0, length: None };
                    self.inner.layers.unpack(&self.links[..=number], blob, None).await?;
                    drop(lock);
                    let Descriptor { digest, size, .. } = self.layers[number].clone();
                    self.inner.blobs.note(&self.links[number].diff_id, Blob { digest, size, packing });
                    self.progress.reached(number, LayerState::Done);
                }
            }
            number += 1;
        }
        Ok(())
    }
}
