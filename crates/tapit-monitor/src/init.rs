//! Process 1 of a container: starts its program, passes signals on to it, reaps what it leaves behind, ends with it.
//!
//! ```text
//! tapit-init STATUS ARGV…      STATUS is the descriptor of the status file
//! ```
//!
//! Run by the shim's hook in the container, with its namespaces, root, user, capabilities and filter in place. A program
//! that is process 1 itself ignores SIGTERM unless it handles it, and lets its orphans pile up as zombies; so this process
//! forks, the child becomes the program, and the parent stays. It needs no file in the image. How the program ended is told
//! by a file outside of the container, since an exit status cannot tell a signal from a status above 128, and since the
//! file is still there when nobody was watching.
//!
//! All signals are blocked from the shim's first moment on, so none is lost between creation and here.

use core::ffi::CStr;

use crate::ending::Ending;
use crate::search::{self, Verdict};
use crate::sys::{self, Args, Child, Errno, Fd};
use crate::text::Text;

pub const NAME: &str = "tapit-init";

const STATUS: usize = 1;
const PROGRAM: usize = 2;
const SIGCHLD: i32 = 17;
const FAILED: i32 = 1;
/// As long as the kernel lets a path be.
const MAX_PATH: usize = 4096;

pub fn main(args: &Args) -> i32 {
    // Root inside must not reach this process's files and memory; nothing of the image runs before this.
    sys::undumpable(c"tapit-init");
    let (Some(status), Some(program)) = (args.number(STATUS), args.get(PROGRAM)) else { return FAILED };
    match sys::fork() {
        Err(Errno(_)) => {
            sys::complain(&[b"tapit: the container's program cannot be forked\n"]);
            FAILED
        }
        Ok(None) => become_program(args, program),
        Ok(Some(pid)) => reap_until(pid, status),
    }
}

/// The child's side: a clean slate of signals and descriptors, then the program.
fn become_program(args: &Args, program: &CStr) -> i32 {
    sys::leave_session();
    // Ignored signals stay ignored over an exec: SIGPIPE is by default, others may be by whoever started the server.
    sys::clear_signals();
    sys::close_between(3, u32::MAX);
    let verdict = attempt(args, program);
    sys::complain(&[b"tapit: cannot run ", program.to_bytes(), verdict.meaning()]);
    verdict.status
}

/// Returns only when nothing could be run.
fn attempt(args: &Args, program: &CStr) -> Verdict {
    let name = program.to_bytes();
    if name.contains(&b'/') {
        return Verdict::NOTHING_FOUND.after(sys::become_program(program, args, PROGRAM));
    }
    let path = args.variable(b"PATH").unwrap_or(search::DEFAULT_PATH);
    search::directories(name, path).fold(Verdict::NOTHING_FOUND, |verdict, directory| {
        let mut candidate = Text::<MAX_PATH>::new();
        match candidate.push(directory).push(b"/").push(name).c_str() {
            Some(candidate) => verdict.after(sys::become_program(candidate, args, PROGRAM)),
            None => verdict.after(Errno::NAMETOOLONG),
        }
    })
}

/// The parent's side: process 1.
fn reap_until(program: i32, status: u64) -> i32 {
    // Held descriptors would keep files of the host open, and show them to whoever may look at this process.
    if let Ok(status) = u32::try_from(status) {
        if let Some(before) = status.checked_sub(1) {
            sys::close_between(0, before);
        }
        sys::close_between(status.saturating_add(1), u32::MAX);
    }
    let status = Fd::inherited(status);
    sys::chdir_root();
    loop {
        match sys::next_signal() {
            Some(SIGCHLD) => {
                if let Some(how) = reap(program) {
                    if let Some(status) = &status {
                        // The place is there already, so it cannot fail for want of one.
                        let _ = status.write_at(&how.to_ne_bytes(), 0);
                    }
                    // The kernel then kills whatever is left in the container.
                    return Ending::of(how).code;
                }
            }
            // It can only fail because the program has just ended.
            Some(signal) => drop(sys::kill(program, signal)),
            None => {}
        }
    }
}

/// Reaps every child that has ended. Answers the wait status of the program when it is among them.
fn reap(program: i32) -> Option<i32> {
    while let Ok(Some(reaped)) = sys::wait(Child::AnyEnded) {
        if reaped.pid == program {
            return Some(reaped.status);
        }
    }
    None
}
