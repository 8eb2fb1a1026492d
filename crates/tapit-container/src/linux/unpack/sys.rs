//! The system calls of the helper that no safe wrapper offers.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
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

/// Opens what is at `path` below `root` as a mere handle, without following any symlink, the last one included.
pub fn look_beneath(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `open_how` is plain integers; all zeros is a valid value of it.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: `root` is open, the path ends in NUL, `how` is initialised and its size is given; all live through the
    // call, and the kernel writes to none of them.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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
