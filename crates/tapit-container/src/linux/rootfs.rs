//! Puts a container's root filesystem together and makes it safe to mount on.
//!
//! The runtime mounts on `/dev`, `/proc` and `/sys` and makes links and nodes below the first by joining paths, before the
//! container's root is in place: an image in which one of them is a symbolic link would direct it at the host. So each of
//! them, and `/etc` where this module writes, must be a real directory; missing ones are made in the instance's own
//! layer. No code of the image runs between this check and the mounts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::beneath;
use crate::instance::EtcFiles;

/// Directories that the runtime mounts on, or that files are written to.
const REAL_DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "etc"];

/// One page holds all options of a mount, and each layer takes some twenty bytes of it; this also leaves room for the
/// descriptors.
pub const MAX_LAYERS: usize = 180;
const PAGE: usize = 4096;

/// User and group lists of real images have some kilobytes.
const MAX_LIST_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    #[error("the image has {0} layers; from 1 to {MAX_LAYERS} can be mounted at once")]
    Layers(usize),
    #[error("opening the layer {path}")]
    OpenLayer { path: PathBuf, source: io::Error },
    #[error("making {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("opening {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error("mounting the layers at {path}")]
    Mount { path: PathBuf, source: Errno },
    #[error("the image's /{name} is a symbolic link, which would lead the container's mounts astray")]
    Link { name: String },
    #[error("the image's /{name} is not a directory")]
    NotADirectory { name: String },
    #[error("checking the image's /{name}")]
    Check { name: String, source: Errno },
    #[error("writing the container's /etc/{name}")]
    WriteEtc { name: &'static str, source: io::Error },
    #[error("reading the image's /{path}")]
    ReadList { path: &'static str, source: io::Error },
    #[error("the image's /{path} has more than {MAX_LIST_BYTES} bytes")]
    ListTooLong { path: &'static str },
    #[error("the working directory {path} cannot be had in the image")]
    Cwd { path: PathBuf, source: Errno },
}

impl RootfsError {
    /// Whether it lies in the image, and would fail wherever it is tried.
    pub fn is_of_image(&self) -> bool {
        match self {
            RootfsError::Layers(_)
            | RootfsError::Link { .. }
            | RootfsError::NotADirectory { .. }
            | RootfsError::ReadList { .. }
            | RootfsError::ListTooLong { .. }
            | RootfsError::Cwd { .. } => true,
            RootfsError::OpenLayer { .. }
            | RootfsError::Make { .. }
            | RootfsError::Open { .. }
            | RootfsError::Mount { .. }
            | RootfsError::Check { .. }
            | RootfsError::WriteEtc { .. } => false,
        }
    }
}

/// An assembled root filesystem.
pub struct Rootfs {
    dir: OwnedFd,
}

impl Rootfs {
    /// Mounts the layers below a writable one of the instance, at `rootfs` in its directory. The caller's mount namespace
    /// must be its own.
    pub fn assemble(dir: &Path, layers: &[PathBuf]) -> Result<Self, RootfsError> {
        if layers.is_empty() || layers.len() > MAX_LAYERS {
            return Err(RootfsError::Layers(layers.len()));
        }
        let [upper, work, target] = ["upper", "work", "rootfs"].map(|name| dir.join(name));
        for path in [&upper, &work, &target] {
            make(path)?;
        }
        // Layers are named by descriptor, because paths may be long and may hold the separators of mount options.
        let open = |path: &PathBuf| {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            let opened = File::options().read(true).custom_flags(flags).open(path);
            opened.map_err(|source| RootfsError::OpenLayer { path: path.clone(), source })
        };
        let lowers = layers.iter().rev().map(open).collect::<Result<Vec<_>, _>>()?;
        let named = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
        let (upper, work) = (open(&upper)?, open(&work)?);
        let lower = lowers.iter().map(named).collect::<Vec<_>>().join(":");
        // What a container wrote need not survive a crash of the host, and a sync at each end of one slows all others.
        let options = format!("lowerdir={lower},upperdir={},workdir={},volatile", named(&upper), named(&work));
        if options.len() >= PAGE {
            return Err(RootfsError::Layers(layers.len()));
        }
        let flags = MsFlags::MS_NODEV;
        mount(Some("overlay"), &target, Some("overlay"), flags, Some(options.as_str()))
            .map_err(|source| RootfsError::Mount { path: target.clone(), source })?;
        let opened = File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(&target);
        opened
            .map(|file| Self { dir: file.into() })
            .map_err(|source| RootfsError::Open { path: target.clone(), source })
    }

    fn root(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Makes sure that every place which is mounted on or written to lies in the image itself.
    pub fn check(&self) -> Result<(), RootfsError> {
        REAL_DIRECTORIES.iter().try_for_each(|name| self.real_directory(name).map(drop))
    }

    fn real_directory(&self, name: &str) -> Result<OwnedFd, RootfsError> {
        beneath::directory(self.root(), OsStr::new(name)).map_err(|errno| match errno {
            Errno::ELOOP => RootfsError::Link { name: name.to_owned() },
            Errno::ENOTDIR => RootfsError::NotADirectory { name: name.to_owned() },
            source => RootfsError::Check { name: name.to_owned(), source },
        })
    }

    /// Writes the files of `/etc` that are the instance's own, in place of the image's.
    pub fn write_etc(&self, files: &EtcFiles) -> Result<(), RootfsError> {
        let etc = self.real_directory("etc")?;
        for (name, text) in
            [("hosts", &files.hosts), ("resolv.conf", &files.resolv_conf), ("hostname", &files.hostname)]
        {
            let failed = |source: io::Error| RootfsError::WriteEtc { name, source };
            // Removed and not written through: the image may have put a link there.
            match unlinkat(Some(etc.as_raw_fd()), name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR) => return Err(failed(io::Error::other("the image has a directory there"))),
                Err(errno) => return Err(failed(errno.into())),
            }
            let mut file = create(etc.as_fd(), name).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    /// Reads `/etc/passwd` or `/etc/group`; one that is not there is empty.
    pub fn read_list(&self, path: &'static str) -> Result<String, RootfsError> {
        let failed = |source: io::Error| RootfsError::ReadList { path, source };
        // Not blocking, for it may be a fifo, which nobody ever writes to.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match beneath::inside(self.root(), Path::new(path), flags) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
            Err(errno) => return Err(failed(errno.into())),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is not a file")));
        }
        let mut bytes = Vec::new();
        let read = file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if read as u64 > MAX_LIST_BYTES {
            return Err(RootfsError::ListTooLong { path });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Makes the working directory where the image lacks it.
    pub fn make_cwd(&self, cwd: &Path) -> Result<(), RootfsError> {
        beneath::directories_inside(self.root(), cwd)
            .map_err(|source| RootfsError::Cwd { path: cwd.to_owned(), source })
    }
}

/// The writable layer's mode becomes that of the container's `/`.
fn make(path: &Path) -> Result<(), RootfsError> {
    let made = fs::DirBuilder::new().mode(0o755).create(path);
    made.map_err(|source| RootfsError::Make { path: path.to_owned(), source })
}

fn create(dir: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    beneath::create(dir, name, flags).map(File::from).map_err(io::Error::from)
}
