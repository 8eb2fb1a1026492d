//! The lock that says whose an instance's directory is at the moment: the shim's, then (the same process) the monitor's.
//!
//! A record lock is used and not `flock`, because the container's processes inherit descriptors while they are being
//! made: a record lock belongs to one process alone, ends with it, survives its `execve`, and the kernel names its holder.
//! The price is that the holder may open the file only once.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("opening the lock {path}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("taking the lock {path}")]
    Take { path: PathBuf, source: Errno },
    #[error("asking who holds the lock {path}")]
    Ask { path: PathBuf, source: Errno },
}

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum Taken {
    Mine(Lock),
    /// The process that holds it.
    HeldBy(i32),
}

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Tries once. The file must be there: a shim that comes late to a directory that is being removed must not make one.
    pub fn take(path: &Path) -> Result<Taken, LockError> {
        let file = open(OpenOptions::new().read(true).write(true), path)?;
        match fcntl(file.as_raw_fd(), FcntlArg::F_SETLK(&whole(libc::F_WRLCK))) {
            Ok(_) => Ok(Taken::Mine(Lock(file))),
            Err(Errno::EACCES | Errno::EAGAIN) => match holder_of(&file, path)? {
                Some(pid) => Ok(Taken::HeldBy(pid)),
                // Released between the two calls; the caller tries again.
                None => Ok(Taken::HeldBy(0)),
            },
            Err(source) => Err(LockError::Take { path: path.to_owned(), source }),
        }
    }

    /// The descriptor, to be kept over `execve`.
    pub fn into_file(self) -> File {
        self.0
    }
}

/// Makes the file of a lock.
pub fn create(path: &Path) -> Result<(), LockError> {
    open(OpenOptions::new().write(true).create(true).truncate(false).mode(0o600), path).map(drop)
}

fn open(options: &OpenOptions, path: &Path) -> Result<File, LockError> {
    options.open(path).map_err(|source| LockError::Open { path: path.to_owned(), source })
}

/// The process that holds the lock at `path`, if any.
pub fn holder(path: &Path) -> Result<Option<i32>, LockError> {
    match File::open(path) {
        Ok(file) => holder_of(&file, path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LockError::Open { path: path.to_owned(), source }),
    }
}

fn holder_of(file: &File, path: &Path) -> Result<Option<i32>, LockError> {
    let mut lock = whole(libc::F_WRLCK);
    fcntl(file.as_raw_fd(), FcntlArg::F_GETLK(&mut lock))
        .map_err(|source| LockError::Ask { path: path.to_owned(), source })?;
    Ok((i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid))
}

fn whole(kind: i32) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}
