//! The system calls of the helper that no safe wrapper offers.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The kernel's own bound, on one value and on all names of a file together.
const MAX_XATTR: usize = 64 * 1024;

/// Sets an extended attribute of the path itself, not of what a symlink points to.
pub fn set_xattr(path: &Path, name: &CStr, value: &[u8]) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both strings end in NUL and live through the call; the value's pointer and length belong together, and
    // the kernel only reads them.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// All extended attributes of an open file.
pub fn xattrs(file: &File) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; MAX_XATTR];
    // SAFETY: the descriptor is open, and the kernel writes at most the length that it is given.
    let got = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(written(got)?);
    let mut all = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MAX_XATTR];
        let text = CString::new(name)?;
        // SAFETY: the descriptor is open, the name ends in NUL and lives through the call, and the kernel writes at most
        // the length that it is given.
        let got = unsafe { libc::fgetxattr(file.as_raw_fd(), text.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        value.truncate(written(got)?);
        all.push((name.to_vec(), value));
    }
    Ok(all)
}

fn written(answer: isize) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// Reads an extended attribute of the path itself.
#[cfg(test)]
pub fn get_xattr(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = vec![0; 64 * 1024];
    // SAFETY: both strings end in NUL and live through the call; the kernel writes at most the length that it is given.
    let got = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    value.truncate(got);
    Ok(value)
}
