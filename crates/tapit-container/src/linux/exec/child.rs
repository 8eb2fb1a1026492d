//! The command itself: forked off the helper when that has become as process 1 of the container is.

use std::ffi::{CString, NulError, c_char, c_int};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{dup2, pipe2, setsid};
use tapit_monitor::ending::Ending;
use tapit_monitor::search::{self, Verdict};

use super::ExecError;
use crate::linux::pidfd::PidFd;
use crate::linux::seccomp::Filter;
use crate::linux::turns;

const LAST_SIGNAL: c_int = 64;

/// What to execute, ready for the kernel.
pub struct Program {
    argv: Vec<CString>,
    environment: Vec<CString>,
    /// Where to look for it, in order.
    candidates: Vec<CString>,
}

impl Program {
    /// The environment must hold `PATH`.
    pub fn new(argv: &[String], environment: &[String]) -> Result<Self, ExecError> {
        let name = argv.first().filter(|name| !name.is_empty()).ok_or(ExecError::Empty)?;
        let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default();
        let all =
            |texts: &[String]| texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, NulError>>();
        Ok(Self { argv: all(argv)?, environment: all(environment)?, candidates: all(&candidates(name, path))? })
    }
}

/// A name with a slash is a path; any other is looked for in each directory of `PATH`.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let directories = search::directories(name.as_bytes(), path.as_bytes());
    directories.map(|directory| format!("{}/{name}", String::from_utf8_lossy(directory))).collect()
}

pub enum Streams {
    Pipes([OwnedFd; 3]),
    Terminal(OwnedFd),
}

pub struct Start {
    pub program: Program,
    pub filter: Filter,
    pub streams: Streams,
    /// Files that a process joins the instance's groups by.
    pub groups: Vec<File>,
}

/// The command, held by us alone.
pub struct Child {
    pub pid: i32,
    pub handle: PidFd,
}

/// Forks the command into the process namespace that was joined. Answers once it runs, or has said that it cannot.
pub fn start(start: &Start) -> Result<Child, ExecError> {
    let fork = |act| move |source| ExecError::Fork { act, source };
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(fork("making a pipe"))?;
    // SAFETY: this process has one thread, so the child's copy of memory is consistent, and the child never returns.
    match Errno::result(unsafe { libc::fork() }).map_err(fork("forking"))? {
        0 => become_command(start, write),
        pid => {
            drop(write);
            // Our own child, not waited for yet, so the id is still its.
            let handle = PidFd::open(pid).map_err(fork("holding it"))?;
            let mut trouble = String::new();
            // Ends with the pipe, which the command's own start closes.
            let read = File::from(read).read_to_string(&mut trouble);
            match read {
                Ok(_) if trouble.is_empty() => Ok(Child { pid, handle }),
                Ok(_) => Err(ExecError::Child(trouble)),
                Err(error) => Err(ExecError::Child(error.to_string())),
            }
        }
    }
}

fn become_command(start: &Start, trouble: OwnedFd) -> ! {
    let act = match prepare(start) {
        Ok(()) => execute(&start.program),
        Err(act) => act,
    };
    let text = format!("{act}: {}", Errno::last().desc());
    // The helper reads it; should that be gone, nobody needs to know.
    let _ = File::from(trouble).write_all(text.as_bytes());
    // SAFETY: ends this process without running anything of its parent's.
    unsafe { libc::_exit(search::NOT_RUNNABLE) }
}

/// Everything but the execution. On failure, `errno` belongs to the act that is answered.
fn prepare(start: &Start) -> Result<(), &'static str> {
    // SAFETY: the option takes a number. The command is not to outlive a helper that was killed, since nobody would end it.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    for mut group in &start.groups {
        // 0 is whoever writes: in the container's namespace we have another number.
        group.write_all(b"0").map_err(|_| "joining the instance's cgroup")?;
    }
    setsid().map_err(|_| "starting a session")?;
    match &start.streams {
        Streams::Pipes(pipes) => give(pipes.each_ref().map(AsRawFd::as_raw_fd))?,
        Streams::Terminal(slave) => {
            // SAFETY: the call takes a number. A terminal that was just made is nobody else's.
            Errno::result(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) })
                .map_err(|_| "taking over the terminal")?;
            give([slave.as_raw_fd(); 3])?;
        }
    }
    reset_signals();
    // Without them it only makes way later.
    let _ = turns::take_short();
    // Held open until the very end for the sake of what may still fail, and closed by the execution itself. Nobody can
    // have a look at them before: this process is not dumpable.
    const FIRST: libc::c_uint = 3;
    // SAFETY: the call marks descriptors and closes none.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(marked).map_err(|_| "marking descriptors")?;
    start.filter.install().map_err(|_| "installing the system call filter")
}

fn give(streams: [RawFd; 3]) -> Result<(), &'static str> {
    // Above 2 all of them: the socket and what is opened after it came first.
    for (number, stream) in (0..).zip(streams) {
        dup2(stream, number).map_err(|_| "connecting its streams")?;
    }
    Ok(())
}

/// Ignored signals stay ignored over an execution: SIGPIPE is by default, others may be by whoever started the server.
fn reset_signals() {
    /// A disposition as the kernel takes it: handler, flags, restorer, mask. All zero is the default one.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_BYTES: libc::c_ulong = 8;
    // SAFETY: the calls set dispositions and a mask of this process from memory that lives here; `none` is filled in
    // before it is read. The C library would keep us from two of the signals.
    unsafe {
        for signal in 1..=LAST_SIGNAL {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), old, MASK_BYTES);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Becomes the program. When there is none, says so as a shell would and ends.
fn execute(program: &Program) -> ! {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, environment) = (pointers(&program.argv), pointers(&program.environment));
    let mut verdict = Verdict::NOTHING_FOUND;
    for candidate in &program.candidates {
        // SAFETY: the pointers are to `CString`s that live here, in arrays that end with null.
        unsafe { libc::execve(candidate.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
        verdict = verdict.after(tapit_monitor::sys::Errno(Errno::last_raw()));
    }
    let name = program.argv.first().map(|name| name.to_bytes()).unwrap_or_default();
    let text = [b"tapit: cannot run ", name, verdict.meaning()].concat();
    // SAFETY: writes memory that lives here; ends this process without running anything of its parent's.
    unsafe {
        libc::write(2, text.as_ptr().cast(), text.len());
        libc::_exit(verdict.status)
    }
}

/// How a wait status is told by a shell.
pub fn status_of(how: c_int) -> u8 {
    u8::try_from(Ending::of(how).code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_path_unless_it_is_a_path() {
        assert_eq!(candidates("sh", "/bin:/usr/bin"), ["/bin/sh", "/usr/bin/sh"]);
        assert_eq!(candidates("sh", "/bin::"), ["/bin/sh", "./sh", "./sh"]);
        assert_eq!(candidates("./run", "/bin"), ["./run"]);
        assert!(matches!(Program::new(&[], &[]), Err(ExecError::Empty)));
        assert!(matches!(Program::new(&["a\0b".to_owned()], &[]), Err(ExecError::Nul(_))));
    }

    #[test]
    fn a_signal_is_told_as_a_shell_tells_it() {
        assert_eq!([0, 3 << 8, 255 << 8, 15, 9 | 0x80].map(status_of), [0, 3, 255, 143, 137]);
    }
}
