//! Puts one member of an archive into the tree, with its owner, mode, attributes and time.

use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::below::is_whiteout;
use super::sys;
use super::tree::{Keep, Tree, lstat, names, set_mode, set_time};
use super::trouble::Trouble;
use crate::images::tarball::{Kind, Member};

/// A file capability in its two forms that still exist.
const CAPABILITY_LENGTHS: [usize; 2] = [20, 24];
const MAX_XATTR_NAME: usize = 255;
const MAX_LINK: usize = 4095;

/// A name and its value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Attributes that were left out because the file system has none.
pub struct SkippedXattrs(pub u64);

/// Where a member goes, and what was opened there for its content.
pub enum Placed {
    Done,
    /// An empty file that takes the content; `finish_file` must follow.
    File(PathBuf, File),
}

pub fn place(tree: &mut Tree, path: &Path, member: &Member) -> Result<Placed, Trouble> {
    match member.kind {
        Kind::Directory => {
            let before = tree.make_room(path, Keep::Directory)?;
            if before != super::tree::Before::Directory {
                tree.make_directory(path, before)?;
            }
        }
        Kind::File => {
            tree.make_room(path, Keep::Nothing)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            return file
                .map(|file| Placed::File(path.to_owned(), file))
                .map_err(|error| Trouble::at("make the file", path, error));
        }
        Kind::Symlink => {
            if member.link.is_empty() || member.link.len() > MAX_LINK || member.link.contains(&0) {
                return Err(Trouble::bad(format!("the symlink {} has no usable target", path.display())));
            }
            tree.make_room(path, Keep::Nothing)?;
            symlink(OsString::from_vec(member.link.clone()), path)
                .map_err(|error| Trouble::at("make the symlink", path, error))?;
        }
        Kind::Fifo => {
            tree.make_room(path, Keep::Nothing)?;
            mkfifo(path, Mode::S_IRUSR).map_err(|error| Trouble::at("make the fifo", path, error.into()))?;
        }
        // Both share or need nothing of their own: a link has the attributes of its target.
        Kind::HardLink => return link(tree, path, &member.link).map(|()| Placed::Done),
        Kind::Device => return Ok(Placed::Done),
    }
    Ok(Placed::Done)
}

fn link(tree: &mut Tree, path: &Path, target: &[u8]) -> Result<(), Trouble> {
    let absent = || {
        let target = String::from_utf8_lossy(target);
        Trouble::bad(format!(
            "{} is a hard link to {target:?}, which is no file of this layer or a lower one",
            path.display()
        ))
    };
    let names = names(target)?;
    let (name, parent) = names.split_last().ok_or_else(absent)?;
    let target = tree.directory(parent)?.join(OsString::from_vec(name.to_vec()));
    let found = match lstat(&target)? {
        Some(found) => found,
        // Nothing is linked to a directory that it is in, nor is one to be made for it.
        None if target.starts_with(path) => return Err(absent()),
        None if tree.copy_up(&target)? => lstat(&target)?.ok_or_else(absent)?,
        None => return Err(absent()),
    };
    if found.is_dir() || is_whiteout(&found) || path.starts_with(&target) || target.starts_with(path) {
        return Err(absent());
    }
    tree.make_room(path, Keep::Nothing)?;
    tree.link(&target, path)
}

/// Writes a piece of a file, but leaves a hole where it is all zeros.
pub fn write(path: &Path, file: &File, offset: u64, bytes: &[u8]) -> Result<(), Trouble> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    file.write_all_at(bytes, offset).map_err(|error| Trouble::at("write", path, error))
}

/// Owner first, because changing it takes setuid bits and capabilities away.
pub fn dress(tree: &mut Tree, path: &Path, member: &Member) -> Result<SkippedXattrs, Trouble> {
    let id = |id: u64, what: &str| {
        let legal = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        legal.ok_or_else(|| Trouble::bad(format!("{} has the {what} {id}, which does not exist", path.display())))
    };
    let (uid, gid) = (id(member.uid, "user id")?, id(member.gid, "group id")?);
    lchown(path, Some(uid), Some(gid)).map_err(|error| Trouble::at("give an owner to", path, error))?;
    let mut skipped = 0;
    match member.kind {
        Kind::File | Kind::Directory | Kind::Fifo => {
            set_mode(path, member.mode)?;
            skipped = set_xattrs(path, member.kind, &member.xattrs)?;
        }
        Kind::Symlink | Kind::HardLink | Kind::Device => {}
    }
    match member.kind {
        Kind::Directory => tree.remember_time(path, member.mtime),
        Kind::File | Kind::Fifo | Kind::Symlink => set_time(path, member.mtime)?,
        Kind::HardLink | Kind::Device => {}
    }
    Ok(SkippedXattrs(skipped))
}

/// Sets those attributes that are kept. Answers how many the file system has no place for.
pub fn set_xattrs(path: &Path, kind: Kind, xattrs: &[Xattr]) -> Result<u64, Trouble> {
    let mut skipped = 0;
    for (name, value) in xattrs {
        if !wanted(kind, name, value) {
            continue;
        }
        let name = CString::new(name.as_slice()).map_err(|error| Trouble::bad(error.to_string()))?;
        match sys::set_xattr(path, &name, value) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => skipped += 1,
            Err(error) => return Err(Trouble::at("set an attribute of", path, error)),
        }
    }
    Ok(skipped)
}

/// File capabilities and users' own attributes. Never overlayfs' own marks: they would let a layer reach into others.
fn wanted(kind: Kind, name: &[u8], value: &[u8]) -> bool {
    match name {
        b"security.capability" => kind == Kind::File && CAPABILITY_LENGTHS.contains(&value.len()),
        name => {
            matches!(kind, Kind::File | Kind::Directory)
                && name.starts_with(b"user.")
                && !name.starts_with(b"user.overlay.")
                && name.len() <= MAX_XATTR_NAME
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::below::Below;
    use super::*;
    use crate::images::split::Recorder;

    #[test]
    fn capabilities_and_users_attributes_are_kept_with_a_setuid_mode() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("ping");
        fs::write(&path, "x").expect("file");
        let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let xattrs: [(&str, &[u8]); 5] = [
            ("security.capability", &capability),
            ("user.note", b"a\nb"),
            ("user.overlay.opaque", b"y"),
            ("trusted.overlay.redirect", b"/etc"),
            ("security.selinux", b"label"),
        ];
        let member = Member {
            kind: Kind::File,
            path: b"ping".to_vec(),
            link: Vec::new(),
            mode: 0o4711,
            uid: 5,
            gid: 6,
            mtime: (7, 0),
            size: 1,
            xattrs: xattrs.map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).to_vec(),
            offset: 0,
            contiguous: true,
        };
        let split = fs::File::create(dir.path().join("split")).expect("split");
        let (_, attic) = Recorder::start(split).expect("started");
        dress(&mut Tree::new(Below::nothing(), attic), &path, &member).expect("dressed");
        assert_eq!(sys::get_xattr(&path, c"security.capability").expect("capability"), capability);
        assert_eq!(sys::get_xattr(&path, c"user.note").expect("note"), b"a\nb");
        for name in [c"user.overlay.opaque", c"trusted.overlay.redirect", c"security.selinux"] {
            assert!(sys::get_xattr(&path, name).is_err(), "{name:?}");
        }
        let metadata = fs::metadata(&path).expect("metadata");
        use std::os::unix::fs::MetadataExt;
        assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), metadata.mtime()), (0o4711, 5, 6, 7));
    }

    #[test]
    fn a_capability_of_another_length_is_no_capability() {
        assert!(!wanted(Kind::File, b"security.capability", b"short"));
        assert!(!wanted(Kind::Directory, b"security.capability", &[0; 20]));
        assert!(!wanted(Kind::File, b"system.posix_acl_access", b""));
    }
}
