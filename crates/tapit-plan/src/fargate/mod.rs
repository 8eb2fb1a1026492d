//! What ECS Fargate can run: the table of sizes, the limits of a task, and what an app would find different there.
//!
//! `app` asks it before a change is admitted on that engine, the engine itself when it writes a task definition, and the
//! server for `tapit diff app`. Nothing here calls AWS, and names on AWS are the engine's business.

mod diff;
mod limits;
mod size;
#[cfg(test)]
mod tests;

pub use diff::{DiffInputs, diff};
pub use limits::{SPOT_NOTICE, STOP_TIMEOUT, UNCHECKED_HEALTHY, can_add, faults};
pub use size::{Fit, TaskSize, fit};
