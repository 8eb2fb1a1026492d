//! The helper while the command runs: passes signals on, notices the end of the server, waits.
//!
//! ```text
//! attending ── signal byte ──► kill the command's group
//!     │  └──── server gone ──► SIGHUP ── 5 s ──► SIGKILL
//!     └─ command has ended ──► its status
//! ```

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ExecError;
use super::child::{Child, status_of};
use super::wire::Report;
use crate::linux::pidfd::PidFd;

/// How long a command may take to end once nobody is there for it.
const GRACE_MILLIS: u16 = 5000;

/// How long a container takes to be gone whose last process was waited for: its process 1 waits for that, too.
const ENDING_MILLIS: u16 = 500;

/// Until the command has ended; answers how.
pub fn attend(mut socket: &UnixStream, child: Child, init: &PidFd) -> Result<Report, ExecError> {
    let failed = |source| ExecError::Fork { act: "watching it", source };
    loop {
        let mut fds =
            [PollFd::new(child.handle.as_fd(), PollFlags::POLLIN), PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(source) => return Err(failed(source)),
        }
        let [ended, spoken] = fds.map(|fd| fd.any().unwrap_or(false));
        if ended {
            break;
        }
        let mut signal = [0];
        if spoken {
            match socket.read(&mut signal) {
                Ok(1) => signal_group(&child, i32::from(signal[0])),
                Ok(_) | Err(_) => {
                    hang_up(&child);
                    break;
                }
            }
        }
    }
    let how = reap(child.pid).map_err(failed)?;
    let killed = libc::WIFSIGNALED(how) && libc::WTERMSIG(how) == libc::SIGKILL;
    if killed && init.wait(PollTimeout::from(ENDING_MILLIS)) {
        Ok(Report::Gone)
    } else {
        Ok(Report::Ended(status_of(how)))
    }
}

/// Nobody is there for the command any more.
fn hang_up(child: &Child) {
    signal_group(child, libc::SIGHUP);
    // One that is stopped would not notice.
    signal_group(child, libc::SIGCONT);
    if !child.handle.wait(PollTimeout::from(GRACE_MILLIS)) {
        signal_group(child, libc::SIGKILL);
    }
}

/// The command is the leader of its group and was not waited for yet, so the number is its own. What it did not take can only
/// mean that all of it has ended.
fn signal_group(child: &Child, signal: i32) {
    // SAFETY: takes two numbers.
    unsafe { libc::kill(-child.pid, signal) };
}

fn reap(pid: i32) -> Result<i32, Errno> {
    let mut how = 0;
    loop {
        // SAFETY: the call fills in `how`, which lives here.
        match Errno::result(unsafe { libc::waitpid(pid, &mut how, 0) }) {
            Ok(_) => return Ok(how),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
