//! Mounts many layers on one another.
//!
//! Overlayfs takes 500, but one page holds all options of a mount, the path of each layer among them, and newer ways to
//! say them one by one are missing from kernels that are in use (6.1). So layers are held by descriptor, and the mount is
//! made from within `/proc/self/fd`, where the path of each is a number of three digits. For single-threaded helpers
//! alone, like all mounting: the working directory is changed for a moment.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, fchdir};

/// Overlayfs' own bound.
pub const MAX_LAYERS: usize = 500;
const DESCRIPTORS: &str = "/proc/self/fd";
const PAGE: usize = 4096;

/// Where changes go.
pub struct Writable<'a> {
    pub upper: &'a File,
    pub work: &'a File,
}

/// Opens a directory to mount it: a mere handle.
pub fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path)
}

/// Mounts layers, the topmost first, at an absolute path. `E2BIG` says that there are too many.
pub fn mount_at(target: &Path, lowers: &[File], writable: Option<Writable<'_>>, flags: MsFlags) -> Result<(), Errno> {
    let options = options(lowers, writable);
    if lowers.len() > MAX_LAYERS || options.len() >= PAGE {
        return Err(Errno::E2BIG);
    }
    let before = open(Path::new(".")).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    chdir(DESCRIPTORS)?;
    let mounted = mount(Some("overlay"), target, Some("overlay"), flags, Some(options.as_str()));
    fchdir(before.as_raw_fd())?;
    mounted
}

fn options(lowers: &[File], writable: Option<Writable<'_>>) -> String {
    let lower: Vec<String> = lowers.iter().map(|file| file.as_raw_fd().to_string()).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some(Writable { upper, work }) = writable {
        // What a container wrote need not survive a crash of the host, and a sync at each end of one slows all others.
        options.push_str(&format!(",upperdir={},workdir={},volatile", upper.as_raw_fd(), work.as_raw_fd()));
    }
    options
}
