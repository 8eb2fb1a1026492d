//! Unpacked layers: made once, shared by all images that stack them on the same layers, removed when none does.
//!
//! A layer is known by its chain: its own digest and those of all layers below it. What a layer's directory must hold
//! depends on what is below (`linux::unpack::tree`), so the same layer on another base is another directory. In
//! practice images that share a layer share what is below it too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tapit_engine::ImageFault;
use tapit_model::Digest;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::Limits;
use super::config::sha256;
use super::disk::{self, Layout};
use super::error::{Fault, ImageStoreError};
use super::flight::Locks;
use super::helper::{self, Answer, Budget, Order, Span};

/// Digits of a chain's digest: 127 of them, relative to their directory, fit in the page of options that `mount`
/// takes, and 112 bits leave no hope for a second chain of the same id.
const ID_DIGITS: usize = 28;
const MAX_RECORD: u64 = 64 << 10;
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
    diff_id: Digest,
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

/// What is kept of a finished layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    chain: Digest,
    diff_id: Digest,
    bytes: u64,
    entries: u64,
}

#[derive(Default)]
struct State {
    done: BTreeMap<LayerId, Record>,
    /// Layers that an image in the making needs, and by how many.
    held: BTreeMap<LayerId, u32>,
}

pub struct Layers {
    layout: Layout,
    exe: PathBuf,
    limits: Limits,
    state: Mutex<State>,
    locks: Locks<LayerId>,
    unpackers: Semaphore,
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
    pub fn open(layout: &Layout, exe: &Path, limits: &Limits) -> Result<Self, ImageStoreError> {
        let done = read_records(&layout.layers).map_err(ImageStoreError::Layers)?;
        Ok(Self {
            layout: layout.clone(),
            exe: exe.to_owned(),
            limits: limits.clone(),
            state: Mutex::new(State { done, held: BTreeMap::new() }),
            locks: Locks::default(),
            unpackers: Semaphore::new(UNPACKERS),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
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

    pub fn is_done(&self, link: &Link) -> bool {
        self.state().done.get(&link.id).is_some_and(|record| record.chain == link.chain)
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

    /// Unpacked bytes of a chain.
    pub fn bytes(&self, diff_ids: &[Digest]) -> u64 {
        let state = self.state();
        chain(diff_ids).iter().filter_map(|link| state.done.get(&link.id)).map(|record| record.bytes).sum()
    }

    /// Unpacks the last layer of `links`; those below must be done. The caller holds the layer's lock.
    pub async fn unpack(&self, links: &[Link], blob: Span, digest: Option<Digest>) -> Result<(), Fault> {
        let Some((link, below)) = links.split_last() else { return Ok(()) };
        let budget = self.budget(below)?;
        let _permit = self.unpackers.acquire().await;
        let failed = |error: io::Error| Fault::host("make room for a layer", &error);
        let target =
            tempfile::Builder::new().prefix(disk::TEMPORARY).tempdir_in(&self.layout.layers).map_err(failed)?;
        let order = Order::Layer {
            blob,
            digest,
            diff_id: link.diff_id.clone(),
            target: target.path().to_owned(),
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
                let _ = tokio::task::spawn_blocking(move || drop(target)).await;
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
        };
        let (layout, id) = (self.layout.clone(), link.id.clone());
        let settled = tokio::task::spawn_blocking(move || settle(&layout, target, &id, &record).map(|()| record)).await;
        let record =
            settled.map_err(io::Error::other).flatten().map_err(|error| Fault::host("keep a layer", &error))?;
        self.state().done.insert(link.id.clone(), record);
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
                let grave = self.layout.layers.join(format!("{}{}", disk::TEMPORARY, id.0));
                std::fs::rename(layer_path(&self.layout, &id), &grave)?;
                freed += state.done.remove(&id).map_or(0, |record| record.bytes);
                doomed.push(grave);
            }
        }
        doomed.iter().try_for_each(|path| disk::remove(path))?;
        Ok(freed)
    }

    pub fn exe(&self) -> &Path {
        &self.exe
    }
}

fn layer_path(layout: &Layout, id: &LayerId) -> PathBuf {
    layout.layers.join(&id.0)
}

fn record_path(layout: &Layout, id: &LayerId) -> PathBuf {
    layout.layers.join(format!("{}.json", id.0))
}

/// Gives a finished layer its name, then its record, which makes it count.
fn settle(layout: &Layout, target: tempfile::TempDir, id: &LayerId, record: &Record) -> io::Result<()> {
    let path = layer_path(layout, id);
    disk::remove(&path)?;
    std::fs::rename(target.path(), &path)?;
    // From here on it is no temporary directory any more.
    let _ = target.keep();
    disk::sync_directory(&layout.layers)?;
    disk::write(&record_path(layout, id), &serde_json::to_vec(record)?)
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
        let stem = name.to_str().map(|name| name.strip_suffix(".json").unwrap_or(name));
        if !stem.and_then(LayerId::parse).is_some_and(|id| done.contains_key(&id)) {
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
