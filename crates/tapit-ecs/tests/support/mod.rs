//! An AWS on this machine for tests: an emulator with real containers, and in front of it a layer that is as strict as AWS.
//!
//! ```text
//! test ── AWS_ENDPOINT_URL ──► strict (one per test: refuses, counts, fails on purpose) ──► emulator (one per test binary)
//!  └── load ── /_alb/NAME/ ─────► strict ────────────────────────────────────────────────────► its load balancer ──► containers
//! ```
//!
//! Where no Docker daemon or no emulator can be had, `Account::open` answers `None` and says why; in CI it fails instead.

pub mod account;
pub mod docker;
pub mod emulator;
#[path = "../../../tapit/tests/e2e/harness/image.rs"]
#[allow(dead_code, reason = "the tests of the whole program use more of it")]
pub mod image;
pub mod images;
pub mod plain_http;
pub mod registry;
pub mod strict;

pub use account::Account;
