//! Everything that the engine knows, in memory: targets, instances, verdicts. A plain value behind one lock.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tapit_model::{
    Blocked, Check, Exit, InstanceId, InstanceKey, InstanceKind, InstanceObserved, InstanceState, MemoryMib, Moment,
    ProcessKey, ProcessObserved, ProcessTarget, Reason, ReasonCode, Revision,
};
use tapit_plan::host::{FailureVerdict, HostInputs, InstanceFacts, Phase, ProcessInputs};

use super::life::Life;
use crate::instance::Running;

/// One instance: what never changes, and its `Life`.
pub struct Instance {
    pub key: InstanceKey,
    pub serial: u64,
    pub generation: u64,
    pub kind: InstanceKind,
    pub slot: u32,
    pub restarts: u32,
    pub ip: Option<Ipv4Addr>,
    pub life: Life,
    /// The container, once it was launched; `None` while it is being made and after it has stopped.
    pub running: Option<Arc<Running>>,
    /// A size that does not fit what it uses: it must be replaced to get it.
    pub outgrown: bool,
}

impl Instance {
    fn state(&self) -> InstanceState {
        match self.life.phase {
            Phase::Starting { .. } => InstanceState::Starting,
            Phase::Healthy { .. } => InstanceState::Healthy,
            Phase::Unhealthy { .. } => InstanceState::Unhealthy,
            Phase::Draining { .. } => InstanceState::Draining,
            Phase::Stopping { .. } => InstanceState::Stopping,
            Phase::Stopped { .. } => InstanceState::Stopped,
        }
    }

    /// Wanted so far: not on its way out.
    pub fn is_live(&self) -> bool {
        self.state().is_live()
    }

    pub fn is_stopped(&self) -> bool {
        self.state() == InstanceState::Stopped
    }

    fn observed(&self) -> InstanceObserved {
        let life = &self.life;
        let state = self.state();
        let starting =
            || Reason { code: ReasonCode::Starting, text: "waits for its first health check to pass".into() };
        InstanceObserved {
            id: self.key.id.clone(),
            kind: self.kind,
            generation: self.generation,
            state,
            reason: life.reason.clone().or_else(|| (state == InstanceState::Starting).then(starting)),
            size: life.size,
            ip: self.ip,
            port: match &life.check {
                Check::Tcp(port) | Check::Http { port, .. } => Some(port.get()),
                Check::Uptime(_) => None,
            },
            created_at: life.created_at,
            started_at: life.started_at,
            healthy_at: life.healthy_at,
            stopped_at: life.stopped_at,
            restarts: self.restarts,
            last_exit: life.exit.or(life.earlier_exit),
        }
    }
}

/// What the router says of one instance at the moment of planning.
pub struct TrafficFacts {
    pub routed: bool,
    pub in_flight: u32,
}

#[derive(Default)]
pub struct ProcessState {
    pub target: Option<ProcessTarget>,
    pub instances: BTreeMap<u64, Instance>,
    /// Highest serial ever given out.
    pub last_serial: u64,
    pub blocked: Vec<Blocked>,
    pub failure: Option<FailureVerdict>,
    /// Of the target that the verdicts above are about; `None` before the first plan.
    pub planned: Option<Revision>,
}

pub struct HostState {
    pub processes: BTreeMap<ProcessKey, ProcessState>,
    pub capacity: MemoryMib,
    /// Every instance directory was read; before that nothing is planned.
    pub adopted: bool,
    /// No planning any more: the engine closes or tears down.
    pub closing: bool,
}

impl HostState {
    pub fn new(capacity: MemoryMib) -> Self {
        Self { processes: BTreeMap::new(), capacity, adopted: false, closing: false }
    }

    pub fn instance_mut(&mut self, key: &ProcessKey, id: &InstanceId) -> Option<&mut Instance> {
        self.processes.get_mut(key)?.instances.values_mut().find(|instance| instance.key.id == *id)
    }

    pub fn used(&self) -> MemoryMib {
        let live = self.processes.values().flat_map(|p| p.instances.values()).filter(|i| !i.is_stopped());
        MemoryMib::from_mib(live.map(|i| i.life.size.memory.mib()).sum())
    }

    /// The inputs of the host planner; `traffic` answers for each instance that is not stopped.
    pub fn inputs(&self, now: Moment, traffic: impl Fn(&InstanceKey) -> TrafficFacts) -> HostInputs {
        let facts = |instance: &Instance| {
            let traffic = if instance.is_stopped() {
                TrafficFacts { routed: false, in_flight: 0 }
            } else {
                traffic(&instance.key)
            };
            InstanceFacts {
                id: instance.key.id.clone(),
                serial: instance.serial,
                generation: instance.generation,
                kind: instance.kind,
                slot: instance.slot,
                size: instance.life.size,
                restarts: instance.restarts,
                phase: instance.life.phase,
                routed: traffic.routed,
                in_flight: traffic.in_flight,
                outgrown: instance.outgrown,
            }
        };
        let processes = self.processes.values().filter_map(|process| {
            Some(ProcessInputs {
                target: process.target.clone()?,
                next_serial: process.last_serial + 1,
                instances: process.instances.values().map(facts).collect(),
            })
        });
        HostInputs { now, capacity: self.capacity, processes: processes.collect() }
    }

    pub fn observe(&self, now: Moment) -> Vec<ProcessObserved> {
        let observed = self.processes.iter().filter_map(|(key, process)| {
            process.target.as_ref()?;
            let failure = process.failure.as_ref().and_then(|verdict| {
                let instance = process.instances.values().find(|instance| instance.key.id == verdict.id)?;
                Some(tapit_model::Failure {
                    generation: verdict.generation,
                    in_a_row: verdict.in_a_row,
                    deadline_passed: verdict.deadline_passed,
                    instance: verdict.id.clone(),
                    reason: instance.life.reason.clone()?,
                    exit: instance.life.exit,
                })
            });
            Some(ProcessObserved {
                key: key.clone(),
                // Not that of a target which nobody has planned for yet: what is blocked and what failed would be
                // taken for news of it.
                revision: process.planned.unwrap_or_default(),
                instances: process.instances.values().map(Instance::observed).collect(),
                blocked: process.blocked.clone(),
                failure,
                seen_at: now,
            })
        });
        observed.collect()
    }
}

/// How an exit is to be read when nobody ordered it.
pub fn reason_of_exit(exit: &Exit) -> Reason {
    let (code, text) = match (exit.oom, exit.code) {
        (true, _) => {
            (ReasonCode::OutOfMemory, format!("out of memory: {}; give it more with memory=", exit.describe()))
        }
        (false, Some(0)) => {
            let text = "exited with status 0 by itself; for work that ends use a task, not a process";
            (ReasonCode::Completed, text.to_owned())
        }
        (false, _) => (ReasonCode::Crashed, format!("crashed: {}", exit.describe())),
    };
    Reason { code, text }
}

/// The words for a stop that was ordered.
pub fn reason_of_order(code: ReasonCode) -> Reason {
    let text = match code {
        ReasonCode::Surplus => "not wanted any more: the count was lowered or the process disabled",
        ReasonCode::Replaced => "replaced by an instance of a newer generation",
        ReasonCode::RolledBack => "its generation was given up",
        ReasonCode::Disabled => "the process is disabled",
        ReasonCode::Deleted => "the process is deleted",
        ReasonCode::Reclaimed => "spot capacity reclaimed",
        ReasonCode::Unhealthy => "did not get or stay healthy",
        ReasonCode::Crashed => "crashed",
        ReasonCode::Completed => "exited with status 0",
        ReasonCode::OutOfMemory => "out of memory",
        ReasonCode::StartFailed => "could not be started",
        ReasonCode::Lost => "lost",
        ReasonCode::Starting => "starting",
        ReasonCode::BackOff => "waits before the next attempt",
    };
    Reason { code, text: text.to_owned() }
}
