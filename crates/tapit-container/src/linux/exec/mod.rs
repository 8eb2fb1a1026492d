//! Runs one command in a running container: the helper process behind `exec`.
//!
//! ```text
//! server ── spawns /proc/self/exe __exec DIR ── seals itself ── reads what to run from the socket on descriptor 0
//!   └─ likeness of process 1 ─ joins its namespaces ─ becomes its user ─ forks ─┬─ waits, forwards signals, reports
//!                                                                               └─ cgroups, session, filter, command
//! ```
//!
//! The command is confined by what process 1 of the container is found to have (`likeness`), not by a second copy of the
//! rules that it was made by, so that the two cannot come apart. The runtime's own way to do this leaves the system call
//! filter and the user namespace out.
//!
//! What runs here before the command is the host's own program, and for some moments a process of the container's own
//! process namespace. Three things keep it out of the container's reach (CVE-2016-9962, CVE-2019-5736): it is not dumpable,
//! so that nobody inside may look behind its `/proc` entries; it has given up every privilege before it forks into the
//! namespace; and it runs from a mount of the program that cannot be written to, since an image may name `/proc/self/exe`
//! as what it wants to run.
//!
//! Single-threaded, as joining a user namespace demands. It decides nothing, and waits for the command to its end.

mod child;
mod likeness;
mod terminal;
mod wait;
mod wire;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sched::setns;

use super::cgroup::{Leaf, LeafError};
use super::pidfd::{self, PidFd};
use super::seccomp::Filter;
use super::{seal, spec, user, verbs};
use crate::instance::{InstanceDir, Order, Record};

pub use terminal::Master;
pub use wire::{ExecOrder, Report, Reports, WireError, send_order};

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("running the helper from a read-only mount")]
    Seal(#[from] seal::SealError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the instance has no usable {0}")]
    Unknown(&'static str),
    #[error("the instance has ended")]
    Ended,
    #[error("looking at the instance's first process: {what}")]
    Look { what: &'static str, source: io::Error },
    #[error(transparent)]
    Leaf(#[from] LeafError),
    #[error("opening {path}")]
    Cgroup { path: PathBuf, source: io::Error },
    #[error("joining the instance's namespaces")]
    Join { source: Errno },
    #[error("opening a terminal in the instance")]
    Terminal { source: Errno },
    #[error("giving up privileges: {act}")]
    Drop { act: &'static str, source: Errno },
    #[error("the command or a variable holds a NUL byte")]
    Nul(#[from] std::ffi::NulError),
    #[error("there is no command to run")]
    Empty,
    #[error("starting the command: {act}")]
    Fork { act: &'static str, source: Errno },
    #[error("starting the command: {0}")]
    Child(String),
}

/// Runs the program again from where it cannot be written to. Returns only when that fails.
pub fn main(dir: &Path) -> ExitCode {
    let Err(error) = seal::seal(verbs::EXEC_SEALED, dir.as_os_str());
    let error = ExecError::Seal(error);
    match socket() {
        Some(socket) => fail(&socket, &error),
        None => ExitCode::FAILURE,
    }
}

/// Carries out the order that comes over the socket.
pub fn sealed_main(dir: &Path) -> ExitCode {
    let Some(socket) = socket() else { return ExitCode::FAILURE };
    match run(dir, &socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&socket, &error),
    }
}

fn fail(socket: &UnixStream, error: &ExecError) -> ExitCode {
    // A server that is gone needs no answer.
    let _ = wire::report(socket, &Report::Failed(tapit_model::describe(error)), None);
    ExitCode::FAILURE
}

/// The server's socket, as a descriptor above those that the command will have as its own.
fn socket() -> Option<UnixStream> {
    // SAFETY: the server starts this process with its socket as descriptor 0, and nobody else here uses that. Were it
    // closed, the calls below would only fail.
    let inherited = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
    inherited.try_clone_to_owned().ok().map(UnixStream::from)
}

/// Everything that is needed of the instance, looked up before anything is changed.
struct Instance {
    order: Order,
    init: PidFd,
    likeness: likeness::Likeness,
    groups: Vec<File>,
}

fn run(dir: &Path, socket: &UnixStream) -> Result<(), ExecError> {
    // Before anything of the container is joined; nothing that follows makes it dumpable again but the command's own start.
    nix::sys::prctl::set_dumpable(false)
        .map_err(|source| ExecError::Drop { act: "hiding from the container", source })?;
    let (wanted, pipes) = wire::receive_order(socket)?;
    let instance = instance(dir)?;
    instance.likeness.take_on_outside()?;
    let pipes = pipes.map(|pipes| pipes.owned_by(instance.likeness.identity.host_uid)).transpose()?;
    setns(instance.init.as_fd(), instance.likeness.namespaces).map_err(|source| ExecError::Join { source })?;
    let home = user::home_inside(instance.likeness.identity.uid);
    let (streams, master) = streams(&wanted, pipes)?;
    let identity = user::Identity { home, ..instance.likeness.identity.clone() };
    let mut environment = spec::environment(&instance.order, &identity);
    if let Some((name, _)) = &wanted.terminal {
        environment.retain(|variable| !variable.starts_with("TERM="));
        environment.push(format!("TERM={name}"));
    }
    let program = child::Program::new(&wanted.argv, &environment)?;
    let filter = Filter::default_profile(&instance.order.cap_add);
    instance.likeness.take_on_inside(spec::cwd(&instance.order))?;
    let child = child::start(&child::Start { program, filter, streams, groups: instance.groups })?;
    wire::report(socket, &Report::Started, master.as_ref().map(|master| master.as_fd()))?;
    drop(master);
    let end = wait::attend(socket, child, &instance.init)?;
    // A server that is gone needs no answer.
    let _ = wire::report(socket, &end, None);
    Ok(())
}

fn instance(dir: &Path) -> Result<Instance, ExecError> {
    let dir = InstanceDir::new(dir.to_owned());
    let order = dir.order().found().ok_or(ExecError::Unknown("order"))?;
    let record: Record = dir.record().found().ok_or(ExecError::Unknown("record"))?;
    if record.boot_id != pidfd::boot_id() {
        return Err(ExecError::Ended);
    }
    let look = |source: Errno| ExecError::Look { what: "holding it", source: source.into() };
    let init = PidFd::of(record.init).map_err(look)?.ok_or(ExecError::Ended)?;
    let leaf = Leaf::new(&order.cgroup)?;
    let groups = groups(&leaf)?;
    let likeness = likeness::Likeness::of(record.init.pid, order.ids)?;
    // Looked at last: alive now, so everything above was read of it and not of a later process with its id; and a member
    // of its groups now, so those are its own and not of a later instance.
    if !leaf.holds(record.init.pid) || !init.is_alive() {
        return Err(ExecError::Ended);
    }
    Ok(Instance { order, init, likeness, groups })
}

/// The files that a process joins the instance's groups by, opened while we are the host's root: the kernel asks who
/// opened them, not who writes.
fn groups(leaf: &Leaf) -> Result<Vec<File>, ExecError> {
    let open = |dir: PathBuf| {
        let path = dir.join("cgroup.procs");
        File::options().write(true).open(&path).map_err(|source| match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV) => ExecError::Ended,
            _ => ExecError::Cgroup { path, source },
        })
    };
    leaf.dirs().into_iter().map(open).collect()
}

/// What the command has as its standard streams, and the other side of its terminal.
fn streams(wanted: &ExecOrder, pipes: Option<wire::Pipes>) -> Result<(child::Streams, Option<OwnedFd>), ExecError> {
    match (&wanted.terminal, pipes) {
        (Some((_, size)), _) => {
            let pair = terminal::open(*size).map_err(|source| ExecError::Terminal { source })?;
            Ok((child::Streams::Terminal(pair.slave), Some(pair.master)))
        }
        (None, Some(pipes)) => Ok((child::Streams::Pipes(pipes.into_array()), None)),
        (None, None) => Err(WireError::Pipes.into()),
    }
}

/// Makes a descriptor that a system call has just answered ours.
fn owned(fd: i32) -> OwnedFd {
    // SAFETY: callers pass what the kernel has just made for this process, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
