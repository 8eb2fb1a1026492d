//! Counting in what an engine sees; shared by everything that judges it.

use tapit_model::{BlockedCode, Failure, InstanceKind, InstanceObserved, InstanceState, ProcessKey, ProcessObserved};

/// So many failures in a row end a rollout, and a wait.
pub(super) const ATTEMPTS: u32 = 3;

pub(super) fn of<'a>(observed: &'a [ProcessObserved], key: &ProcessKey) -> Option<&'a ProcessObserved> {
    observed.iter().find(|process| process.key == *key)
}

pub(super) fn instances(observed: Option<&ProcessObserved>) -> &[InstanceObserved] {
    observed.map_or(&[], |process| process.instances.as_slice())
}

/// Instances of one generation and kind in a state.
pub(super) fn count(
    observed: Option<&ProcessObserved>,
    generation: u64,
    kind: InstanceKind,
    state: impl Fn(InstanceState) -> bool,
) -> u32 {
    let matching = |i: &&InstanceObserved| i.generation == generation && i.kind == kind && state(i.state);
    number(instances(observed).iter().filter(matching).count())
}

pub(super) fn healthy(observed: Option<&ProcessObserved>, generation: u64, kind: InstanceKind) -> u32 {
    count(observed, generation, kind, |state| state == InstanceState::Healthy)
}

/// Instances of other generations that have not stopped yet.
pub(super) fn old(observed: Option<&ProcessObserved>, generation: u64) -> u32 {
    number(instances(observed).iter().filter(|i| i.generation != generation && !is_gone(i)).count())
}

/// Everything that has not stopped yet.
pub(super) fn left(observed: Option<&ProcessObserved>) -> u32 {
    number(instances(observed).iter().filter(|i| !is_gone(i)).count())
}

/// Told to leave and not gone yet.
pub(super) fn is_leaving(instance: &InstanceObserved) -> bool {
    matches!(instance.state, InstanceState::Draining | InstanceState::Stopping)
}

fn is_gone(instance: &InstanceObserved) -> bool {
    instance.state == InstanceState::Stopped
}

/// The engine has no room for an instance of this kind.
pub(super) fn lacks_room(observed: Option<&ProcessObserved>, kind: InstanceKind) -> bool {
    observed.into_iter().flat_map(|seen| &seen.blocked).any(|blocked| {
        blocked.code == BlockedCode::Capacity
            && match kind {
                InstanceKind::Demand => blocked.demand > 0,
                InstanceKind::Spot => blocked.spot > 0,
            }
    })
}

/// The failure that ends the hope for a generation: too many in a row, or the deadline.
pub(super) fn given_up(observed: Option<&ProcessObserved>, generation: u64) -> Option<&Failure> {
    failing(observed, generation).filter(|failure| failure.in_a_row >= ATTEMPTS || failure.deadline_passed)
}

/// A failure of the generation that no health has followed.
pub(super) fn failing(observed: Option<&ProcessObserved>, generation: u64) -> Option<&Failure> {
    observed.and_then(|process| process.failure.as_ref()).filter(|failure| failure.generation == generation)
}

/// Why a generation was given up, in words.
pub(super) fn describe(failure: &Failure) -> String {
    let Failure { generation, in_a_row, deadline_passed, instance, reason, exit } = failure;
    let text = &reason.text;
    if *deadline_passed {
        return format!("{instance} of generation {generation} did not get healthy in time: {text}");
    }
    let exit = exit.map(|exit| format!(" ({})", exit.describe())).unwrap_or_default();
    format!("generation {generation} failed {in_a_row} times in a row, last {instance}{exit}: {text}")
}

/// A count as the model writes it; no list here can be longer than that.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
