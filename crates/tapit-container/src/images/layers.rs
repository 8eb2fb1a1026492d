//! Unpacked layers: made once, shared by all images that stack them on the same layers, removed when none does.
//!
//! A layer is known by its chain: its own digest and those of all layers below it. What a layer's directory must hold
//! depends on what is below (`linux::unpack::tree`), so the same layer on another base is another directory. In
//! practice images that share a layer share what is below it too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tapit_engine::ImageFault;
use tapit_model::Digest;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::Limits;
use super::disk::{self, Layout};
use super::error::{Fault, ImageStoreError};
use super::flight::Locks;
use super::hash::sha256;
use super::helper::{self, Answer, Budget, Keep, Order, Span};
use super::split;
use crate::linux::beneath;

/// Digits of a chain's digest: 112 bits leave no hope for a second chain of the same id.
const ID_DIGITS: usize = 28;
const MAX_RECORD: u64 = 64 << 10;
/// Ends the name of the file with what the layer's tar holds besides content.
const SPLIT: &str = ".split";
/// As many as a small host has cores.
const UNPACKERS: usize = 2;

/// The directory name of a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(String);

impl LayerId {
    fn parse(text: &str) -> Option<Self> {
        let legal = text.len() == ID_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        legal.then(|| Self(text.to_owned()))
    }
}

/// A layer and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub id: LayerId,
    chain: Digest,
    pub diff_id: Digest,
}

/// The chain of an image, lowest first.
pub fn chain(diff_ids: &[Digest]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let chain = match links.last() {
            None => Some(diff_id.clone()),
            Some(below) => sha256(format!("{} {diff_id}", below.chain).as_bytes()),
        };
        let chain = chain.unwrap_or_else(|| diff_id.clone());
        links.push(Link { id: LayerId(chain.hex()[..ID_DIGITS].to_owned()), chain, diff_id: diff_id.clone() });
    }
    links
}

/// Layers with their unpacked bytes.
pub type Sizes = BTreeMap<LayerId, u64>;

/// What is kept of a finished layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    chain: Digest,
    diff_id: Digest,
    bytes: u64,
    entries: u64,
    /// With `Packed`, all of the layer is in its split file, and its directory is empty.
    #[serde(default)]
    keep: Keep,
}

#[derive(Default)]
pub struct State {
    pub done: BTreeMap<LayerId, Record>,
    /// Those of them that a crash would undo still (`settle`).
    pub unsettled: BTreeSet<LayerId>,
    /// Layers that an image in the making needs, and by how many.
    held: BTreeMap<LayerId, u32>,
}

pub struct Layers {
    pub layout: Layout,
    exe: PathBuf,
    limits: Limits,
    keep: Keep,
    state: Mutex<State>,
    locks: Locks<LayerId>,
    unpackers: Semaphore,
    /// The directory of the layers, opened before any was made.
    pub settling: tokio::sync::Mutex<Arc<File>>,
}

/// Spares the layers of an image in the making. It is let go only after the image is in the books, so that a layer is
/// always either held or referenced.
pub struct Hold<'a> {
    layers: &'a Layers,
    ids: Vec<LayerId>,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.layers.state();
        for id in &self.ids {
            if let Some(count) = state.held.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    state.held.remove(id);
                }
            }
        }
    }
}

impl Layers {
    /// Reads the records; a directory without one was left half done and goes, a record without a directory too.
    pub fn open(layout: &Layout, exe: &Path, limits: &Limits, keep: Keep) -> Result<Self, ImageStoreError> {
        let directory = File::open(&layout.layers).map_err(ImageStoreError::Layers)?;
        let done = read_records(&layout.layers).map_err(ImageStoreError::Layers)?;
        Ok(Self {
            layout: layout.clone(),
            exe: exe.to_owned(),
            limits: limits.clone(),
            keep,
            state: Mutex::new(State { done, ..State::default() }),
            locks: Locks::default(),
            unpackers: Semaphore::new(UNPACKERS),
            settling: tokio::sync::Mutex::new(Arc::new(directory)),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn hold(&self, links: &[Link]) -> Hold<'_> {
        let ids: Vec<LayerId> = links.iter().map(|link| link.id.clone()).collect();
        let mut state = self.state();
        for id in &ids {
            *state.held.entry(id.clone()).or_default() += 1;
        }
        Hold { layers: self, ids }
    }

    pub async fn lock(&self, link: &Link) -> OwnedMutexGuard<()> {
        self.locks.lock(&link.id).await
    }

    /// Whether a layer is here in a form that will do. Unpacked ones can be sent on, too.
    pub fn is_done(&self, link: &Link) -> bool {
        let will_do = |record: &Record| match (self.keep, record.keep) {
            (Keep::Unpacked, Keep::Packed) => false,
            (Keep::Unpacked, Keep::Unpacked) | (Keep::Packed, Keep::Unpacked | Keep::Packed) => true,
        };
        self.state().done.get(&link.id).is_some_and(|record| record.chain == link.chain && will_do(record))
    }

    /// The directories of a chain, lowest first, if all are there.
    pub fn paths(&self, diff_ids: &[Digest]) -> Result<Vec<PathBuf>, Fault> {
        let path = |link: &Link| {
            let path = layer_path(&self.layout, &link.id);
            if self.is_done(link) && path.is_dir() {
                return Ok(path);
            }
            Err(Fault::new(ImageFault::NotFound, format!("its layer {} is not on this host", link.diff_id.short())))
        };
        chain(diff_ids).iter().map(path).collect()
    }

    /// Unpacked bytes of every finished layer. Asked for before the books are locked, never with them.
    pub fn sizes(&self) -> Sizes {
        self.state().done.iter().map(|(id, record)| (id.clone(), record.bytes)).collect()
    }

    /// Unpacks the last layer of `links`; those below must be done. The caller holds the layer's lock. A crash undoes it until
    /// it is settled.
    pub async fn unpack(&self, links: &[Link], blob: Span, digest: Option<Digest>) -> Result<(), Fault> {
        let Some((link, below)) = links.split_last() else { return Ok(()) };
        let budget = self.budget(below)?;
        let _permit = self.unpackers.acquire().await;
        let failed = |error: io::Error| Fault::host("make room for a layer", &error);
        let target =
            tempfile::Builder::new().prefix(disk::TEMPORARY).tempdir_in(&self.layout.layers).map_err(failed)?;
        let split =
            tempfile::Builder::new().prefix(disk::TEMPORARY).tempfile_in(&self.layout.layers).map_err(failed)?;
        let order = Order::Layer {
            keep: self.keep,
            blob,
            digest,
            diff_id: link.diff_id.clone(),
            target: target.path().to_owned(),
            split: split.path().to_owned(),
            layers: self.layout.layers.clone(),
            below: below.iter().map(|link| link.id.0.clone()).collect(),
            empty: self.layout.empty.clone(),
            budget,
        };
        let outcome = match helper::run(&self.exe, &order, self.limits.total_timeout).await {
            Ok(Answer::Unpacked(unpacked)) => Ok(unpacked),
            Ok(Answer::Bad(text)) => Err(Fault::invalid(format!("its layer {}: {text}", link.diff_id.short()))),
            Ok(Answer::Host(text)) => Err(Fault::new(ImageFault::Host, text)),
            Ok(Answer::Index { .. }) => {
                Err(Fault::new(ImageFault::Host, "the unpacking helper answered another order"))
            }
            Err(fault) => Err(fault),
        };
        let unpacked = match outcome {
            Ok(unpacked) => unpacked,
            Err(fault) => {
                // What was unpacked may be large: not on a thread that others wait for.
                let _ = tokio::task::spawn_blocking(move || disk::remove(&target.keep())).await;
                return Err(fault);
            }
        };
        if unpacked.skipped_devices + unpacked.skipped_xattrs > 0 {
            tracing::info!(
                layer = link.diff_id.short(),
                devices = unpacked.skipped_devices,
                attributes = unpacked.skipped_xattrs,
                "left out of a layer"
            );
        }
        let record = Record {
            chain: link.chain.clone(),
            diff_id: link.diff_id.clone(),
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            keep: self.keep,
        };
        let (layout, id) = (self.layout.clone(), link.id.clone());
        let named = tokio::task::spawn_blocking(move || name(&layout, (target, split), &id)).await;
        named.map_err(io::Error::other).flatten().map_err(|error| Fault::host("keep a layer", &error))?;
        let mut state = self.state();
        state.unsettled.insert(link.id.clone());
        state.done.insert(link.id.clone(), record);
        Ok(())
    }

    /// What is left for the next layer of one image.
    fn budget(&self, below: &[Link]) -> Result<Budget, Fault> {
        let state = self.state();
        let mut budget = Budget { bytes: self.limits.image_bytes, entries: self.limits.image_entries };
        for link in below {
            let Some(record) = state.done.get(&link.id) else {
                return Err(Fault::new(ImageFault::Host, format!("its layer {} is gone", link.diff_id.short())));
            };
            budget.bytes = budget.bytes.saturating_sub(record.bytes);
            budget.entries = budget.entries.saturating_sub(record.entries);
        }
        Ok(budget)
    }

    /// Removes layers that no image refers to and none in the making holds. Returns the freed bytes.
    pub fn collect(&self, referenced: impl FnOnce() -> BTreeSet<LayerId>) -> io::Result<u64> {
        let mut freed = 0;
        let mut doomed = Vec::new();
        {
            // Asked for under the lock: an image enters the books before it lets go of its layers.
            let mut state = self.state();
            let referenced = referenced();
            let unused = |id: &LayerId| !referenced.contains(id) && !state.held.contains_key(id);
            let ids: Vec<LayerId> = state.done.keys().filter(|id| unused(id)).cloned().collect();
            for id in ids {
                disk::remove(&record_path(&self.layout, &id))?;
                disk::remove(&split_path(&self.layout, &id))?;
                let grave = self.layout.layers.join(format!("{}{}", disk::TEMPORARY, id.0));
                std::fs::rename(layer_path(&self.layout, &id), &grave)?;
                freed += state.done.remove(&id).map_or(0, |record| record.bytes);
                state.unsettled.remove(&id);
                doomed.push(grave);
            }
        }
        doomed.iter().try_for_each(|path| disk::remove(path))?;
        Ok(freed)
    }

    /// Writes the tar of the last layer of `links` as it was unpacked, byte for byte. It blocks on the disk. The layers must
    /// be held, and what was written counts only if this succeeds.
    pub fn assemble(&self, links: &[Link], sink: impl io::Write) -> Result<(), Fault> {
        let Some(link) = links.last() else { return Ok(()) };
        let absent = |text: String| Fault::new(ImageFault::NotFound, text);
        let name = link.diff_id.short();
        if !self.is_done(link) {
            return Err(absent(format!("its layer {name} is not on this host")));
        }
        let split = match File::open(split_path(&self.layout, &link.id)) {
            Ok(split) => split,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(absent(format!(
                    "its layer {name} cannot be written again, because it was unpacked by an older tapit; \
                     delete the image, then pull or import it again"
                )));
            }
            Err(error) => return Err(Fault::host(&format!("open the layer {name}"), &error)),
        };
        let directory = File::open(layer_path(&self.layout, &link.id));
        let directory = directory.map_err(|error| Fault::host(&format!("open the layer {name}"), &error))?;
        let open = |path: &Path| beneath::file(directory.as_fd(), path).map_err(io::Error::from);
        split::assemble(&split, open, &link.diff_id, sink)
            .map_err(|error| Fault::host(&format!("write the layer {name} again"), &error))
    }

    pub fn exe(&self) -> &Path {
        &self.exe
    }
}

pub fn layer_path(layout: &Layout, id: &LayerId) -> PathBuf {
    layout.layers.join(&id.0)
}

pub fn split_path(layout: &Layout, id: &LayerId) -> PathBuf {
    layout.layers.join(format!("{}{SPLIT}", id.0))
}

pub fn record_path(layout: &Layout, id: &LayerId) -> PathBuf {
    layout.layers.join(format!("{}.json", id.0))
}

/// A layer's directory, and the file that holds what else its tar held.
type Unpacked = (tempfile::TempDir, tempfile::NamedTempFile);

/// Gives a finished layer its name. Its record makes it count (`settle`).
fn name(layout: &Layout, (target, split): Unpacked, id: &LayerId) -> io::Result<()> {
    let path = layer_path(layout, id);
    disk::remove(&path)?;
    std::fs::rename(target.path(), &path)?;
    // From here on it is no temporary directory any more.
    let _ = target.keep();
    split.persist(split_path(layout, id)).map(drop).map_err(|error| error.error)
}

/// The layer that a directory or file belongs to, by its name.
fn owner(name: &str) -> Option<LayerId> {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(SPLIT));
    LayerId::parse(stem.unwrap_or(name))
}

fn read_records(directory: &Path) -> io::Result<BTreeMap<LayerId, Record>> {
    let mut done = BTreeMap::new();
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        all.push(entry?.file_name());
    }
    for name in &all {
        let id = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(LayerId::parse);
        let Some(id) = id.filter(|id| directory.join(&id.0).is_dir()) else { continue };
        let record = disk::read(&directory.join(name), MAX_RECORD)
            .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).map_err(io::Error::from));
        if let Ok(record) = record {
            done.insert(id, record);
        }
    }
    for name in &all {
        if !name.to_str().and_then(owner).is_some_and(|id| done.contains_key(&id)) {
            disk::remove(&directory.join(name))?;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_on_another_base_is_another_layer() {
        let digest = |digit: char| Digest::parse(&format!("sha256:{}", digit.to_string().repeat(64))).expect("digest");
        let one = chain(&[digest('a'), digest('b')]);
        let two = chain(&[digest('c'), digest('b')]);
        assert_eq!(one[0].chain, digest('a'));
        assert_ne!(one[1].id, two[1].id);
        assert_eq!(one, chain(&[digest('a'), digest('b')]));
    }
}
