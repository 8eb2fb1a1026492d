//! Counts and generations of one kind of instance: who has to go, and how many may start.
//!
//! What a rollout promises: never fewer serving instances than wanted, as long as memory allows a surge. So an old one
//! that serves goes only when the others suffice without it; one that does not serve is missed by nobody.

use std::cmp::Reverse;

use tapit_model::{Formation, InstanceKind, Moment, ReasonCode};

use super::census::wanted;
use super::draft::Drains;
use super::{InstanceFacts, Phase};

/// One kind of instance of a process whose target is present.
pub(super) struct KindView<'a> {
    pub instances: &'a [InstanceFacts],
    pub formation: &'a Formation,
    pub kind: InstanceKind,
}

/// How many may be there beyond the count while a rollout or a mass replacement goes on: a quarter, rounded down. One
/// machine has little memory to spare, and what a surge takes, spot instances have to leave. One is always allowed, or
/// nothing would ever move.
pub(super) fn surge(wanted: usize) -> usize {
    (wanted / 4).max(1)
}

impl<'a> KindView<'a> {
    pub(super) fn wanted(&self) -> usize {
        wanted(self.formation, self.kind)
    }

    pub(super) fn is_new(&self, instance: &InstanceFacts) -> bool {
        instance.is_new(self.formation)
    }

    /// Live ones of this kind that are not on their way out, by index.
    pub(super) fn live(&self, drains: &Drains) -> Vec<(usize, &'a InstanceFacts)> {
        let of_kind = |(index, i): &(usize, &InstanceFacts)| i.kind == self.kind && i.is_live() && !drains.has(*index);
        self.instances.iter().enumerate().filter(of_kind).collect()
    }

    /// Decides who drains. Each step sees what the steps before it decided.
    pub(super) fn retire(&self, drains: &mut Drains, now: Moment) {
        self.drop_those_past_their_deadline(drains, now);
        self.drop_surplus(drains);
        self.replace_unhealthy(drains);
        self.retire_old(drains);
    }

    /// How many may start now, before memory and back-off have their say.
    pub(super) fn missing(&self, drains: &Drains) -> usize {
        let live = self.live(drains);
        let new = live.iter().filter(|(_, i)| self.is_new(i)).count();
        let room = if new < live.len() { surge(self.wanted()) } else { 0 };
        let short_of_count = self.wanted().saturating_sub(new);
        short_of_count.min((self.wanted() + room).saturating_sub(live.len()))
    }

    fn drop_those_past_their_deadline(&self, drains: &mut Drains, now: Moment) {
        for (index, instance) in self.live(drains) {
            if deadline(instance, self.formation).is_some_and(|deadline| deadline <= now) {
                drains.add(index, ReasonCode::Unhealthy);
            }
        }
    }

    /// Those that serve nobody first, then the newest: the survivors are those that have proved themselves longest.
    fn drop_surplus(&self, drains: &mut Drains) {
        let mut new: Vec<_> = self.live(drains).into_iter().filter(|(_, i)| self.is_new(i)).collect();
        let surplus = new.len().saturating_sub(self.wanted());
        let rank = |i: &InstanceFacts| match i.phase {
            Phase::Unhealthy { .. } => 0,
            Phase::Starting { .. } => 1,
            Phase::Healthy { .. } if !i.serves(self.formation) => 2,
            Phase::Healthy { .. } | Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => 3,
        };
        new.sort_by_key(|(_, i)| (rank(i), Reverse(i.serial)));
        for (index, _) in new.into_iter().take(surplus) {
            drains.add(index, ReasonCode::Surplus);
        }
    }

    /// An unhealthy one has lost its route already, so its going costs nothing. But when many fail at one moment, the
    /// cause is likely outside of them (a database is down), and replacing all would make the outage longer: so only
    /// as many are replaced at a time as a surge allows, those first that have been unhealthy longest.
    fn replace_unhealthy(&self, drains: &mut Drains) {
        let live = self.live(drains);
        let mut unhealthy: Vec<_> = live.iter().filter(|(_, i)| self.is_new(i) && i.is_unhealthy()).collect();
        let starting = live.iter().filter(|(_, i)| self.is_new(i) && i.is_starting()).count();
        let of_kind = |index: &usize| self.instances.get(*index).is_some_and(|i| i.kind == self.kind);
        let ending = self.instances.iter().filter(|i| i.kind == self.kind && ends_as_unhealthy(i)).count();
        let dropped = drains.of(ReasonCode::Unhealthy).filter(of_kind).count();
        let pace = surge(self.wanted()).saturating_sub(starting + ending + dropped);
        unhealthy.sort_by_key(|(_, i)| (i.since(), i.serial));
        for (index, _) in unhealthy.into_iter().take(pace) {
            drains.add(*index, ReasonCode::Unhealthy);
        }
    }

    /// Instances of any other generation and outgrown ones, the oldest first.
    fn retire_old(&self, drains: &mut Drains) {
        let live = self.live(drains);
        let mut serving = live.iter().filter(|(_, i)| i.serves(self.formation)).count();
        let mut old: Vec<_> = live.into_iter().filter(|(_, i)| !self.is_new(i)).collect();
        old.sort_by_key(|(_, i)| i.serial);
        for (index, instance) in old {
            let serves = usize::from(instance.serves(self.formation));
            // A healthy one that the router does not know may just not be known yet (the server has just started).
            if !instance.is_healthy() || serving - serves >= self.wanted() {
                serving -= serves;
                drains.add(index, self.why_old_goes(instance));
            }
        }
    }

    pub(super) fn why_old_goes(&self, instance: &InstanceFacts) -> ReasonCode {
        if self.wanted() == 0 {
            ReasonCode::Surplus
        } else if instance.generation > self.formation.generation {
            ReasonCode::RolledBack
        } else {
            ReasonCode::Replaced
        }
    }
}

/// When a starting instance counts as failed.
pub(super) fn deadline(instance: &InstanceFacts, formation: &Formation) -> Option<Moment> {
    match instance.phase {
        Phase::Starting { since } => Some(since.plus_millis(formation.health_timeout.millis())),
        Phase::Healthy { .. }
        | Phase::Unhealthy { .. }
        | Phase::Draining { .. }
        | Phase::Stopping { .. }
        | Phase::Stopped { .. } => None,
    }
}

fn ends_as_unhealthy(instance: &InstanceFacts) -> bool {
    match instance.phase {
        Phase::Draining { why, .. } | Phase::Stopping { why, .. } => why == ReasonCode::Unhealthy,
        Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } | Phase::Stopped { .. } => false,
    }
}
