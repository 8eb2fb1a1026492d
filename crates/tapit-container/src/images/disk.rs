//! Where things lie on disk, and how files are written so that a crash leaves the old one or the new one.
//!
//! ```text
//! names.json          name -> digest, source, time
//! uses.json           digest -> last use; only the order of automatic pruning rests on it
//! blobs.json          layer -> in which compressed forms registries have it; a memory that may be lost
//! registries.json     what is set for registries, passwords included
//! images/HEX.json     the configuration of an image, byte for byte; its digest is its file name
//! layers/ID/          an unpacked layer            layers/ID.json   its record: without it the layer is half done
//! spool/              blobs on their way in        empty/           where the unpacking helper mounts and lives
//! ```

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tapit_model::Digest;
use tempfile::NamedTempFile;

use super::error::ImageStoreError;
use crate::linux::tree;

/// Everything that begins so is removed when the store opens.
pub const TEMPORARY: &str = ".tmp-";

#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    pub images: PathBuf,
    pub layers: PathBuf,
    pub spool: PathBuf,
    pub empty: PathBuf,
}

impl Layout {
    /// Makes the directories, and removes temporary files that an earlier server left.
    pub fn create(root: &Path) -> Result<Self, ImageStoreError> {
        let layout = Self {
            root: root.to_owned(),
            images: root.join("images"),
            layers: root.join("layers"),
            spool: root.join("spool"),
            empty: root.join("empty"),
        };
        for path in [&layout.root, &layout.images, &layout.layers, &layout.spool, &layout.empty] {
            // Closed to everybody else: layers hold setuid programs of strangers.
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|source| ImageStoreError::Create { path: path.clone(), source })?;
        }
        let clean = || -> io::Result<()> {
            remove_entries(&layout.spool, |_| true)?;
            for path in [&layout.root, &layout.images, &layout.layers] {
                remove_entries(path, |name| name.starts_with(TEMPORARY))?;
            }
            Ok(())
        };
        clean().map_err(ImageStoreError::Leftovers)?;
        Ok(layout)
    }

    pub fn names(&self) -> PathBuf {
        self.root.join("names.json")
    }

    pub fn uses(&self) -> PathBuf {
        self.root.join("uses.json")
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs.json")
    }

    pub fn registries(&self) -> PathBuf {
        self.root.join("registries.json")
    }

    pub fn image(&self, digest: &Digest) -> PathBuf {
        self.images.join(format!("{}.json", digest.hex()))
    }
}

fn remove_entries(directory: &Path, doomed: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(&doomed) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes whatever is there, however deep a hostile layer has made it; nothing there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    tree::remove(path).map_err(io::Error::other)
}

/// Replaces a file: temporary file, fsync, rename, fsync of the directory.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory(path);
    let file = stage(directory, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Replaces a file that is not worth a wait for the disk.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    stage(directory(path), bytes)?.persist(path).map(drop).map_err(|error| error.error)
}

/// Writes a temporary file, to be given its name in the same directory.
pub fn stage(directory: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Reads a file of at most `max` bytes.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}
