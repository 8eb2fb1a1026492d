//! Pulls an image: asks the registry what the reference is now, fetches what is missing, unpacks it, names it.
//!
//! `prepare` and the user's own `pull` share the work by flights. Only here is a registry asked for an image.

use std::sync::Arc;

use tapit_engine::{ImageFault, TransferWatch};
use tapit_model::{ImageRef, ImageView, PinnedImage};

use super::Inner;
use super::books::{Named, Source};
use super::config::{self, Config};
use super::error::Fault;
use super::flight::{Flight, Outcome};
use super::layers::chain;
use super::prepare::ready;
use super::progress::Progress;
use super::registry::Registry;
use super::stack;

/// What the registry has now, and nothing else.
pub async fn run(inner: &Arc<Inner>, image: &ImageRef, transfer: &TransferWatch) -> Result<ImageView, Fault> {
    let tell = |now: &_| {
        transfer.send_if_modified(|told| {
            let is_news = told != now;
            told.clone_from(now);
            is_news
        });
    };
    flight(inner, image).landed(tell).await?;
    let shown = image.to_string();
    let lost = || Fault::new(ImageFault::NotFound, "it was removed while it was pulled");
    inner.views().into_iter().find(|view| view.name == shown).ok_or_else(lost)
}

/// The pull of an image that is underway, or a new one.
pub fn flight(inner: &Arc<Inner>, image: &ImageRef) -> Flight<PinnedImage> {
    let inner = inner.clone();
    inner.clone().flights.board(image, |image, progress| async move {
        let limit = inner.limits.total_timeout;
        let late = || format!("fetching it took longer than {} s", limit.as_secs());
        let pulled = tokio::time::timeout(limit, pull(&inner, &image, &progress)).await;
        pulled.unwrap_or_else(|_| Err(Fault::new(ImageFault::Unreachable, late())))
    })
}

async fn pull(inner: &Arc<Inner>, image: &ImageRef, progress: &Progress) -> Outcome<PinnedImage> {
    let registry = Registry::new(image, &inner.registries)?;
    let here = inner.platform;
    let resolved = registry.resolve(image, &here).await?;
    let layers = resolved.manifest.layers;
    progress.begin(layers.iter().map(|layer| (&layer.digest, layer.size)));
    let held = inner.books.name(image).filter(|named| named.manifest.as_ref() == Some(&resolved.digest));
    if let Some(named) = held
        && let Ok(ready) = ready(inner, image, &named.digest)
    {
        progress.all_held();
        return Ok(ready);
    }
    let bytes = registry.small_blob(&resolved.manifest.config).await?;
    let config = config::parse(&bytes, &here)?;
    check_count(layers.len(), &config)?;
    let links = chain(&config.diff_ids);
    let hold = inner.layers.hold(&links);
    stack::build(inner, &registry, (&links, &layers), progress).await?;
    let digest = resolved.manifest.config.digest;
    let named =
        Named { digest: digest.clone(), source: Source::Pull, manifest: Some(resolved.digest), created: super::now() };
    let exposed = config.run.exposed.clone();
    super::enter(inner, vec![(bytes, config)], vec![(image.clone(), named)]).await?;
    drop(hold);
    // Only a memory: nobody waits for it, and without it a push makes its blobs anew.
    let memory = inner.clone();
    drop(tokio::task::spawn_blocking(move || memory.blobs.save(&memory.books.diff_ids())));
    Ok(PinnedImage { reference: image.clone(), digest, exposed })
}

fn check_count(layers: usize, config: &Config) -> Result<(), Fault> {
    if layers != config.diff_ids.len() {
        let stated = config.diff_ids.len();
        return Err(Fault::invalid(format!("its manifest has {layers} layers, but its configuration {stated}")));
    }
    Ok(())
}
