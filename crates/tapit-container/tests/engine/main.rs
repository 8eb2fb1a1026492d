//! The embedded engine over real containers: the conformance suite, and what is this engine's own.
//!
//! Root and Debian's busybox-static are needed.

#[path = "../images/archives.rs"]
#[allow(dead_code, reason = "shared with the tests of the image store, which need more of it")]
mod archives;
mod exec;
mod hostile;
mod image;
mod network;
mod own;
mod spares;
mod subject;

use tapit_engine::conformance_tests;

conformance_tests!(crate::subject::run);
