//! Runs the program again from a view of its file that cannot be written to.
//!
//! A process that joins a running container to run a command there is a fork of the server's own program, so the host's
//! file could be reached from inside through `/proc/PID/exe`. Whoever opens that file for writing once nobody runs it
//! would own the host (CVE-2019-5736). The usual cure is a private copy in memory; a read-only mount that is attached
//! nowhere costs nothing, cannot be made writable again by anyone, and keeps the program's pages shared. The container's
//! process 1 needs none of this: it runs from sealed memory (`program`).

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::unistd::execv;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("cloning the mount of the program; Linux 5.12 and CAP_SYS_ADMIN are needed")]
    Clone { source: Errno },
    #[error("making the mount of the program read-only; Linux 5.12 is needed")]
    Protect { source: Errno },
    #[error("the path of the instance's directory holds a NUL byte")]
    Path,
    #[error("running the program from its read-only mount")]
    Exec { source: Errno },
}

/// Runs the program again, sealed, under any verb on a directory.
pub fn seal(verb: &str, dir: &OsStr) -> Result<std::convert::Infallible, SealError> {
    let mount = clone_own_mount().map_err(|source| SealError::Clone { source })?;
    protect(&mount).map_err(|source| SealError::Protect { source })?;
    let exe = CString::new(format!("/proc/self/fd/{}", mount.as_raw_fd())).map_err(|_| SealError::Path)?;
    let verb = CString::new(verb).map_err(|_| SealError::Path)?;
    let dir = CString::new(dir.as_bytes()).map_err(|_| SealError::Path)?;
    // Its first word is what process listings show.
    execv(&exe, &[c"tapit".to_owned(), verb, dir]).map_err(|source| SealError::Exec { source })
}

/// A mount of the running program's file alone, attached nowhere.
fn clone_own_mount() -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is a C string that lives as long as the program; the call answers a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/proc/self/exe".as_ptr(), flags) };
    let fd = Errno::result(fd)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn protect(mount: &OwnedFd) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the descriptor is open, the empty path with AT_EMPTY_PATH names it, and the structure is passed with its
    // own size and outlives the call, which only reads it.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(set).map(drop)
}
