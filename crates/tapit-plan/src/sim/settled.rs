//! What must be so once it has been calm for long.

use tapit_model::{BlockedCode, ImageSource, InstanceKind, Process, ProcessKey, ProcessObserved, RolloutState};

use super::behaviour::Behaviour;
use super::server::backend_id;
use super::{Sim, observe, standins};
use crate::app::{AppInputs, plan_app};
use crate::host::plan_host;

pub(super) fn check(sim: &Sim) -> Result<(), String> {
    let Some(server) = &sim.server else { return Err("no server after the calm".to_owned()) };
    if let Some(app) = sim.store.apps.values().find(|app| app.deleting) {
        return Err(format!("app {} is still being deleted", app.name));
    }
    let observed = observe::observe(&server.held, &sim.machine, sim.now);
    for process in sim.store.processes.values() {
        let seen = observed.iter().find(|seen| seen.key == process.key);
        Settled { sim, process, seen }.check().map_err(|what| format!("not settled: {}: {what}", process.key))?;
    }
    for (key, serial, _) in sim.machine.running() {
        if !sim.store.processes.contains_key(key) {
            return Err(format!("{key} is gone and its container {serial} runs"));
        }
        if sim.machine.records.get(key).is_none_or(|records| !records.contains_key(&serial)) {
            return Err(format!("container {serial} of {key} runs without a record"));
        }
    }
    if sim.machine.used() > sim.machine.capacity.mib() {
        let demand = sim.machine.records.values().flat_map(|r| r.values()).filter(|r| !r.is_stopped());
        if demand.clone().any(|r| r.facts.kind == InstanceKind::Spot) {
            return Err("spot instances run over the capacity".to_owned());
        }
    }
    nothing_more_is_planned(sim, &observed)
}

/// But for what keeps failing, for which attempts go on for ever.
fn nothing_more_is_planned(sim: &Sim, observed: &[ProcessObserved]) -> Result<(), String> {
    let (Some(server), Some(inputs)) = (&sim.server, sim.inputs()) else { return Ok(()) };
    for app in sim.store.apps.keys() {
        let inputs =
            AppInputs { now: sim.wall(), moment: sim.now, world: &sim.store, app, observed, images: &server.images };
        let plan = plan_app(&inputs);
        if !plan.changes.is_empty() {
            return Err(format!("app {app} still changes: {:?}", plan.changes));
        }
    }
    let is_steady = |key: &ProcessKey| sim.store.processes.get(key).is_none_or(|process| !keeps_failing(sim, process));
    match plan_host(&inputs).actions.into_iter().find(|(key, _)| is_steady(key)) {
        Some((key, action)) => Err(format!("the engine still does {action:?} for {key}")),
        None => Ok(()),
    }
}

/// The generation that the engine is to run.
fn aim(process: &Process) -> u64 {
    if process.rolled_back { process.running_generation } else { process.generation }
}

fn behaviour(sim: &Sim, process: &Process, generation: u64) -> Option<Behaviour> {
    match &sim.store.generations.get(&(process.key.clone(), generation))?.template.image {
        ImageSource::Unknown => None,
        ImageSource::Named(image) => Some(Behaviour::of(image)),
        ImageSource::Pinned(pinned) => Some(Behaviour::of(&pinned.reference)),
    }
}

fn keeps_failing(sim: &Sim, process: &Process) -> bool {
    match behaviour(sim, process, aim(process)) {
        Some(Behaviour::Completes) => true,
        // Instances that were started in the calm still age.
        Some(Behaviour::Ages) => true,
        Some(behaviour) => behaviour.is_hopeless(),
        None => false,
    }
}

pub(super) struct Settled<'a> {
    pub sim: &'a Sim,
    pub process: &'a Process,
    seen: Option<&'a ProcessObserved>,
}

impl Settled<'_> {
    fn check(&self) -> Result<(), String> {
        let process = self.process;
        if process.deleting {
            return Err("still being deleted".to_owned());
        }
        if process.task.is_some() {
            return self.a_task_runs_or_has_ended();
        }
        let (demand, spot) = (process.spec.wanted(InstanceKind::Demand), process.spec.wanted(InstanceKind::Spot));
        if demand + spot == 0 {
            return self.nothing_runs();
        }
        self.a_hopeless_rollout_has_ended()?;
        self.old_ones_are_gone()?;
        if keeps_failing(self.sim, process) {
            return Ok(());
        }
        self.all_run(InstanceKind::Demand, process.wanted(InstanceKind::Demand))?;
        self.all_run(InstanceKind::Spot, spot)?;
        self.all_that_is_missing_is_stood_in_for(spot)
    }

    fn nothing_runs(&self) -> Result<(), String> {
        if self.sim.machine.running().any(|(key, _, _)| *key == self.process.key) {
            return Err("something runs of what wants nothing".to_owned());
        }
        let records = self.sim.machine.records.get(&self.process.key);
        let ids = records.into_iter().flatten().map(|(_, record)| backend_id(&self.process.key, &record.facts.id));
        let Some(server) = &self.sim.server else { return Ok(()) };
        match ids.into_iter().find(|id| server.router.is_routed(id)) {
            Some(id) => Err(format!("{id} is routed")),
            None => Ok(()),
        }
    }

    pub(super) fn is_blocked(&self, kind: InstanceKind) -> bool {
        let waits = |blocked: &&tapit_model::Blocked| match kind {
            InstanceKind::Demand => blocked.demand > 0,
            InstanceKind::Spot => blocked.spot > 0,
        };
        let planned = self.sim.server.as_ref().and_then(|server| server.blocked.get(&self.process.key));
        planned.into_iter().flatten().chain(self.seen.into_iter().flat_map(|seen| &seen.blocked)).any(|b| waits(&b))
    }

    /// With spot instances alone, it is those that must find room for a rollout to go on.
    fn has_no_room(&self) -> bool {
        let spot_alone = self.process.spec.wanted(InstanceKind::Demand) == 0;
        let no_room = |b: &tapit_model::Blocked| b.code == BlockedCode::Capacity && (b.demand > 0 || spot_alone);
        self.seen.is_some_and(|seen| seen.blocked.iter().any(no_room))
    }

    /// A new generation that never gets healthy is given up for the old one.
    fn a_hopeless_rollout_has_ended(&self) -> Result<(), String> {
        let process = self.process;
        let rollout = self.sim.store.rollouts.get(&process.key);
        let is_running = rollout.is_some_and(|rollout| rollout.state == RolloutState::Running);
        let hopeless = behaviour(self.sim, process, process.generation).is_some_and(Behaviour::is_hopeless);
        let has_demand = process.spec.wanted(InstanceKind::Demand) > 0;
        if is_running && hopeless && has_demand && !self.has_no_room() {
            return Err(format!("the rollout to hopeless generation {} goes on", process.generation));
        }
        let succeeds = behaviour(self.sim, process, process.generation).is_some_and(|b| !b.is_hopeless());
        if is_running && succeeds && !keeps_failing(self.sim, process) && !self.has_no_room() {
            return Err(format!("the rollout to generation {} does not end", process.generation));
        }
        Ok(())
    }

    /// Two generations only while a rollout cannot go on: no room, no image, or a new one that keeps failing.
    fn old_ones_are_gone(&self) -> Result<(), String> {
        let aim = aim(self.process);
        let mut running = self.sim.machine.running().filter(|(key, _, _)| **key == self.process.key);
        let Some((_, serial, old)) = running.find(|(_, _, container)| container.generation != aim) else {
            return Ok(());
        };
        if keeps_failing(self.sim, self.process) || self.is_blocked(InstanceKind::Demand) {
            return Ok(());
        }
        Err(format!("{serial} of generation {} runs beside generation {aim}", old.generation))
    }

    /// No less and no more than is missing, however long ago that began. (All that the simulator's users wait for a
    /// fallback is over by now.)
    fn all_that_is_missing_is_stood_in_for(&self, spot: u32) -> Result<(), String> {
        let missing = spot.saturating_sub(standins::healthy_spot(&self.sim.machine, &self.process.key));
        let wanted = if self.process.spec.spot_fallback.is_some() { missing } else { 0 };
        let stand_ins = self.process.fallback.stand_ins;
        let rollout = self.sim.store.rollouts.get(&self.process.key);
        let is_rolling = rollout.is_some_and(|rollout| rollout.state == RolloutState::Running);
        if stand_ins == wanted || is_rolling {
            return Ok(());
        }
        Err(format!("{stand_ins} stand in for {missing} spot instances of {spot} that are missing"))
    }

    fn all_run(&self, kind: InstanceKind, wanted: u32) -> Result<(), String> {
        let Some(server) = &self.sim.server else { return Ok(()) };
        let records = self.sim.machine.records.get(&self.process.key);
        let healthy = records.into_iter().flatten().map(|(_, record)| &record.facts).filter(|facts| {
            let routed = server.router.is_routed(&backend_id(&self.process.key, &facts.id));
            let serves = facts.is_healthy() && (routed || !self.process.key.process.is_public());
            facts.kind == kind && facts.generation == aim(self.process) && serves
        });
        let healthy = healthy.count();
        if healthy < wanted as usize && !self.is_blocked(kind) {
            return Err(format!("{healthy} of {wanted} {kind:?} instances serve, and no reason is given"));
        }
        if healthy > wanted as usize {
            return Err(format!("{healthy} {kind:?} instances serve where {wanted} are wanted"));
        }
        Ok(())
    }
}
