//! Puts a container's root filesystem together and makes it safe to mount on.
//!
//! The runtime mounts on `/dev`, `/proc` and `/sys` and makes links and nodes below the first by joining paths, before the
//! container's root is in place: an image in which one of them is a symbolic link would direct it at the host. So each of
//! them, and `/etc` where this module writes, must be a real directory; missing ones are made in the instance's own
//! layer. No code of the image runs between this check and the mounts.
//!
//! With a user namespace the layers are shown with their owners moved into its range (`idmap`), and what is written here
//! belongs to the range's root. The result is mounted close to the host's root and not in the instance's directory: root
//! inside is nobody to the host, so it could not pass the directories of the server, which are closed to all but root.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::beneath::{self, Owner};
use super::idmap::{self, IdmapError, UserNamespace};
use super::stack::{self, MAX_LAYERS, Writable, open};
use crate::instance::{EtcFiles, IdRange};

/// Directories that the runtime mounts on, or that files are written to.
const REAL_DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "etc"];

/// What the kernel's filesystems are mounted on; no place to work in.
const COVERED: [&str; 3] = ["proc", "sys", "dev"];
const SHARED_MEMORY: &str = "dev/shm";

/// Where the assembled filesystem is mounted, in the shim's own mount namespace: the first that is a directory and does not
/// hold the instance's own, which would be covered.
const MOUNT_POINTS: [&str; 6] = ["/mnt", "/media", "/srv", "/opt", "/home", "/tmp"];

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
    #[error("none of {} is a directory to mount on", MOUNT_POINTS.join(", "))]
    NoMountPoint,
    #[error(transparent)]
    Idmap(#[from] IdmapError),
    #[error("giving {path} to the container's root")]
    Own { path: PathBuf, source: io::Error },
    #[error("taking the view of the layers off {path}")]
    Unmount { path: PathBuf, source: Errno },
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
    #[error("the working directory {path} lies in /proc, /sys or /dev, where no image can have one")]
    CwdCovered { path: PathBuf },
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
            | RootfsError::Cwd { .. }
            | RootfsError::CwdCovered { .. } => true,
            RootfsError::OpenLayer { .. }
            | RootfsError::Make { .. }
            | RootfsError::Open { .. }
            | RootfsError::NoMountPoint
            | RootfsError::Idmap(_)
            | RootfsError::Own { .. }
            | RootfsError::Unmount { .. }
            | RootfsError::Mount { .. }
            | RootfsError::Check { .. }
            | RootfsError::WriteEtc { .. } => false,
        }
    }
}

/// A user namespace and the host's ids behind it.
#[derive(Clone, Copy)]
pub struct Mapping<'a> {
    pub ids: IdRange,
    pub namespace: &'a UserNamespace,
}

/// An assembled root filesystem.
pub struct Rootfs {
    dir: OwnedFd,
    path: &'static Path,
    owner: Owner,
}

impl Rootfs {
    /// Mounts the layers below a writable one of the instance, whose directory is `dir`. The caller's mount namespace must
    /// be its own.
    pub fn assemble(dir: &Path, layers: &[PathBuf], mapping: Option<Mapping<'_>>) -> Result<Self, RootfsError> {
        if layers.is_empty() || layers.len() > MAX_LAYERS {
            return Err(RootfsError::Layers(layers.len()));
        }
        let owner = Owner(mapping.map_or(0, |mapping| mapping.ids.base));
        let path = mount_point(dir)?;
        let [upper, work, views] = ["upper", "work", "rootfs"].map(|name| dir.join(name));
        for path in [&upper, &work, &views] {
            make(path)?;
        }
        for path in [&upper, &work] {
            let owned = chown(path, Some(owner.0), Some(owner.0));
            owned.map_err(|source| RootfsError::Own { path: path.clone(), source })?;
        }
        let lowers = Lowers::open(layers, mapping, &views)?;
        overlay(&lowers, [&upper, &work], path)?;
        lowers.put_away(&views)?;
        let opened = open(path).map_err(|source| RootfsError::Open { path: path.to_owned(), source })?;
        Ok(Self { dir: opened.into(), path, owner })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &'static Path {
        self.path
    }

    fn root(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Makes sure that every place which is mounted on or written to lies in the image itself.
    pub fn check(&self) -> Result<(), RootfsError> {
        REAL_DIRECTORIES.iter().try_for_each(|name| self.real_directory(name).map(drop))
    }

    fn real_directory(&self, name: &str) -> Result<OwnedFd, RootfsError> {
        beneath::directory(self.root(), OsStr::new(name), self.owner).map_err(|errno| match errno {
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
            let created = beneath::create(etc.as_fd(), name, self.owner);
            let mut file = created.map(File::from).map_err(|errno| failed(errno.into()))?;
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

    /// Makes the working directory where the image lacks it. Answers its path without links on the way.
    ///
    /// The runtime enters it by path while it still has descriptors of the host: one that led there through `/proc` would
    /// put the program outside (CVE-2024-21626), and the runtime's own check does not see that. So the links are followed
    /// here, where `/proc` is still the image's own directory, and what will be covered by such a mount is refused.
    pub fn make_cwd(&self, cwd: &Path) -> Result<PathBuf, RootfsError> {
        let failed = |source| RootfsError::Cwd { path: cwd.to_owned(), source };
        let dir = beneath::directories_inside(self.root(), cwd, self.owner).map_err(failed)?;
        let named = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        let named = named.map_err(|error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
        let below = named.strip_prefix(self.path).map_err(|_| failed(Errno::EXDEV))?;
        if COVERED.iter().any(|covered| below.starts_with(covered)) && !below.starts_with(SHARED_MEMORY) {
            return Err(RootfsError::CwdCovered { path: cwd.to_owned() });
        }
        Ok(Path::new("/").join(below))
    }
}

/// The layers, the topmost first, held by descriptor: paths may be long and may hold the separators of mount options.
struct Lowers {
    layers: Vec<File>,
    /// How many mapped views are attached for them.
    views: usize,
}

impl Lowers {
    fn open(layers: &[PathBuf], mapping: Option<Mapping<'_>>, target: &Path) -> Result<Self, RootfsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| RootfsError::OpenLayer { path, source }
        };
        let Some(mapping) = mapping else {
            let opened = layers.iter().rev().map(|path| open(path).map_err(failed(path)));
            return Ok(Self { layers: opened.collect::<Result<_, _>>()?, views: 0 });
        };
        // One view of the directory that layers lie in serves all of them.
        let mut views: Vec<(&Path, OwnedFd)> = Vec::new();
        let mut opened = Vec::new();
        for path in layers.iter().rev() {
            open(path).map_err(failed(path))?;
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(failed(path)(io::Error::from(io::ErrorKind::InvalidInput)));
            };
            let nth = match views.iter().position(|(known, _)| *known == parent) {
                Some(nth) => nth,
                None => {
                    let view = idmap::view(parent, mapping.namespace)?;
                    idmap::attach(view.as_fd(), target)?;
                    views.push((parent, view));
                    views.len() - 1
                }
            };
            let layer = beneath::strict(views[nth].1.as_fd(), Path::new(name), OFlag::O_PATH | OFlag::O_DIRECTORY);
            opened.push(File::from(layer.map_err(|errno| failed(path)(errno.into()))?));
        }
        Ok(Self { layers: opened, views: views.len() })
    }

    /// The overlay has its own hold on the layers; the views need not be copied into the container's mount namespace.
    fn put_away(self, target: &Path) -> Result<(), RootfsError> {
        for _ in 0..self.views {
            umount2(target, MntFlags::MNT_DETACH)
                .map_err(|source| RootfsError::Unmount { path: target.to_owned(), source })?;
        }
        Ok(())
    }
}

fn overlay(lowers: &Lowers, [upper, work]: [&Path; 2], target: &Path) -> Result<(), RootfsError> {
    let own = |path: &Path| open(path).map_err(|source| RootfsError::Open { path: path.to_owned(), source });
    let (upper, work) = (own(upper)?, own(work)?);
    // Setuid bits and file capabilities give nothing anyway, as nobody in there may gain privileges. Said here as well, the
    // kernel runs a program with capabilities that are out of reach without them, where it would refuse it else: `ping` as
    // distributions ship it.
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    stack::mount_at(target, &lowers.layers, Some(Writable { upper: &upper, work: &work }), flags).map_err(|errno| {
        match errno {
            Errno::E2BIG => RootfsError::Layers(lowers.layers.len()),
            source => RootfsError::Mount { path: target.to_owned(), source },
        }
    })
}

fn mount_point(instance: &Path) -> Result<&'static Path, RootfsError> {
    let instance = instance.canonicalize().map_err(|source| RootfsError::Open { path: instance.to_owned(), source })?;
    let real = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let mut candidates = MOUNT_POINTS.iter().map(|path| Path::new(*path));
    candidates.find(|path| real(path) && !instance.starts_with(path)).ok_or(RootfsError::NoMountPoint)
}

/// The writable layer's mode becomes that of the container's `/`.
fn make(path: &Path) -> Result<(), RootfsError> {
    let made = fs::DirBuilder::new().mode(0o755).create(path);
    made.map_err(|source| RootfsError::Make { path: path.to_owned(), source })
}
