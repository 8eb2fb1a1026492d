//! The system calls that a container may make.
//!
//! `profile` is the table, `compile` turns it into a program for the kernel, and `Filter` is that program, ready to be
//! installed by the last process before the image's own code: the one that becomes process 1, and whatever joins a running
//! container. Everything here is our own few hundred lines instead of a library, because the table must tell three
//! answers apart (allowed, refused, unknown), because a tree of comparisons is a seventh of the size of a list, and because
//! the C library for it takes as long as a whole start of a container.

mod compile;
mod numbers;
mod profile;

use std::collections::BTreeSet;
use std::io;

use tapit_model::Capability;

use compile::Instruction;

/// A compiled profile. Compiling takes some ten microseconds, so every start does it afresh and nothing is handed around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<Instruction>);

/// As the kernel takes a program.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

impl Filter {
    /// The profile of a container that has the default capabilities and these besides.
    pub fn default_profile(cap_add: &BTreeSet<Capability>) -> Self {
        Self(compile::compile(&profile::rules(cap_add)))
    }

    /// Puts the calling thread and all that it will start under the filter, for ever. The process must have
    /// `no_new_privs` or CAP_SYS_ADMIN. Allocates nothing, so that it can stand between a fork and an exec.
    pub fn install(&self) -> io::Result<()> {
        let length = u16::try_from(self.0.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
        let program = Program { length, instructions: self.0.as_ptr() };
        const NO_FLAGS: libc::c_ulong = 0;
        // SAFETY: the program points at as many instructions as it says, in memory that outlives the call, which copies
        // them; the layout of both structures is the kernel's.
        let installed = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER as libc::c_ulong,
                NO_FLAGS,
                std::ptr::from_ref(&program),
            )
        };
        if installed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;

    fn nanoseconds_per_call() -> u128 {
        const CALLS: u32 = 200_000;
        let start = Instant::now();
        for _ in 0..CALLS {
            // SAFETY: the call takes nothing and cannot fail.
            black_box(unsafe { libc::syscall(libc::SYS_getppid) });
        }
        start.elapsed().as_nanos() / u128::from(CALLS)
    }

    #[test]
    fn a_thread_under_the_filter_is_refused_what_the_table_refuses() {
        let start = Instant::now();
        let filter = Filter::default_profile(&BTreeSet::new());
        let compiling = start.elapsed();
        let length = filter.0.len();
        let under = move || {
            let free = nanoseconds_per_call();
            filter.install().expect("root may install a filter");
            let filtered = nanoseconds_per_call();
            // SAFETY: refused, or else this thread alone would get a host name of its own.
            let refused = unsafe { libc::unshare(libc::CLONE_NEWUTS) };
            assert_eq!((refused, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EPERM)));
            // SAFETY: there is no such call.
            let unknown = unsafe { libc::syscall(1000) };
            assert_eq!((unknown, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ENOSYS)));
            (free, filtered)
        };
        let (free, filtered) = std::thread::spawn(under).join().expect("ends");
        println!("{length} instructions compiled in {compiling:?}; a call takes {free} ns without, {filtered} ns with");
    }
}
