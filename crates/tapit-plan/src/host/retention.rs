//! Which stopped instances are remembered, for `show`, for their logs and for back-off.

use std::cmp::Reverse;

use tapit_model::Moment;

use super::backoff::Places;
use super::census::{is_ordered, wanted};
use super::{Action, InstanceFacts, Phase, ProcessInputs};

/// Stopped instances of a process that people may still want to read about.
const KEPT: usize = 10;
/// How long the dead of a process that is gone are still there: how each ended is to be seen by whoever tells of it, and
/// whoever follows its log is to read it to its end.
const LINGER_MILLIS: u64 = 5_000;

/// What may be removed now, and when to ask again though nothing has changed.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    pub actions: Vec<Action>,
    pub again: Option<Moment>,
}

/// Of a process that is to be absent: nothing while anything of it runs, then a moment later all.
pub(super) fn bury(process: &ProcessInputs, now: Moment) -> Forgetting {
    let Some(last) = process.instances.iter().map(InstanceFacts::since).max() else { return Forgetting::default() };
    if process.instances.iter().any(|i| !i.is_stopped()) {
        return Forgetting { actions: forget(process, None), again: None };
    }
    // A moment to come is of another boot's clock.
    if last <= now && now.since(last) < LINGER_MILLIS {
        return Forgetting { actions: forget(process, None), again: Some(last.plus_millis(LINGER_MILLIS)) };
    }
    let all = process.instances.iter().map(|i| Action::Forget { id: i.id.clone() });
    Forgetting { actions: all.collect(), again: None }
}

pub(super) fn forget(process: &ProcessInputs, places: Option<&Places<'_>>) -> Vec<Action> {
    let mut stopped: Vec<&InstanceFacts> = process.instances.iter().filter(|i| i.is_stopped()).collect();
    // By the time of the end, not by age: one that ran for months and has just crashed is the one to read about.
    stopped.sort_by_key(|i| Reverse((i.since(), i.serial)));
    let mut forgotten: Vec<&InstanceFacts> =
        stopped.into_iter().skip(KEPT).filter(|i| !is_needed(process, places, i)).collect();
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
