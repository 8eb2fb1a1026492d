//! Watches one container: keeps its output, notices that it ran out of memory, records how it ended, cleans up.
//!
//! It is the shim's process with a new program in it, so the container's process 1 is its child and the lock on the
//! directory its own. It outlives the server and is told nothing by it. One thread, no runtime, one buffer: there is one
//! of these per instance.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, FromRawFd, RawFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tapit_model::{Exit, Timestamp};

use super::cgroup::{Leaf, LeafError};
use super::init::SIGNALLED;
use super::log_writer::{Lines, LogWriter};
use super::oom::OomEvents;
use super::pidfd::PidFd;
use crate::instance::{FileError, InstanceDir, Order, Record, Stream};

/// What is read at once.
const BLOCK: usize = 64 * 1024;
/// What a pipe can hold at most when its container has ended.
const MAX_REST: usize = 2 * 1024 * 1024;
/// The kernel announces a lack of memory before it has killed anyone.
const OOM_ROUNDS: u32 = 40;
const OOM_ROUND_MILLIS: u16 = 50;
/// A full disk may have room again soon; without the record the end counts as lost.
const RECORDING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
enum MonitorError {
    #[error("the arguments name no descriptors")]
    Arguments,
    #[error("the order cannot be used")]
    Order,
    #[error("the record cannot be used")]
    Record,
    #[error("taking over descriptor {fd}")]
    Descriptor { fd: RawFd, source: Errno },
    #[error("holding the container's first process")]
    Hold { source: Errno },
    #[error("waiting for the container's first process")]
    Wait { source: Errno },
    #[error("waiting for anything to happen")]
    Poll { source: Errno },
    #[error(transparent)]
    Cgroup(#[from] LeafError),
    #[error("recording how the container ended")]
    Exit(#[from] FileError),
}

/// Watches until the container has ended. What goes wrong is written to standard error, which is the shim's log.
pub fn main(dir: &Path, fds: &[OsString]) -> ExitCode {
    match watch(dir, fds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("{error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn watch(dir: &Path, fds: &[OsString]) -> Result<(), MonitorError> {
    let dir = InstanceDir::new(dir.to_owned());
    let [stdout, stderr, status] = inherited(fds)?;
    let order = dir.order().found().ok_or(MonitorError::Order)?;
    let record = dir.record().found().ok_or(MonitorError::Record)?;
    let mut monitor = Monitor::new(&dir, &order, &record, [stdout, stderr])?;
    monitor.follow()?;
    let how = reap(record.init.pid).map_err(|source| MonitorError::Wait { source })?;
    monitor.drain();
    // A group that vanished has counted nothing.
    let oom = monitor.leaf.oom_kills().unwrap_or(0) > 0;
    let exit = ending(how, program_status(status), oom);
    record_exit(&dir, &exit)?;
    // Processes that were put into it from outside do not end with the container.
    monitor.leaf.kill()?;
    monitor.leaf.remove()?;
    Ok(())
}

/// The descriptors that the shim has left open for this process.
fn inherited(fds: &[OsString]) -> Result<[File; 3], MonitorError> {
    let number = |fd: &OsString| fd.to_str().and_then(|text| text.parse::<RawFd>().ok());
    let [Some(stdout), Some(stderr), Some(status)] = [0, 1, 2].map(|n| fds.get(n).and_then(number)) else {
        return Err(MonitorError::Arguments);
    };
    let take = |fd: RawFd| -> Result<File, MonitorError> {
        let failed = |source| MonitorError::Descriptor { fd, source };
        // Also finds out whether it is open at all.
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
        // SAFETY: it is open, as was just seen, and was left to this process alone; each number is taken once.
        Ok(unsafe { File::from_raw_fd(fd) })
    };
    if fds.len() != 3 || stdout == stderr || stderr == status || stdout == status {
        return Err(MonitorError::Arguments);
    }
    Ok([take(stdout)?, take(stderr)?, take(status)?])
}

/// One of the container's output streams.
struct Output {
    pipe: File,
    lines: Lines,
    open: bool,
}

struct Monitor {
    init: PidFd,
    outputs: [Output; 2],
    log: LogWriter,
    leaf: Leaf,
    oom: Option<OomEvents>,
    /// How many more times to look whether the kernel has killed after it has announced to.
    oom_rounds: u32,
    block: Vec<u8>,
    written: Vec<u8>,
}

impl Monitor {
    fn new(
        dir: &InstanceDir,
        order: &Order,
        record: &Record,
        [stdout, stderr]: [File; 2],
    ) -> Result<Self, MonitorError> {
        let output = |pipe, stream| Output { pipe, lines: Lines::new(stream), open: true };
        // Our own child, not waited for yet, so the id is still its.
        let init = PidFd::open(record.init.pid).map_err(|source| MonitorError::Hold { source })?;
        let leaf = Leaf::new(&order.cgroup)?;
        Ok(Self {
            init,
            outputs: [output(stdout, Stream::Stdout), output(stderr, Stream::Stderr)],
            log: LogWriter::new(dir.path(), order.log),
            oom: OomEvents::watch(&leaf),
            leaf,
            oom_rounds: 0,
            block: vec![0; BLOCK],
            written: Vec::new(),
        })
    }

    /// Until the container's process 1 has ended.
    fn follow(&mut self) -> Result<(), MonitorError> {
        loop {
            let ready = self.wait()?;
            for (at, output) in ready.outputs.into_iter().enumerate() {
                if output {
                    self.read(at);
                }
            }
            if ready.oom {
                self.oom_rounds = OOM_ROUNDS;
            }
            self.end_after_oom();
            if ready.ended {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> Result<Ready, MonitorError> {
        let want = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![want(self.init.as_fd())];
        fds.extend(self.oom.as_ref().map(|oom| want(oom.as_fd())));
        let first_output = fds.len();
        let open: Vec<usize> = (0..self.outputs.len()).filter(|at| self.outputs[*at].open).collect();
        fds.extend(open.iter().map(|at| want(self.outputs[*at].pipe.as_fd())));
        let timeout = if self.oom_rounds > 0 { PollTimeout::from(OOM_ROUND_MILLIS) } else { PollTimeout::NONE };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(source) => return Err(MonitorError::Poll { source }),
        }
        let ready = |at: usize| fds.get(at).and_then(|fd| fd.any()).unwrap_or(false);
        let mut outputs = [false; 2];
        for (nth, at) in open.iter().enumerate() {
            outputs[*at] = ready(first_output + nth);
        }
        let oom = self.oom.as_ref().is_some_and(|oom| ready(1) && oom.taken());
        Ok(Ready { ended: ready(0), oom, outputs })
    }

    /// Where the kernel kills one process only, the rest of the container goes too: half an application is worse than one
    /// that is replaced.
    fn end_after_oom(&mut self) {
        if self.oom_rounds == 0 {
            return;
        }
        self.oom_rounds -= 1;
        if self.leaf.oom_kills().is_ok_and(|kills| kills > 0) {
            self.oom_rounds = 0;
            // It can only fail because it has ended.
            let _ = self.init.signal(libc::SIGKILL);
        }
    }

    /// Reads once. Answers how much came; nothing more will come now after 0.
    fn read(&mut self, at: usize) -> usize {
        let output = &mut self.outputs[at];
        match output.pipe.read(&mut self.block) {
            Ok(len) => {
                let now = now().to_string();
                self.written.clear();
                // A flood of empty lines is written far longer than it is read; its memory is not kept.
                self.written.shrink_to(2 * BLOCK);
                output.lines.feed(&self.block[..len], &now, &mut self.written);
                if len == 0 {
                    output.open = false;
                    output.lines.finish(&now, &mut self.written);
                }
                if !self.written.is_empty() {
                    self.log.append(&self.written, &now);
                }
                len
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(_) => {
                output.open = false;
                0
            }
        }
    }

    /// What was still in the pipes. A process outside the container may hold them open, so their end is not waited for.
    fn drain(&mut self) {
        for at in 0..self.outputs.len() {
            let mut rest = MAX_REST;
            while self.outputs[at].open && rest > 0 {
                match self.read(at) {
                    0 => break,
                    len => rest = rest.saturating_sub(len),
                }
            }
            let now = now().to_string();
            self.written.clear();
            self.outputs[at].lines.finish(&now, &mut self.written);
            if !self.written.is_empty() {
                self.log.append(&self.written, &now);
            }
        }
    }
}

/// What a wait has found.
struct Ready {
    ended: bool,
    oom: bool,
    outputs: [bool; 2],
}

/// The wait status of the program, if process 1 lived to tell.
fn program_status(mut pipe: File) -> Option<i32> {
    let mut bytes = [0; size_of::<i32>()];
    pipe.read_exact(&mut bytes).ok().map(|()| i32::from_ne_bytes(bytes))
}

/// How the container ended: as its program did, or as its process 1 when that was killed first. Both are wait statuses;
/// they are taken apart here because real-time signals have no name in the libraries.
fn ending(init: i32, program: Option<i32>, oom: bool) -> Exit {
    let status = program.unwrap_or(init);
    let (code, signal) = if libc::WIFEXITED(status) {
        (Some(libc::WEXITSTATUS(status)), None)
    } else if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        (Some(SIGNALLED + signal), Some(signal))
    } else {
        (None, None)
    };
    Exit { code, signal, oom, at: now() }
}

/// Waits for our child; answers its wait status.
fn reap(pid: i32) -> Result<i32, Errno> {
    let mut status = 0;
    loop {
        // SAFETY: the call fills in `status`, which lives here.
        let reaped = Errno::result(unsafe { libc::waitpid(pid, &mut status, libc::__WALL) });
        match reaped {
            Ok(_) => return Ok(status),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn record_exit(dir: &InstanceDir, exit: &Exit) -> Result<(), FileError> {
    let deadline = Instant::now() + RECORDING;
    loop {
        match dir.write_exit(exit) {
            Err(error) if Instant::now() < deadline => {
                eprintln!("{error}; trying again");
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_program_counts_and_else_that_of_process_1() {
        let check = |init, program, expected| {
            let exit = ending(init, program, false);
            assert_eq!((exit.code, exit.signal), expected);
        };
        check(3 << 8, Some(3 << 8), (Some(3), None));
        check(143 << 8, Some(15), (Some(143), Some(15)));
        check(143 << 8, Some(143 << 8), (Some(143), None));
        check(9, None, (Some(137), Some(9)));
        check(1 << 8, None, (Some(1), None));
        check(163 << 8, Some(35), (Some(163), Some(35)));
    }
}
