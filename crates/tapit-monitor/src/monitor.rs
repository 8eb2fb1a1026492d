//! Watches one container: keeps its output, notices that it ran out of memory, records how it ended, cleans up.
//!
//! ```text
//! tapit-monitor DIR SEGMENT BYTES SEGMENTS STDOUT STDERR PID PIDFD OOM OOMFILE CGROUP…
//! ```
//!
//! DIR is the instance's directory, SEGMENT the newest one of its log, BYTES and SEGMENTS its bounds. STDOUT
//! and STDERR are the descriptors of the container's output. PID and PIDFD are its process 1, OOM the descriptor that announces a lack of memory; `-` where there is none. OOMFILE counts the
//! processes that the kernel has killed for it, and each CGROUP is a directory to remove in the end.
//!
//! It is the shim's process with a new program in it, so the container's process 1 is its child and the lock on the
//! directory its own, by a descriptor that is never touched here. When it was killed and the server has put another in its
//! place, process 1 is nobody's child that could tell; then the status file does. It outlives the server and is told
//! nothing by it. One thread, no heap: there is one of these per instance.

use core::ffi::CStr;

use crate::ending::{Ending, NOT_YET};
use crate::index::Stream;
use crate::log::{Bounds, Log};
use crate::sys::{self, Args, Child, Clock, Errno, Fd, Wake};
use crate::text;

pub const NAME: &str = "tapit-monitor";

const DIR: usize = 1;
const SEGMENT: usize = 2;
const BYTES: usize = 3;
const SEGMENTS: usize = 4;
const STDOUT: usize = 5;
const STDERR: usize = 6;
const PID: usize = 7;
const PIDFD: usize = 8;
const OOM: usize = 9;
const OOM_FILE: usize = 10;
const CGROUPS: usize = 11;

const SIGKILL: i32 = 9;
/// What a pipe can hold at most when its container has ended.
const MAX_REST: usize = 2 * 1024 * 1024;
/// The kernel announces a lack of memory before it has killed anyone.
const OOM_ROUNDS: u32 = 40;
const OOM_ROUND_MS: u64 = 50;
/// A full disk may have room again soon; without the record, the server looks for the status.
const RECORDING_MS: u64 = 5000;
const RECORDING_PAUSE_MS: u64 = 100;
/// How long output gathers before it is taken again. A monitor that woke up for every line would keep its cpu from ever
/// being idle for long enough to be given other work, which then waits for a time slice elsewhere.
const GATHERING_MS: u64 = 1;
/// v1 keeps an emptied group busy for a moment. What stays is removed by the server.
const REMOVING_MS: u64 = 1000;
const REMOVING_PAUSE_MS: u64 = 2;

/// What could not be done, for the shim's log.
struct Failure(&'static [u8], Errno);

/// Watches until the container has ended. What goes wrong is written to standard error, which is the shim's log.
pub fn main(args: &Args) -> i32 {
    sys::undumpable(c"tapit-monitor");
    match watch(args) {
        Ok(()) => 0,
        Err(Failure(act, errno)) => {
            let mut number = text::Text::<24>::new();
            number.push(b": error ").push_number(u64::from(errno.0.unsigned_abs())).push(b"\n");
            sys::complain(&[act, number.bytes()]);
            1
        }
    }
}

fn watch(args: &Args) -> Result<(), Failure> {
    let number = |at| args.number(at).ok_or(Failure(b"an argument is no number", Errno::INVAL));
    let dir = args.get(DIR).ok_or(Failure(b"no directory is named", Errno::INVAL))?;
    let dir = Fd::open(dir).map_err(|errno| Failure(b"opening the instance's directory", errno))?;
    let output = |at| Fd::inherited(number(at)?).ok_or(Failure(b"an argument is no descriptor", Errno::INVAL));
    let bounds = Bounds { segment_bytes: number(BYTES)?, segments: number(SEGMENTS)? };
    let mut monitor = Monitor {
        init: args.number(PIDFD).and_then(Fd::inherited),
        outputs: [output(STDOUT)?, output(STDERR)?],
        log: Log::new(&dir, bounds, number(SEGMENT)?),
        oom: args.number(OOM).and_then(Fd::inherited),
        oom_file: args.get(OOM_FILE),
        oom_rounds: 0,
    };
    monitor.follow()?;
    let child = args.number(PID).and_then(|pid| i32::try_from(pid).ok()).and_then(reap);
    monitor.drain();
    let ending = Ending::of_container(program_status(&dir), child);
    record_exit(&dir, ending, monitor.has_killed())?;
    remove_groups(args);
    Ok(())
}

struct Monitor<'a> {
    /// `None` when it had ended already as this monitor was started.
    init: Option<Fd>,
    outputs: [Fd; 2],
    log: Log<'a>,
    oom: Option<Fd>,
    oom_file: Option<&'static CStr>,
    /// How many more times to look whether the kernel has killed after it has announced to.
    oom_rounds: u32,
}

impl Monitor<'_> {
    /// Until the container's process 1 has ended.
    fn follow(&mut self) -> Result<(), Failure> {
        let mut gathering = false;
        while self.init.is_some() {
            let wake = match (gathering, self.oom_rounds) {
                (true, _) => Wake::AfterMs(GATHERING_MS),
                (false, 0) => Wake::Never,
                (false, _) => Wake::AfterMs(OOM_ROUND_MS),
            };
            let [stdout, stderr] = self.outputs.each_ref().map(|output| (!gathering).then_some(output));
            let fds = [self.init.as_ref(), stdout, stderr, self.oom.as_ref()];
            let [ended, stdout, stderr, oom] =
                sys::poll(fds, wake).map_err(|errno| Failure(b"waiting for anything to happen", errno))?;
            for (at, ready) in [stdout, stderr].into_iter().enumerate() {
                if ready {
                    self.log.take(Stream::OUTPUTS[at], &self.outputs[at]);
                }
            }
            if oom {
                self.note_announcement();
            }
            if !gathering {
                self.end_after_oom();
            }
            gathering = stdout || stderr;
            if ended {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The removal of the group is announced too, so the counter must be looked at.
    fn note_announcement(&mut self) {
        let mut count = [0; 8];
        match self.oom.as_ref().map(|oom| oom.read(&mut count)) {
            Some(Ok(_)) => self.oom_rounds = OOM_ROUNDS,
            // Or it would be ready for ever.
            Some(Err(_)) | None => self.oom = None,
        }
    }

    /// Where the kernel kills one process only, the rest of the container goes too: half an application is worse than one
    /// that is replaced.
    fn end_after_oom(&mut self) {
        if self.oom_rounds == 0 {
            return;
        }
        self.oom_rounds -= 1;
        if self.has_killed() {
            self.oom_rounds = 0;
            if let Some(init) = &self.init {
                // It can only fail because it has ended.
                let _ = sys::signal_process(init, SIGKILL);
            }
        }
    }

    /// Whether the kernel has killed for want of memory. A group that vanished has counted nothing.
    fn has_killed(&self) -> bool {
        let mut text = [0; 512];
        let read = self.oom_file.map(Fd::open).and_then(Result::ok).and_then(|file| file.read(&mut text).ok());
        read.and_then(|len| text::counter(&text[..len], b"oom_kill")).is_some_and(|kills| kills > 0)
    }

    /// What was still in the pipes. A process outside the container may hold them open, so their end is not waited for.
    fn drain(&mut self) {
        for at in 0..self.outputs.len() {
            let mut rest = MAX_REST;
            while rest > 0 && sys::poll([Some(&self.outputs[at])], Wake::AfterMs(0)) == Ok([true]) {
                match self.log.take(Stream::OUTPUTS[at], &self.outputs[at]) {
                    0 => break,
                    bytes => rest = rest.saturating_sub(bytes),
                }
            }
        }
    }
}

/// Waits for process 1; answers its wait status if it is our child.
fn reap(pid: i32) -> Option<i32> {
    sys::wait(Child::This(pid)).ok().flatten().map(|reaped| reaped.status)
}

/// The wait status of the program, if process 1 lived to tell.
fn program_status(dir: &Fd) -> Option<i32> {
    let mut bytes = [0; 4];
    let read = dir.read_in(c"status").and_then(|file| file.read(&mut bytes));
    let status = i32::from_ne_bytes(bytes);
    (read == Ok(bytes.len()) && status != NOT_YET).then_some(status)
}

fn record_exit(dir: &Fd, ending: Ending, oom: bool) -> Result<(), Failure> {
    let json = ending.json(oom, sys::now_ms(Clock::Real));
    let deadline = sys::now_ms(Clock::Steady) + RECORDING_MS;
    loop {
        match write_whole(dir, json.bytes()) {
            Ok(()) => return Ok(()),
            Err(errno) if sys::now_ms(Clock::Steady) >= deadline => {
                return Err(Failure(b"recording how the container ended", errno));
            }
            Err(_) => pause(RECORDING_PAUSE_MS),
        }
    }
}

/// Temporary file, sync, rename.
fn write_whole(dir: &Fd, bytes: &[u8]) -> Result<(), Errno> {
    let file = dir.fresh_in(c"exit.json.new")?;
    if file.write_at(bytes, 0)? != bytes.len() {
        return Err(Errno::AGAIN);
    }
    file.sync()?;
    dir.rename_in(c"exit.json.new", c"exit.json")
}

/// A group with processes in it that were put there from outside stays for the server, which can end them.
fn remove_groups(args: &Args) {
    let deadline = sys::now_ms(Clock::Steady) + REMOVING_MS;
    let mut at = CGROUPS;
    while let Some(path) = args.get(at) {
        while sys::remove_dir(path) == Err(Errno::BUSY) && sys::now_ms(Clock::Steady) < deadline {
            pause(REMOVING_PAUSE_MS);
        }
        at += 1;
    }
}

fn pause(ms: u64) {
    // Woken early, it does no harm.
    let _ = sys::poll([None], Wake::AfterMs(ms));
}
