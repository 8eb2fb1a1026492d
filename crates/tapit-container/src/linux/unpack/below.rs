//! What the layers under this one show at a path, merged as a container would see them.

use std::fs::{File, Metadata};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::trouble::Trouble;
use crate::linux::beneath;

pub enum Found {
    Nothing,
    Directory(Metadata),
    Symlink(Vec<u8>, Metadata),
    File(Metadata),
    Other,
}

/// The merged view of the lower layers; it lies outside of the helper's root and is only ever looked at.
pub struct Below {
    root: Option<OwnedFd>,
    /// The names in its root directory.
    pub names: Vec<Vec<u8>>,
}

impl Below {
    pub fn nothing() -> Self {
        Self { root: None, names: Vec::new() }
    }

    pub fn new(root: OwnedFd, names: Vec<Vec<u8>>) -> Self {
        Self { root: Some(root), names }
    }

    /// Looks at an absolute path without symlinks in its parents; where there is one, nothing is found.
    pub fn look(&self, path: &Path) -> Result<Found, Trouble> {
        let Some(root) = &self.root else {
            return Ok(Found::Nothing);
        };
        let handle = match beneath::strict(root.as_fd(), relative(path), OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Ok(handle) => File::from(handle),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(Found::Nothing),
            Err(error) => return Err(Trouble::host("look at the lower layers", error)),
        };
        let metadata = handle.metadata().map_err(|error| Trouble::host("look at the lower layers", error))?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return Ok(Found::Directory(metadata));
        }
        if kind.is_symlink() {
            let target = nix::fcntl::readlinkat(Some(handle.as_raw_fd()), "")
                .map_err(|error| Trouble::host("read a symlink of the lower layers", error))?;
            return Ok(Found::Symlink(std::os::unix::ffi::OsStringExt::into_vec(target), metadata));
        }
        if kind.is_file() {
            return Ok(Found::File(metadata));
        }
        // A single lower layer is looked at as it is, with its whiteouts.
        Ok(if is_whiteout(&metadata) { Found::Nothing } else { Found::Other })
    }
}

impl Below {
    /// Opens a file that was found, to read it.
    pub fn open(&self, path: &Path) -> Result<File, Trouble> {
        let failed = |error: Errno| Trouble::host("open a file of the lower layers", error);
        let root = self.root.as_ref().ok_or_else(|| failed(Errno::ENOENT))?;
        beneath::file(root.as_fd(), relative(path)).map_err(failed)
    }
}

/// The relative form of a path that is absolute here.
fn relative(path: &Path) -> &Path {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() { Path::new(".") } else { relative }
}

/// An overlayfs whiteout is a character device 0/0.
pub fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}
