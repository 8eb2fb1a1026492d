//! Brings a file of the lower layers into this one.
//!
//! A hard link may name a file that only a lower layer has. Tools that unpack all layers into one directory link to it
//! there; here the layer gets a copy first, as overlayfs itself would make one.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, lchown, symlink};
use std::path::Path;

use super::below::{Below, Found};
use super::place;
use super::source::over_budget;
use super::sys;
use super::tree::{set_mode, set_time};
use super::trouble::Trouble;
use crate::images::tarball::Kind;

/// Copies what the lower layers show at a path, a file or a symlink, to the same path here. Answers the bytes of it, or
/// `None` when there is neither.
pub fn copy(below: &Below, path: &Path, room: u64) -> Result<Option<u64>, Trouble> {
    match below.look(path)? {
        Found::Nothing | Found::Directory(_) | Found::Other => Ok(None),
        Found::Symlink(target, metadata) => {
            symlink(std::ffi::OsString::from_vec(target), path)
                .map_err(|error| Trouble::at("make the symlink", path, error))?;
            own(path, &metadata)?;
            time(path, &metadata)?;
            Ok(Some(0))
        }
        Found::File(metadata) => {
            if metadata.len() > room {
                return Err(Trouble::bad(over_budget()));
            }
            let lower = below.open(path)?;
            content(&lower, path, metadata.len())?;
            own(path, &metadata)?;
            set_mode(path, metadata.mode())?;
            let xattrs =
                sys::xattrs(&lower).map_err(|error| Trouble::host("read a file of the lower layers", error))?;
            place::set_xattrs(path, Kind::File, &xattrs)?;
            time(path, &metadata)?;
            Ok(Some(metadata.len()))
        }
    }
}

fn content(lower: &File, path: &Path, length: u64) -> Result<(), Trouble> {
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = made.map_err(|error| Trouble::at("make the file", path, error))?;
    let (mut lower, mut offset, mut piece) = (lower.take(length), 0, vec![0; 64 * 1024]);
    loop {
        let got = lower.read(&mut piece).map_err(|error| Trouble::host("read a file of the lower layers", error))?;
        if got == 0 {
            break;
        }
        place::write(path, &file, offset, &piece[..got])?;
        offset += got as u64;
    }
    file.set_len(length).map_err(|error| Trouble::at("set the size of", path, error))
}

fn own(path: &Path, like: &Metadata) -> Result<(), Trouble> {
    lchown(path, Some(like.uid()), Some(like.gid())).map_err(|error| Trouble::at("give an owner to", path, error))
}

fn time(path: &Path, like: &Metadata) -> Result<(), Trouble> {
    set_time(path, (like.mtime(), u32::try_from(like.mtime_nsec()).unwrap_or(0)))
}
