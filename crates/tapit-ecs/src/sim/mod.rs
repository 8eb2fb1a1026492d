//! An account in memory: AWS in one region, as far as this engine uses it and as strict as the real one.
//!
//! Tests call it through `EcsApi`. Nothing in it happens by chance or by the host's clock: time is moved by whoever holds
//! the account (or follows tokio's, which tests pause), every name is derived from a seed, and what containers do is a
//! script. Where AWS and the usual emulators differ, it does as AWS does: sizes, names and batches are checked, names of
//! services stay taken while they drain, revisions are never used again, reads may lag behind writes.
//!
//! ```text
//! Request ─► Account: number, faults, counts ─► World::carry_out ─► Answer
//!                                                 │ due events, in the order of time
//!                                                 └► scheduler ─► tasks ─► targets, logs
//! ```
//!
//! It does not serve HTTP, and takes no money.

mod account;
mod balancer;
mod behaviour;
mod calls;
mod capacity;
mod cluster;
mod container;
mod definition;
mod deployment;
mod dispatch;
mod due;
mod events;
mod faults;
mod inventory;
mod lag;
mod link;
mod log;
mod names;
mod network;
mod pokes;
mod rate;
mod refusal;
mod repository;
mod role;
mod rollout;
mod run;
mod scheduler;
mod service;
mod setup;
mod target;
mod task;
mod walk;
mod world;

pub use account::Account;
pub use behaviour::{Behaviour, End, Ending, OnTerm, Start};
pub use calls::{Call, Outcome};
pub use faults::{Fault, Faults, Verdict};
pub use inventory::Inventory;
pub use link::Link;
pub use rate::Rate;
pub use setup::{Pace, Quotas, Setup, Time};
