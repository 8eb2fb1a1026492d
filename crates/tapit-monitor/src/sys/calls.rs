//! The calls themselves. Numbers and structures are the kernel's, which never change them for an architecture.

use core::arch::asm;
use core::ffi::CStr;

use super::{Args, Errno};

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const LSEEK: usize = 8;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const PREAD: usize = 17;
    pub const PWRITE: usize = 18;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const FDATASYNC: usize = 75;
    pub const CHDIR: usize = 80;
    pub const SETSID: usize = 112;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const PRCTL: usize = 157;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const UNLINKAT: usize = 263;
    pub const RENAMEAT: usize = 264;
    pub const PPOLL: usize = 271;
    pub const SPLICE: usize = 275;
    pub const PIDFD_SEND_SIGNAL: usize = 424;
    pub const CLOSE_RANGE: usize = 436;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const CLOSE: usize = 57;
    pub const LSEEK: usize = 62;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const PREAD: usize = 67;
    pub const PWRITE: usize = 68;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;
    pub const FDATASYNC: usize = 83;
    pub const CHDIR: usize = 49;
    pub const SETSID: usize = 157;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const PRCTL: usize = 167;
    pub const CLOCK_GETTIME: usize = 113;
    pub const EXIT_GROUP: usize = 94;
    pub const OPENAT: usize = 56;
    pub const UNLINKAT: usize = 35;
    pub const RENAMEAT: usize = 38;
    pub const PPOLL: usize = 73;
    pub const SPLICE: usize = 76;
    pub const PIDFD_SEND_SIGNAL: usize = 424;
    pub const CLOSE_RANGE: usize = 436;
}

/// Makes a system call.
///
/// # Safety
/// The arguments must be right for the call: pointers to memory that it may read or write as it does.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, args: [usize; 6]) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the instruction changes memory as the caller has promised it may, and the registers that are named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    outcome(result)
}

/// Makes a system call.
///
/// # Safety
/// The arguments must be right for the call: pointers to memory that it may read or write as it does.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, args: [usize; 6]) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the instruction changes memory as the caller has promised it may, and the register that is named.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") args[0] => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    outcome(result)
}

/// The kernel answers an error as a small negative number.
fn outcome(result: isize) -> Result<usize, Errno> {
    const MAX_ERRNO: isize = 4095;
    if (-MAX_ERRNO..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

/// Makes a call again that a signal has cut short.
fn uninterrupted(mut attempt: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match attempt() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn size(value: i32) -> usize {
    value as isize as usize
}

/// An open file that is closed when it goes.
#[derive(Debug)]
pub struct Fd(i32);

const O_CLOEXEC: usize = 0o2_000_000;
const O_CREAT: usize = 0o100;
const O_TRUNC: usize = 0o1000;
const O_WRONLY: usize = 1;
const O_RDWR: usize = 2;
const MODE: usize = 0o600;
const AT_FDCWD: i32 = -100;

impl Fd {
    /// Takes over a descriptor that was left open for this program by whoever ran it.
    pub fn inherited(number: u64) -> Option<Self> {
        i32::try_from(number).ok().map(Self)
    }

    fn open_with(at: i32, path: &CStr, flags: usize) -> Result<Self, Errno> {
        let attempt = || {
            // SAFETY: the path is a C string that the call reads.
            unsafe { call(number::OPENAT, [size(at), path.as_ptr() as usize, flags | O_CLOEXEC, MODE, 0, 0]) }
        };
        uninterrupted(attempt).map(|fd| Self(fd as i32))
    }

    /// A directory or a file to read, by its path.
    pub fn open(path: &CStr) -> Result<Self, Errno> {
        Self::open_with(AT_FDCWD, path, 0)
    }

    /// A file of this directory, to read.
    pub fn read_in(&self, name: &CStr) -> Result<Self, Errno> {
        Self::open_with(self.0, name, 0)
    }

    /// A file to read and write, made if need be.
    pub fn file_in(&self, name: &CStr) -> Result<Self, Errno> {
        Self::open_with(self.0, name, O_RDWR | O_CREAT)
    }

    /// A file to write, empty.
    pub fn fresh_in(&self, name: &CStr) -> Result<Self, Errno> {
        Self::open_with(self.0, name, O_WRONLY | O_CREAT | O_TRUNC)
    }

    pub fn unlink_in(&self, name: &CStr) -> Result<(), Errno> {
        // SAFETY: the name is a C string that the call reads.
        unsafe { call(number::UNLINKAT, [size(self.0), name.as_ptr() as usize, 0, 0, 0, 0]) }.map(drop)
    }

    pub fn rename_in(&self, from: &CStr, to: &CStr) -> Result<(), Errno> {
        let at = size(self.0);
        // SAFETY: both names are C strings that the call reads.
        unsafe { call(number::RENAMEAT, [at, from.as_ptr() as usize, at, to.as_ptr() as usize, 0, 0]) }.map(drop)
    }

    pub fn read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: the call writes at most that many bytes to memory that is borrowed for it.
        let attempt = || unsafe { call(number::READ, [size(self.0), to.as_mut_ptr() as usize, to.len(), 0, 0, 0]) };
        uninterrupted(attempt)
    }

    pub fn read_at(&self, to: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let attempt = || {
            let to = [size(self.0), to.as_mut_ptr() as usize, to.len(), offset as usize, 0, 0];
            // SAFETY: the call writes at most that many bytes to memory that is borrowed for it.
            unsafe { call(number::PREAD, to) }
        };
        uninterrupted(attempt)
    }

    /// May write less than all of it.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        let attempt = || {
            let from = [size(self.0), bytes.as_ptr() as usize, bytes.len(), offset as usize, 0, 0];
            // SAFETY: the call reads at most that many bytes of memory that is borrowed for it.
            unsafe { call(number::PWRITE, from) }
        };
        uninterrupted(attempt)
    }

    /// Where it ends.
    pub fn end(&self) -> Result<u64, Errno> {
        const SEEK_END: usize = 2;
        // SAFETY: the call takes numbers alone.
        unsafe { call(number::LSEEK, [size(self.0), 0, SEEK_END, 0, 0, 0]) }.map(|len| len as u64)
    }

    pub fn sync(&self) -> Result<(), Errno> {
        // SAFETY: the call takes a number alone.
        uninterrupted(|| unsafe { call(number::FDATASYNC, [size(self.0), 0, 0, 0, 0, 0]) }).map(drop)
    }

    /// Moves bytes from this pipe to a place in a file, without waiting for any to come.
    pub fn splice_to(&self, file: &Fd, offset: u64, len: usize) -> Result<usize, Errno> {
        const SPLICE_F_NONBLOCK: usize = 2;
        let mut offset = offset;
        let to = &raw mut offset as usize;
        // SAFETY: the call reads and writes `offset`, which lives until it is over; all else are numbers.
        unsafe { call(number::SPLICE, [size(self.0), 0, size(file.0), to, len, SPLICE_F_NONBLOCK]) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: it is this value's own descriptor, and the value is gone after this. There is no error to act upon.
        let _ = unsafe { call(number::CLOSE, [size(self.0), 0, 0, 0, 0, 0]) };
    }
}

/// Removes a directory by its path.
pub fn remove_dir(path: &CStr) -> Result<(), Errno> {
    const AT_REMOVEDIR: usize = 0x200;
    // SAFETY: the path is a C string that the call reads.
    unsafe { call(number::UNLINKAT, [size(AT_FDCWD), path.as_ptr() as usize, AT_REMOVEDIR, 0, 0, 0]) }.map(drop)
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Which time is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// For people.
    Real,
    /// For timers.
    Steady,
}

pub fn now_ms(clock: Clock) -> u64 {
    let which = match clock {
        Clock::Real => 0,
        Clock::Steady => 1,
    };
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the call writes one such structure, which lives here. It fails for no clock that is asked for here.
    let _ = unsafe { call(number::CLOCK_GETTIME, [which, &raw mut time as usize, 0, 0, 0, 0]) };
    (time.seconds.unsigned_abs()) * 1000 + time.nanoseconds.unsigned_abs() / 1_000_000
}

/// How long a wait may take.
#[derive(Debug, Clone, Copy)]
pub enum Wake {
    Never,
    AfterMs(u64),
}

/// Waits until one of these can be read or the time is over; answers which can.
pub fn poll<const N: usize>(fds: [Option<&Fd>; N], wake: Wake) -> Result<[bool; N], Errno> {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: i16,
        found: i16,
    }
    const IN: i16 = 1;
    // The kernel passes over negative ones.
    let mut polled = fds.map(|fd| PollFd { fd: fd.map_or(-1, |fd| fd.0), events: IN, found: 0 });
    let time = match wake {
        Wake::Never => None,
        Wake::AfterMs(ms) => {
            Some(Timespec { seconds: (ms / 1000) as i64, nanoseconds: (ms % 1000 * 1_000_000) as i64 })
        }
    };
    let time = time.as_ref().map_or(0, |time| core::ptr::from_ref(time) as usize);
    // SAFETY: the call reads and writes N structures and may read a time; both live here until it is over.
    let ready = unsafe { call(number::PPOLL, [polled.as_mut_ptr() as usize, N, time, 0, 0, 0]) };
    match ready {
        Ok(_) => Ok(polled.map(|fd| fd.found != 0)),
        // Nothing is ready then, and the caller comes again.
        Err(Errno::INTR) => Ok([false; N]),
        Err(errno) => Err(errno),
    }
}

/// Sends a signal to the process behind a handle.
pub fn signal_process(process: &Fd, signal: i32) -> Result<(), Errno> {
    // SAFETY: the call takes numbers, and a null for what it is to fill in itself.
    unsafe { call(number::PIDFD_SEND_SIGNAL, [size(process.0), size(signal), 0, 0, 0, 0]) }.map(drop)
}

pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: the call takes numbers alone.
    unsafe { call(number::KILL, [size(pid), size(signal), 0, 0, 0, 0]) }.map(drop)
}

/// Which children are waited for.
#[derive(Debug, Clone, Copy)]
pub enum Child {
    This(i32),
    /// Any, if one has ended already.
    AnyEnded,
}

/// A child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    pub pid: i32,
    /// Its wait status.
    pub status: i32,
}

/// `None` when none of those has ended yet.
pub fn wait(child: Child) -> Result<Option<Reaped>, Errno> {
    const WNOHANG: usize = 1;
    const WALL: usize = 0x4000_0000;
    let (pid, options) = match child {
        Child::This(pid) => (pid, WALL),
        Child::AnyEnded => (-1, WALL | WNOHANG),
    };
    let mut status = 0i32;
    // SAFETY: the call writes `status`, which lives here.
    let pid =
        uninterrupted(|| unsafe { call(number::WAIT4, [size(pid), &raw mut status as usize, options, 0, 0, 0]) })?;
    Ok((pid > 0).then_some(Reaped { pid: pid as i32, status }))
}

/// Answers the child's process id to the parent and `None` to the child.
pub fn fork() -> Result<Option<i32>, Errno> {
    const SIGCHLD: usize = 17;
    // SAFETY: without flags the child has a copy of everything and goes on from here, on its copy of the stack. The program
    // has one thread, so nothing that the copy holds is in the middle of a change.
    let pid = unsafe { call(number::CLONE, [SIGCHLD, 0, 0, 0, 0, 0]) }?;
    Ok((pid > 0).then_some(pid as i32))
}

/// Out of reach for others of the same user, and known by this name of at most 15 bytes.
pub fn undumpable(name: &CStr) {
    const PR_SET_DUMPABLE: usize = 4;
    const PR_SET_NAME: usize = 15;
    // SAFETY: the first call takes numbers, the second reads a C string. Neither has a way to fail.
    unsafe {
        let _ = call(number::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]);
        let _ = call(number::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0]);
    }
}

/// Begins a session of its own. A process that leads one already is where it should be.
pub fn leave_session() {
    // SAFETY: the call takes nothing.
    let _ = unsafe { call(number::SETSID, [0; 6]) };
}

pub fn chdir_root() {
    // SAFETY: the call reads a C string. The root can always be entered.
    let _ = unsafe { call(number::CHDIR, [c"/".as_ptr() as usize, 0, 0, 0, 0, 0]) };
}

const SIGNAL_SET: usize = 8;

/// Every signal does what it does by default, and none is blocked.
pub fn clear_signals() {
    const LAST: usize = 64;
    const SIG_SETMASK: usize = 2;
    // Default action, no flags, no restorer, nothing blocked.
    let default = [0u64; 4];
    let none = 0u64;
    for signal in 1..=LAST {
        // SAFETY: the call reads one structure of four words, of which zeros are legal. For SIGKILL and SIGSTOP it refuses,
        // which changes nothing.
        let _ = unsafe { call(number::RT_SIGACTION, [signal, default.as_ptr() as usize, 0, SIGNAL_SET, 0, 0]) };
    }
    // SAFETY: the call reads one set of 64 bits.
    let _ = unsafe { call(number::RT_SIGPROCMASK, [SIG_SETMASK, &raw const none as usize, 0, SIGNAL_SET, 0, 0]) };
}

/// Waits for any signal; all must be blocked.
pub fn next_signal() -> Option<i32> {
    let all = u64::MAX;
    // SAFETY: the call reads one set of 64 bits and is told not to write anything and not to hurry.
    let signal = unsafe { call(number::RT_SIGTIMEDWAIT, [&raw const all as usize, 0, 0, SIGNAL_SET, 0, 0]) };
    signal.ok().map(|signal| signal as i32)
}

/// Closes all descriptors from one to another. Nothing that is used later may be among them.
pub fn close_between(first: u32, last: u32) {
    if first > last {
        return;
    }
    // SAFETY: the call takes numbers alone. That no `Fd` of the range is used later is the caller's part, and at worst an
    // error: numbers are not reused by anything that this program opens later.
    let _ = unsafe { call(number::CLOSE_RANGE, [first as usize, last as usize, 0, 0, 0, 0]) };
}

/// Becomes another program, with the arguments from one on and the environment as it is. Returns only when it cannot.
pub fn become_program(path: &CStr, args: &Args, from: usize) -> Errno {
    let (argv, environment) = (args.from(from) as usize, args.environment() as usize);
    // SAFETY: the path is a C string, and both lists are the kernel's own, each ended by a null.
    match unsafe { call(number::EXECVE, [path.as_ptr() as usize, argv, environment, 0, 0, 0]) } {
        Ok(_) => Errno::INVAL,
        Err(errno) => errno,
    }
}

/// Writes to standard error. A write that fails has nobody to be told.
pub fn complain(parts: &[&[u8]]) {
    const STDERR: usize = 2;
    for part in parts {
        // SAFETY: the call reads as many bytes as there are.
        let _ = unsafe { call(number::WRITE, [STDERR, part.as_ptr() as usize, part.len(), 0, 0, 0]) };
    }
}

#[cfg_attr(not(tapit_program), expect(dead_code, reason = "the entry point alone ends the process"))]
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the call takes a number and does not return.
        let _ = unsafe { call(number::EXIT_GROUP, [size(status), 0, 0, 0, 0, 0]) };
    }
}
