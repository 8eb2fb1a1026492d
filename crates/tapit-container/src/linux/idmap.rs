//! A user namespace for a range of ids, and views of directories in which every owner is of that range.
//!
//! Layers of images lie on disk once, owned as the image says (root is 0), and are shared by all containers. A container in
//! a user namespace is made of other ids; to it, such files would belong to nobody. An id-mapped mount shows a directory
//! with its owners moved into the range, at no cost per file and without touching the disk.
//!
//! The shim calls this, which has one thread and a mount namespace of its own.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::detached;
use crate::instance::IdRange;

#[derive(Debug, thiserror::Error)]
pub enum IdmapError {
    #[error("making a user namespace")]
    Namespace { source: Errno },
    #[error("giving the user namespace its ids from {base} on")]
    Ids { base: u32, source: io::Error },
    #[error("opening the user namespace")]
    Open { source: io::Error },
    #[error("cloning the mount of {path}")]
    Clone { path: PathBuf, source: Errno },
    /// The filesystem of the directory may not support it, or the kernel is older than 5.12.
    #[error("mapping the owners of {path}; its filesystem or this kernel may lack id-mapped mounts")]
    Map { path: PathBuf, source: Errno },
    #[error("attaching the mapped view of {path}")]
    Attach { path: PathBuf, source: Errno },
}

/// Lives for as long as the descriptor or a process in it does.
pub struct UserNamespace(OwnedFd);

impl UserNamespace {
    /// Makes one in which ids 0 to 65,535 are those of the range. It belongs to root of the host, like the process that
    /// asks for it, so root inside has no power over its maker.
    pub fn new(ids: IdRange) -> Result<Self, IdmapError> {
        let failed = |source| IdmapError::Namespace { source };
        // A namespace needs a process for as long as its ids are not written. This one waits for the pipe to close, which
        // happens also when its maker is killed.
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        let keeper = clone_keeper(&read, &write).map_err(failed)?;
        let opened = Self::of(keeper, ids);
        drop(write);
        // Only that it is gone matters.
        let _ = waitpid(keeper, None);
        opened
    }

    fn of(keeper: Pid, ids: IdRange) -> Result<Self, IdmapError> {
        let map = format!("0 {} {}", ids.base, IdRange::COUNT);
        for name in ["uid_map", "gid_map"] {
            let written = fs::write(format!("/proc/{keeper}/{name}"), &map);
            written.map_err(|source| IdmapError::Ids { base: ids.base, source })?;
        }
        let namespace = File::open(format!("/proc/{keeper}/ns/user"));
        namespace.map(|file| Self(file.into())).map_err(|source| IdmapError::Open { source })
    }

    /// Where this process, and any that it forks, finds the namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn clone_keeper(read: &OwnedFd, write: &OwnedFd) -> Result<Pid, Errno> {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    // SAFETY: without a stack of its own the child runs on a copy of this one, as after a fork. The process has one
    // thread. The child makes three system calls on descriptors that it has, and never returns.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone, flags as libc::c_ulong, 0, 0, 0, 0);
        if pid == 0 {
            libc::close(write.as_raw_fd());
            let mut byte = 0u8;
            libc::read(read.as_raw_fd(), std::ptr::from_mut(&mut byte).cast(), 1);
            libc::_exit(0);
        }
        Errno::result(pid).map(|pid| Pid::from_raw(pid as i32))
    }
}

/// A view of a directory, attached nowhere, in which owners are those of the namespace. Mounts below it are not seen.
pub fn view(dir: &Path, namespace: &UserNamespace) -> Result<OwnedFd, IdmapError> {
    let path = || dir.to_owned();
    let name = CString::new(dir.as_os_str().as_bytes())
        .map_err(|_| IdmapError::Clone { path: path(), source: Errno::EINVAL })?;
    let tree = detached::clone(&name).map_err(|source| IdmapError::Clone { path: path(), source })?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace.0.as_raw_fd().unsigned_abs().into(),
    };
    detached::set(&tree, &attributes).map_err(|source| IdmapError::Map { path: path(), source })?;
    Ok(tree)
}

/// Attaches a view to a directory: filesystems are only put together from what is mounted somewhere.
pub fn attach(tree: BorrowedFd<'_>, target: &Path) -> Result<(), IdmapError> {
    let failed = |source| IdmapError::Attach { path: target.to_owned(), source };
    let name = CString::new(target.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
    // SAFETY: the descriptor is open, both paths are C strings that outlive the call, and the empty one is allowed by the
    // flag.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(moved).map(drop).map_err(failed)
}
