//! The embedded engine: plans with the real `plan_host` and carries the plan out.
//!
//! Every step of an action is written before it takes effect, and the server may die between the two.

use tapit_model::{Moment, Presence, ProcessKey, ReasonCode, Restart};

use super::behaviour::Behaviour;
use super::machine::{Container, Record};
use super::observe::reason;
use super::server::backend_id;
use super::{Sim, check};
use crate::host::{Action, HostInputs, HostPlan, InstanceFacts, Phase, ProcessInputs, StartOrder, plan_host};

/// A plan is followed by the next at once as long as there is something to do; more rounds than this are a fault.
const ROUNDS: usize = 50;

impl Sim {
    pub(super) fn run_engine(&mut self) -> Result<(), String> {
        if self.server.is_none() || (!self.calm && self.rng.percent(10)) {
            return Ok(());
        }
        self.hear_of_ends();
        self.check_health();
        for _ in 0..ROUNDS {
            let Some(inputs) = self.inputs() else { return Ok(()) };
            let plan = plan_host(&inputs);
            check::plan(&inputs, &plan, &mut self.rng)?;
            self.keep_verdicts(&plan);
            if plan.actions.is_empty() {
                self.forget_absent();
                return Ok(());
            }
            self.seen.stop_first += check::stop_first(&inputs, &plan);
            for (key, action) in plan.actions {
                self.execute(&key, action)?;
                if self.server.is_none() {
                    return Ok(());
                }
                self.send_requests()?;
            }
            // The engine may be interrupted by news, so that the next plan is made later, from another state.
            if !self.calm && self.rng.percent(40) {
                return Ok(());
            }
        }
        Err(format!("the engine still has actions after {ROUNDS} rounds without any news"))
    }

    pub(super) fn inputs(&self) -> Option<HostInputs> {
        let server = self.server.as_ref()?;
        let facts = |key: &ProcessKey, record: &Record| {
            let id = backend_id(key, &record.facts.id);
            let (routed, in_flight) = (server.router.is_routed(&id), server.router.in_flight(&id));
            InstanceFacts { routed, in_flight, ..record.facts.clone() }
        };
        let processes = server.held.iter().map(|(key, held)| ProcessInputs {
            target: held.target.clone(),
            next_serial: self.machine.serials.get(key).map_or(1, |last| last + 1),
            instances: self.machine.records.get(key).into_iter().flatten().map(|(_, r)| facts(key, r)).collect(),
        });
        Some(HostInputs {
            now: self.now,
            capacity: self.machine.capacity,
            host: self.machine.host,
            processes: processes.collect(),
        })
    }

    fn keep_verdicts(&mut self, plan: &HostPlan) {
        let Some(server) = &mut self.server else { return };
        server.look_again = plan.look_again;
        for verdict in &plan.verdicts {
            if let Some(held) = server.held.get_mut(&verdict.key) {
                held.blocked = verdict.blocked.clone();
                held.failure = verdict.failure.clone();
            }
        }
    }

    /// A process of which nothing is wanted and nothing is left is not held any more.
    fn forget_absent(&mut self) {
        let Some(server) = &mut self.server else { return };
        let records = &self.machine.records;
        let is_left = |key: &ProcessKey| records.get(key).is_some_and(|records| !records.is_empty());
        server.held.retain(|key, held| !matches!(held.target.presence, Presence::Absent(_)) || is_left(key));
    }

    fn execute(&mut self, key: &ProcessKey, action: Action) -> Result<(), String> {
        self.note(format!("{key}: {action:?}"));
        match action {
            Action::Start(order) => self.start(key, &order),
            Action::Drain { id, why } => {
                self.drain(key, serial_of(&id), why);
                Ok(())
            }
            Action::Terminate { id } => {
                self.terminate(key, serial_of(&id));
                Ok(())
            }
            Action::Kill { id } => {
                self.kill(key, serial_of(&id));
                Ok(())
            }
            Action::Resize { id, size } => {
                let serial = serial_of(&id);
                let uses = self.machine.containers.get(&(key.clone(), serial)).map_or(0, |container| container.uses);
                if let Some(record) = self.machine.record(key, serial) {
                    if uses > size.memory.mib() {
                        record.facts.outgrown = true;
                    } else {
                        record.facts.size = size;
                    }
                }
                self.may_die("after a resize");
                Ok(())
            }
            Action::Forget { id } => {
                let serial = serial_of(&id);
                if let Some(records) = self.machine.records.get_mut(key) {
                    records.remove(&serial);
                }
                self.machine.containers.remove(&(key.clone(), serial));
                Ok(())
            }
        }
    }

    fn start(&mut self, key: &ProcessKey, order: &StartOrder) -> Result<(), String> {
        self.seen.starts += 1;
        let Some(formation) = self.server.as_ref().and_then(|server| match &server.held.get(key)?.target.presence {
            Presence::Absent(_) => None,
            Presence::Present(formation) => Some(formation.clone()),
        }) else {
            return Err(format!("{} starts without a target", order.id));
        };
        self.machine.serials.insert(key.clone(), order.serial);
        if !self.machine.ever.insert((key.clone(), order.serial)) {
            return Err(format!("{} is started a second time", order.id));
        }
        let facts = InstanceFacts {
            id: order.id.clone(),
            serial: order.serial,
            generation: order.generation,
            kind: order.kind,
            slot: order.slot,
            size: order.size,
            restarts: order.restarts,
            phase: Phase::Starting { since: self.now },
            routed: false,
            in_flight: 0,
            outgrown: false,
        };
        let record = Record {
            facts,
            healthy_since: None,
            failing_since: None,
            reason: None,
            exit: None,
            created_at: self.wall(),
            has_port: formation.public,
        };
        self.machine.records.entry(key.clone()).or_default().insert(order.serial, record);
        if self.may_die("before a container was made") {
            return Ok(());
        }
        let behaviour = Behaviour::of(&formation.image.reference);
        if behaviour == Behaviour::Broken || (!self.calm && self.rng.percent(1)) {
            self.end(key, order.serial, ReasonCode::StartFailed, None);
            return Ok(());
        }
        let memory = order.size.memory.mib();
        let container = Container {
            generation: order.generation,
            behaviour,
            ready_at: behaviour.ready_after(&mut self.rng).map(|millis| self.now.plus_millis(millis)),
            sick_until: Moment::default(),
            ends_at: behaviour.ends_after(&mut self.rng).map(|(millis, code)| (self.now.plus_millis(millis), code)),
            was_told_to_stop: false,
            uses: self.rng.between(memory / 4, memory),
            end: None,
        };
        self.machine.containers.insert((key.clone(), order.serial), container);
        if !self.machine.ran.insert(key.clone()) && formation.restart == Restart::Never {
            return Err(format!("{key} runs a second time"));
        }
        self.may_die("after a start");
        Ok(())
    }

    pub(super) fn drain(&mut self, key: &ProcessKey, serial: u64, why: ReasonCode) {
        let now = self.now;
        let Some(record) = self.machine.record(key, serial) else { return };
        match record.facts.phase {
            Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => {}
            Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => return,
        }
        record.reason = Some(reason(why));
        record.facts.phase = Phase::Draining { since: now, why };
        let id = backend_id(key, &record.facts.id);
        if why == ReasonCode::Reclaimed {
            self.seen.reclaimed += 1;
        }
        if self.may_die("before a route was withdrawn") {
            return;
        }
        if let Some(server) = &mut self.server {
            server.router.withdraw(&id);
        }
    }

    fn terminate(&mut self, key: &ProcessKey, serial: u64) {
        let now = self.now;
        if let Some(record) = self.machine.record(key, serial)
            && let Phase::Draining { why, .. } = record.facts.phase
        {
            record.facts.phase = Phase::Stopping { since: now, why, killed: false };
            if !self.may_die("before a SIGTERM") {
                self.send_sigterm(key, serial);
            }
        }
    }

    pub(super) fn send_sigterm(&mut self, key: &ProcessKey, serial: u64) {
        let now = self.now;
        if let Some(container) = self.machine.containers.get_mut(&(key.clone(), serial)) {
            container.was_told_to_stop = true;
            if let Some(millis) = container.behaviour.stops_after(&mut self.rng) {
                container.ends_by(now.plus_millis(millis), 0);
            }
        }
    }

    fn kill(&mut self, key: &ProcessKey, serial: u64) {
        let now = self.now;
        if let Some(record) = self.machine.record(key, serial)
            && let Phase::Stopping { since, why, .. } = record.facts.phase
        {
            record.facts.phase = Phase::Stopping { since, why, killed: true };
            if !self.may_die("before a SIGKILL")
                && let Some(container) = self.machine.containers.get_mut(&(key.clone(), serial))
            {
                container.ends_by(now.plus_millis(2), 137);
            }
        }
    }
}

fn serial_of(id: &tapit_model::InstanceId) -> u64 {
    id.as_str().rsplit('.').next().and_then(|serial| serial.parse().ok()).unwrap_or(0)
}
