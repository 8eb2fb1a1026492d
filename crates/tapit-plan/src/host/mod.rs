//! Which instances start, drain and end now on this machine.
//!
//! `plan_host` is called by the embedded engine after every wake-up with everything it knows. All actions that it
//! returns are safe now and in any order; order between them comes from being called again.
//!
//! A plan is made in two passes. First each process drafts what it would do with endless memory, without a look at its
//! siblings (`draft`, with `rollout`, `stopping`, `backoff`, `resize`, `retention`). Then the memory of the host is
//! shared out among the drafts (`capacity`), which is the only way in which one process can change another's plan.

mod backoff;
mod capacity;
mod census;
mod draft;
mod failure;
mod ledger;
mod plan;
mod resize;
mod retention;
mod rollout;
mod stopping;
mod types;
mod words;

#[cfg(test)]
mod tests;

pub use plan::plan_host;
pub use types::{
    Action, Ended, FailureVerdict, HostInputs, HostMemory, HostPlan, InstanceFacts, Phase, ProcessInputs,
    ProcessVerdict, StartOrder,
};
