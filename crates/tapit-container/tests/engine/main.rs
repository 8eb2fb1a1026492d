//! The embedded engine over real containers: the conformance suite, and what is this engine's own.
//!
//! Root and Debian's busybox-static are needed.

mod exec;
mod image;
mod network;
mod own;
mod spares;
mod subject;

use tapit_engine::conformance_tests;

conformance_tests!(crate::subject::run);
