//! Becomes the monitor of a container: the shim does when its work is done, and a process that the server starts in the
//! place of a monitor that was killed.
//!
//! The monitor itself is the program of `tapit-monitor`, which can read neither orders nor records; all that it needs is
//! put into its arguments and descriptors here.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::SigSet;
use nix::unistd::dup2;

use super::cgroup::{Leaf, LeafError};
use super::lock::{Lock, LockError, Taken};
use super::oom::OomEvents;
use super::pidfd::{self, PidFd};
use super::program::{Program, Words};
use crate::instance::{FileError, InstanceDir, LOCK, Order, Record, hold_output, newest_log_segment};

#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("process {0} is already at work on this instance")]
    Busy(i32),
    #[error("the order cannot be used")]
    Order,
    #[error("the record cannot be used")]
    Record,
    #[error("its end is recorded already")]
    Ended,
    #[error("recording the new monitor")]
    Write(#[from] FileError),
    #[error("holding the container's first process")]
    Hold { source: Errno },
    #[error("its cgroup cannot be named")]
    Cgroup(#[from] LeafError),
    #[error("the path of the instance's directory holds a NUL byte")]
    Path(#[from] std::ffi::NulError),
    #[error("the fifos of its output are gone")]
    Output,
    #[error("making the monitor's program")]
    Program { source: std::io::Error },
    #[error("leaving descriptors open for the monitor")]
    Descriptors { source: Errno },
    #[error("running the monitor's program")]
    Exec { source: Errno },
}

/// The container to be watched, by the owner of its directory's lock.
pub struct Watched<'a> {
    pub dir: &'a InstanceDir,
    pub order: &'a Order,
    pub record: &'a Record,
    pub lock: &'a File,
}

/// Takes the place of a monitor that was killed: `__monitor DIR PROGRAM`. Returns only when that fails.
pub fn main(dir: &Path, program: &Path) -> ExitCode {
    let Err(error) = replace(dir, program);
    eprintln!("{}", tapit_model::describe(&error));
    ExitCode::FAILURE
}

fn replace(dir: &Path, program: &Path) -> Result<Infallible, MonitorError> {
    // It must outlive whatever is sent to the server's processes.
    SigSet::all().thread_block().map_err(|source| MonitorError::Descriptors { source })?;
    let dir = InstanceDir::new(dir.to_owned());
    let lock = match Lock::take(&dir.file(LOCK))? {
        Taken::Mine(lock) => lock.into_file(),
        Taken::HeldBy(pid) => return Err(MonitorError::Busy(pid)),
    };
    // A container that is being removed has no pending order; one whose end is told needs no monitor.
    let order = dir.pending_order().found().ok_or(MonitorError::Order)?;
    let record = dir.record().found().ok_or(MonitorError::Record)?;
    if dir.exit().found().is_some() {
        return Err(MonitorError::Ended);
    }
    let monitor = pidfd::stamp(nix::unistd::getpid().as_raw()).ok_or(MonitorError::Record)?;
    let record = Record { monitor, ..record };
    dir.write_record(&record)?;
    let program = Program::open_or_make(Some(program)).map_err(|source| MonitorError::Program { source })?;
    become_monitor(&program, &Watched { dir: &dir, order: &order, record: &record, lock: &lock })
}

/// The lock goes along, by its descriptor.
pub fn become_monitor(program: &Program, watched: &Watched<'_>) -> Result<Infallible, MonitorError> {
    let leaf = Leaf::new(&watched.order.cgroup)?;
    let init = PidFd::of(watched.record.init).map_err(|source| MonitorError::Hold { source })?;
    let oom = OomEvents::watch(&leaf);
    // Opened before the shim's own are closed, or what a program wrote that has ended already would be gone.
    let [Some(stdout), Some(stderr)] = hold_output(watched.dir) else { return Err(MonitorError::Output) };
    let fds =
        [Some(stdout.as_fd()), Some(stderr.as_fd()), init.as_ref().map(AsFd::as_fd), oom.as_ref().map(AsFd::as_fd)];
    let words = words(watched, &leaf, fds)?;
    for fd in fds.into_iter().flatten().chain([watched.lock.as_fd()]) {
        fcntl(fd.as_raw_fd(), FcntlArg::F_SETFD(FdFlag::empty()))
            .map_err(|source| MonitorError::Descriptors { source })?;
    }
    detach().map_err(|source| MonitorError::Descriptors { source })?;
    program.exec(&words).map_err(|source| MonitorError::Exec { source })
}

/// The server takes the end of the answer for what it is, and has no more words.
fn detach() -> Result<(), Errno> {
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    dup2(null.as_raw_fd(), 0)?;
    dup2(null.as_raw_fd(), 1)?;
    Ok(())
}

/// As `tapit_monitor::monitor` reads them; the descriptors are its outputs, process 1, and what announces a lack of memory.
fn words(watched: &Watched<'_>, leaf: &Leaf, fds: [Option<BorrowedFd<'_>>; 4]) -> Result<Words, MonitorError> {
    let fd = |fd: Option<BorrowedFd<'_>>| fd.map_or("-".to_owned(), |fd| fd.as_raw_fd().to_string());
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let bounds = watched.order.log;
    let numbers = [
        newest_log_segment(watched.dir.path()).to_string(),
        bounds.file_bytes.to_string(),
        bounds.files.to_string(),
        fd(fds[0]),
        fd(fds[1]),
        watched.record.init.pid.to_string(),
        fd(fds[2]),
        fd(fds[3]),
    ];
    let mut argv = vec![CString::new(tapit_monitor::monitor::NAME)?, path(watched.dir.path())?];
    for number in numbers {
        argv.push(CString::new(number)?);
    }
    argv.push(path(&leaf.oom_counter())?);
    for dir in leaf.dirs() {
        argv.push(path(&dir)?);
    }
    Ok(Words { argv, environment: Vec::new() })
}
