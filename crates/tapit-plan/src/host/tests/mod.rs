//! Behaviour of `plan_host`, one area a file.

mod capacity;
mod counts;
mod ending;
mod failures;
mod notation;
mod once;
mod repetition;
mod rollouts;
