//! What is to be seen of a process's instances: tasks in ECS's words become instances in ours.
//!
//! `Memory` is what was seen, kept with the app's record, since ECS forgets a stopped task after an hour, and tells neither
//! which task took whose place nor since when one has been healthy. `Memory::after` folds one look into it, `observed`
//! tells of it; both are pure. Nothing here calls AWS, and nothing decides what is to run.

mod blocked;
mod ended;
mod failure;
mod fold;
mod health;
mod memory;
mod places;
mod retention;
mod run;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use tapit_model::{
    Blocked, Failure, Formation, InstanceId, InstanceKind, InstanceObserved, ProcessKey, ReasonCode, Restart,
};

use crate::look::Look;
use crate::names;
use crate::record::{Definition, Run};

pub use memory::Memory;
use memory::Remembered;

const KINDS: [InstanceKind; 2] = [InstanceKind::Demand, InstanceKind::Spot];

/// The process that is looked at, as it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub key: &'a ProcessKey,
    /// `None`: nothing of it may be left.
    pub formation: Option<&'a Formation>,
    /// By ARN.
    pub definitions: &'a BTreeMap<String, Definition>,
    /// ARNs of definitions that ECS has given up by itself.
    pub given_up: &'a [String],
    /// What has come of its one run, where it runs once.
    pub run: Option<&'a Run>,
}

impl Subject<'_> {
    /// It has one instance in all its life.
    fn runs_once(&self) -> bool {
        self.run.is_some() || self.formation.is_some_and(|formation| formation.restart == Restart::Never)
    }

    /// How many instances of a kind there are to be.
    fn count(&self, kind: InstanceKind) -> u32 {
        self.formation.map_or(0, |formation| match kind {
            InstanceKind::Demand => formation.demand,
            InstanceKind::Spot => formation.spot,
        })
    }
}

/// A process as people and the planner are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// The oldest first.
    pub instances: Vec<InstanceObserved>,
    pub blocked: Vec<Blocked>,
    pub failure: Option<Failure>,
}

/// Tells of what is remembered. The look is the one that the memory comes from, or an empty one before the first.
pub fn observed(memory: &Memory, subject: &Subject<'_>, look: &Look) -> Sight {
    Sight {
        instances: memory.oldest_first().into_iter().map(|(arn, task)| instance(arn, task)).collect(),
        blocked: blocked::blocked(memory, subject, look),
        failure: failure::failure(memory, subject, look),
    }
}

fn instance(arn: &str, task: &Remembered) -> InstanceObserved {
    InstanceObserved {
        id: id(arn),
        kind: task.kind,
        generation: task.generation,
        state: task.state,
        reason: task.reason.clone(),
        size: task.size,
        ip: task.ip,
        // A load balancer leads to it, not the router of this server: a port here would make a route of it.
        port: None,
        created_at: task.created_at,
        started_at: task.started_at,
        healthy_at: task.healthy.map(|healthy| healthy.at),
        stopped_at: task.stopped_at,
        restarts: task.restarts(),
        last_exit: task.exit().or_else(|| task.took.as_ref().and_then(|took| took.exit)),
    }
}

/// The task's own, which is the last part of its ARN.
fn id(arn: &str) -> InstanceId {
    InstanceId::opaque(names::short(arn))
}

/// Whether an end for this reason is a failure of the instance. Other ends were ordered, or nobody knows how they came.
fn is_failure(code: ReasonCode) -> bool {
    match code {
        ReasonCode::Crashed
        | ReasonCode::Completed
        | ReasonCode::OutOfMemory
        | ReasonCode::StartFailed
        | ReasonCode::Unhealthy => true,
        ReasonCode::Surplus
        | ReasonCode::Replaced
        | ReasonCode::RolledBack
        | ReasonCode::Disabled
        | ReasonCode::Deleted
        | ReasonCode::Reclaimed
        | ReasonCode::Lost
        | ReasonCode::Starting
        | ReasonCode::BackOff => false,
    }
}
