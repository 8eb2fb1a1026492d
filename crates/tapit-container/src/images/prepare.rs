//! Makes one image ready: asks the registry what the reference is now, fetches what is missing, unpacks it.
//!
//! Layers are fetched up to three at a time and unpacked in their order, because what a layer's directory must hold
//! depends on those below it. Both go on side by side. Layers of an attempt that failed stay for the next one; the next
//! removal of anything, or the next start, collects them.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use tapit_engine::ImageFault;
use tapit_model::{Digest, ImageRef, PinnedImage};
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::books::{Named, Source};
use super::config::{self, Config, MAX_LAYERS};
use super::error::Fault;
use super::helper::Span;
use super::layers::{Link, chain};
use super::manifest::{Descriptor, Platform};
use super::registry::Registry;
use super::{FETCHES, Inner, Prepared};

pub async fn run(inner: &Arc<Inner>, image: &ImageRef) -> Result<Prepared, Fault> {
    let held = inner.books.name(image);
    if let Some(named) = &held {
        let fixed = named.source == Source::Import || image.digest().is_some();
        match (fixed, ready(inner, image, &named.digest)) {
            (true, Ok(prepared)) => return Ok(prepared),
            (true, Err(fault)) if named.source == Source::Import => {
                return Err(Fault::new(fault.fault, format!("{}; import it again", fault.text)));
            }
            (true | false, _) => {}
        }
    }
    let limit = inner.limits.total_timeout;
    let pulled = tokio::time::timeout(limit, pull(inner, image, held.as_ref())).await.unwrap_or_else(|_| {
        Err(Fault::new(ImageFault::Unreachable, format!("fetching it took longer than {} s", limit.as_secs())))
    });
    match (pulled, held) {
        (Err(fault), Some(named)) if fault.fault == ImageFault::Unreachable => {
            let prepared = ready(inner, image, &named.digest).map_err(|_| fault.clone())?;
            let text =
                format!("image {image}: {}; the copy of {} that is held here is used", fault.text, named.created);
            Ok(Prepared { warning: Some(text), ..prepared })
        }
        (pulled, _) => pulled,
    }
}

/// The image as it is on disk, if all of it is.
fn ready(inner: &Inner, image: &ImageRef, digest: &Digest) -> Result<Prepared, Fault> {
    let config = inner.books.image(digest)?;
    inner.layers.paths(&config.diff_ids)?;
    Ok(prepared(image, digest.clone(), &config))
}

fn prepared(image: &ImageRef, digest: Digest, config: &Config) -> Prepared {
    let exposed = config.run.exposed.clone();
    Prepared { image: PinnedImage { reference: image.clone(), digest, exposed }, warning: None }
}

pub async fn pull(inner: &Arc<Inner>, image: &ImageRef, held: Option<&Named>) -> Result<Prepared, Fault> {
    let registry = Registry::new(image, &inner.limits)?;
    let here = Platform::here();
    let resolved = registry.resolve(image, &here).await?;
    if let Some(named) = held.filter(|named| named.manifest.as_ref() == Some(&resolved.digest))
        && let Ok(prepared) = ready(inner, image, &named.digest)
    {
        return Ok(prepared);
    }
    let bytes = registry.small_blob(&resolved.manifest.config).await?;
    let config = config::parse(&bytes, &here)?;
    let layers = resolved.manifest.layers;
    if layers.len() != config.diff_ids.len() {
        return Err(Fault::invalid(format!(
            "its manifest has {} layers, but its configuration {}",
            layers.len(),
            config.diff_ids.len()
        )));
    }
    let links = chain(&config.diff_ids);
    let hold = inner.layers.hold(&links);
    stack(inner, &registry, &links, &layers).await?;
    let digest = resolved.manifest.config.digest;
    let named =
        Named { digest: digest.clone(), source: Source::Pull, manifest: Some(resolved.digest), created: super::now() };
    super::enter(inner, vec![(bytes, config.clone())], vec![(image.clone(), named)]).await?;
    drop(hold);
    Ok(prepared(image, digest, &config))
}

/// A layer that is about to be unpacked, or was there already.
enum Fetched {
    Present,
    /// The lock keeps others from unpacking the same layer meanwhile.
    Blob(tempfile::TempPath, OwnedMutexGuard<()>),
}

async fn stack(inner: &Inner, registry: &Registry, links: &[Link], layers: &[Descriptor]) -> Result<(), Fault> {
    // It holds all layers: fetching is never held up by unpacking, where it would look stalled.
    let (send, mut receive) = mpsc::channel(MAX_LAYERS);
    let fetches: Vec<_> = links.iter().zip(layers).map(|(link, layer)| fetch(inner, registry, link, layer)).collect();
    let fetching = async move {
        let mut blobs = futures_util::stream::iter(fetches).buffered(FETCHES);
        while let Some(fetched) = blobs.next().await {
            if send.send(fetched?).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let unpacking = async {
        let mut done = 0;
        while let Some(fetched) = receive.recv().await {
            done += 1;
            match fetched {
                Fetched::Present => {}
                Fetched::Blob(path, lock) => {
                    let blob = Span { file: PathBuf::from(&*path), offset: 0, length: None };
                    inner.layers.unpack(&links[..done], blob, None).await?;
                    drop(lock);
                }
            }
        }
        Ok(())
    };
    tokio::try_join!(fetching, unpacking).map(drop)
}

/// Locks are taken in the order of the chain and let go in it, and layers below another are the same for all who share
/// it: nobody waits in a circle.
async fn fetch(inner: &Inner, registry: &Registry, link: &Link, layer: &Descriptor) -> Result<Fetched, Fault> {
    let lock = inner.layers.lock(link).await;
    if inner.layers.is_done(link) {
        return Ok(Fetched::Present);
    }
    let failed = |error: std::io::Error| Fault::host("make room for a layer", &error);
    let path = tempfile::NamedTempFile::new_in(&inner.layout.spool).map_err(failed)?.into_temp_path();
    let _permit = inner.fetches.acquire().await;
    registry.blob(layer, &path).await?;
    Ok(Fetched::Blob(path, lock))
}
