//! What should be: admission of requests, generations, outcomes of rollouts, routes and status.
//!
//! The server calls `admit` for every request and commits what it answers, calls `plan_app` after every wake-up with
//! what the engine sees, and asks `status`, `progress` and `narrate` for words. Nothing here acts: all answers are data.
//!
//! Revisions: every admitted change raises a process's revision by two, to the one that its target has. The one below
//! belongs to the target that stands in while a new image is fetched: the old generation with the new counts. A
//! rollback raises it by one, stand-ins for spot instances that come or go raise it by two. So two different targets never share a revision, and each later one is higher.

mod admit;
mod fallback;
mod narrate;
mod outcome;
mod pin;
mod plan;
mod port;
mod progress;
mod route;
mod sight;
mod status;
mod target;
mod task;
mod template;
#[cfg(test)]
mod tests;
mod types;

pub use admit::{admit, unknown_task};
pub use narrate::{narrate, narrate_blocked};
pub use pin::pin;
pub use plan::plan_app;
pub use port::{health_check, resolve_port};
pub use progress::{Seen, Subject, progress};
pub use route::routes;
pub use status::status;
pub use task::task_state;
pub use types::{Admission, AppInputs, AppPlan, Grounds, ImageProgress, Prepare, Status};
