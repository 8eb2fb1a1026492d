//! The embedded engine: runs instances as OCI containers on this host, with nothing else installed.
//!
//! `instance` is one container as the server sees it, `images` the store of what containers are made from, `linux` all
//! that speaks with the kernel. The program that embeds the engine calls `child_main` before anything else, because shims,
//! monitors and unpacking helpers are that same program, run again.

pub mod doctor;
pub mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod images;
pub mod instance;
pub mod linux;

use std::ffi::OsString;
use std::process::ExitCode;

/// Does the work of a helper process when the arguments name one by its hidden verb; answers `None` for all others.
///
/// To be called first thing in `main`, while there is one thread: what follows makes namespaces. `args` holds the
/// program's own name first.
pub fn child_main(args: &[OsString]) -> Option<ExitCode> {
    linux::verbs::dispatch(args)
}
