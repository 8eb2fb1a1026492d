//! For engines that run images elsewhere: asks registries what a reference is without fetching it, and sends on what is
//! held here.
//!
//! `tapit-ecs` calls it. What runs the image fetches it by itself, so only the manifest and the configuration are looked
//! at here, with the same logins, mirrors, patience and words as in a pull. Nothing of it enters the books.

use std::sync::Arc;

use tapit_engine::{EngineError, ImageFault};
use tapit_model::{Digest, ImageRef, PinnedImage, Port, RegistrySettings};

use super::error::Fault;
use super::prepare::ready;
use super::registry::{Operation, Registry};
use super::{ImageStore, Inner, config, push};

/// An image as its registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteImage {
    /// Of the manifest for the store's platform: under this digest it is fetched, whatever becomes of the tag.
    pub manifest: Digest,
    /// Of its configuration: the same for one image, whichever way it came.
    pub config: Digest,
    /// TCP ports that it exposes, sorted.
    pub exposed: Vec<Port>,
    /// What it is made for, as far as its index names that; empty without an index.
    pub platforms: Vec<String>,
}

impl ImageStore {
    /// The image that this name stands for, if it was imported or built here: no registry is asked about such.
    pub fn local(&self, image: &ImageRef) -> Option<Result<PinnedImage, EngineError>> {
        let named = self.inner.books.name(image).filter(|named| named.source.is_local())?;
        Some(self.ready(image, &named.digest))
    }

    /// The image that this name stood for when it was last fetched, or came to be here in another way.
    pub fn held(&self, image: &ImageRef) -> Option<PinnedImage> {
        let named = self.inner.books.name(image)?;
        self.ready(image, &named.digest).ok()
    }

    /// Whether an image with this configuration is here under any name or none.
    pub fn holds(&self, config: &Digest) -> bool {
        self.inner.books.image(config).is_ok()
    }

    fn ready(&self, image: &ImageRef, digest: &Digest) -> Result<PinnedImage, EngineError> {
        let ready = ready(&self.inner, image, digest);
        if ready.is_ok() {
            self.inner.books.touch(digest);
        }
        ready.map_err(|fault| Fault::new(fault.fault, format!("{}; import it again", fault.text)).about(image))
    }

    /// Asks the registry what a reference means at present. Callers that ask about the same one at the same time share the
    /// answer.
    pub async fn resolve(&self, image: &ImageRef) -> Result<RemoteImage, EngineError> {
        let inner = self.inner.clone();
        let flight = self.inner.questions.board(image, |image, _| async move {
            let registry = Registry::new(&image, &inner.registries)?;
            in_time(&inner, look_up(&inner, &registry, &image)).await
        });
        flight.landed(|_| {}).await.map_err(|fault| fault.about(image))
    }

    /// The same with a login that was got for it.
    pub async fn resolve_with(&self, image: &ImageRef, given: &RegistrySettings) -> Result<RemoteImage, EngineError> {
        let asked = async {
            let registry = Registry::with(image, &self.inner.registries, given, Operation::Pull)?;
            in_time(&self.inner, look_up(&self.inner, &registry, image)).await
        };
        asked.await.map_err(|fault| fault.about(image))
    }

    /// The digest of the manifest that a registry has under this name, if that is the image with this configuration.
    pub async fn sent(
        &self,
        config: &Digest,
        to: &ImageRef,
        given: &RegistrySettings,
    ) -> Result<Option<Digest>, EngineError> {
        let asked = async {
            let registry = Registry::with(to, &self.inner.registries, given, Operation::Push)?;
            in_time(&self.inner, registry.resolve(to, &self.inner.platform)).await
        };
        match asked.await {
            Ok(resolved) => Ok((resolved.manifest.config.digest == *config).then_some(resolved.own)),
            Err(fault) => match fault.fault {
                ImageFault::NotFound => Ok(None),
                ImageFault::Unreachable
                | ImageFault::Denied
                | ImageFault::Invalid
                | ImageFault::InUse
                | ImageFault::Host => Err(fault.about(to)),
            },
        }
    }

    /// Sends the image with this configuration to a registry, whatever it is called here, with a login that was got for
    /// that and is not kept. Returns the digest of the manifest there.
    pub async fn send(&self, config: &Digest, to: &ImageRef, given: &RegistrySettings) -> Result<Digest, EngineError> {
        push::with(&self.inner, config, to, given).await.map_err(|fault| fault.about(to))
    }
}

/// Manifest and configuration. The layers are looked at by whoever fetches them.
async fn look_up(inner: &Inner, registry: &Registry, image: &ImageRef) -> Result<RemoteImage, Fault> {
    let resolved = registry.resolve(image, &inner.platform).await?;
    let bytes = registry.small_blob(&resolved.manifest.config).await?;
    let exposed = config::parse(&bytes, &inner.platform)?.run.exposed;
    let (manifest, config) = (resolved.own, resolved.manifest.config.digest);
    Ok(RemoteImage { manifest, config, exposed, platforms: resolved.platforms })
}

async fn in_time<T>(inner: &Arc<Inner>, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let limit = inner.limits.total_timeout;
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Fault::new(ImageFault::Unreachable, format!("asking for it took longer than {} s", limit.as_secs())))
    })
}
