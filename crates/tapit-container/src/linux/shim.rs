//! Makes one container from an order, and becomes its monitor.
//!
//! ```text
//! lock ─► order ─► own namespace ─► root filesystem ─► create ─► network ─► record ─► start ─► answer ─► monitor
//! ```
//!
//! Runs as a process of its own, single-threaded: the runtime forks without `exec`, changes the working directory and
//! parses the mount table many times. What it makes is undone when a later step fails; what a kill leaves behind is found
//! by the order and the lock. It never decides: an order that cannot be carried out is answered with the reason.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, dup2, execv, fchown, pipe2};
use tapit_model::Timestamp;

use super::cgroup::{Layout, LayoutError, Leaf};
use super::init::{Init, ProgramError};
use super::lock::{Lock, LockError, Taken};
use super::net::{self, NetError};
use super::rootfs::{Rootfs, RootfsError};
use super::user::{self, Identity, UserError};
use super::{pidfd, spec, verbs};
use crate::instance::{Answer, Fault, FileError, InstanceDir, LOCK, Order, PROTOCOL, Record, Stored};

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
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("the working directory {0:?} is not absolute")]
    Cwd(PathBuf),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
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
    #[error("giving the container its network")]
    Network(#[from] NetError),
    #[error("recording the container")]
    Record(#[from] FileError),
    #[error("starting the container")]
    Start { source: Box<libcontainer::error::LibcontainerError> },
    #[error("becoming the container's monitor")]
    Monitor { source: Errno },
}

impl ShimError {
    fn fault(&self) -> Fault {
        match self {
            ShimError::Rootfs(error) if error.is_of_image() => Fault::Image,
            ShimError::User(_) | ShimError::Cwd(_) | ShimError::Program(_) => Fault::Image,
            ShimError::Rootfs(_)
            | ShimError::Lock(_)
            | ShimError::Busy(_)
            | ShimError::Order(_)
            | ShimError::Isolate { .. }
            | ShimError::Layout(_)
            | ShimError::Spec(_)
            | ShimError::Make { .. }
            | ShimError::Pipes { .. }
            | ShimError::Create { .. }
            | ShimError::Gone
            | ShimError::OomScore { .. }
            | ShimError::Network(_)
            | ShimError::Record(_)
            | ShimError::Start { .. }
            | ShimError::Monitor { .. } => Fault::Host,
        }
    }
}

/// Carries out the order in a directory. On success it does not return: the process goes on as the monitor.
pub fn main(dir: &Path) -> ExitCode {
    // What the runtime has to say about a failure goes to the shim's log.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    let Err(error) = make(dir);
    answer_failure(error.fault(), &error)
}

/// Tells the server that nothing runs, and why.
pub fn answer_failure(fault: Fault, error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    answer(&Answer::Failed { fault, text });
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

fn make(dir: &Path) -> Result<Infallible, ShimError> {
    let path = std::path::absolute(dir).map_err(|source| ShimError::Make { path: dir.to_owned(), source })?;
    let dir = InstanceDir::new(path);
    let lock = match Lock::take(&dir.file(LOCK))? {
        Taken::Mine(lock) => lock.into_file(),
        Taken::HeldBy(pid) => return Err(ShimError::Busy(pid)),
    };
    let order = match dir.pending_order() {
        Stored::Found(order) => order,
        Stored::Missing => return Err(ShimError::Order("it is missing, or was taken back".to_owned())),
        Stored::Corrupt(text) => return Err(ShimError::Order(text)),
    };
    isolate()?;
    let identity = assemble(&dir, &order)?;
    let pipes = Pipes::new(&identity).map_err(|source| ShimError::Pipes { source })?;
    let (container, outputs) = create(&dir, &order, &identity, pipes)?;
    let init = container.pid().map_or(0, |pid| pid.as_raw());
    let Err(error) = run(&dir, &order, Made { container, init, outputs, lock });
    abandon(&order, init);
    Err(error)
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
    nix::unistd::chdir("/").map_err(act("leaving the working directory"))?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(act("making a mount namespace"))?;
    // Nothing mounted here reaches the host, while the host's own unmounts still arrive and free its devices.
    let none = None::<&str>;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .map_err(act("separating the mount namespace"))
}

fn assemble(dir: &InstanceDir, order: &Order) -> Result<Identity, ShimError> {
    let rootfs = Rootfs::assemble(dir.path(), &order.layers)?;
    rootfs.check()?;
    let identity = user::resolve(&order.user, &rootfs.read_list("etc/passwd")?, &rootfs.read_list("etc/group")?)?;
    rootfs.write_etc(&order.etc)?;
    let cwd = spec::cwd(order);
    if !cwd.is_absolute() {
        return Err(ShimError::Cwd(cwd.to_owned()));
    }
    rootfs.make_cwd(cwd)?;
    Ok(identity)
}

/// The container's standard streams and the way back for its program's end.
struct Pipes {
    stdin: File,
    stdout: OwnedFd,
    stderr: OwnedFd,
    status: OwnedFd,
    outputs: Outputs,
}

/// The ends that the monitor reads.
struct Outputs {
    stdout: OwnedFd,
    stderr: OwnedFd,
    status: OwnedFd,
}

impl Pipes {
    fn new(identity: &Identity) -> Result<Self, Errno> {
        let pipe = || pipe2(OFlag::O_CLOEXEC);
        let (stdout_read, stdout) = pipe()?;
        let (stderr_read, stderr) = pipe()?;
        let (status_read, status) = pipe()?;
        // Or a program that opens /dev/stdout by name could not, unless it is root.
        for fd in [&stdout, &stderr] {
            fchown(fd.as_raw_fd(), Some(Uid::from_raw(identity.uid)), None)?;
        }
        let stdin =
            File::open("/dev/null").map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let outputs = Outputs { stdout: stdout_read, stderr: stderr_read, status: status_read };
        Ok(Self { stdin, stdout, stderr, status, outputs })
    }
}

fn create(
    dir: &InstanceDir,
    order: &Order,
    identity: &Identity,
    pipes: Pipes,
) -> Result<(Container, Outputs), ShimError> {
    let (bundle, state) = (dir.file("bundle"), dir.file("state"));
    for path in [&bundle, &state] {
        let made = fs::DirBuilder::new().mode(0o700).create(path);
        made.map_err(|source| ShimError::Make { path: path.clone(), source })?;
    }
    let init = Init::new(&order.argv, &spec::environment(order, identity), pipes.status.as_raw_fd())?;
    spec::spec(order, identity, &host(dir.file("rootfs"))?)?.save(bundle.join("config.json"))?;
    let failed = |source| ShimError::Create { source: Box::new(source) };
    let container = ContainerBuilder::new("instance".to_owned(), SyscallType::default())
        .with_root_path(&state)
        .map_err(failed)?
        .with_executor(init)
        .with_stdin(pipes.stdin)
        .with_stdout(pipes.stdout)
        .with_stderr(pipes.stderr)
        .as_init(&bundle)
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(failed)?;
    // Our copy of the writing end: with it closed, the monitor sees the end of file once the container has ended.
    drop(pipes.status);
    Ok((container, pipes.outputs))
}

fn host(rootfs: PathBuf) -> Result<spec::Host, ShimError> {
    let layout = Layout::get()?;
    let swap = |mount: &Path| mount.join("memory.memsw.limit_in_bytes").exists();
    let (accounts_swap, kills_groups) = match layout {
        Layout::V1(_) => (layout.mount_of("memory").is_some_and(swap), false),
        Layout::V2 => (true, true),
    };
    let (_, max_open_files) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|source| ShimError::Isolate { act: "reading the limit of open files", source })?;
    Ok(spec::Host { rootfs, accounts_swap, max_open_files, kills_groups })
}

/// A container that exists and waits to be started.
struct Made {
    container: Container,
    init: i32,
    outputs: Outputs,
    lock: File,
}

fn run(dir: &InstanceDir, order: &Order, mut made: Made) -> Result<Infallible, ShimError> {
    // Set from outside and only now: the runtime would set it on this process, and so on the monitor, too.
    fs::write(format!("/proc/{}/oom_score_adj", made.init), order.oom_score_adj.to_string())
        .map_err(|source| ShimError::OomScore { source })?;
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
    answer(&Answer::Started(record));
    become_monitor(dir, &made).map_err(|source| ShimError::Monitor { source })
}

/// Runs the program afresh: the monitor needs a hundredth of what the runtime has allocated. Lock and pipes go along.
fn become_monitor(dir: &InstanceDir, made: &Made) -> Result<Infallible, Errno> {
    let outputs = &made.outputs;
    let kept = [outputs.stdout.as_raw_fd(), outputs.stderr.as_raw_fd(), outputs.status.as_raw_fd()];
    for fd in kept.into_iter().chain([made.lock.as_raw_fd()]) {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    let null = File::open("/dev/null").map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    // The server takes the end of the answer for what it is.
    dup2(null.as_raw_fd(), 1)?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::EINVAL);
    let mut args = vec![text(b"tapit")?, text(verbs::MONITOR.as_bytes())?, text(dir.path().as_os_str().as_bytes())?];
    for fd in kept {
        args.push(text(fd.to_string().as_bytes())?);
    }
    execv(c"/proc/self/exe", &args)
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
