//! Images as they are shown: what the books say of each, with what it weighs.

use std::collections::BTreeMap;

use tapit_model::{Digest, ImageView};

use super::config::Config;
use super::layers::{LayerId, Sizes, chain};

/// What an image weighs, by itself and together with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weight {
    size: u64,
    shared: u64,
}

/// In how many images a layer is.
pub struct Sharing(BTreeMap<LayerId, u32>);

impl Sharing {
    pub fn of<'a>(images: impl Iterator<Item = &'a Config>) -> Self {
        let mut counts = BTreeMap::new();
        for link in images.flat_map(|image| chain(&image.diff_ids)) {
            *counts.entry(link.id).or_default() += 1;
        }
        Self(counts)
    }

    fn weigh(&self, image: &Config, sizes: &Sizes) -> Weight {
        let mut weight = Weight::default();
        for link in chain(&image.diff_ids) {
            let bytes = sizes.get(&link.id).copied().unwrap_or(0);
            weight.size += bytes;
            if self.0.get(&link.id).is_some_and(|count| *count > 1) {
                weight.shared += bytes;
            }
        }
        weight
    }
}

/// What the books say of an image under one of its names.
pub struct Entry {
    pub name: String,
    pub source: String,
    pub created_at: String,
    pub used_at: String,
}

pub fn view(digest: &Digest, image: &Config, entry: Entry, (sharing, sizes): (&Sharing, &Sizes)) -> ImageView {
    let Entry { name, source, created_at, used_at } = entry;
    let Weight { size, shared } = sharing.weigh(image, sizes);
    let run = image.run.clone();
    ImageView {
        name,
        digest: digest.to_string(),
        size,
        shared,
        unique: size - shared,
        layers: u32::try_from(image.diff_ids.len()).unwrap_or(u32::MAX),
        source,
        created_at,
        used_at,
        used_by: Vec::new(),
        entrypoint: run.entrypoint,
        command: run.cmd,
        exposed_ports: run.exposed.iter().map(|port| port.get()).collect(),
        user: run.user,
        working_dir: run.working_dir,
    }
}
