//! Terminals of commands: made in the container by the helper, held by the server.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, OpenHow, ResolveFlag, fcntl, openat2};
use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::sys::statfs::fstatfs;
use tapit_model::WindowSize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::owned;

const DEVPTS_MAGIC: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x1cd1);
const PTMX: (u64, u64) = (5, 2);

pub struct Pair {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a new terminal of the container that was joined.
///
/// What lies at the path is the container's to choose, so it is looked at before it is used: anything but the multiplexer of
/// a terminal file system could make the server wait for ever, or type into a device.
pub fn open(size: WindowSize) -> Result<Pair, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let master = owned(openat2(libc::AT_FDCWD, Path::new("/dev/pts/ptmx"), how)?);
    let stat = fstat(master.as_raw_fd())?;
    let is_device = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFCHR;
    let is_ptmx = is_device && (major(stat.st_rdev), minor(stat.st_rdev)) == PTMX;
    if !is_ptmx || fstatfs(&master)?.filesystem_type() != DEVPTS_MAGIC {
        return Err(Errno::ENOTTY);
    }
    let unlocked: libc::c_int = 0;
    // SAFETY: the call reads one integer, which lives here.
    Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, std::ptr::from_ref(&unlocked)) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // Opened through its master and not by its name, which the container could have put something else at.
    // SAFETY: the call takes flags by value and answers a new descriptor or -1.
    let slave = Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    resize(&master, size)?;
    Ok(Pair { master, slave: owned(slave) })
}

fn resize(terminal: &impl AsRawFd, size: WindowSize) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call reads one structure of the kernel's layout, which lives here.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(&size)) }).map(drop)
}

/// The server's side of a command's terminal. Clones are the same terminal.
#[derive(Clone)]
pub struct Master(Arc<AsyncFd<OwnedFd>>);

impl Master {
    /// Needs a tokio runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(fd.as_raw_fd(), FcntlArg::F_GETFL)?);
        fcntl(fd.as_raw_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        // SAFETY: an `OwnedFd` stays the same open descriptor for as long as it exists, and the `AsyncFd` owns it.
        let registered = unsafe { AsyncFd::register(fd) };
        registered.map(|fd| Self(Arc::new(fd))).map_err(|error| error.into_parts().1)
    }

    pub fn resize(&self, size: WindowSize) -> io::Result<()> {
        Ok(resize(self.0.get_ref(), size)?)
    }
}

impl AsyncRead for Master {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let room = buffer.initialize_unfilled();
            match guard.try_io(|fd| Ok(nix::unistd::read(fd.as_raw_fd(), room)?)) {
                Ok(Ok(len)) => {
                    buffer.advance(len);
                    return Poll::Ready(Ok(()));
                }
                // How a terminal says that nobody has the other side open any more.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Master {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            if let Ok(written) = guard.try_io(|fd| Ok(nix::unistd::write(fd, bytes)?)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
