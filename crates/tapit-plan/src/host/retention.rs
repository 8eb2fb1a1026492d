//! Which stopped instances are remembered, for `show`, for their logs and for back-off.

use std::cmp::Reverse;

use super::backoff::Places;
use super::census::{is_ordered, wanted};
use super::{Action, InstanceFacts, Phase, ProcessInputs};

/// Stopped instances of a process that people may still want to read about.
const KEPT: usize = 10;

pub(super) fn forget(process: &ProcessInputs, places: Option<&Places<'_>>) -> Vec<Action> {
    let mut stopped: Vec<&InstanceFacts> = process.instances.iter().filter(|i| i.is_stopped()).collect();
    // By the time of the end, not by age: one that ran for months and has just crashed is the one to read about.
    stopped.sort_by_key(|i| Reverse((i.since(), i.serial)));
    let gone = process.formation().is_none() && stopped.len() == process.instances.len();
    let kept = if gone { 0 } else { KEPT };
    let mut forgotten: Vec<&InstanceFacts> =
        stopped.into_iter().skip(kept).filter(|i| !is_needed(process, places, i)).collect();
    forgotten.sort_by_key(|i| i.serial);
    forgotten.into_iter().map(|i| Action::Forget { id: i.id.clone() }).collect()
}

/// Back-off needs the failed one that was the last in a place which is to be filled.
fn is_needed(process: &ProcessInputs, places: Option<&Places<'_>>, instance: &InstanceFacts) -> bool {
    let (Some(formation), Some(places)) = (process.formation(), places) else { return false };
    let Phase::Stopped { ended, .. } = instance.phase else { return false };
    instance.generation == formation.generation
        && !is_ordered(ended.why)
        && (instance.slot as usize) < wanted(formation, instance.kind)
        && places.last(instance.kind, instance.slot).is_some_and(|last| last.serial == instance.serial)
}
