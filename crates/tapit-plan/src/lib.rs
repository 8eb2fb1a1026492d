//! Every decision of tapit, as pure functions: no clock, no randomness, no I/O.
//!
//! Two planners share the work. `app` decides what should be (admission of requests, generations, outcomes of rollouts,
//! routes, status); `host` decides, for the embedded engine, which instance starts, drains or ends now. `sim` plays both
//! against a simulated machine; it is built only for tests. `images` decides which images need not be kept, and `fargate`
//! holds the rules of the platform that is not ours.

pub mod app;
pub mod fargate;
pub mod host;
pub mod images;
#[cfg(feature = "simulator")]
pub mod sim;
