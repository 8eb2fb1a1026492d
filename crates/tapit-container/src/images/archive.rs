//! What an archive of images holds: the manifest of `docker save`, or the index of an OCI layout.
//!
//! It reads members where the helper's index says they lie, and decides; it unpacks nothing.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde::Deserialize;
use tapit_engine::ImageFault;
use tapit_model::{Digest, ImageRef};

use super::config::{self, Config, MAX_DOCUMENT};
use super::error::Fault;
use super::hash::sha256;
use super::helper::{Indexed, Span};
use super::manifest::{self, Descriptor, MAX_DEPTH, Manifest, Parsed, Platform};

const MAX_IMAGES: usize = 100;
const NAME_ANNOTATIONS: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// The members of an archive, readable at their places.
pub struct Members {
    path: PathBuf,
    file: File,
    places: HashMap<String, (u64, u64)>,
}

/// One image of an archive, checked but for its layers' content.
#[derive(Debug)]
pub struct Archived {
    /// What the archive calls it; empty when it does not.
    pub names: Vec<ImageRef>,
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub config: Config,
    /// Lowest first. The digest is of the stored form, where the archive states it.
    pub layers: Vec<(Span, Option<Digest>)>,
}

impl Members {
    pub fn open(path: PathBuf, members: Vec<Indexed>) -> Result<Self, Fault> {
        let file = File::open(&path).map_err(|error| Fault::host_at("open", &path, &error))?;
        let places = members.into_iter().map(|member| (member.name, (member.offset, member.length))).collect();
        Ok(Self { path, file, places })
    }

    fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn place(&self, name: &str) -> Result<(u64, u64), Fault> {
        let normal = name.trim_start_matches("./");
        self.places.get(normal).copied().ok_or_else(|| Fault::invalid(format!("the archive lacks its member {name:?}")))
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let (offset, length) = self.place(name)?;
        if length > MAX_DOCUMENT {
            return Err(Fault::invalid(format!(
                "{name:?} in the archive has {length} bytes; at most {MAX_DOCUMENT} are allowed"
            )));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| Fault::new(ImageFault::Host, format!("read {}: {error}", self.path.display())))?;
        match stated_digest(name) {
            Some(stated) if sha256(&bytes).as_ref() != Some(&stated) => {
                Err(Fault::invalid(format!("{name:?} in the archive does not have the digest that it is named after")))
            }
            Some(_) | None => Ok(bytes),
        }
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Fault> {
        self.document(&blob_name(digest))
    }

    fn span(&self, name: &str) -> Result<(Span, Option<Digest>), Fault> {
        let (offset, length) = self.place(name)?;
        Ok((Span { file: self.path.clone(), offset, length: Some(length) }, stated_digest(name)))
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// In an OCI layout a blob's name says its digest.
fn stated_digest(name: &str) -> Option<Digest> {
    let hex = name.trim_start_matches("./").strip_prefix("blobs/sha256/")?;
    Digest::parse(&format!("sha256:{hex}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Every image of an archive for this host. Newer `docker save` writes both forms; the Docker one has full names.
pub fn read(members: &Members, here: &Platform) -> Result<Vec<Archived>, Fault> {
    let images = if members.has("manifest.json") {
        docker(members, here)?
    } else if members.has("index.json") {
        oci(members, here)?
    } else {
        return Err(Fault::invalid(
            "it is no image archive: it has neither manifest.json (docker save) nor index.json (OCI layout)",
        ));
    };
    if images.is_empty() {
        return Err(Fault::invalid("the archive holds no images"));
    }
    Ok(images)
}

fn docker(members: &Members, here: &Platform) -> Result<Vec<Archived>, Fault> {
    let entries: Vec<DockerEntry> = serde_json::from_slice(&members.document("manifest.json")?)
        .map_err(|error| Fault::invalid(format!("manifest.json in the archive cannot be read: {error}")))?;
    check_count(entries.len())?;
    let image = |entry: DockerEntry| {
        let names = entry.repo_tags.unwrap_or_default().iter().map(|name| named(name)).collect::<Result<_, _>>()?;
        let bytes = members.document(&entry.config)?;
        let layers = entry.layers.unwrap_or_default();
        let layers = layers.iter().map(|name| members.span(name)).collect::<Result<_, _>>()?;
        archived(names, bytes, layers, here)
    };
    entries.into_iter().map(image).collect()
}

fn oci(members: &Members, here: &Platform) -> Result<Vec<Archived>, Fault> {
    let Parsed::Index(entries) = manifest::parse(&members.document("index.json")?)? else {
        return Err(Fault::invalid("index.json in the archive is no index"));
    };
    check_count(entries.len())?;
    // Entries of one name are one image for several platforms.
    let mut groups: BTreeMap<Option<ImageRef>, Vec<Descriptor>> = BTreeMap::new();
    for entry in entries {
        groups.entry(annotated(&entry)?).or_default().push(entry);
    }
    let image = |(name, entries): (Option<ImageRef>, Vec<Descriptor>)| {
        let manifest = follow(members, &entries, here)?;
        let bytes = members.blob(&manifest.config.digest)?;
        let layers = manifest.layers.iter().map(|layer| members.span(&blob_name(&layer.digest)));
        archived(name.into_iter().collect(), bytes, layers.collect::<Result<_, _>>()?, here)
    };
    groups.into_iter().map(image).collect()
}

fn check_count(count: usize) -> Result<(), Fault> {
    if count > MAX_IMAGES {
        return Err(Fault::invalid(format!("the archive holds {count} images; at most {MAX_IMAGES} are allowed")));
    }
    Ok(())
}

fn follow(members: &Members, entries: &[Descriptor], here: &Platform) -> Result<Manifest, Fault> {
    let mut entries = entries.to_vec();
    for _ in 0..MAX_DEPTH {
        let entry = manifest::pick(&entries, here)?;
        match manifest::parse(&members.blob(&entry.digest)?)? {
            Parsed::Manifest(manifest) => return Ok(manifest),
            Parsed::Index(deeper) => entries = deeper,
        }
    }
    Err(Fault::invalid("its indexes lead to ever more indexes"))
}

fn archived(
    names: Vec<ImageRef>,
    bytes: Vec<u8>,
    layers: Vec<(Span, Option<Digest>)>,
    here: &Platform,
) -> Result<Archived, Fault> {
    let config = config::parse(&bytes, here)?;
    if config.diff_ids.len() != layers.len() {
        return Err(Fault::invalid(format!(
            "the archive has {} layers, but the image's configuration {}",
            layers.len(),
            config.diff_ids.len()
        )));
    }
    let digest = sha256(&bytes).ok_or_else(|| Fault::invalid("its configuration has no digest"))?;
    Ok(Archived { names, bytes, digest, config, layers })
}

fn named(name: &str) -> Result<ImageRef, Fault> {
    ImageRef::parse(name).map_err(|_| Fault::invalid(format!("the archive names an image {name:?}; give ref=NAME:TAG")))
}

/// The name that annotations give. Some tools write a bare tag there, which names nothing.
fn annotated(entry: &Descriptor) -> Result<Option<ImageRef>, Fault> {
    let annotations = entry.annotations.as_ref();
    let texts = NAME_ANNOTATIONS.iter().filter_map(|key| annotations.and_then(|all| all.get(*key)));
    let full = texts.into_iter().find(|text| text.contains([':', '/']));
    full.map(|text| named(text)).transpose()
}
