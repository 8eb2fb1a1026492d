//! Everything that the engine knows, in memory: targets, instances, verdicts. A plain value behind one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use tapit_model::{
    Blocked, Check, Digest, Exit, InstanceId, InstanceKey, InstanceKind, InstanceObserved, InstanceState, MemoryMib,
    Moment, Presence, ProcessKey, ProcessObserved, ProcessTarget, Reason, ReasonCode, Revision, Size,
};
use tapit_plan::host::{FailureVerdict, HostInputs, HostMemory, InstanceFacts, Phase, ProcessInputs};

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
    /// The size that is being put in force.
    pub resizing: Option<Size>,
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

    /// Its phase for the planner. The time to get healthy runs from when the program does: what comes before, such as the
    /// wait for its turn among many, has bounds of its own and is no fault of the program.
    fn phase(&self, now: Moment) -> Phase {
        match self.life.phase {
            Phase::Starting { .. } if self.running.is_none() => Phase::Starting { since: now },
            phase => phase,
        }
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
    pub host: HostMemory,
    /// Every instance directory was read; before that nothing is planned.
    pub adopted: bool,
    /// No planning any more: the engine closes or tears down.
    pub closing: bool,
}

impl HostState {
    pub fn new(capacity: MemoryMib) -> Self {
        Self { processes: BTreeMap::new(), capacity, host: HostMemory::Ample, adopted: false, closing: false }
    }

    pub fn instance_mut(&mut self, key: &ProcessKey, id: &InstanceId) -> Option<&mut Instance> {
        self.processes.get_mut(key)?.instances.values_mut().find(|instance| instance.key.id == *id)
    }

    /// What instances are made from, and are to be made from.
    pub fn images(&self) -> BTreeSet<Digest> {
        let targets = self.processes.values().filter_map(|process| match &process.target.as_ref()?.presence {
            Presence::Present(formation) => Some(&formation.image.digest),
            Presence::Absent(_) => None,
        });
        let live = self.processes.values().flat_map(|p| p.instances.values()).filter(|i| !i.is_stopped());
        targets.chain(live.filter_map(|instance| instance.life.image.as_ref())).cloned().collect()
    }

    pub fn used(&self) -> MemoryMib {
        let live = self.processes.values().flat_map(|p| p.instances.values()).filter(|i| !i.is_stopped());
        MemoryMib::from_mib(live.map(|i| i.life.size.memory.mib()).sum())
    }

    /// MiB that instances have been told to give back and still hold. The planner is told the sizes that are on their way,
    /// or it would ask for them again and again; what is not free yet is taken off the capacity instead.
    fn held_back(&self) -> u64 {
        let instances = self.processes.values().flat_map(|process| process.instances.values());
        let held = |i: &Instance| Some(i.life.size.memory.mib().saturating_sub(i.resizing?.memory.mib()));
        instances.filter(|instance| !instance.is_stopped()).filter_map(held).sum()
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
                size: instance.resizing.unwrap_or(instance.life.size),
                restarts: instance.restarts,
                phase: instance.phase(now),
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
        let capacity = MemoryMib::from_mib(self.capacity.mib().saturating_sub(self.held_back()));
        HostInputs { now, capacity, host: self.host, processes: processes.collect() }
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
            let text =
                "completed: it ended by itself with exit 0; work that ends is a task, not a process (create task)";
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

#[cfg(test)]
mod tests {
    use tapit_model::{AppName, CpuMillis, Lifecycle, ProcessName, Seconds, Timestamp};

    use super::*;

    fn size(mib: u64) -> Size {
        Size { memory: MemoryMib::from_mib(mib), cpu: CpuMillis::from_millis(100) }
    }

    fn host(memory: u64, resizing: Option<u64>) -> HostState {
        let app = AppName::parse("shop").expect("a legal name");
        let process = ProcessName::parse("api").expect("a legal name");
        let key = ProcessKey::new(&app, &process);
        let life = Life {
            boot_id: String::new(),
            image: None,
            phase: Phase::Healthy { since: Moment(0) },
            size: size(memory),
            check: Check::Uptime(Seconds(1)),
            reason: None,
            created_at: Timestamp(0),
            started_at: None,
            healthy_at: None,
            healthy_since: None,
            stopped_at: None,
            exit: None,
            earlier_exit: None,
        };
        let instance = Instance {
            key: InstanceKey { app, id: InstanceId::of_serial(&process, 1) },
            serial: 1,
            generation: 1,
            kind: InstanceKind::Demand,
            slot: 0,
            restarts: 0,
            ip: None,
            life,
            running: None,
            outgrown: false,
            resizing: resizing.map(size),
        };
        let target = ProcessTarget {
            key: key.clone(),
            revision: Revision(7),
            presence: tapit_model::Presence::Absent(Lifecycle::default()),
        };
        let process = ProcessState {
            target: Some(target),
            instances: BTreeMap::from([(1, instance)]),
            last_serial: 1,
            ..ProcessState::default()
        };
        HostState { processes: BTreeMap::from([(key, process)]), ..HostState::new(MemoryMib::from_mib(1024)) }
    }

    fn inputs(host: &HostState) -> HostInputs {
        host.inputs(Moment(0), |_| TrafficFacts { routed: false, in_flight: 0 })
    }

    #[test]
    fn memory_that_is_being_given_back_is_not_free_yet() {
        let at_rest = inputs(&host(512, None));
        assert_eq!((at_rest.capacity.mib(), at_rest.processes[0].instances[0].size), (1024, size(512)));
        let shrinking = inputs(&host(512, Some(128)));
        assert_eq!((shrinking.capacity.mib(), shrinking.processes[0].instances[0].size), (640, size(128)));
        let growing = inputs(&host(512, Some(512)));
        assert_eq!((growing.capacity.mib(), growing.processes[0].instances[0].size), (1024, size(512)));
    }

    #[test]
    fn the_time_to_get_healthy_does_not_run_while_an_instance_is_being_made() {
        let mut host = host(512, None);
        let late = |host: &HostState| {
            host.inputs(Moment(90_000), |_| TrafficFacts { routed: false, in_flight: 0 }).processes[0].instances[0]
                .phase
        };
        assert_eq!(late(&host), Phase::Healthy { since: Moment(0) });
        for instance in host.processes.values_mut().flat_map(|process| process.instances.values_mut()) {
            instance.life.phase = Phase::Starting { since: Moment(0) };
        }
        assert_eq!(late(&host), Phase::Starting { since: Moment(90_000) });
    }

    #[test]
    fn a_target_is_shown_as_held_once_it_was_planned_for() {
        let mut host = host(512, None);
        assert_eq!(host.observe(Moment(0))[0].revision, Revision(0));
        host.processes.values_mut().for_each(|process| process.planned = Some(Revision(7)));
        assert_eq!(host.observe(Moment(0))[0].revision, Revision(7));
    }

    #[test]
    fn an_exit_is_told_by_what_it_means() {
        let exit = |code, oom| Exit { code, signal: None, oom, at: Timestamp(0) };
        let code = |exit: Exit| reason_of_exit(&exit).code;
        assert_eq!(code(exit(Some(0), false)), ReasonCode::Completed);
        assert_eq!(code(exit(Some(1), false)), ReasonCode::Crashed);
        assert_eq!(code(exit(None, false)), ReasonCode::Crashed);
        assert_eq!(code(exit(Some(0), true)), ReasonCode::OutOfMemory);
        assert_eq!(code(exit(Some(137), true)), ReasonCode::OutOfMemory);
    }
}
