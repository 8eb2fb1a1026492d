//! How soon a program in a container makes way for others that wake up.
//!
//! Whoever wakes up waits until the running program has had its slice of time, 3 ms by default on a small machine. Two
//! programs that are always busy would add that to every answer of their neighbours, whatever the cpu that they are allowed
//! in all. With the shortest slice that the kernel takes they make way at once; how much cpu each gets does not change.

use std::io;

/// As long as the kernel lets a slice be at least.
const SLICE_NS: u64 = 100_000;

/// `struct sched_attr`, in its first form, which every kernel knows.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for short slices for this process, and for all that it will start. Kernels before 6.12 take it and do not act on it.
pub fn take_short() -> io::Result<()> {
    const SELF: libc::id_t = 0;
    // SAFETY: the call takes numbers alone; it cannot fail for a process that asks about itself.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, SELF) };
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice,
        priority: 0,
        runtime: SLICE_NS,
        deadline: 0,
        period: 0,
    };
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: the kernel reads as many bytes as the structure says that it has, and it lives until the call is over.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, SELF, &raw const attributes, NO_FLAGS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
