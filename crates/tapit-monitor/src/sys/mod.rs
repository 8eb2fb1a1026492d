//! System calls, and what the program is started with; the only part with `unsafe`.
//!
//! Each call is a safe function: what the kernel reads and writes is named by types that live at least as long as the
//! call. There is no C library below this, so errors are answered as the kernel gives them.

#![allow(unsafe_code)]

mod calls;
#[cfg(tapit_program)]
mod entry;

pub use calls::{
    Child, Clock, Fd, Wake, become_program, chdir_root, clear_signals, close_between, complain, fork, kill,
    leave_session, next_signal, now_ms, poll, remove_dir, signal_process, undumpable, wait,
};

use core::ffi::{CStr, c_char};

/// An error as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const NOENT: Self = Self(2);
    pub const INTR: Self = Self(4);
    pub const TOOBIG: Self = Self(7);
    pub const NOEXEC: Self = Self(8);
    pub const AGAIN: Self = Self(11);
    pub const NOMEM: Self = Self(12);
    pub const ACCES: Self = Self(13);
    pub const BUSY: Self = Self(16);
    pub const NOTDIR: Self = Self(20);
    pub const INVAL: Self = Self(22);
    pub const NOSPC: Self = Self(28);
    pub const NAMETOOLONG: Self = Self(36);
    pub const LOOP: Self = Self(40);
}

/// The program's arguments and environment, where the kernel has put them.
pub struct Args {
    /// `argc` pointers to C strings and a null, then pointers to C strings and a null: as every program is given them.
    argv: *const *const c_char,
    argc: usize,
}

impl Args {
    /// # Safety
    /// `argv` must be what the kernel hands to a program, or look like it, for as long as the process lives.
    #[cfg_attr(not(tapit_program), allow(dead_code))]
    unsafe fn new(argc: usize, argv: *const *const c_char) -> Self {
        Self { argv, argc }
    }

    pub fn get(&self, at: usize) -> Option<&'static CStr> {
        if at >= self.argc {
            return None;
        }
        // SAFETY: within the `argc` pointers that `new` was promised, each to a C string that is never freed.
        Some(unsafe { CStr::from_ptr(*self.argv.add(at)) })
    }

    /// An argument that is a number; -1 stands for something that there is not.
    pub fn number(&self, at: usize) -> Option<u64> {
        crate::text::number(self.get(at)?.to_bytes())
    }

    /// The value of a variable; of several, the last.
    pub fn variable(&self, name: &[u8]) -> Option<&'static [u8]> {
        let mut found = None;
        let mut at = self.argc + 1;
        loop {
            // SAFETY: behind the arguments and their null stand the variables, up to a null, which ends this loop.
            let text = unsafe {
                let variable = *self.argv.add(at);
                if variable.is_null() {
                    return found;
                }
                CStr::from_ptr(variable)
            };
            let value = text.to_bytes().strip_prefix(name).and_then(|rest| rest.strip_prefix(b"="));
            found = value.or(found);
            at += 1;
        }
    }

    /// The arguments from one on, as a program of its own is given them. Out of range is the end: no argument at all.
    fn from(&self, at: usize) -> *const *const c_char {
        // SAFETY: not beyond the null that ends the arguments.
        unsafe { self.argv.add(at.min(self.argc)) }
    }

    fn environment(&self) -> *const *const c_char {
        // SAFETY: right behind the null that ends the arguments, as `new` was promised.
        unsafe { self.argv.add(self.argc + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_variables_are_found_where_the_kernel_puts_them() {
        let words = [c"tapit-init", c"7", c"sh"].map(CStr::as_ptr);
        let variables = [c"PATH=/x", c"HOME=/", c"PATH=/y", c"PATHS=/z"].map(CStr::as_ptr);
        let null = [core::ptr::null()];
        let all: Vec<_> = words.iter().chain(&null).chain(&variables).chain(&null).copied().collect();
        // SAFETY: laid out as the kernel does, of literals, in a list that outlives `args`.
        let args = unsafe { Args::new(3, all.as_ptr()) };
        assert_eq!((args.get(2), args.get(3)), (Some(c"sh"), None));
        assert_eq!((args.number(1), args.number(2)), (Some(7), None));
        assert_eq!(args.variable(b"PATH"), Some(&b"/y"[..]));
        assert_eq!(args.variable(b"NONE"), None);
    }
}
