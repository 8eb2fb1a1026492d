//! Mounts of what is mounted already, attached nowhere: a view of a file or directory with attributes of its own.
//!
//! For single-threaded helpers alone, like all mounting here. Linux 5.12 and CAP_SYS_ADMIN are needed.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Clones the mount that a path is on, from that path down, without mounts below it.
pub fn clone(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is a C string that outlives the call, which answers a new descriptor or -1.
    let tree = Errno::result(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(tree as i32) })
}

pub fn set(mount: &OwnedFd, attributes: &libc::mount_attr) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, the empty path with AT_EMPTY_PATH names it, and the structure is passed with its own
    // size and outlives the call, which only reads it.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(set).map(drop)
}
