//! Opens paths below a directory that somebody else has filled, without ever leaving it.
//!
//! The shim uses it on the assembled root filesystem of a container, which holds whatever the image's author put there, and
//! who writes a layer again uses it on the layer's directory.
//! Two ways: `strict` refuses every symbolic link, for places that the runtime will mount on; `inside` follows them as
//! the container itself would, with the directory as `/`. What is made belongs to the container's root.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, fchown, fchownat};

/// Opens `path` below `root`; a symbolic link anywhere on the way is `ELOOP`.
pub fn strict(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    open(root, path, flags, ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS)
}

/// Opens a regular file below `root` to read it, wherever a hostile tree would lead: no link is followed, and nothing that
/// is not a file is waited for or woken.
pub fn file(root: BorrowedFd<'_>, path: &Path) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(strict(root, path, flags)?);
    let metadata = file.metadata().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    if metadata.is_file() { Ok(file) } else { Err(Errno::EINVAL) }
}

/// Opens `path` as if `root` were `/`. Links of procfs are refused.
pub fn inside(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    open(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlag, resolve: ResolveFlag) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    let fd = openat2(root.as_raw_fd(), path, how)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Who the container's root is on the host: the owner, as user and as group, of all that is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub u32);

impl Owner {
    fn user(self) -> Option<Uid> {
        Some(Uid::from_raw(self.0))
    }

    fn group(self) -> Option<Gid> {
        Some(Gid::from_raw(self.0))
    }
}

/// Opens a directory that must be a real one at every step, and makes it when nothing is there.
pub fn directory(root: BorrowedFd<'_>, name: &OsStr, owner: Owner) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    match strict(root, Path::new(name), flags) {
        Err(Errno::ENOENT) => {
            make_directory(root, name, owner)?;
            strict(root, Path::new(name), flags)
        }
        other => other,
    }
}

/// Opens a directory, following links as the container would; makes it, and all that is missing above it.
pub fn directories_inside(root: BorrowedFd<'_>, path: &Path, owner: Owner) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut walked = PathBuf::new();
    let mut parent = inside(root, Path::new("."), flags)?;
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        walked.push(name);
        let found = match inside(root, &walked, flags) {
            Err(Errno::ENOENT) => {
                make_directory(parent.as_fd(), name, owner)?;
                inside(root, &walked, flags)
            }
            other => other,
        };
        parent = found?;
    }
    Ok(parent)
}

fn make_directory(parent: BorrowedFd<'_>, name: &OsStr, owner: Owner) -> Result<(), Errno> {
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let parent = Some(parent.as_raw_fd());
    match mkdirat(parent, name.as_c_str(), Mode::from_bits_truncate(0o755)) {
        Ok(()) => fchownat(parent, name.as_c_str(), owner.user(), owner.group(), AtFlags::AT_SYMLINK_NOFOLLOW),
        Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes a file in a directory, readable by all.
pub fn create(dir: BorrowedFd<'_>, name: &str, owner: Owner) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = openat(Some(dir.as_raw_fd()), name, flags, Mode::from_bits_truncate(0o644))?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fchown(fd.as_raw_fd(), owner.user(), owner.group())?;
    Ok(fd)
}
