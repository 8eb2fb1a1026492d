//! Process 1 of a container: starts its program, passes signals on to it, reaps what it leaves behind, ends with it.
//!
//! The runtime calls this hook in the container, with its namespaces, root, user and capabilities in place, once it was
//! told to start. A program that is process 1 itself ignores SIGTERM unless it handles it, and lets its orphans pile up as
//! zombies; so this process forks, the child becomes the program, and the parent stays as the smallest init there is. It
//! needs no file in the image. How the program ended is told to the monitor through a pipe, since an exit status cannot
//! tell a signal from a status above 128.
//!
//! All signals are blocked from the shim's first moment on, so none is lost between creation and here.
//!
//! A seccomp filter belongs right before the program is executed: the child is single-threaded and has
//! `no_new_privs`.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::RawFd;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use oci_spec::runtime::Spec;

/// As shells report a program that is not there, and one that cannot be run.
const NOT_FOUND: c_int = 127;
const NOT_RUNNABLE: c_int = 126;
/// A shell's status for a program that a signal has ended.
pub const SIGNALLED: c_int = 128;
const LAST_SIGNAL: c_int = 64;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("there is no command to run: neither the image nor the process gives one")]
    Empty,
    #[error("the command or a variable holds a NUL byte")]
    Nul(#[from] std::ffi::NulError),
}

/// The program to run, ready for calls that must not allocate.
#[derive(Debug, Clone)]
pub struct Init {
    argv: Vec<CString>,
    environment: Vec<CString>,
    /// Where to look for it, in order.
    candidates: Vec<CString>,
    /// The pipe that the program's wait status goes to. Open for as long as the shim has not started the container.
    status: RawFd,
}

impl Init {
    pub fn new(argv: &[String], environment: &[String], status: RawFd) -> Result<Self, ProgramError> {
        let program = argv.first().filter(|program| !program.is_empty()).ok_or(ProgramError::Empty)?;
        let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
        let all = |texts: &[String]| texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, _>>();
        let candidates = candidates(program, path.unwrap_or(DEFAULT_PATH));
        Ok(Self { argv: all(argv)?, environment: all(environment)?, candidates: all(&candidates)?, status })
    }
}

/// A name with a slash is a path; any other is looked for in each directory of `PATH`.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    // An empty entry means the working directory, as for every shell.
    let directories = path.split(':').map(|directory| if directory.is_empty() { "." } else { directory });
    directories.map(|directory| format!("{directory}/{program}")).collect()
}

impl Executor for Init {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let argv = pointers(&self.argv);
        let environment = pointers(&self.environment);
        // SAFETY: the process has one thread, so the child's copy of memory is consistent. Both sides below use only
        // calls that are safe after a fork and never return here.
        match unsafe { libc::fork() } {
            -1 => Err(ExecutorError::Other(format!("forking the program: {}", std::io::Error::last_os_error()))),
            0 => become_program(&self.candidates, &argv, &environment),
            program => reap_until(program, self.status),
        }
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // A program that is not there is an exit with status 127 and a line in the log, as from any shell.
        Ok(())
    }

    fn setup_envs(&self, _: std::collections::HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment is handed to the program itself; this process needs none.
        Ok(())
    }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The child's side: a clean slate of signals and descriptors, then the program.
fn become_program(candidates: &[CString], argv: &[*const c_char], environment: &[*const c_char]) -> ! {
    let mut status = NOT_FOUND;
    let mut errno = libc::ENOENT;
    // SAFETY: all of these are system calls that are safe after a fork. `none` is filled in before it is read. The
    // pointers come from `CString`s that the caller holds, in arrays that end with null.
    unsafe {
        libc::setsid();
        // Ignored signals stay ignored over an exec: SIGPIPE is by default, others may be by whoever started the server.
        for signal in 1..=LAST_SIGNAL {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        close_range(3, u32::MAX);
        for candidate in candidates {
            libc::execve(candidate.as_ptr(), argv.as_ptr(), environment.as_ptr());
            let failed = *libc::__errno_location();
            if failed != libc::ENOENT && failed != libc::ENOTDIR {
                // The first one that is there but cannot be run is worth more to know than that others are missing.
                if status == NOT_FOUND {
                    errno = failed;
                }
                status = NOT_RUNNABLE;
            }
        }
        complain(&[c"tapit: cannot run ".as_ptr(), *argv.first().unwrap_or(&c"".as_ptr()), meaning(errno).as_ptr()]);
        libc::_exit(status)
    }
}

/// Writes to standard error without allocating.
///
/// # Safety
/// Every pointer must be to a C string.
unsafe fn complain(parts: &[*const c_char]) {
    for part in parts {
        // SAFETY: as promised by the caller; a write that fails has nobody to be told.
        unsafe {
            libc::write(2, part.cast(), libc::strlen(*part));
        }
    }
}

fn meaning(errno: c_int) -> &'static CStr {
    match errno {
        libc::ENOENT => c": there is no such program in the image\n",
        libc::EACCES => c": it is not executable for this user\n",
        libc::ENOEXEC => c": it is not a program for this machine\n",
        libc::E2BIG => c": its arguments and environment are too long\n",
        libc::ENOMEM => c": there is not enough memory\n",
        libc::ELOOP => c": too many symbolic links\n",
        _ => c": the kernel refuses\n",
    }
}

/// The parent's side: process 1.
fn reap_until(program: c_int, status: RawFd) -> ! {
    // SAFETY: all of these are system calls that are safe after a fork, or fill in memory of this function. Nothing here
    // allocates, locks or returns.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"tapit-init".as_ptr());
        // Held descriptors would keep pipes and files of the host open, and show them to whoever may look at this process.
        if let Ok(status) = u32::try_from(status) {
            close_range(0, status.saturating_sub(1));
            close_range(status.saturating_add(1), u32::MAX);
        }
        libc::chdir(c"/".as_ptr());
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        loop {
            let signal = libc::sigwaitinfo(&all, std::ptr::null_mut());
            if signal == libc::SIGCHLD {
                reap(program, status);
            } else if signal > 0 {
                libc::kill(program, signal);
            }
        }
    }
}

/// Reaps every child that has ended. When the program is among them, tells how it ended, and ends: the kernel then kills
/// whatever is left in the container.
///
/// # Safety
/// `status` must be a descriptor that is this process's to write to.
unsafe fn reap(program: c_int, status: RawFd) {
    loop {
        let mut how: c_int = 0;
        // SAFETY: the call fills in `how`.
        let pid = unsafe { libc::waitpid(-1, &mut how, libc::WNOHANG) };
        if pid <= 0 {
            return;
        }
        if pid == program {
            let code = if libc::WIFSIGNALED(how) { SIGNALLED + libc::WTERMSIG(how) } else { libc::WEXITSTATUS(how) };
            // SAFETY: `how` is as long as is said. Should the monitor be gone, nobody needs to know.
            unsafe {
                libc::write(status, std::ptr::from_ref(&how).cast(), size_of::<c_int>());
                libc::_exit(code)
            }
        }
    }
}

/// # Safety
/// No descriptor of the range may be used afterwards.
unsafe fn close_range(first: u32, last: u32) {
    const NO_FLAGS: c_int = 0;
    // SAFETY: closing is what the caller wants; an empty range is refused by the kernel and means nothing to close.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, last, NO_FLAGS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_path_unless_it_is_a_path() {
        assert_eq!(candidates("sh", "/bin:/usr/bin"), ["/bin/sh", "/usr/bin/sh"]);
        assert_eq!(candidates("sh", "/bin::"), ["/bin/sh", "./sh", "./sh"]);
        assert_eq!(candidates("./run", "/bin"), ["./run"]);
        let init = |argv: &[&str], env: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            Init::new(&own(argv), &own(env), 3)
        };
        assert!(matches!(init(&[], &[]), Err(ProgramError::Empty)));
        assert!(matches!(init(&[""], &[]), Err(ProgramError::Empty)));
        assert!(matches!(init(&["a\0b"], &[]), Err(ProgramError::Nul(_))));
        let found = init(&["a"], &["PATH=/x", "HOME=/", "PATH=/y"]).expect("is legal");
        assert_eq!(found.candidates, [c"/y/a".to_owned()]);
    }
}
