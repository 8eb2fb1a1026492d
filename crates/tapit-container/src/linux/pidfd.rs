//! Handles on processes that stay right when a process id is given to another process.
//!
//! A handle is opened first and checked against the recorded start time after: from then on it can only mean that one
//! process. Used by the server for shims, monitors and containers, and by monitors for their container.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Once;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::instance::ProcessStamp;

/// A process, held by a file descriptor that becomes readable when it ends.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens whatever process has this id now.
    pub fn open(pid: i32) -> Result<Self, Errno> {
        const NO_FLAGS: libc::c_uint = 0;
        // SAFETY: the call takes two integers, touches no memory of ours, and answers a new descriptor or -1.
        let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, NO_FLAGS) })?;
        // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it. It fits: descriptors are ints.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// The very process that was recorded; `None` when it is gone.
    pub fn of(stamp: ProcessStamp) -> Result<Option<Self>, Errno> {
        let pidfd = match Self::open(stamp.pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::ESRCH) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        Ok((start_ticks(stamp.pid) == Some(stamp.start_ticks)).then_some(pidfd))
    }

    /// Sends a signal. `ESRCH` means that the process is gone.
    pub fn signal(&self, number: i32) -> Result<(), Errno> {
        let info = std::ptr::null::<libc::siginfo_t>();
        const NO_FLAGS: libc::c_uint = 0;
        // SAFETY: the descriptor is open for as long as `self` lives, and a null `info` is how the call is told to fill
        // in its own.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), number, info, NO_FLAGS) };
        Errno::result(sent).map(drop)
    }

    /// Whether it has not ended yet. One that has ended but was not waited for counts as ended.
    pub fn is_alive(&self) -> bool {
        !self.wait(PollTimeout::ZERO)
    }

    /// Waits for its end; answers whether it came in time.
    pub fn wait(&self, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
    }

    /// Takes it out of the list of processes, if it is a child of ours that has ended: one whose own parent was killed goes
    /// to whoever stands in for process 1 of the host, which may be this process.
    pub fn reap(&self) {
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        // An error means that it is somebody else's to wait for.
        let _ = waitid(Id::PIDFd(self.0.as_fd()), ended);
    }

    /// For waiting in a tokio task: readable once the process has ended. Needs a runtime.
    pub fn watch(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        let own = self.0.try_clone()?;
        // SAFETY: an `OwnedFd` stays the same open descriptor for as long as it exists, and the `AsyncFd` owns it.
        let registered = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        registered.map_err(|error| error.into_parts().1)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets this process hold as many descriptors as it may: there are five per container.
pub fn allow_many() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Should it fail, the limit stays and is met, if at all, as an error that names what could not be opened.
        let _ = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    });
}

/// When a process was started, in clock ticks since boot; `None` when there is no such process.
pub fn start_ticks(pid: i32) -> Option<u64> {
    parse_start_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in field 2 may hold blanks and brackets, so fields are counted after the last bracket.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    const AFTER_NAME: usize = 22 - 3;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(AFTER_NAME)?.parse().ok()
}

/// The stamp of a process that exists.
pub fn stamp(pid: i32) -> Option<ProcessStamp> {
    start_ticks(pid).map(|start_ticks| ProcessStamp { pid, start_ticks })
}

/// Identifies this boot of the host; empty where it cannot be read, which then equals no recorded one.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        for name in ["(sh)", "(a b)", "(a) S 1 (b)", "()"] {
            assert_eq!(parse_start_ticks(&format!("7 {name} {tail}")), Some(4242), "{name}");
        }
        for broken in ["", "7", "7 (sh", "7 (sh) S 1", "7 (sh) S x x x x x x x x x x x x x x x x x x x"] {
            assert_eq!(parse_start_ticks(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_process_is_told_from_another_one_with_its_id() {
        let me = stamp(std::process::id() as i32).expect("own stamp");
        assert!(PidFd::of(me).expect("opens").is_some_and(|pidfd| pidfd.is_alive()));
        let other = ProcessStamp { start_ticks: me.start_ticks + 1, ..me };
        assert!(PidFd::of(other).expect("opens").is_none());
    }

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("spawns");
        let pidfd = PidFd::open(child.id() as i32).expect("opens");
        assert!(pidfd.is_alive());
        pidfd.signal(libc::SIGKILL).expect("signals");
        assert!(pidfd.wait(PollTimeout::from(10_000u16)));
        assert!(!pidfd.is_alive());
        child.wait().expect("reaps");
        assert_eq!(pidfd.signal(libc::SIGKILL), Err(Errno::ESRCH));
    }
}
