//! Which images are held, under which names, and what goes when a name is forgotten.
//!
//! An image without a name may be in use still: its tag moved on, but instances of an older generation run it. So
//! nothing goes by itself; `forget` and `prune` ask what is in use, at the moment at which something goes. Which of the
//! unused ones go is decided in `tapit_plan::images`.
//!
//! The lock of the books is taken last of all: whoever holds it asks no layer anything.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tapit_engine::{Forget, ImageFault, InUse};
use tapit_model::{Digest, ImageRef, ImageView, PruneExtent, Timestamp};
use tapit_plan::images::{Choice, Held, choose};

pub use tapit_model::ImageOrigin as Source;

use super::config::{self, Config, MAX_DOCUMENT};
use super::disk::{self, Layout};
use super::error::{Fault, ImageStoreError};
use super::hash::sha256;
use super::layers::{self, LayerId, Sizes};
use super::manifest::Platform;
use super::uses::Uses;
use super::views::{self, Entry, Sharing};

const MAX_NAMES: u64 = 64 << 20;
/// How an image without a name is listed.
const NAMELESS: &str = "<none>";

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
    uses: Uses,
    /// Names went that are in the file still. Their images are gone from the disk, so that the next start would drop them.
    unwritten: bool,
}

pub struct Books {
    layout: Layout,
    pages: Mutex<Pages>,
}

impl Books {
    /// With the images for a platform.
    pub fn open(layout: &Layout, platform: &Platform) -> Result<Self, ImageStoreError> {
        let path = layout.names();
        let failed = |source| ImageStoreError::Names { path: path.clone(), source };
        let images = read_images(layout, platform).map_err(failed)?;
        let mut names = read_names(layout).map_err(failed)?;
        names.retain(|name, named| {
            let held = images.contains_key(&named.digest);
            if !held {
                tracing::warn!(image = %name, digest = %named.digest, "a named image is not on disk; its name is dropped");
            }
            held
        });
        let mut uses = Uses::read(layout);
        // Of what was used since that was last written down, the names know where it came from and when.
        let origin = |digest: &Digest| {
            let named = names.values().find(|named| named.digest == *digest);
            named.map_or_else(|| (Source::Pull, super::now()), |named| (named.source, named.created))
        };
        uses.complete(images.keys().map(|digest| (digest, origin(digest))));
        Ok(Self { layout: layout.clone(), pages: Mutex::new(Pages { names, images, uses, unwritten: false }) })
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

    /// The layers of all images, each by its own digest.
    pub fn diff_ids(&self) -> BTreeSet<Digest> {
        self.pages().images.values().flat_map(|image| image.diff_ids.iter().cloned()).collect()
    }

    /// Enters images, each with its configuration as it is, and then all names at once.
    pub fn enter(&self, images: &[(Vec<u8>, Config)], names: Vec<(ImageRef, Named)>) -> io::Result<()> {
        let mut pages = self.pages();
        for (bytes, config) in images {
            let digest = sha256(bytes).ok_or_else(|| io::Error::other("a digest could not be written"))?;
            disk::write(&self.layout.image(&digest), bytes)?;
            pages.images.insert(digest, Arc::new(config.clone()));
        }
        for (_, named) in &names {
            pages.uses.came(&named.digest, named.source, named.created);
        }
        let mut all = pages.names.clone();
        all.extend(names);
        self.write_names(&all)?;
        (pages.names, pages.unwritten) = (all, false);
        Ok(())
    }

    /// An image is about to be used.
    pub fn touch(&self, digest: &Digest) {
        self.pages().uses.touch([digest], super::now());
    }

    /// Forgets a name, or all names of an image, and the image itself unless it has another name or is in use. Returns
    /// the names.
    pub fn forget(&self, what: &Forget, in_use: &dyn Fn() -> InUse) -> Result<Vec<String>, Fault> {
        let mut pages = self.pages();
        let digest = match what {
            Forget::Name(name) => pages.names.get(name).map(|named| named.digest.clone()),
            Forget::Digest(digest) => pages.images.contains_key(digest).then(|| digest.clone()),
        };
        let Some(digest) = digest else {
            return Err(Fault::new(ImageFault::NotFound, "no such image is on this host"));
        };
        let used = pages.used(&in_use()).contains(&digest);
        let goes = |name: &ImageRef, named: &Named| match what {
            Forget::Name(meant) => meant == name,
            Forget::Digest(meant) => *meant == named.digest,
        };
        let all = pages.names.clone().into_iter();
        let (gone, names): (BTreeMap<_, _>, BTreeMap<_, _>) = all.partition(|(name, named)| goes(name, named));
        let mut told: Vec<String> = gone.keys().map(ImageRef::to_string).collect();
        let stays = used || names.values().any(|named| named.digest == digest);
        pages.keep(names);
        if !stays {
            if told.is_empty() {
                told.push(digest.short().to_owned());
            }
            self.drop_image(&mut pages, &digest)?;
        }
        Ok(told)
    }

    /// Forgets images that are not in use, as many as is asked for. Returns them by name, and an image without one by the
    /// beginning of its digest.
    pub fn prune(
        &self,
        extent: PruneExtent,
        in_use: &dyn Fn() -> InUse,
        sizes: &Sizes,
    ) -> Result<(Vec<String>, Choice), Fault> {
        let mut pages = self.pages();
        // Asked for under the lock: nothing can be made ready between the answer and the act.
        let used = pages.used(&in_use());
        let choice = pages.choose(extent, &used, sizes);
        let told = pages.told(&choice.gone);
        let names = pages.names.clone().into_iter().filter(|(_, named)| !choice.gone.contains(&named.digest)).collect();
        for digest in &choice.gone {
            self.drop_image(&mut pages, digest)?;
        }
        pages.keep(names);
        pages.uses.touch(&used, super::now());
        Ok((told, choice))
    }

    /// Writes down what `forget` and `prune` have done. It comes after the layers have gone, because on a full disk there is
    /// no room for it before.
    pub fn write_down(&self) -> Result<(), Fault> {
        let mut pages = self.pages();
        if pages.unwritten {
            self.write_names(&pages.names).map_err(|error| Fault::host("write the names of the images", &error))?;
            pages.unwritten = false;
        }
        if let Err(error) = pages.uses.write(&self.layout) {
            // Not worth failing for.
            tracing::warn!(%error, "when images were last used cannot be written down");
        }
        Ok(())
    }

    /// What `prune` would do now.
    pub fn would_prune(&self, extent: PruneExtent, in_use: &dyn Fn() -> InUse, sizes: &Sizes) -> (Vec<String>, Choice) {
        let pages = self.pages();
        let choice = pages.choose(extent, &pages.used(&in_use()), sizes);
        (pages.told(&choice.gone), choice)
    }

    fn drop_image(&self, pages: &mut Pages, digest: &Digest) -> Result<(), Fault> {
        let path = self.layout.image(digest);
        disk::remove(&path).map_err(|error| Fault::host_at("remove", &path, &error))?;
        pages.images.remove(digest);
        pages.uses.forget(digest);
        Ok(())
    }

    fn write_names(&self, names: &BTreeMap<ImageRef, Named>) -> io::Result<()> {
        disk::write(&self.layout.names(), &serde_json::to_vec_pretty(names)?)
    }

    /// Every name with its image, then images without a name.
    pub fn views(&self, sizes: &Sizes) -> Vec<ImageView> {
        let pages = self.pages();
        let sharing = Sharing::of(pages.images.values().map(|image| &**image));
        let used_at = |digest: &Digest| pages.uses.of(digest).map(|one| one.at.to_string()).unwrap_or_default();
        let named = pages.names.iter().filter_map(|(name, named)| {
            let entry = Entry {
                name: name.to_string(),
                source: named.source.as_str().to_owned(),
                created_at: named.created.to_string(),
                used_at: used_at(&named.digest),
            };
            let image = pages.images.get(&named.digest)?;
            Some(views::view(&named.digest, image, entry, (&sharing, sizes)))
        });
        let nameless = pages.images.iter().filter(|(digest, _)| !pages.is_named(digest)).map(|(digest, image)| {
            let origin = pages.uses.of(digest).map(|one| one.origin.as_str().to_owned());
            let used_at = used_at(digest);
            let entry = Entry {
                name: NAMELESS.to_owned(),
                source: origin.unwrap_or_default(),
                created_at: used_at.clone(),
                used_at,
            };
            views::view(digest, image, entry, (&sharing, sizes))
        });
        named.chain(nameless).collect()
    }
}

impl Pages {
    fn keep(&mut self, names: BTreeMap<ImageRef, Named>) {
        self.unwritten |= names.len() != self.names.len();
        self.names = names;
    }

    fn is_named(&self, digest: &Digest) -> bool {
        self.names.values().any(|named| named.digest == *digest)
    }

    /// The digests in use, with what names in use stand for.
    fn used(&self, in_use: &InUse) -> BTreeSet<Digest> {
        let by_name = in_use.names.iter().filter_map(|name| self.names.get(name)).map(|named| &named.digest);
        in_use.digests.iter().chain(by_name).cloned().collect()
    }

    fn choose(&self, extent: PruneExtent, used: &BTreeSet<Digest>, sizes: &Sizes) -> Choice {
        let mut beside = sizes.clone();
        let held = self.images.iter().map(|(digest, image)| {
            let layer = |link: layers::Link| {
                beside.remove(&link.id);
                let bytes = sizes.get(&link.id).copied().unwrap_or(0);
                (link.id, bytes)
            };
            let layers = layers::chain(&image.diff_ids).into_iter().map(layer).collect();
            let last = self.uses.of(digest);
            Held {
                digest: digest.clone(),
                origin: self.origin(digest),
                named: self.is_named(digest),
                in_use: used.contains(digest),
                turn: last.map_or(0, |last| last.turn),
                layers,
            }
        });
        let held: Vec<Held<LayerId>> = held.collect();
        choose(&held, extent, beside.values().sum())
    }

    /// Under several names, the one that says most for keeping it.
    fn origin(&self, digest: &Digest) -> Source {
        let sources = self.names.values().filter(|named| named.digest == *digest).map(|named| named.source);
        let weight = |source: &Source| match source {
            Source::Import => 2,
            Source::Build => 1,
            Source::Pull => 0,
        };
        sources.max_by_key(weight).unwrap_or(Source::Pull)
    }

    fn told(&self, gone: &[Digest]) -> Vec<String> {
        let mut told = Vec::new();
        for digest in gone {
            let names =
                self.names.iter().filter(|(_, named)| named.digest == *digest).map(|(name, _)| name.to_string());
            let before = told.len();
            told.extend(names);
            if told.len() == before {
                told.push(digest.short().to_owned());
            }
        }
        told
    }
}

/// The images whose file is what its name says. Others are ignored: asking for the image again mends them.
fn read_images(layout: &Layout, platform: &Platform) -> io::Result<BTreeMap<Digest, Arc<Config>>> {
    let mut images = BTreeMap::new();
    for entry in std::fs::read_dir(&layout.images)? {
        let name = entry?.file_name();
        let hex = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let Some(digest) = hex.and_then(|hex| Digest::parse(&format!("sha256:{hex}"))) else { continue };
        let Ok(bytes) = disk::read(&layout.image(&digest), MAX_DOCUMENT) else { continue };
        if sha256(&bytes).as_ref() != Some(&digest) {
            continue;
        }
        if let Ok(config) = config::parse(&bytes, platform) {
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
