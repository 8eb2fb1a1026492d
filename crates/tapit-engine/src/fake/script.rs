//! What the fake's instances do, and the images that decide it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tapit_model::{
    Digest, Exit, ImageOrigin, ImageRef, ImageView, PinnedImage, PruneExtent, Reason, ReasonCode, RegistryName,
    RegistrySettings, Timestamp,
};

use crate::{AskInUse, EngineError, Forget, Freed, ImageFault, Images, TransferWatch};

/// The life of every instance of an image, counted in ticks from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// `None`: its health checks never pass.
    pub healthy_after: Option<u32>,
    /// `None`: it runs until it is told to stop.
    pub ends_after: Option<(u32, Ending)>,
    pub log: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exit(i32),
    OutOfMemory,
}

impl Script {
    /// Healthy after one tick, and runs on.
    pub fn healthy() -> Self {
        Self { healthy_after: Some(1), ends_after: None, log: Vec::new() }
    }

    /// Ends so after one tick, before it was ever healthy.
    pub fn ends(ending: Ending) -> Self {
        Self { healthy_after: None, ends_after: Some((1, ending)), log: Vec::new() }
    }

    /// Runs, and is never healthy.
    pub fn never_healthy() -> Self {
        Self { healthy_after: None, ends_after: None, log: Vec::new() }
    }

    pub fn logs(self, lines: &[&str]) -> Self {
        Self { log: lines.iter().map(|line| (*line).to_owned()).collect(), ..self }
    }
}

impl Ending {
    pub(super) fn exit(self, at: Timestamp) -> Exit {
        match self {
            Ending::Exit(code) => Exit { code: Some(code), signal: None, oom: false, at },
            Ending::OutOfMemory => Exit { code: None, signal: Some(9), oom: true, at },
        }
    }

    pub(super) fn reason(self) -> Reason {
        let (code, text) = match self {
            Ending::Exit(0) => (ReasonCode::Completed, "exited with status 0".to_owned()),
            Ending::Exit(code) => (ReasonCode::Crashed, format!("crashed: exit {code}")),
            Ending::OutOfMemory => (ReasonCode::OutOfMemory, "out of memory".to_owned()),
        };
        Reason { code, text }
    }
}

/// The images of the fake, and what asking for one answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    entries: Arc<Mutex<BTreeMap<ImageRef, Entry>>>,
    registries: Arc<Mutex<BTreeMap<RegistryName, RegistrySettings>>>,
}

#[derive(Debug, Clone)]
enum Entry {
    Held(PinnedImage, Script),
    Faulty(ImageFault),
}

impl Shelf {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<ImageRef, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> MutexGuard<'_, BTreeMap<RegistryName, RegistrySettings>> {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest is made from the name, so that one name is always one image.
    pub fn put(&self, image: &ImageRef, script: Script) -> PinnedImage {
        let hash = image.to_string().bytes().fold(0u64, |sum, byte| sum.wrapping_mul(1099511628211) ^ u64::from(byte));
        let digest = Digest::parse(&format!("sha256:{hash:064x}")).expect("64 hex digits are a digest");
        let pinned = PinnedImage { reference: image.clone(), digest, exposed: Vec::new() };
        self.entries().insert(image.clone(), Entry::Held(pinned.clone(), script));
        pinned
    }

    pub fn spoil(&self, image: &ImageRef, fault: ImageFault) {
        self.entries().insert(image.clone(), Entry::Faulty(fault));
    }

    pub fn resolve(&self, image: &ImageRef) -> Result<PinnedImage, EngineError> {
        let fault = match self.entries().get(image) {
            Some(Entry::Held(pinned, _)) => return Ok(pinned.clone()),
            Some(Entry::Faulty(fault)) => *fault,
            None => ImageFault::NotFound,
        };
        Err(EngineError::Image { image: Box::new(image.clone()), fault, text: format!("cannot be had ({fault:?})") })
    }

    /// `None`: the image is not held any more, so nothing can be started from it.
    pub fn script(&self, digest: &Digest) -> Option<Script> {
        let entries = self.entries();
        entries.values().find_map(|entry| match entry {
            Entry::Held(pinned, script) if pinned.digest == *digest => Some(script.clone()),
            Entry::Held(..) | Entry::Faulty(_) => None,
        })
    }

    fn forget(&self, unwanted: impl Fn(&ImageRef, &PinnedImage) -> bool) -> Vec<String> {
        let mut forgotten = Vec::new();
        self.entries().retain(|name, entry| match entry {
            Entry::Held(pinned, _) if unwanted(name, pinned) => {
                forgotten.push(name.to_string());
                false
            }
            Entry::Held(..) | Entry::Faulty(_) => true,
        });
        forgotten
    }
}

/// What every image takes.
const BYTES: u64 = 1024;

fn view(name: &ImageRef, image: &PinnedImage) -> ImageView {
    ImageView {
        name: name.to_string(),
        digest: image.digest.to_string(),
        size: BYTES,
        shared: 0,
        unique: BYTES,
        layers: 1,
        source: ImageOrigin::Import.as_str().to_owned(),
        created_at: Timestamp(0).to_string(),
        used_at: Timestamp(0).to_string(),
        used_by: Vec::new(),
        entrypoint: Vec::new(),
        command: Vec::new(),
        exposed_ports: image.exposed.iter().map(|port| port.get()).collect(),
        user: String::new(),
        working_dir: "/".to_owned(),
    }
}

fn freed(images: Vec<String>) -> Freed {
    Freed { bytes: BYTES * images.len() as u64, images, over: 0 }
}

#[async_trait]
impl Images for Shelf {
    /// No archive is read: the name is put on the shelf with a healthy script.
    async fn import(&self, _archive: &Path, name: Option<&ImageRef>) -> Result<Vec<ImageView>, EngineError> {
        let unnamed = || EngineError::Archive { text: "the archive does not name its image".to_owned() };
        let name = name.ok_or_else(unnamed)?;
        Ok(vec![view(name, &self.put(name, Script::healthy()))])
    }

    async fn import_built(&self, archive: &Path, name: &ImageRef) -> Result<Vec<ImageView>, EngineError> {
        self.import(archive, Some(name)).await
    }

    async fn list(&self) -> Result<Vec<ImageView>, EngineError> {
        let entries = self.entries();
        let views = entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Held(pinned, _) => Some(view(name, pinned)),
            Entry::Faulty(_) => None,
        });
        Ok(views.collect())
    }

    async fn bytes(&self) -> Result<u64, EngineError> {
        Ok(self.list().await?.iter().map(|image| image.size).sum())
    }

    async fn delete(&self, what: &Forget, in_use: &AskInUse) -> Result<Freed, EngineError> {
        let kept = in_use();
        let meant = |held: &ImageRef, image: &PinnedImage| match what {
            Forget::Name(name) => held == name,
            Forget::Digest(digest) => image.digest == *digest,
        };
        let images = self.forget(|held, image| meant(held, image) && !kept.keeps(held, &image.digest));
        match what {
            Forget::Name(name) if images.is_empty() => self.resolve(name).map(|_| Freed::default()),
            Forget::Name(_) | Forget::Digest(_) => Ok(freed(images)),
        }
    }

    /// Nothing here takes any space, so no budget is ever exceeded.
    async fn prune(&self, extent: PruneExtent, in_use: &AskInUse) -> Result<Freed, EngineError> {
        let kept = in_use();
        match extent {
            PruneExtent::Unused => Ok(freed(self.forget(|name, image| !kept.keeps(name, &image.digest)))),
            PruneExtent::Budget(_) => Ok(Freed::default()),
        }
    }

    async fn would_prune(&self, extent: PruneExtent, in_use: &AskInUse) -> Result<Freed, EngineError> {
        let entries = self.entries().clone();
        let copy = Self { entries: Arc::new(Mutex::new(entries)), ..self.clone() };
        copy.prune(extent, in_use).await
    }

    /// The registry of the fake is its shelf.
    async fn pull(&self, image: &ImageRef, _: &TransferWatch) -> Result<ImageView, EngineError> {
        self.resolve(image).map(|pinned| view(image, &pinned))
    }

    async fn push(&self, image: &ImageRef, to: &ImageRef, _: &TransferWatch) -> Result<Digest, EngineError> {
        let pinned = self.resolve(image)?;
        let script = self.script(&pinned.digest).unwrap_or_else(Script::healthy);
        self.entries().insert(to.clone(), Entry::Held(PinnedImage { reference: to.clone(), ..pinned.clone() }, script));
        Ok(pinned.digest)
    }

    async fn registries(&self) -> Result<BTreeMap<RegistryName, RegistrySettings>, EngineError> {
        Ok(self.settings().clone())
    }

    async fn set_registry(&self, name: &RegistryName, settings: Option<RegistrySettings>) -> Result<(), EngineError> {
        match settings {
            Some(settings) => drop(self.settings().insert(name.clone(), settings)),
            None => drop(self.settings().remove(name)),
        }
        Ok(())
    }
}
