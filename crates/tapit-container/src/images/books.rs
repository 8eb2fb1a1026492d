//! Which images are held, under which names, and what goes when a name is forgotten.
//!
//! An image without a name may be in use still: its tag moved on, but instances of an older generation run it. So
//! nothing goes by itself; `forget` and `prune` are told what is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tapit_engine::ImageFault;
use tapit_model::{Digest, ImageRef, ImageView, Timestamp};

use super::config::{self, Config, MAX_DOCUMENT};
use super::disk::{self, Layout};
use super::error::{Fault, ImageStoreError};
use super::layers::{self, LayerId};
use super::manifest::Platform;

const MAX_NAMES: u64 = 64 << 20;
/// How an image without a name is listed.
const NAMELESS: &str = "<none>";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Import,
    Pull,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Of the configuration.
    pub digest: Digest,
    pub source: Source,
    /// What the registry called it: an unchanged tag need not be looked into again.
    pub manifest: Option<Digest>,
    pub created: Timestamp,
}

#[derive(Default)]
struct Pages {
    names: BTreeMap<ImageRef, Named>,
    images: BTreeMap<Digest, Arc<Config>>,
}

pub struct Books {
    layout: Layout,
    pages: Mutex<Pages>,
}

impl Books {
    pub fn open(layout: &Layout) -> Result<Self, ImageStoreError> {
        let path = layout.names();
        let failed = |source| ImageStoreError::Names { path: path.clone(), source };
        let images = read_images(layout).map_err(failed)?;
        let mut names = read_names(layout).map_err(failed)?;
        names.retain(|name, named| {
            let held = images.contains_key(&named.digest);
            if !held {
                tracing::warn!(image = %name, digest = %named.digest, "a named image is not on disk; its name is dropped");
            }
            held
        });
        Ok(Self { layout: layout.clone(), pages: Mutex::new(Pages { names, images }) })
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn name(&self, image: &ImageRef) -> Option<Named> {
        self.pages().names.get(image).cloned()
    }

    pub fn image(&self, digest: &Digest) -> Result<Arc<Config>, Fault> {
        let image = self.pages().images.get(digest).cloned();
        image.ok_or_else(|| Fault::new(ImageFault::NotFound, format!("the image {digest} is not on this host")))
    }

    /// The layers that images are made of.
    pub fn referenced(&self) -> BTreeSet<LayerId> {
        let pages = self.pages();
        let chains = pages.images.values().flat_map(|image| layers::chain(&image.diff_ids));
        chains.map(|link| link.id).collect()
    }

    /// Enters images, each with its configuration as it is, and then all names at once.
    pub fn enter(&self, images: &[(Vec<u8>, Config)], names: Vec<(ImageRef, Named)>) -> io::Result<()> {
        let mut pages = self.pages();
        for (bytes, config) in images {
            let digest = config::sha256(bytes).ok_or_else(|| io::Error::other("a digest could not be written"))?;
            disk::write(&self.layout.image(&digest), bytes)?;
            pages.images.insert(digest, Arc::new(config.clone()));
        }
        let mut all = pages.names.clone();
        all.extend(names);
        self.write_names(&all)?;
        pages.names = all;
        Ok(())
    }

    /// Forgets a name, and its image unless that has another name or is in use.
    pub fn forget(&self, name: &ImageRef, in_use: &[Digest]) -> Result<(), Fault> {
        let mut pages = self.pages();
        let mut names = pages.names.clone();
        let Some(named) = names.remove(name) else {
            return Err(Fault::new(ImageFault::NotFound, "no image of this name is on this host"));
        };
        self.write_names(&names).map_err(|error| Fault::host("write the names of the images", &error))?;
        pages.names = names;
        let kept = in_use.contains(&named.digest) || pages.names.values().any(|other| other.digest == named.digest);
        if !kept {
            self.drop_image(&mut pages, &named.digest)?;
        }
        Ok(())
    }

    /// Forgets every image that is not in use. Returns their names; an image without one is told by its digest.
    pub fn prune(&self, in_use: &[Digest]) -> Result<Vec<String>, Fault> {
        let mut pages = self.pages();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            pages.names.clone().into_iter().partition(|(_, named)| in_use.contains(&named.digest));
        let doomed: Vec<Digest> = pages.images.keys().filter(|digest| !in_use.contains(digest)).cloned().collect();
        self.write_names(&kept).map_err(|error| Fault::host("write the names of the images", &error))?;
        pages.names = kept;
        let mut told: Vec<String> = gone.keys().map(ImageRef::to_string).collect();
        for digest in &doomed {
            if !gone.values().any(|named| named.digest == *digest) {
                told.push(digest.short().to_owned());
            }
            self.drop_image(&mut pages, digest)?;
        }
        Ok(told)
    }

    fn drop_image(&self, pages: &mut Pages, digest: &Digest) -> Result<(), Fault> {
        let path = self.layout.image(digest);
        disk::remove(&path).map_err(|error| Fault::host_at("remove", &path, &error))?;
        pages.images.remove(digest);
        Ok(())
    }

    fn write_names(&self, names: &BTreeMap<ImageRef, Named>) -> io::Result<()> {
        disk::write(&self.layout.names(), &serde_json::to_vec_pretty(names)?)
    }

    /// Every name with its image, then images without a name. `bytes` tells the size of a chain of layers.
    pub fn views(&self, bytes: impl Fn(&[Digest]) -> u64) -> Vec<ImageView> {
        let pages = self.pages();
        let named = pages.names.iter().filter_map(|(name, named)| {
            let source = match named.source {
                Source::Import => "import",
                Source::Pull => "pull",
            };
            let image = pages.images.get(&named.digest)?;
            Some(view(
                image,
                &bytes,
                ImageView {
                    name: name.to_string(),
                    digest: named.digest.to_string(),
                    source: source.to_owned(),
                    created_at: named.created.to_string(),
                    ..blank()
                },
            ))
        });
        let is_named = |digest: &Digest| pages.names.values().any(|named| named.digest == *digest);
        let nameless = pages.images.iter().filter(|(digest, _)| !is_named(digest)).map(|(digest, image)| {
            view(image, &bytes, ImageView { name: NAMELESS.to_owned(), digest: digest.to_string(), ..blank() })
        });
        named.chain(nameless).collect()
    }
}

fn view(image: &Config, bytes: impl Fn(&[Digest]) -> u64, base: ImageView) -> ImageView {
    ImageView {
        size: bytes(&image.diff_ids),
        layers: u32::try_from(image.diff_ids.len()).unwrap_or(u32::MAX),
        entrypoint: image.run.entrypoint.clone(),
        command: image.run.cmd.clone(),
        exposed_ports: image.run.exposed.iter().map(|port| port.get()).collect(),
        user: image.run.user.clone(),
        working_dir: image.run.working_dir.clone(),
        ..base
    }
}

fn blank() -> ImageView {
    ImageView {
        name: String::new(),
        digest: String::new(),
        size: 0,
        layers: 0,
        source: String::new(),
        created_at: String::new(),
        used_by: Vec::new(),
        entrypoint: Vec::new(),
        command: Vec::new(),
        exposed_ports: Vec::new(),
        user: String::new(),
        working_dir: String::new(),
    }
}

/// The images whose file is what its name says. Others are ignored: asking for the image again mends them.
fn read_images(layout: &Layout) -> io::Result<BTreeMap<Digest, Arc<Config>>> {
    let mut images = BTreeMap::new();
    for entry in std::fs::read_dir(&layout.images)? {
        let name = entry?.file_name();
        let hex = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let Some(digest) = hex.and_then(|hex| Digest::parse(&format!("sha256:{hex}"))) else { continue };
        let Ok(bytes) = disk::read(&layout.image(&digest), MAX_DOCUMENT) else { continue };
        if config::sha256(&bytes).as_ref() != Some(&digest) {
            continue;
        }
        if let Ok(config) = config::parse(&bytes, &Platform::here()) {
            images.insert(digest, Arc::new(config));
        }
    }
    Ok(images)
}

/// A file of names that cannot be understood is set aside: the images stay, and a server that will not start helps
/// nobody.
fn read_names(layout: &Layout) -> io::Result<BTreeMap<ImageRef, Named>> {
    let path = layout.names();
    let bytes = match disk::read(&path, MAX_NAMES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(names) => Ok(names),
        Err(error) => {
            let aside = path.with_extension("broken");
            tracing::warn!(aside = %aside.display(), %error, "the names of the images cannot be read and are set aside");
            std::fs::rename(&path, &aside)?;
            Ok(BTreeMap::new())
        }
    }
}
