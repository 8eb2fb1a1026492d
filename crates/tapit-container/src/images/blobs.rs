//! In which compressed forms registries have the layers that are held here: what was fetched as such a form or sent as
//! one need not be made again to be sent.
//!
//! Only a memory: each form is asked for before it counts, and what is lost is made anew. A form is noted only by who
//! has seen that it decompresses to the layer, because a manifest may claim anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tapit_model::{Digest, describe};

use super::disk::{self, Layout};

const MAX_FILE: u64 = 64 << 20;
/// Of one layer; the newest are kept.
const MAX_FORMS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// How the beginning of a blob is packed.
    pub fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            // A frame, or one that decoders skip.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }

    /// The type of such a layer in a manifest of OCI.
    pub fn media_type(self) -> &'static str {
        match self {
            Packing::Plain => "application/vnd.oci.image.layer.v1.tar",
            Packing::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Packing::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// A layer as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub packing: Packing,
}

#[derive(Default)]
struct Memory {
    /// By the digest of the layer.
    forms: BTreeMap<Digest, Vec<Blob>>,
    /// More than is written down.
    has_news: bool,
}

pub struct Blobs {
    layout: Layout,
    memory: Mutex<Memory>,
}

impl Blobs {
    /// What cannot be read is forgotten.
    pub fn open(layout: &Layout) -> Self {
        let bytes = disk::read(&layout.blobs(), MAX_FILE).unwrap_or_default();
        let forms = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { layout: layout.clone(), memory: Mutex::new(Memory { forms, has_news: false }) }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest form first.
    pub fn of(&self, diff_id: &Digest) -> Vec<Blob> {
        self.memory().forms.get(diff_id).cloned().unwrap_or_default()
    }

    /// Notes a form that was seen to be the layer's.
    pub fn note(&self, diff_id: &Digest, blob: Blob) {
        let mut memory = self.memory();
        memory.has_news = true;
        let forms = memory.forms.entry(diff_id.clone()).or_default();
        forms.retain(|known| known.digest != blob.digest);
        forms.insert(0, blob);
        forms.truncate(MAX_FORMS);
    }

    /// Writes down what is known of the layers that are held, and forgets the others.
    pub fn save(&self, held: &BTreeSet<Digest>) {
        let mut memory = self.memory();
        if !std::mem::take(&mut memory.has_news) {
            return;
        }
        memory.forms.retain(|diff_id, _| held.contains(diff_id));
        let written = serde_json::to_vec(&memory.forms).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|bytes| disk::write(&self.layout.blobs(), &bytes)) {
            tracing::warn!(error = describe(&error), "how registries have the layers could not be written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        Digest::parse(&format!("sha256:{}", digit.to_string().repeat(64))).expect("a digest")
    }

    fn blob(digit: char) -> Blob {
        Blob { digest: digest(digit), size: 1, packing: Packing::Gzip }
    }

    #[test]
    fn forms_are_remembered_newest_first_for_the_layers_that_are_held() {
        let home = tempfile::tempdir().expect("a directory");
        let layout = Layout::create(home.path()).expect("a layout");
        let blobs = Blobs::open(&layout);
        for digit in ['1', '2', '3', '4', '5', '3'] {
            blobs.note(&digest('a'), blob(digit));
        }
        blobs.note(&digest('b'), blob('9'));
        blobs.save(&BTreeSet::from([digest('a')]));
        let again = Blobs::open(&layout);
        assert_eq!(again.of(&digest('a')), [blob('3'), blob('5'), blob('4'), blob('2')]);
        assert_eq!(again.of(&digest('b')), []);
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_an_empty_one() {
        let home = tempfile::tempdir().expect("a directory");
        let layout = Layout::create(home.path()).expect("a layout");
        std::fs::write(layout.blobs(), "{").expect("a file");
        assert_eq!(Blobs::open(&layout).of(&digest('a')), []);
    }
}
