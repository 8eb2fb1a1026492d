//! The images held on this host: fetched from registries or imported from archives, unpacked once, shared by instances.
//!
//! The engine asks `prepare` to make an image ready and `load` for what a container needs of it. Everything hostile is
//! parsed and unpacked in a helper process (`linux::unpack`); this module only decides, fetches and keeps the books. It
//! starts no container and does not know which process uses which image: callers say what is in use.

mod error;
pub(crate) mod helper;
pub(crate) mod tarball;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tapit_engine::{EngineError, Images};
use tapit_model::{Digest, ImageRef, ImageView, PinnedImage, Port};

/// What opening the store can fail at.
#[derive(Debug, thiserror::Error)]
#[error("open the images in {dir}")]
pub struct ImageStoreError {
    dir: PathBuf,
    source: std::io::Error,
}

struct Layout {
    dir: PathBuf,
    exe: PathBuf,
    limits: Limits,
}

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
            total_timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// An image that is ready to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub image: PinnedImage,
    /// The registry could not be asked and a copy held here is used: one sentence that says so.
    pub warning: Option<String>,
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
    inner: Arc<Layout>,
}

impl ImageStore {
    pub fn open(dir: &Path, exe: &Path) -> Result<Self, ImageStoreError> {
        Self::open_with(dir, exe, Limits::default())
    }

    pub fn open_with(dir: &Path, exe: &Path, limits: Limits) -> Result<Self, ImageStoreError> {
        std::fs::create_dir_all(dir).map_err(|source| ImageStoreError { dir: dir.to_owned(), source })?;
        Ok(Self { inner: Arc::new(Layout { dir: dir.to_owned(), exe: exe.to_owned(), limits }) })
    }

    pub async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        Err(EngineError::act(
            format!("prepare {image} in {:?} with {:?} {:?}", self.inner.dir, self.inner.exe, self.inner.limits),
            "being built",
        ))
    }

    pub async fn load(&self, digest: &Digest) -> Result<ImageConfig, EngineError> {
        Err(EngineError::act(format!("load {digest}"), "being built"))
    }
}

#[async_trait]
impl Images for ImageStore {
    async fn import(&self, archive: &Path, _name: Option<&ImageRef>) -> Result<Vec<ImageView>, EngineError> {
        Err(EngineError::act(format!("import {}", archive.display()), "being built"))
    }
    async fn list(&self) -> Result<Vec<ImageView>, EngineError> {
        Ok(Vec::new())
    }
    async fn delete(&self, name: &ImageRef, _in_use: &[Digest]) -> Result<(), EngineError> {
        Err(EngineError::act(format!("delete {name}"), "being built"))
    }
    async fn prune(&self, _in_use: &[Digest]) -> Result<(u64, Vec<String>), EngineError> {
        Ok((0, Vec::new()))
    }
}
