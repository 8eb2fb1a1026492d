//! The promises that hold at every moment, told independently of how the planner keeps them.

use tapit_model::{
    BlockedCode, CountChange, Formation, InstanceId, InstanceKind, MemoryMib, Moment, Presence, ProcessKey, ReasonCode,
};

use super::machine::Machine;
use super::rng::Rng;
use crate::host::{
    Action, HostInputs, HostMemory, HostPlan, InstanceFacts, Phase, ProcessInputs, ProcessVerdict, StartOrder,
    plan_host,
};

/// Everything that one plan must hold to.
pub(super) fn plan(inputs: &HostInputs, plan: &HostPlan, rng: &mut Rng) -> Result<(), String> {
    for (process, verdict) in inputs.processes.iter().zip(&plan.verdicts) {
        if verdict.key != process.target.key {
            return Err("verdicts are not in the order of the inputs".to_owned());
        }
        let actions: Vec<&Action> = plan.actions.iter().filter(|(k, _)| *k == verdict.key).map(|(_, a)| a).collect();
        let mine = Mine { process, verdict, actions };
        mine.each_instance_gets_one_order()?;
        mine.phases_fit()?;
        mine.counts_hold()?;
        mine.service_holds(room(inputs, plan, &verdict.key))?;
    }
    memory_holds(inputs, plan)?;
    if rng.percent(12) {
        siblings_hold(inputs, plan)?;
        next_look_holds(inputs, plan)?;
        if plan_host(inputs) != *plan {
            return Err("the same inputs gave another plan".to_owned());
        }
    }
    Ok(())
}

/// After success, one generation is all there is.
pub(super) fn one_generation(machine: &Machine, key: &ProcessKey, generation: u64) -> Result<(), String> {
    let other = machine.running().find(|(owner, _, container)| *owner == key && container.generation != generation);
    other.map_or(Ok(()), |(_, serial, container)| {
        Err(format!("rollout to {generation} of {key} succeeded while {serial} of {} runs", container.generation))
    })
}

/// How many old instances were given up for room.
pub(super) fn stop_first(inputs: &HostInputs, plan: &HostPlan) -> u64 {
    let gave_up = |process: &&ProcessInputs| {
        let verdict = plan.verdicts.iter().find(|verdict| verdict.key == process.target.key);
        let actions = plan.actions.iter().filter(|(key, _)| *key == process.target.key).map(|(_, action)| action);
        verdict.is_some_and(|verdict| {
            let mine = Mine { process, verdict, actions: actions.collect() };
            mine.formation().is_some_and(|f| mine.serving_after(f) < mine.serving_before(f).min(wanted(f)))
        })
    };
    inputs.processes.iter().filter(gave_up).count() as u64
}

fn wanted(formation: &Formation) -> usize {
    formation.demand.min(CountChange::MAX) as usize
}

/// Told once more, so that the planner is not measured with its own rule.
fn serves(instance: &InstanceFacts, formation: &Formation) -> bool {
    matches!(instance.phase, Phase::Healthy { .. }) && (instance.routed || !formation.public)
}

/// One process with what was planned for it.
struct Mine<'a> {
    process: &'a ProcessInputs,
    verdict: &'a ProcessVerdict,
    actions: Vec<&'a Action>,
}

impl Mine<'_> {
    fn formation(&self) -> Option<&Formation> {
        match &self.process.target.presence {
            Presence::Absent(_) => None,
            Presence::Present(formation) => Some(formation),
        }
    }

    fn why_drained(&self, instance: &InstanceFacts) -> Option<ReasonCode> {
        self.actions.iter().find_map(|action| match action {
            Action::Drain { id, why } if *id == instance.id => Some(*why),
            Action::Drain { .. }
            | Action::Start(_)
            | Action::Terminate { .. }
            | Action::Kill { .. }
            | Action::Resize { .. }
            | Action::Forget { .. } => None,
        })
    }

    fn starts(&self) -> impl Iterator<Item = &StartOrder> {
        self.actions.iter().filter_map(|action| match action {
            Action::Start(order) => Some(order),
            Action::Drain { .. }
            | Action::Terminate { .. }
            | Action::Kill { .. }
            | Action::Resize { .. }
            | Action::Forget { .. } => None,
        })
    }

    fn each_instance_gets_one_order(&self) -> Result<(), String> {
        let mut ids: Vec<_> = self.actions.iter().map(|action| target_of(action)).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() == all { Ok(()) } else { Err(format!("{}: two orders for one instance", self.verdict.key)) }
    }

    fn phases_fit(&self) -> Result<(), String> {
        for action in &self.actions {
            let instance = self.process.instances.iter().find(|i| i.id.as_str() == target_of(action));
            let fits = match (action, instance.map(|i| i.phase)) {
                (Action::Start(_), found) => found.is_none(),
                (Action::Drain { .. } | Action::Resize { .. }, Some(phase)) => match phase {
                    Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => true,
                    Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => false,
                },
                (Action::Terminate { .. }, Some(phase)) => {
                    matches!(phase, Phase::Draining { .. }) && instance.is_some_and(|i| !i.routed)
                }
                (Action::Kill { .. }, Some(phase)) => matches!(phase, Phase::Stopping { .. }),
                (Action::Forget { .. }, Some(phase)) => matches!(phase, Phase::Stopped { .. }),
                (
                    Action::Drain { .. }
                    | Action::Resize { .. }
                    | Action::Terminate { .. }
                    | Action::Kill { .. }
                    | Action::Forget { .. },
                    None,
                ) => false,
            };
            if !fits {
                return Err(format!("{}: {action:?} does not fit {instance:?}", self.verdict.key));
            }
        }
        Ok(())
    }

    /// Never more of the target generation than wanted, never two in one place, never more in all than count and surge.
    fn counts_hold(&self) -> Result<(), String> {
        let Some(formation) = self.formation() else {
            return if self.starts().next().is_none() { Ok(()) } else { Err("an absent process starts".to_owned()) };
        };
        for kind in [InstanceKind::Demand, InstanceKind::Spot] {
            let count = match kind {
                InstanceKind::Demand => formation.demand,
                InstanceKind::Spot => formation.spot,
            } as usize;
            let stays = |i: &&InstanceFacts| i.kind == kind && i.is_live() && self.why_drained(i).is_none();
            let live: Vec<_> = self.process.instances.iter().filter(stays).collect();
            let starts: Vec<_> = self.starts().filter(|order| order.kind == kind).collect();
            if starts.is_empty() {
                continue;
            }
            let new: Vec<_> = live.iter().filter(|i| i.is_new(formation)).collect();
            let surge = if new.len() < live.len() { (count / 4).max(1) } else { 0 };
            if new.len() + starts.len() > count || live.len() + starts.len() > count + surge {
                return Err(format!("{}: too many {kind:?} start", self.verdict.key));
            }
            for (at, start) in starts.iter().enumerate() {
                let is_taken =
                    new.iter().any(|i| i.slot == start.slot) || starts[..at].iter().any(|s| s.slot == start.slot);
                if is_taken {
                    return Err(format!("{}: {} starts in a place that is taken", self.verdict.key, start.id));
                }
            }
        }
        Ok(())
    }

    fn serving_before(&self, formation: &Formation) -> usize {
        self.process.instances.iter().filter(|i| i.kind == InstanceKind::Demand && serves(i, formation)).count()
    }

    fn serving_after(&self, formation: &Formation) -> usize {
        let serving = |i: &&InstanceFacts| i.kind == InstanceKind::Demand && serves(i, formation);
        self.process.instances.iter().filter(serving).filter(|i| self.why_drained(i).is_none()).count()
    }

    /// Never fewer that serve than wanted, unless one old instance is given up because there is no room for a new one.
    fn service_holds(&self, left: u64) -> Result<(), String> {
        let Some(formation) = self.formation() else { return Ok(()) };
        let demand = self.process.instances.iter().filter(|i| i.kind == InstanceKind::Demand);
        if demand.clone().any(|i| self.why_drained(i) == Some(ReasonCode::Reclaimed)) {
            return Err(format!("{}: a demand instance is reclaimed", self.verdict.key));
        }
        let (before, after) = (self.serving_before(formation), self.serving_after(formation));
        if after >= before.min(wanted(formation)) {
            return Ok(());
        }
        let has_no_room = self.verdict.blocked.iter().any(|b| b.code == BlockedCode::Capacity && b.demand > 0);
        let fits = formation.size.memory.mib() <= left;
        let still = demand.filter(|i| i.is_starting() || i.is_ending()).count() == 0;
        if has_no_room && !fits && still && after + 1 == before && after >= 1 {
            return Ok(());
        }
        let facts = format!("no room told: {has_no_room}, free in the end: {left} MiB, nothing else moves: {still}");
        Err(format!("{}: serving {before} -> {after} of {}; {facts}", self.verdict.key, formation.demand))
    }
}

fn target_of(action: &Action) -> &str {
    match action {
        Action::Start(order) => order.id.as_str(),
        Action::Drain { id, .. }
        | Action::Terminate { id }
        | Action::Kill { id }
        | Action::Resize { id, .. }
        | Action::Forget { id } => id.as_str(),
    }
}

fn used(inputs: &HostInputs) -> u64 {
    let all = inputs.processes.iter().flat_map(|process| &process.instances);
    all.filter(|i| !i.is_stopped()).map(|i| i.size.memory.mib()).sum()
}

/// MiB that a plan takes on top of what is taken.
fn taken(inputs: &HostInputs, plan: &HostPlan) -> u64 {
    let has = |key: &ProcessKey, id: &InstanceId| {
        let process = inputs.processes.iter().find(|process| process.target.key == *key);
        process.and_then(|p| p.instances.iter().find(|i| i.id == *id)).map_or(0, |i| i.size.memory.mib())
    };
    let taken = |(key, action): &(ProcessKey, Action)| match action {
        Action::Start(order) => order.size.memory.mib(),
        Action::Resize { id, size } => size.memory.mib().saturating_sub(has(key, id)),
        Action::Drain { .. } | Action::Terminate { .. } | Action::Kill { .. } | Action::Forget { .. } => 0,
    };
    plan.actions.iter().map(taken).sum()
}

/// MiB that are free for this process once the plan is carried out and nothing of what ends is gone yet; none when
/// others wait for memory, because what is free is then kept for them; from what only stands in for spot instances also for
/// those that wait out their back-off.
fn room(inputs: &HostInputs, plan: &HostPlan, key: &ProcessKey) -> u64 {
    let own = inputs.processes.iter().find(|process| process.target.key == *key).and_then(ProcessInputs::formation);
    let stands_in = own.is_some_and(|formation| formation.stand_ins > 0);
    let holds = |code: BlockedCode| code == BlockedCode::Capacity || (stands_in && code == BlockedCode::BackOff);
    let waits = |v: &ProcessVerdict| v.blocked.iter().any(|b| holds(b.code) && b.demand > 0);
    if plan.verdicts.iter().any(|verdict| verdict.key != *key && waits(verdict)) {
        return 0;
    }
    inputs.capacity.mib().saturating_sub(used(inputs) + taken(inputs, plan))
}

/// What starts and grows fits, also when nothing of what ends is gone yet.
fn memory_holds(inputs: &HostInputs, plan: &HostPlan) -> Result<(), String> {
    let (used, more, capacity) = (used(inputs), taken(inputs, plan), inputs.capacity.mib());
    if more > 0 && used + more > capacity {
        return Err(format!("{more} MiB more would be {} of {capacity}", used + more));
    }
    let is_spot = |action: &Action| matches!(action, Action::Start(order) if order.kind == InstanceKind::Spot);
    if inputs.host != HostMemory::Ample && plan.actions.iter().any(|(_, action)| is_spot(action)) {
        return Err("a spot instance starts on a host that is short of memory".to_owned());
    }
    Ok(())
}

fn inputs_with(capacity: MemoryMib, now: Moment) -> HostInputs {
    HostInputs { now, capacity, host: HostMemory::Ample, processes: Vec::new() }
}

/// Where memory is no matter, the plan for a process is what it would be without its siblings.
fn siblings_hold(inputs: &HostInputs, plan: &HostPlan) -> Result<(), String> {
    let enough = MemoryMib::from_mib(u64::MAX);
    let together = plan_host(&HostInputs { processes: inputs.processes.clone(), ..inputs_with(enough, inputs.now) });
    for process in &inputs.processes {
        let alone = HostInputs { processes: vec![process.clone()], ..inputs_with(enough, inputs.now) };
        let theirs: Vec<_> = together.actions.iter().filter(|(key, _)| *key == process.target.key).collect();
        let own = plan_host(&alone).actions;
        if theirs != own.iter().collect::<Vec<_>>() {
            return Err(format!("siblings change the plan for {}", process.target.key));
        }
    }
    let starved = plan.verdicts.iter().any(|v| v.blocked.iter().any(|b| b.code == BlockedCode::Capacity));
    let is_reclaim = |action: &Action| matches!(action, Action::Drain { why: ReasonCode::Reclaimed, .. });
    if !starved
        && !plan.actions.iter().any(|(_, action)| is_reclaim(action))
        && together.actions.len() < plan.actions.len()
    {
        return Err("with endless memory less is planned".to_owned());
    }
    Ok(())
}

/// A plan without actions stays right until the time that it names.
fn next_look_holds(inputs: &HostInputs, plan: &HostPlan) -> Result<(), String> {
    if !plan.actions.is_empty() {
        return Ok(());
    }
    let last = plan.look_again.map_or(inputs.now.plus_millis(86_400_000), |at| Moment(at.0.saturating_sub(1)));
    if plan.look_again.is_some_and(|at| at <= inputs.now) {
        return Err("the next look is not in the future".to_owned());
    }
    let later = plan_host(&HostInputs { now: last, ..inputs.clone() });
    if later.actions.is_empty() { Ok(()) } else { Err(format!("missed before the next look: {:?}", later.actions)) }
}
