//! How long a place waits before its next attempt.
//!
//! A place is a slot of a kind in a generation. Its failures in a row travel in `restarts` from instance to instance,
//! so the last one that left it says everything, and older ones may be forgotten.

use std::collections::BTreeMap;

use tapit_model::{InstanceKind, Moment, ReasonCode};

use super::census::is_ordered;
use super::{InstanceFacts, Phase};

const FIRST_WAIT_MILLIS: u64 = 1_000;
const LONGEST_WAIT_MILLIS: u64 = 60_000;
/// Health for this long forgives all failures before.
const FORGIVEN_AFTER_MILLIS: u64 = 60_000;

/// What the last instance of a place left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Failures in a row.
    pub failures: u32,
    failed_at: Moment,
}

impl Place {
    /// When the next attempt may be made; `None`: now.
    ///
    /// A failure later than now was written before a reboot, when the clock began anew; it delays nothing.
    pub(super) fn waits_until(&self, now: Moment) -> Option<Moment> {
        let until = self.failed_at.plus_millis(self.wait_millis());
        (self.failed_at <= now && until > now).then_some(until)
    }

    /// The whole wait after the last failure: none after the first, then one second, doubling up to a minute.
    pub(super) fn wait_millis(&self) -> u64 {
        match self.failures {
            0 | 1 => 0,
            n => {
                let doublings = (n - 2).min(16);
                (FIRST_WAIT_MILLIS << doublings).min(LONGEST_WAIT_MILLIS)
            }
        }
    }
}

/// The last instance of each place of one generation.
pub(super) struct Places<'a>(BTreeMap<(InstanceKind, u32), &'a InstanceFacts>);

impl<'a> Places<'a> {
    pub(super) fn of(instances: &'a [InstanceFacts], generation: u64) -> Self {
        let mut last: BTreeMap<(InstanceKind, u32), &InstanceFacts> = BTreeMap::new();
        for instance in instances.iter().filter(|i| i.generation == generation) {
            let newest = last.entry((instance.kind, instance.slot)).or_insert(instance);
            if instance.serial >= newest.serial {
                *newest = instance;
            }
        }
        Self(last)
    }

    /// The last instance that was in the place, dead or alive.
    pub(super) fn last(&self, kind: InstanceKind, slot: u32) -> Option<&'a InstanceFacts> {
        self.0.get(&(kind, slot)).copied()
    }

    /// The place as it was left. `dropped` tells of a live instance why it is to go now, if it is.
    pub(super) fn place(
        &self,
        (kind, slot): (InstanceKind, u32),
        now: Moment,
        dropped: impl Fn(&InstanceFacts) -> Option<ReasonCode>,
    ) -> Place {
        let left = |last: &InstanceFacts| match dropped(last) {
            Some(why) => left_by(&InstanceFacts { phase: Phase::Draining { since: now, why }, ..last.clone() }),
            None => left_by(last),
        };
        self.last(kind, slot).map(left).unwrap_or_default()
    }
}

/// An ordered stop forgives: it was no fault of the instance, and who orders anew deserves a try at once. One that is
/// still ending has not told yet how long it had been healthy; it counts as not long enough.
fn left_by(last: &InstanceFacts) -> Place {
    let (why, failed_at, healthy_for) = match last.phase {
        Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => return Place::default(),
        Phase::Draining { since, why } | Phase::Stopping { since, why, .. } => (why, since, None),
        Phase::Stopped { at, ended } => (ended.why, at, ended.healthy_for),
    };
    if is_ordered(why) {
        return Place::default();
    }
    let forgiven = healthy_for.is_some_and(|millis| millis >= FORGIVEN_AFTER_MILLIS);
    let failures = if forgiven { 1 } else { last.restarts.saturating_add(1) };
    Place { failures, failed_at }
}
