//! The images held on this host: fetched from registries or imported from archives, unpacked once, shared by instances.
//!
//! The engine asks `prepare` to make an image ready and `load` for what a container needs of it. Everything hostile is
//! parsed and unpacked in a helper process (`linux::unpack`); this module only decides, fetches and keeps the books. It
//! starts no container and does not know which process uses which image: callers say what is in use.

#![forbid(unsafe_code)]

mod archive;
pub(crate) mod blobs;
mod books;
mod config;
mod credentials;
mod disk;
mod error;
mod flight;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod hash;
pub(crate) mod helper;
mod import;
mod layers;
mod manifest;
mod prepare;
mod progress;
mod pull;
mod push;
pub(crate) mod registry;
mod remote;
mod settings;
mod settle;
pub(crate) mod split;
mod spool;
mod stack;
pub(crate) mod tarball;
mod uses;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tapit_engine::{AskInUse, EngineError, Forget, Freed, ImageFault, Images, InUse, TransferWatch};
use tapit_model::{
    Digest, ImageRef, ImageView, PinnedImage, Port, PruneExtent, RegistryName, RegistrySettings, Timestamp,
};
use tokio::sync::Semaphore;

pub use credentials::Docker;
pub use error::ImageStoreError;
pub use helper::Keep;
pub use manifest::Platform;
pub use remote::RemoteImage;
pub use tapit_engine::Prepared;

use blobs::Blobs;
use books::{Books, Source};
use disk::Layout;
use error::Fault;
use flight::Flights;
use layers::Layers;
use registry::Registries;

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
    /// The least that a registry must send: so many bytes a second, over such a window.
    pub pace_floor: u64,
    pub pace_window: Duration,
    /// Before what broke off is fetched again; longer the next time.
    pub retry_pause: Duration,
    /// A registry that asks to be left alone for longer is left alone for good.
    pub longest_rest: Duration,
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
            pace_floor: 1024,
            pace_window: Duration::from_secs(60),
            retry_pause: Duration::from_secs(1),
            longest_rest: Duration::from_secs(30),
            total_timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Opening {
    pub limits: Limits,
    /// Whose logins are used where none is set.
    pub docker: Docker,
    /// Which of an image's variants is meant; images for others are refused.
    pub platform: Platform,
    pub keep: Keep,
}

/// For containers on this host, with the logins of the server's user.
impl Default for Opening {
    fn default() -> Self {
        Self { limits: Limits::default(), docker: Docker::here(), platform: Platform::here(), keep: Keep::Unpacked }
    }
}

/// What a container needs of its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// Directories in overlayfs form (whiteouts are devices 0/0), lowest first, at most 500.
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
    platform: Platform,
    books: Books,
    layers: Layers,
    registries: Registries,
    flights: Flights<PinnedImage>,
    questions: Flights<RemoteImage>,
    running: OnceLock<AskRunning>,
    /// Blobs on their way, over all images.
    fetches: Semaphore,
    blobs: Blobs,
    /// Layers on their way to a registry, over all images.
    pushes: Semaphore,
}

/// Asks for the images of which there are instances.
pub type AskRunning = Box<dyn Fn() -> BTreeSet<Digest> + Send + Sync>;

/// Blobs that are fetched at once, over all images.
const FETCHES: usize = 3;

impl ImageStore {
    /// Opens the images below `dir`, made if missing, and removes what an earlier server left half done. `exe` is the
    /// program that is re-executed to unpack; its `main` must call `child_main` first.
    pub fn open(dir: &Path, exe: &Path) -> Result<Self, ImageStoreError> {
        Self::open_with(dir, exe, Limits::default())
    }

    pub fn open_with(dir: &Path, exe: &Path, limits: Limits) -> Result<Self, ImageStoreError> {
        Self::open_as(dir, exe, Opening { limits, ..Opening::default() })
    }

    /// For other images than those that run here, or with other logins.
    pub fn open_as(dir: &Path, exe: &Path, opening: Opening) -> Result<Self, ImageStoreError> {
        let Opening { limits, docker, platform, keep } = opening;
        let layout = Layout::create(dir)?;
        let books = Books::open(&layout, &platform)?;
        let layers = Layers::open(&layout, exe, &limits, keep)?;
        layers.collect(|| books.referenced()).map_err(ImageStoreError::Leftovers)?;
        let fetches = Semaphore::new(FETCHES);
        let registries = Registries::open(&layout, &limits, docker)?;
        let (blobs, pushes) = (Blobs::open(&layout), Semaphore::new(push::PUSHES));
        let inner = Inner {
            layout,
            limits,
            platform,
            books,
            layers,
            registries,
            flights: Flights::default(),
            questions: Flights::default(),
            running: OnceLock::new(),
            fetches,
            blobs,
            pushes,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Has `running` asked before anything goes: an instance may outlive the generation that it was made from. To be said
    /// once, before the first image goes; `running` must not wait for the store.
    pub fn spare_running(&self, running: AskRunning) {
        // A second asker would ask the same engine.
        let _ = self.inner.running.set(running);
    }

    /// Resolves a reference and makes the image ready: fetched, verified, unpacked. Callers that ask for the same
    /// reference at the same time share the work; it goes on when a caller goes away.
    pub async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        let prepared = self.settle(image, prepare::run(&self.inner, image).await).await?;
        self.inner.books.touch(&prepared.image.digest);
        Ok(prepared)
    }

    /// What became of fetching an image. After a fault of this host, such as a full disk, what was fetched so far goes at
    /// once; after others it stays for the next attempt.
    async fn settle<T>(&self, image: &ImageRef, outcome: Result<T, Fault>) -> Result<T, EngineError> {
        if let Err(Fault { fault: ImageFault::Host, .. }) = &outcome {
            clear_up(&self.inner).await;
        }
        outcome.map_err(|fault| fault.about(image))
    }

    /// The configuration of an image by its digest, checked against what is on disk.
    pub async fn load(&self, digest: &Digest) -> Result<ImageConfig, EngineError> {
        let digest = digest.clone();
        self.on_disk(move |inner| {
            let image = inner.books.image(&digest)?;
            let layers = inner.layers.paths(&image.diff_ids)?;
            inner.books.touch(&digest);
            Ok(ImageConfig { layers, ..image.run.clone() })
        })
        .await?
        .map_err(Fault::nameless)
    }

    /// Writes the tar of a held image's layer, counted from the lowest, as it was when it was unpacked. Only success says
    /// that all of it was written right.
    pub async fn write_layer(
        &self,
        image: &Digest,
        nth: usize,
        sink: impl std::io::Write + Send + 'static,
    ) -> Result<(), EngineError> {
        let image = image.clone();
        self.on_disk(move |inner| {
            let links = layers::chain(&inner.books.image(&image)?.diff_ids);
            let absent = || Fault::new(ImageFault::NotFound, format!("it has no layer {nth}"));
            let links = links.get(..=nth).ok_or_else(absent)?;
            let _hold = inner.layers.hold(links);
            inner.layers.assemble(links, sink)
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
        import::run(&self.inner, archive, name, Source::Import).await
    }

    async fn import_built(&self, archive: &Path, name: &ImageRef) -> Result<Vec<ImageView>, EngineError> {
        import::run(&self.inner, archive, Some(name), Source::Build).await
    }

    async fn list(&self) -> Result<Vec<ImageView>, EngineError> {
        self.on_disk(Inner::views).await
    }

    async fn bytes(&self) -> Result<u64, EngineError> {
        Ok(self.inner.layers.sizes().values().sum())
    }

    async fn delete(&self, what: &Forget, in_use: &AskInUse) -> Result<Freed, EngineError> {
        let (forgotten, in_use) = (what.clone(), in_use.clone());
        let done = self.on_disk(move |inner| {
            let images = inner.books.forget(&forgotten, &|| inner.in_use(&in_use))?;
            let bytes = inner.collect()?;
            inner.books.write_down()?;
            Ok(Freed { bytes, images, over: 0 })
        });
        done.await?.map_err(|fault: Fault| match what {
            Forget::Name(name) => fault.about(name),
            Forget::Digest(_) => fault.nameless(),
        })
    }

    async fn prune(&self, extent: PruneExtent, in_use: &AskInUse) -> Result<Freed, EngineError> {
        let in_use = in_use.clone();
        let done = self.on_disk(move |inner| {
            // What failed attempts have left goes before any image does; with room enough the next one may want it.
            let before = if inner.exceeds(extent) { inner.collect()? } else { 0 };
            let (images, choice) = inner.books.prune(extent, &|| inner.in_use(&in_use), &inner.layers.sizes())?;
            let bytes = before + if images.is_empty() { 0 } else { inner.collect()? };
            inner.books.write_down()?;
            Ok(Freed { bytes, images, over: choice.over })
        });
        done.await?.map_err(Fault::nameless)
    }

    async fn would_prune(&self, extent: PruneExtent, in_use: &AskInUse) -> Result<Freed, EngineError> {
        let in_use = in_use.clone();
        self.on_disk(move |inner| {
            let sizes = inner.layers.sizes();
            let (images, choice) = inner.books.would_prune(extent, &|| inner.in_use(&in_use), &sizes);
            Freed { bytes: choice.freed, images, over: choice.over }
        })
        .await
    }

    async fn pull(&self, image: &ImageRef, transfer: &TransferWatch) -> Result<ImageView, EngineError> {
        let view = self.settle(image, pull::run(&self.inner, image, transfer).await).await?;
        if let Some(digest) = Digest::parse(&view.digest) {
            self.inner.books.touch(&digest);
        }
        Ok(view)
    }

    async fn push(&self, image: &ImageRef, to: &ImageRef, transfer: &TransferWatch) -> Result<Digest, EngineError> {
        push::run(&self.inner, image, to, transfer).await
    }

    async fn registries(&self) -> Result<BTreeMap<RegistryName, RegistrySettings>, EngineError> {
        Ok(self.inner.registries.settings())
    }

    async fn set_registry(&self, name: &RegistryName, settings: Option<RegistrySettings>) -> Result<(), EngineError> {
        let name = name.clone();
        self.on_disk(move |inner| inner.registries.set(name, settings)).await?.map_err(Fault::nameless)
    }
}

impl Inner {
    fn views(&self) -> Vec<ImageView> {
        self.books.views(&self.layers.sizes())
    }

    /// What the server says is in use, and what has instances that the server need not know of any more.
    fn in_use(&self, server: &AskInUse) -> InUse {
        let mut in_use = server();
        in_use.digests.extend(self.running.get().map(|running| running()).unwrap_or_default());
        in_use
    }

    fn exceeds(&self, extent: PruneExtent) -> bool {
        match extent {
            PruneExtent::Unused => true,
            PruneExtent::Budget(budget) => self.layers.sizes().values().sum::<u64>() > budget,
        }
    }

    /// Removes layers that nothing needs. Returns the freed bytes.
    fn collect(&self) -> Result<u64, Fault> {
        self.layers.collect(|| self.books.referenced()).map_err(|error| Fault::host("remove unused layers", &error))
    }
}

/// Removes what something that failed has left. Should that fail too, it costs only space, and the next removal or start
/// takes it.
async fn clear_up(inner: &Arc<Inner>) {
    let inner = inner.clone();
    if let Ok(Err(fault)) = tokio::task::spawn_blocking(move || inner.collect()).await {
        tracing::warn!(error = fault.text, "layers of an image that failed could not be removed");
    }
}

/// Enters images in the books, off the async threads, once all of their layers are on disk.
async fn enter(
    inner: &Arc<Inner>,
    images: Vec<(Vec<u8>, config::Config)>,
    names: Vec<(ImageRef, books::Named)>,
) -> Result<(), Fault> {
    for (_, config) in &images {
        inner.layers.settle(&layers::chain(&config.diff_ids)).await?;
    }
    let inner = inner.clone();
    let entered = tokio::task::spawn_blocking(move || inner.books.enter(&images, names)).await;
    let entered = entered.map_err(std::io::Error::other).flatten();
    entered.map_err(|error| Fault::host("write down the images", &error))
}

/// The wall clock, for people only.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
