//! The program: `tapit-monitor …` watches a container, `tapit-init …` is a container's process 1.
//!
//! Run by the shim and by the runtime's hook in the container, never by a person, so wrong arguments have no better
//! answer than a status. Built by the build script of `tapit-container`; it is no target that Cargo knows.

#![no_std]
#![no_main]

mod ending;
mod index;
mod init;
mod log;
mod monitor;
mod search;
mod sys;
mod text;

const WRONG_ARGUMENTS: i32 = 2;

/// Called by the entry point with the arguments as the kernel has laid them out.
pub fn main(args: &sys::Args) -> i32 {
    match args.get(0).map(core::ffi::CStr::to_bytes) {
        Some(name) if name == monitor::NAME.as_bytes() => monitor::main(args),
        Some(name) if name == init::NAME.as_bytes() => init::main(args),
        Some(_) | None => WRONG_ARGUMENTS,
    }
}
