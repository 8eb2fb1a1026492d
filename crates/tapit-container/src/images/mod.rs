//! The images held on this host: fetched from registries or imported from archives, unpacked once, shared by instances.
//!
//! The engine asks `prepare` to make an image ready and `load` for what a container needs of it. Everything hostile is
//! parsed and unpacked in a helper process (`linux::unpack`); this module only decides, fetches and keeps the books. It
//! starts no container and does not know which process uses which image: callers say what is in use.

#![forbid(unsafe_code)]

mod archive;
mod books;
mod config;
mod credentials;
mod disk;
mod error;
mod flight;
pub(crate) mod helper;
mod import;
mod layers;
mod manifest;
mod prepare;
mod pull;
mod push;
mod registry;
mod settings;
pub(crate) mod tarball;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tapit_engine::{EngineError, Images, TransferWatch};
use tapit_model::{Digest, ImageRef, ImageView, Port, RegistryName, RegistrySettings, Timestamp};
use tokio::sync::Semaphore;

pub use error::ImageStoreError;
pub use tapit_engine::Prepared;

use books::Books;
use disk::Layout;
use error::Fault;
use flight::Flights;
use layers::Layers;
use settings::Settings;

/// What an image and its unpacking may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Unpacked bytes of all layers of one image together.
    pub image_bytes: u64,
    /// Files, directories and links of all layers of one image together.
    pub image_entries: u64,
    pub connect_timeout: Duration,
    /// A registry that sends nothing for this long has stalled.
    pub stall_timeout: Duration,
    /// Before a blob that broke off is fetched again; twice as long the next time.
    pub retry_pause: Duration,
    /// A whole preparation or import, whatever happens in it.
    pub total_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            image_bytes: 20 << 30,
            image_entries: 1_000_000,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            retry_pause: Duration::from_secs(1),
            total_timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// What a container needs of its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// Directories in overlayfs form (whiteouts are devices 0/0), lowest first, at most 127.
    pub layers: Vec<PathBuf>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`, as the image has it.
    pub env: Vec<String>,
    /// As the image has it: empty, a name, a number, or `user:group`.
    pub user: String,
    pub working_dir: String,
    /// TCP only, sorted.
    pub exposed: Vec<Port>,
    pub stop_signal: Option<String>,
    pub labels: BTreeMap<String, String>,
}

/// The images of one server. Clones share everything.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    limits: Limits,
    books: Books,
    layers: Layers,
    settings: Settings,
    flights: Flights,
    /// Blobs on their way, over all images.
    fetches: Semaphore,
}

/// Blobs that are fetched at once, over all images.
const FETCHES: usize = 3;

impl ImageStore {
    /// Opens the images below `dir`, made if missing, and removes what an earlier server left half done. `exe` is the
    /// program that is re-executed to unpack; its `main` must call `child_main` first.
    pub fn open(dir: &Path, exe: &Path) -> Result<Self, ImageStoreError> {
        Self::open_with(dir, exe, Limits::default())
    }

    pub fn open_with(dir: &Path, exe: &Path, limits: Limits) -> Result<Self, ImageStoreError> {
        let layout = Layout::create(dir)?;
        let books = Books::open(&layout)?;
        let layers = Layers::open(&layout, exe, &limits)?;
        layers.collect(|| books.referenced()).map_err(ImageStoreError::Leftovers)?;
        let fetches = Semaphore::new(FETCHES);
        let settings = Settings::open(&layout)?;
        let flights = Flights::default();
        Ok(Self { inner: Arc::new(Inner { layout, limits, books, layers, settings, flights, fetches }) })
    }

    /// Resolves a reference and makes the image ready: fetched, verified, unpacked. Callers that ask for the same
    /// reference at the same time share the work; it goes on when a caller goes away.
    pub async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        let inner = self.inner.clone();
        let outcome = self.inner.flights.join(image, |image| async move { prepare::run(&inner, &image).await });
        outcome.await.map_err(|fault| fault.about(image))
    }

    /// The configuration of an image by its digest, checked against what is on disk.
    pub async fn load(&self, digest: &Digest) -> Result<ImageConfig, EngineError> {
        let digest = digest.clone();
        self.on_disk(move |inner| {
            let image = inner.books.image(&digest)?;
            let layers = inner.layers.paths(&image.diff_ids)?;
            Ok(ImageConfig { layers, ..image.run.clone() })
        })
        .await?
        .map_err(Fault::nameless)
    }

    /// Runs work that blocks on the disk off the async threads.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|source| EngineError::act("look after the images", source))
    }
}

#[async_trait]
impl Images for ImageStore {
    async fn import(&self, archive: &Path, name: Option<&ImageRef>) -> Result<Vec<ImageView>, EngineError> {
        import::run(&self.inner, archive, name).await
    }

    async fn list(&self) -> Result<Vec<ImageView>, EngineError> {
        self.on_disk(|inner| inner.books.views(|diff_ids| inner.layers.bytes(diff_ids))).await
    }

    async fn delete(&self, name: &ImageRef, in_use: &[Digest]) -> Result<(), EngineError> {
        let (forgotten, in_use) = (name.clone(), in_use.to_vec());
        self.on_disk(move |inner| {
            inner.books.forget(&forgotten, &in_use)?;
            inner.collect().map(drop)
        })
        .await?
        .map_err(|fault| fault.about(name))
    }

    async fn prune(&self, in_use: &[Digest]) -> Result<(u64, Vec<String>), EngineError> {
        let in_use = in_use.to_vec();
        self.on_disk(move |inner| {
            let names = inner.books.prune(&in_use)?;
            Ok((inner.collect()?, names))
        })
        .await?
        .map_err(Fault::nameless)
    }

    async fn pull(&self, image: &ImageRef, transfer: &TransferWatch) -> Result<ImageView, EngineError> {
        pull::run(&self.inner, image, transfer).await.map_err(|fault| fault.about(image))
    }

    async fn push(&self, image: &ImageRef, to: &ImageRef, transfer: &TransferWatch) -> Result<Digest, EngineError> {
        push::run(&self.inner, image, to, transfer).await.map_err(|fault| fault.about(to))
    }

    async fn registries(&self) -> Result<BTreeMap<RegistryName, RegistrySettings>, EngineError> {
        Ok(self.inner.settings.all())
    }

    async fn set_registry(&self, name: &RegistryName, settings: Option<RegistrySettings>) -> Result<(), EngineError> {
        let name = name.clone();
        self.on_disk(move |inner| inner.settings.set(name, settings)).await?.map_err(Fault::nameless)
    }
}

impl Inner {
    /// Removes layers that nothing needs. Returns the freed bytes.
    fn collect(&self) -> Result<u64, Fault> {
        self.layers.collect(|| self.books.referenced()).map_err(|error| Fault::host("remove unused layers", &error))
    }
}

/// Enters images in the books, off the async threads.
async fn enter(
    inner: &Arc<Inner>,
    images: Vec<(Vec<u8>, config::Config)>,
    names: Vec<(ImageRef, books::Named)>,
) -> Result<(), Fault> {
    let inner = inner.clone();
    let entered = tokio::task::spawn_blocking(move || inner.books.enter(&images, names)).await;
    let entered = entered.map_err(std::io::Error::other).flatten();
    entered.map_err(|error| Fault::host("write down the images", &error))
}

/// The wall clock, for people only.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
