//! Makes one container from an order, and becomes its monitor.
//!
//! ```text
//! lock ─► order ─► own namespace ─► root filesystem ─► create ─► word ─► network ─► record ─► start ─► answer ─► monitor
//! ```
//!
//! Runs as a process of its own, single-threaded: the runtime forks without `exec`, changes the working directory and
//! parses the mount table many times. What it makes is undone when a later step fails; what a kill leaves behind is found
//! by the order and the lock. It never decides: an order that cannot be carried out is answered with the reason.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, fchown, mkfifo};
use tapit_model::{Capability, Timestamp};

use super::assemble::{AssembleError, Assembled, assemble};
use super::cgroup::{Leaf, LimitError};
use super::devices::{self, DevicesError};
use super::init::{Descriptors, Init, ProgramError};
use super::lock::{Lock, LockError, Taken};
use super::monitor::{self, MonitorError, Watched};
use super::net::{self, NetError};
use super::program::Program;
use super::seccomp::Filter;
use super::user::Identity;
use super::walls::{self, WallsError};
use super::{pidfd, spec};
use crate::instance::{Answer, Fault, FileError, InstanceDir, LOCK, Order, PROTOCOL, Record, STATUS, Stored, limits};

#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("process {0} is already at work on this instance")]
    Busy(i32),
    #[error("the order cannot be read: {0}")]
    Order(String),
    #[error("{act}")]
    Isolate { act: &'static str, source: Errno },
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error("restricting its devices; without that a container cannot have MKNOD")]
    Devices(#[from] DevicesError),
    #[error(transparent)]
    Walls(#[from] WallsError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("writing the runtime's specification")]
    Spec(#[from] oci_spec::OciSpecError),
    #[error("making {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("making the container's pipes")]
    Pipes { source: Errno },
    #[error("creating the container")]
    Create { source: Box<libcontainer::error::LibcontainerError> },
    #[error("the container's first process ended before it was started")]
    Gone,
    #[error("setting its priority for when memory runs out")]
    OomScore { source: io::Error },
    #[error("waiting for the word to start")]
    Word { source: Errno },
    /// The server has ended, or has let go of a spare.
    #[error("the container is not wanted")]
    Unwanted,
    #[error("giving the container its size")]
    Size(#[source] LimitError),
    #[error("giving the container its network")]
    Network(#[from] NetError),
    #[error("recording the container")]
    Record(#[from] FileError),
    #[error("starting the container")]
    Start { source: Box<libcontainer::error::LibcontainerError> },
    #[error("becoming the container's monitor")]
    Monitor(#[source] MonitorError),
    #[error("making the program of the container's first process")]
    FirstProgram { source: io::Error },
}

impl ShimError {
    fn fault(&self) -> Fault {
        match self {
            ShimError::Assemble(error) if error.is_of_image() => Fault::Image,
            ShimError::Program(_) => Fault::Image,
            ShimError::Assemble(_)
            | ShimError::Devices(_)
            | ShimError::Walls(_)
            | ShimError::Lock(_)
            | ShimError::Busy(_)
            | ShimError::Order(_)
            | ShimError::Isolate { .. }
            | ShimError::Spec(_)
            | ShimError::Make { .. }
            | ShimError::Pipes { .. }
            | ShimError::Create { .. }
            | ShimError::Gone
            | ShimError::OomScore { .. }
            | ShimError::Word { .. }
            | ShimError::Unwanted
            | ShimError::Size(_)
            | ShimError::Network(_)
            | ShimError::Record(_)
            | ShimError::Start { .. }
            | ShimError::FirstProgram { .. }
            | ShimError::Monitor(_) => Fault::Host,
        }
    }
}

/// Carries out the order in a directory. On success it does not return: the process goes on as the monitor.
pub fn main(dir: &Path, program: Option<&Path>) -> ExitCode {
    // What the runtime has to say about a failure goes to the shim's log.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    let Err(error) = make(dir, program);
    answer_failure(error.fault(), &error)
}

/// Tells the server that nothing runs, and why.
pub fn answer_failure(fault: Fault, error: &dyn std::error::Error) -> ExitCode {
    answer(&Answer::Failed { fault, text: tapit_model::describe(error) });
    ExitCode::FAILURE
}

/// One line on standard output. A server that is gone learns from the record instead.
fn answer(answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let mut stdout = io::stdout();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

fn make(dir: &Path, program: Option<&Path>) -> Result<Infallible, ShimError> {
    // Forks of this process stand in the container until they are its process 1, and are out of its reach like this.
    nix::sys::prctl::set_dumpable(false)
        .map_err(|source| ShimError::Isolate { act: "hiding from the container", source })?;
    // First of all: it is only there for as long as the server is.
    let program = Program::open_or_make(program).map_err(|source| ShimError::FirstProgram { source })?;
    let path = std::path::absolute(dir).map_err(|source| ShimError::Make { path: dir.to_owned(), source })?;
    let dir = InstanceDir::new(path);
    let lock = match Lock::take(&dir.file(LOCK))? {
        Taken::Mine(lock) => lock.into_file(),
        Taken::HeldBy(pid) => return Err(ShimError::Busy(pid)),
    };
    let order = pending(&dir)?;
    isolate()?;
    let assembled = assemble(&dir, &order)?;
    let files = Files { program, streams: Streams::new(&dir, &assembled.identity)? };
    let container = create(&dir, &order, &assembled, &files)?;
    let program = files.program;
    let init = container.pid().map_or(0, |pid| pid.as_raw());
    let Err(error) = run(&dir, &order, Made { container, init, program, lock });
    abandon(&order, init);
    Err(error)
}

fn pending(dir: &InstanceDir) -> Result<Order, ShimError> {
    match dir.pending_order() {
        Stored::Found(order) => Ok(order),
        Stored::Missing => Err(ShimError::Order("it is missing, or was taken back".to_owned())),
        Stored::Corrupt(text) => Err(ShimError::Order(text)),
    }
}

/// Cuts the process off from whoever started it.
fn isolate() -> Result<(), ShimError> {
    let act = |act| move |source| ShimError::Isolate { act, source };
    // Blocked for good: the container's process 1 inherits it and takes signals one by one, and the monitor must outlive
    // whatever is sent to the server's processes.
    SigSet::all().thread_block().map_err(act("blocking signals"))?;
    // It may be a session leader already when it was started by hand.
    if let Err(source) = nix::unistd::setsid()
        && source != Errno::EPERM
    {
        return Err(act("starting a session")(source));
    }
    nix::sys::prctl::set_child_subreaper(true).map_err(act("becoming a subreaper"))?;
    // What the server was given by whoever started it is no business of the container: the runtime would hand on its groups,
    // and the keys of its session could be reached from inside.
    nix::unistd::setgroups(&[]).map_err(act("dropping supplementary groups"))?;
    leave_keyring().map_err(act("leaving the session's keyring"))?;
    nix::unistd::chdir("/").map_err(act("leaving the working directory"))?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(act("making a mount namespace"))?;
    // Nothing mounted here reaches the host, while the host's own unmounts still arrive and free its devices.
    let none = None::<&str>;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .map_err(act("separating the mount namespace"))
}

/// Begins a session keyring of its own. A kernel without keys has none to leave.
fn leave_keyring() -> Result<(), Errno> {
    const JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    const NAMELESS: libc::c_ulong = 0;
    // SAFETY: the call takes numbers alone and changes which keyring this process looks things up in.
    match Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, NAMELESS) }) {
        Ok(_) | Err(Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// What the container's process 1 has open.
struct Files {
    program: Program,
    streams: Streams,
}

/// The container's standard streams, and the file that says how its program ended. They have names in the instance's
/// directory, so that whoever comes later can take them up: a reader that is gone neither ends the program's writing nor
/// loses what is on its way.
struct Streams {
    stdin: File,
    stdout: File,
    stderr: File,
    status: File,
}

impl Streams {
    fn new(dir: &InstanceDir, identity: &Identity) -> Result<Self, ShimError> {
        let open = |path: PathBuf, options: &mut OpenOptions| {
            options.open(&path).map_err(|source| ShimError::Make { path, source })
        };
        let fifo = |name: &str| -> Result<File, ShimError> {
            let path = dir.file(name);
            mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|source| ShimError::Pipes { source })?;
            // Both ends: a program that writes to it never finds nobody reading.
            let fifo = open(path, OpenOptions::new().read(true).write(true))?;
            hold_more(&fifo);
            // Or a program that opens /dev/stdout by name could not, unless it is root.
            fchown(fifo.as_raw_fd(), Some(Uid::from_raw(identity.host_uid)), None)
                .map_err(|source| ShimError::Pipes { source })?;
            Ok(fifo)
        };
        let (stdout, stderr) = (fifo("stdout")?, fifo("stderr")?);
        let mut status =
            open(dir.file(STATUS), OpenOptions::new().write(true).create(true).truncate(true).mode(0o600))?;
        // Its place on the disk is taken now, so that telling the end cannot fail for want of one.
        status
            .write_all(&tapit_monitor::ending::NOT_YET.to_ne_bytes())
            .map_err(|source| ShimError::Make { path: dir.file(STATUS), source })?;
        Ok(Self { stdin: open(PathBuf::from("/dev/null"), OpenOptions::new().read(true))?, stdout, stderr, status })
    }
}

/// Room for what is written while the monitor lets output gather. A kernel that gives less makes writers wait sooner.
fn hold_more(fifo: &File) {
    const BYTES: libc::c_int = 256 * 1024;
    // SAFETY: the call takes numbers alone; the descriptor is open.
    unsafe {
        libc::fcntl(fifo.as_raw_fd(), libc::F_SETPIPE_SZ, BYTES);
    }
}

fn create(dir: &InstanceDir, order: &Order, assembled: &Assembled, files: &Files) -> Result<Container, ShimError> {
    let (bundle, state) = (dir.file("bundle"), dir.file("state"));
    for path in [&bundle, &state] {
        let made = fs::DirBuilder::new().mode(0o700).create(path);
        made.map_err(|source| ShimError::Make { path: path.clone(), source })?;
    }
    let identity = &assembled.identity;
    let streams = &files.streams;
    let descriptors = Descriptors { program: files.program.as_raw_fd(), status: streams.status.as_raw_fd() };
    let filter = Filter::default_profile(&order.cap_add);
    let init = Init::new(&order.argv, &spec::environment(order, identity), descriptors, filter)?;
    spec::spec(order, identity, &assembled.host()?)?.save(bundle.join("config.json"))?;
    let failed = |source| ShimError::Create { source: Box::new(source) };
    let stream =
        |file: &File| file.try_clone().map_err(|source| ShimError::Make { path: dir.path().to_owned(), source });
    ContainerBuilder::new("instance".to_owned(), SyscallType::default())
        .with_root_path(&state)
        .map_err(failed)?
        .with_executor(init)
        .with_stdin(stream(&streams.stdin)?)
        .with_stdout(stream(&streams.stdout)?)
        .with_stderr(stream(&streams.stderr)?)
        .as_init(&bundle)
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(failed)
}

/// Devices, and a look at the walls. No code of the image has run yet.
fn confine(order: &Order, init: i32) -> Result<(), ShimError> {
    match devices::confine(order) {
        Err(error) if order.cap_add.contains(&Capability::Mknod) => return Err(error.into()),
        // Without MKNOD there are no nodes but those that the runtime made; the server warns once that this wall is missing.
        Err(error) => eprintln!("{}", tapit_model::describe(&error)),
        Ok(()) => {}
    }
    Ok(walls::check(init)?)
}

/// A container that exists and waits to be started.
struct Made {
    container: Container,
    init: i32,
    program: Program,
    lock: File,
}

fn run(dir: &InstanceDir, order: &Order, mut made: Made) -> Result<Infallible, ShimError> {
    // Set from outside and only now: the runtime would set it on this process, and so on the monitor, too.
    fs::write(format!("/proc/{}/oom_score_adj", made.init), order.oom_score_adj.to_string())
        .map_err(|source| ShimError::OomScore { source })?;
    confine(order, made.init)?;
    answer(&Answer::Made { init: made.init });
    let order = await_word(dir, order)?;
    if let Some(attach) = &order.network {
        net::plug(made.init, attach)?;
    }
    let record = Record {
        protocol: PROTOCOL,
        boot_id: pidfd::boot_id(),
        monitor: pidfd::stamp(nix::unistd::getpid().as_raw()).ok_or(ShimError::Gone)?,
        init: pidfd::stamp(made.init).ok_or(ShimError::Gone)?,
        started_at: Timestamp(jiff::Timestamp::now().as_millisecond()),
    };
    dir.write_record(&record)?;
    made.container.start().map_err(|source| ShimError::Start { source: Box::new(source) })?;
    answer(&Answer::Started(record.clone()));
    let watched = Watched { dir, order: &order, record: &record, lock: &made.lock };
    monitor::become_monitor(&made.program, &watched).map_err(ShimError::Monitor)
}

/// Waits until the server says that the container is to start, which for most it has said already. A spare's order may have
/// been written anew meanwhile: its size is put in force, and from all else nothing is made.
fn await_word(dir: &InstanceDir, made: &Order) -> Result<Order, ShimError> {
    let stdin = io::stdin();
    let waits = poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0);
    if waits {
        trim();
    }
    match nix::unistd::read(stdin.as_raw_fd(), &mut [0]) {
        Ok(0) => return Err(ShimError::Unwanted),
        Ok(_) => {}
        Err(source) => return Err(ShimError::Word { source }),
    }
    let order = pending(dir)?;
    if order.size != made.size {
        let leaf = Leaf::new(&order.cgroup).map_err(LimitError::from);
        leaf.and_then(|leaf| limits(&order, order.size).apply(&leaf)).map_err(ShimError::Size)?;
    }
    Ok(order)
}

/// Gives back what the runtime has used and left: a spare may wait for days.
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes a number, and only hands unused pages of the allocator back to the kernel.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes back a container that was made and cannot go on. The error that led here is the one to report; what stays
/// behind all the same is removed by the server.
fn abandon(order: &Order, init: i32) {
    if init > 0 {
        // Our own child, not waited for yet, so the id is still its.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(init), None);
    }
    if let Ok(leaf) = Leaf::new(&order.cgroup) {
        let _ = leaf.kill().and_then(|()| leaf.remove());
    }
}
