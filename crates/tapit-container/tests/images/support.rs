//! A store in a directory of its own, and the view that a container would have of an image.

use std::path::{Path, PathBuf};
use std::process::Command;

use tapit_container::images::{ImageConfig, ImageStore, Limits};
use tapit_engine::{EngineError, Images};
use tapit_model::{Digest, ImageRef, ImageView};

use crate::archives::{docker_save, image};

pub fn exe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tapit-container-child"))
}

/// A store that is removed with the value.
pub struct Store {
    pub dir: tempfile::TempDir,
    pub images: ImageStore,
}

pub fn store() -> Store {
    store_with(Limits::default())
}

pub fn store_with(limits: Limits) -> Store {
    let dir = tempfile::tempdir().expect("directory");
    let images = ImageStore::open_with(&dir.path().join("images"), exe(), limits).expect("store");
    Store { dir, images }
}

impl Store {
    pub fn reopen(self) -> Self {
        drop(self.images);
        let images = ImageStore::open(&self.dir.path().join("images"), exe()).expect("store");
        Self { dir: self.dir, images }
    }

    pub async fn import(&self, archive: &[u8], name: Option<&str>) -> Result<Vec<ImageView>, EngineError> {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), archive).expect("write");
        let name = name.map(|name| ImageRef::parse(name).expect("reference"));
        self.images.import(file.path(), name.as_ref()).await
    }

    /// Imports an image of these layers and returns what a container would see.
    pub async fn unpack(&self, layers: &[Vec<u8>]) -> Result<String, String> {
        let archive = docker_save(&[(&image(layers), &["app:v1"])]);
        let views = self.import(&archive, None).await.map_err(|error| told(&error))?;
        Ok(self.merged(&views[0].digest).await)
    }

    pub async fn config(&self, digest: &str) -> ImageConfig {
        self.images.load(&Digest::parse(digest).expect("digest")).await.expect("loaded")
    }

    pub async fn merged(&self, digest: &str) -> String {
        merged(&self.config(digest).await.layers)
    }

    /// Everything below the store, but for its empty directories.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        walk(&self.dir.path().join("images"), Path::new(""), &mut files);
        files.sort();
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("images").join(name)
    }
}

/// One level below `layers`, all levels elsewhere.
fn walk(directory: &Path, below: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("directory") {
        let entry = entry.expect("entry");
        let name = below.join(entry.file_name());
        if entry.path().is_dir() && below != Path::new("layers") {
            walk(&entry.path(), &name, files);
        } else {
            files.push(name.display().to_string());
        }
    }
}

/// An error with everything that it says.
pub fn told(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Mounts the layers as the engine does, in a mount namespace that ends with the command, and lists them:
/// path, type, mode, owner, target of a symlink.
fn merged(layers: &[PathBuf]) -> String {
    let base = tempfile::tempdir().expect("directory");
    let (bottom, mount) = (base.path().join("bottom"), base.path().join("mount"));
    std::fs::create_dir(&bottom).expect("bottom");
    std::fs::create_dir(&mount).expect("mount");
    // Overlayfs wants two layers at least.
    let lower: Vec<String> =
        layers.iter().rev().chain([&bottom]).map(|path| path.to_str().expect("path").to_owned()).collect();
    let script = "mount -t overlay overlay -o ro,lowerdir=\"$1\" \"$2\" && cd \"$2\" && \
        find . -mindepth 1 -printf '%P %y %m %U:%G %l\\n' | sed 's/ $//' | LC_ALL=C sort";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "merged", &lower.join(":")])
        .arg(&mount)
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs async work as each test does.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime").block_on(work)
}
