//! Whether the target generation fails: its failures in a row.
//!
//! Records may have been lost or forgotten, so every doubt speaks for the generation: a rollout is rather given up one
//! failure late than for failures that a healthy instance had disproved.

use tapit_model::{Moment, ReasonCode};

use super::census::is_ordered;
use super::{FailureVerdict, InstanceFacts, Phase};

pub(super) fn failure_verdict(instances: &[InstanceFacts], generation: u64) -> Option<FailureVerdict> {
    let of_generation = || instances.iter().filter(|i| i.generation == generation);
    let last_healthy = of_generation().filter_map(was_healthy_at).max();
    let mut in_a_row = 0u32;
    let mut last: Option<(Moment, &InstanceFacts, bool)> = None;
    for instance in of_generation() {
        let Phase::Stopped { at, ended } = instance.phase else { continue };
        if is_ordered(ended.why) || last_healthy.is_some_and(|healthy| at <= healthy) {
            continue;
        }
        in_a_row = in_a_row.saturating_add(1);
        if last.is_none_or(|(latest, other, _)| (at, instance.serial) > (latest, other.serial)) {
            let deadline_passed = ended.why == ReasonCode::Unhealthy && ended.healthy_for.is_none();
            last = Some((at, instance, deadline_passed));
        }
    }
    last.map(|(_, instance, deadline_passed)| FailureVerdict {
        generation,
        in_a_row,
        deadline_passed,
        id: instance.id.clone(),
    })
}

/// The latest moment at which the instance can have become healthy, if it may have been so at all.
fn was_healthy_at(instance: &InstanceFacts) -> Option<Moment> {
    match instance.phase {
        Phase::Starting { .. } => None,
        Phase::Healthy { since } | Phase::Unhealthy { since } => Some(since),
        // One that ends by order may have been healthy until then. One that ends as unhealthy may never have been.
        Phase::Draining { since, why } | Phase::Stopping { since, why, .. } => is_ordered(why).then_some(since),
        Phase::Stopped { at, ended } => ended.healthy_for.map(|millis| Moment(at.0.saturating_sub(millis))),
    }
}
