//! Runs the program again from a view of its file that cannot be written to.
//!
//! A process that joins a running container to run a command there is a fork of the server's own program, so the host's
//! file could be reached from inside through `/proc/PID/exe`. Whoever opens that file for writing once nobody runs it
//! would own the host (CVE-2019-5736). The usual cure is a private copy in memory; a read-only mount that is attached
//! nowhere costs nothing, cannot be made writable again by anyone, and keeps the program's pages shared. The container's
//! process 1 needs none of this: it runs from sealed memory (`program`).

use std::ffi::{CString, OsStr};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::unistd::execv;

use super::detached;

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
    // The running program's file alone.
    let mount = detached::clone(c"/proc/self/exe").map_err(|source| SealError::Clone { source })?;
    let readonly = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    detached::set(&mount, &readonly).map_err(|source| SealError::Protect { source })?;
    let exe = CString::new(format!("/proc/self/fd/{}", mount.as_raw_fd())).map_err(|_| SealError::Path)?;
    let verb = CString::new(verb).map_err(|_| SealError::Path)?;
    let dir = CString::new(dir.as_bytes()).map_err(|_| SealError::Path)?;
    // Its first word is what process listings show.
    execv(&exe, &[c"tapit".to_owned(), verb, dir]).map_err(|source| SealError::Exec { source })
}
