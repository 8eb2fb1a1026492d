//! What the engine shows of itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tapit_model::{Failure, InstanceObserved, InstanceState, Moment, ProcessKey, ProcessObserved, Reason, ReasonCode};

use super::machine::{Machine, Record};
use super::server::Held;
use crate::host::Phase;

pub(super) fn observe(held: &BTreeMap<ProcessKey, Held>, machine: &Machine, now: Moment) -> Vec<ProcessObserved> {
    let none = BTreeMap::new();
    let observe = |(key, held): (&ProcessKey, &Held)| {
        let records = machine.records.get(key).unwrap_or(&none);
        let failure = held.failure.as_ref().and_then(|verdict| {
            let record = records.values().find(|record| record.facts.id == verdict.id)?;
            Some(Failure {
                generation: verdict.generation,
                in_a_row: verdict.in_a_row,
                deadline_passed: verdict.deadline_passed,
                instance: verdict.id.clone(),
                reason: record.reason.clone().unwrap_or_else(|| reason(ReasonCode::Crashed)),
                exit: record.exit,
            })
        });
        ProcessObserved {
            key: key.clone(),
            revision: held.target.revision,
            instances: records.values().map(instance).collect(),
            blocked: held.blocked.clone(),
            failure,
            seen_at: now,
        }
    };
    held.iter().map(observe).collect()
}

pub(super) fn reason(code: ReasonCode) -> Reason {
    Reason { code, text: format!("{code:?}") }
}

fn instance(record: &Record) -> InstanceObserved {
    let facts = &record.facts;
    let low = u8::try_from(facts.serial % 250).unwrap_or(0);
    InstanceObserved {
        id: facts.id.clone(),
        kind: facts.kind,
        generation: facts.generation,
        state: state(facts.phase),
        reason: record.reason.clone(),
        size: facts.size,
        ip: Some(Ipv4Addr::new(10, 0, 0, low)),
        port: record.has_port.then_some(8080),
        created_at: record.created_at,
        started_at: Some(record.created_at),
        healthy_at: record.healthy_since.map(|_| record.created_at),
        stopped_at: None,
        restarts: facts.restarts,
        last_exit: record.exit,
    }
}

fn state(phase: Phase) -> InstanceState {
    match phase {
        Phase::Starting { .. } => InstanceState::Starting,
        Phase::Healthy { .. } => InstanceState::Healthy,
        Phase::Unhealthy { .. } => InstanceState::Unhealthy,
        Phase::Draining { .. } => InstanceState::Draining,
        Phase::Stopping { .. } => InstanceState::Stopping,
        Phase::Stopped { .. } => InstanceState::Stopped,
    }
}
