//! Planning again on what follows from a plan asks for nothing twice; and no input makes the planner panic.

use tapit_model::{CpuMillis, InstanceKind, MemoryMib, Moment, Presence, ReasonCode, Seconds, Size};

use super::notation::{NOW, parse, print};
use crate::host::{Action, Ended, HostInputs, InstanceFacts, Phase, plan_host};

/// Carries the actions out as an engine records them at once.
fn carry_out(inputs: &mut HostInputs) {
    for (key, action) in plan_host(inputs).actions {
        let process = inputs.processes.iter_mut().find(|p| p.target.key == key).expect("a process of the inputs");
        if let Action::Start(order) = action {
            process.next_serial = order.serial + 1;
            process.instances.push(InstanceFacts {
                id: order.id,
                serial: order.serial,
                generation: order.generation,
                kind: order.kind,
                slot: order.slot,
                size: order.size,
                restarts: order.restarts,
                phase: Phase::Starting { since: inputs.now },
                routed: false,
                in_flight: 0,
                outgrown: false,
            });
            continue;
        }
        let now = inputs.now;
        let (Action::Drain { id, .. }
        | Action::Terminate { id }
        | Action::Kill { id }
        | Action::Resize { id, .. }
        | Action::Forget { id }) = &action
        else {
            continue;
        };
        let at = process.instances.iter().position(|i| i.id == *id).expect("an instance of the inputs");
        let instance = &mut process.instances[at];
        match action {
            Action::Drain { why, .. } => {
                instance.routed = false;
                instance.phase = Phase::Draining { since: now, why };
            }
            Action::Terminate { .. } => {
                if let Phase::Draining { why, .. } = instance.phase {
                    instance.phase = Phase::Stopping { since: now, why, killed: false };
                }
            }
            Action::Kill { .. } => {
                if let Phase::Stopping { since, why, .. } = instance.phase {
                    instance.phase = Phase::Stopping { since, why, killed: true };
                }
            }
            Action::Resize { size, .. } => instance.size = size,
            Action::Forget { .. } => {
                process.instances.remove(at);
            }
            Action::Start(_) => {}
        }
    }
}

const STATES: [&str; 5] = [
    "web g1 demand=3 spot=2",
    "web g2 demand=4 public
       1 g1 demand/0 healthy routed
       2 g1 demand/1 healthy routed
       3 g1 demand/2 unhealthy
       4 g1 demand/3 healthy routed",
    "capacity 512
     web g2 demand=2 size=192
       1 g1 demand/0 healthy
       2 g1 demand/1 healthy
     work g1 spot=2
       1 g1 spot/0 healthy",
    "web g1 demand=2 size=256
       1 g1 demand/0 stopped@-9s crashed restarts=2
       2 g1 demand/1 starting@-90s",
    "web absent
       1 g1 demand/0 healthy routed
       2 g1 demand/1 stopped crashed",
];

#[test]
fn nothing_is_asked_for_twice() {
    for state in STATES {
        let mut inputs = parse(state);
        carry_out(&mut inputs);
        // Drained instances are told to stop in the second round; then only time or news can move anything.
        carry_out(&mut inputs);
        let after = plan_host(&inputs);
        assert!(after.actions.is_empty(), "{state}\nstill plans\n{}", print(&after));
    }
}

#[test]
fn a_plan_that_was_carried_out_in_part_is_completed_and_not_begun_anew() {
    for state in STATES {
        let whole = plan_host(&parse(state)).actions.len();
        for done in 0..whole {
            let mut inputs = parse(state);
            let actions = plan_host(&inputs).actions;
            let starts =
                |actions: &[(_, Action)]| actions.iter().filter(|(_, a)| matches!(a, Action::Start(_))).count();
            let wanted = starts(&actions);
            let begun = starts(&actions[..done]);
            carry_out_some(&mut inputs, done);
            let rest = starts(&plan_host(&inputs).actions);
            assert!(begun + rest <= wanted, "{state}\nafter {done} actions: {begun} + {rest} > {wanted}");
        }
    }
}

/// The engine died after so many actions.
fn carry_out_some(inputs: &mut HostInputs, done: usize) {
    let before = inputs.clone();
    carry_out(inputs);
    let touched: Vec<_> =
        plan_host(&before).actions.into_iter().take(done).map(|(key, action)| (key, id(&action))).collect();
    for (process, old) in inputs.processes.iter_mut().zip(&before.processes) {
        let key = &old.target.key;
        process.instances = process
            .instances
            .iter()
            .filter_map(|instance| {
                let is_done = touched.iter().any(|(owner, id)| owner == key && *id == instance.id);
                let earlier = old.instances.iter().find(|o| o.id == instance.id);
                if is_done { Some(instance.clone()) } else { earlier.cloned() }
            })
            .collect();
    }
}

fn id(action: &Action) -> tapit_model::InstanceId {
    match action {
        Action::Start(order) => order.id.clone(),
        Action::Drain { id, .. }
        | Action::Terminate { id }
        | Action::Kill { id }
        | Action::Resize { id, .. }
        | Action::Forget { id } => id.clone(),
    }
}

#[test]
fn the_same_inputs_give_the_same_plan() {
    for state in STATES {
        assert_eq!(plan_host(&parse(state)), plan_host(&parse(state)));
    }
}

#[test]
fn no_input_makes_the_planner_panic_or_plan_without_bound() {
    let extremes = [0, 1, u64::MAX - 1, u64::MAX];
    for (n, &value) in extremes.iter().enumerate() {
        for &now in &extremes {
            for state in STATES {
                let mut inputs = parse(state);
                inputs.now = Moment(now);
                inputs.capacity = MemoryMib::from_mib(extremes[(n + 1) % extremes.len()]);
                stretch(&mut inputs, value);
                let plan = plan_host(&inputs);
                assert!(plan.actions.len() < 5_000, "{} actions", plan.actions.len());
            }
        }
    }
}

/// Puts an extreme value wherever one fits.
fn stretch(inputs: &mut HostInputs, value: u64) {
    let short = u32::try_from(value).unwrap_or(u32::MAX);
    let size = Size { memory: MemoryMib::from_mib(value), cpu: CpuMillis::from_millis(value) };
    for process in &mut inputs.processes {
        process.next_serial = value;
        if let Presence::Present(formation) = &mut process.target.presence {
            formation.demand = short;
            formation.spot = short;
            formation.generation = value;
            formation.health_timeout = Seconds(value);
            formation.lifecycle.drain_timeout = Seconds(value);
            formation.lifecycle.stop_timeout = Seconds(value);
            formation.size = size;
        }
        let at = Moment(value);
        let why = ReasonCode::Crashed;
        let phases = [
            Phase::Starting { since: at },
            Phase::Draining { since: at, why },
            Phase::Stopping { since: at, why, killed: false },
            Phase::Stopped { at, ended: Ended { why, healthy_for: Some(value) } },
            Phase::Stopped { at: NOW, ended: Ended { why, healthy_for: None } },
        ];
        for (phase, instance) in phases.into_iter().cycle().zip(&mut process.instances) {
            instance.phase = phase;
            instance.serial = value;
            instance.slot = short;
            instance.restarts = short;
            instance.in_flight = short;
            instance.size = size;
            instance.kind = if instance.routed { InstanceKind::Demand } else { InstanceKind::Spot };
        }
    }
}
