//! What one process would do with endless memory: decided without a look at its siblings.

use std::collections::{BTreeMap, BTreeSet};

use tapit_model::{Blocked, Formation, InstanceId, InstanceKind, MemoryMib, Moment, ProcessKey, ReasonCode, Restart};

use super::backoff::{Place, Places};
use super::failure::failure_verdict;
use super::resize::{Resize, resize};
use super::rollout::{KindView, deadline};
use super::stopping::{Step, lifecycle, next_step};
use super::words::{self, Shortage};
use super::{Action, InstanceFacts, ProcessInputs, ProcessVerdict, StartOrder, retention};

const KINDS: [InstanceKind; 2] = [InstanceKind::Demand, InstanceKind::Spot];

/// Instances that are to drain, by their index among those of the process, each once.
#[derive(Debug, Default)]
pub(super) struct Drains(BTreeMap<usize, ReasonCode>);

impl Drains {
    pub(super) fn add(&mut self, index: usize, why: ReasonCode) {
        self.0.entry(index).or_insert(why);
    }
    pub(super) fn has(&self, index: usize) -> bool {
        self.0.contains_key(&index)
    }
    /// Why an instance of the process is to drain, if it is.
    fn why(&self, process: &ProcessInputs, instance: &InstanceFacts) -> Option<ReasonCode> {
        let is_it = |index: &usize| process.instances.get(*index).is_some_and(|i| i.serial == instance.serial);
        self.0.iter().find(|(index, _)| is_it(index)).map(|(_, why)| *why)
    }
    pub(super) fn of(&self, why: ReasonCode) -> impl Iterator<Item = usize> {
        self.0.iter().filter(move |(_, reason)| **reason == why).map(|(index, _)| *index)
    }
}

/// Something that takes memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub kind: InstanceKind,
    /// MiB.
    pub memory: u64,
    pub what: Want,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Start { slot: u32, restarts: u32 },
    Grow { index: usize },
}

pub(super) struct Draft<'a> {
    pub process: &'a ProcessInputs,
    pub drains: Drains,
    /// In the order in which memory is asked for.
    pub wishes: Vec<Wish>,
    /// Places that wait out their back-off.
    pub resting: Vec<(InstanceKind, Place)>,
    /// Wishes that were granted.
    pub starts: Vec<StartOrder>,
    pub grows: Vec<usize>,
    pub short: BTreeMap<(InstanceKind, Shortage), words::Short>,
    other: Vec<Action>,
    next_serial: u64,
    wake: Option<Moment>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(process: &'a ProcessInputs, now: Moment) -> Self {
        let after = process.instances.iter().map(|i| i.serial.saturating_add(1)).max().unwrap_or(0);
        let mut draft = Self {
            process,
            drains: Drains::default(),
            wishes: Vec::new(),
            resting: Vec::new(),
            starts: Vec::new(),
            grows: Vec::new(),
            short: BTreeMap::new(),
            other: Vec::new(),
            next_serial: process.next_serial.max(after),
            wake: None,
        };
        draft.move_on_those_that_end(now);
        match process.formation() {
            Some(formation) => draft.follow(formation, now),
            None => draft.remove_all(now),
        }
        draft
    }

    pub(super) fn view(&self, kind: InstanceKind) -> Option<KindView<'a>> {
        let process = self.process;
        process.formation().map(|formation| KindView { instances: &process.instances, formation, kind })
    }

    /// Carries out a wish for which there is memory. An instance that has to go after all does not grow.
    pub(super) fn grant(&mut self, wish: Wish) {
        let Some(formation) = self.process.formation() else { return };
        match wish.what {
            Want::Grow { index } if self.drains.has(index) => {}
            Want::Grow { index } => self.grows.push(index),
            Want::Start { slot, restarts } => {
                // The last number of all is never given, so that the next one always exists.
                let serial = self.next_serial;
                let Some(next) = serial.checked_add(1) else { return };
                self.next_serial = next;
                self.starts.push(StartOrder {
                    id: InstanceId::of_serial(&self.process.target.key.process, serial),
                    serial,
                    generation: formation.generation,
                    kind: wish.kind,
                    slot,
                    restarts,
                    size: formation.size,
                });
            }
        }
    }

    /// Notes a wish for which there is no memory now.
    pub(super) fn refuse(&mut self, wish: Wish, shortage: Shortage, free: u64) {
        let short = self.short.entry((wish.kind, shortage)).or_insert(words::Short { count: 0, need: 0, free });
        short.count = short.count.saturating_add(1);
        short.need = short.need.max(wish.memory);
    }

    /// How many of a kind have memory set aside that is on its way.
    pub(super) fn coming(&self, kind: InstanceKind) -> usize {
        self.short.get(&(kind, Shortage::Coming)).map_or(0, |short| short.count as usize)
    }

    /// Whether a wish is for an instance that only stands in for a spot instance: one of the last of its kind to start.
    pub(super) fn stands_in(&self, wish: &Wish) -> bool {
        let Some(view) = self.view(InstanceKind::Demand).filter(|view| view.formation.stand_ins > 0) else {
            return false;
        };
        let asked = view.wanted().saturating_sub(view.formation.stand_ins as usize);
        let is_start = |wish: &Wish| match wish.what {
            Want::Start { .. } => wish.kind == InstanceKind::Demand,
            Want::Grow { .. } => false,
        };
        let before = self.wishes.iter().filter(|other| is_start(other)).take_while(|other| *other != wish).count();
        let new = view.live(&self.drains).iter().filter(|(_, i)| view.is_new(i)).count();
        is_start(wish) && new + before >= asked
    }

    pub(super) fn look_again(&self) -> Option<Moment> {
        self.wake
    }

    pub(super) fn verdict(&self, capacity: MemoryMib) -> ProcessVerdict {
        let key: ProcessKey = self.process.target.key.clone();
        let formation = self.process.formation();
        let failure = formation.and_then(|f| failure_verdict(&self.process.instances, f.generation));
        let mut blocked: Vec<Blocked> = Vec::new();
        for (&(kind, shortage), short) in &self.short {
            let keeps_old = self.view(kind).is_some_and(|v| v.live(&self.drains).iter().any(|(_, i)| !v.is_new(i)));
            blocked.push(words::capacity(kind, shortage, short, words::Host { capacity, keeps_old }));
        }
        for kind in KINDS {
            blocked.extend(words::back_off(kind, self.resting.iter().filter(|(k, _)| *k == kind).map(|(_, p)| *p)));
        }
        ProcessVerdict { key, blocked, failure }
    }

    pub(super) fn into_actions(self) -> Vec<Action> {
        let instances = &self.process.instances;
        let mut actions = Vec::new();
        for (index, why) in &self.drains.0 {
            actions.extend(instances.get(*index).map(|i| Action::Drain { id: i.id.clone(), why: *why }));
        }
        if let Some(formation) = self.process.formation() {
            let shrinks = instances.iter().enumerate().filter(|(_, i)| resize(i, formation) == Resize::Free);
            let mut resized: Vec<usize> = shrinks.map(|(index, _)| index).chain(self.grows).collect();
            resized.retain(|index| !self.drains.has(*index));
            resized.sort_unstable();
            let order = |index: usize| instances.get(index).map(|i| (i.id.clone(), formation.size));
            actions.extend(resized.into_iter().filter_map(order).map(|(id, size)| Action::Resize { id, size }));
        }
        actions.extend(self.other);
        actions.extend(self.starts.into_iter().map(Action::Start));
        actions
    }

    fn move_on_those_that_end(&mut self, now: Moment) {
        let lifecycle = lifecycle(self.process);
        for instance in &self.process.instances {
            match next_step(instance, lifecycle, now) {
                Step::Now(action) => self.other.push(action),
                Step::At(moment) => self.wake_at(moment),
                Step::Wait => {}
            }
        }
    }

    fn remove_all(&mut self, now: Moment) {
        for (index, instance) in self.process.instances.iter().enumerate() {
            if instance.is_live() {
                self.drains.add(index, ReasonCode::Deleted);
            }
        }
        let retention::Forgetting { actions, again } = retention::bury(self.process, now);
        self.other.extend(actions);
        self.wake = earliest(self.wake, again);
    }

    fn follow(&mut self, formation: &'a Formation, now: Moment) {
        let places = Places::of(&self.process.instances, formation.generation);
        for kind in KINDS {
            let view = KindView { instances: &self.process.instances, formation, kind };
            view.retire(&mut self.drains, now);
            self.wish_growth(&view);
            self.wish_starts(&view, &places, now);
            for (_, instance) in view.live(&self.drains) {
                self.wake = earliest(self.wake, deadline(instance, formation));
            }
        }
        self.other.extend(retention::forget(self.process, Some(&places)));
    }

    fn wish_growth(&mut self, view: &KindView<'_>) {
        for (index, instance) in view.live(&self.drains) {
            if let Resize::Grow(memory) = resize(instance, view.formation) {
                self.wishes.push(Wish { kind: view.kind, memory, what: Want::Grow { index } });
            }
        }
    }

    /// The lowest free slots are filled; one whose instance is never replaced, only while it has none. One that waits out its back-off is not stepped over: a generation that fails
    /// in its first place must not run through all the others at once.
    fn wish_starts(&mut self, view: &KindView<'_>, places: &Places<'_>, now: Moment) {
        if view.formation.restart == Restart::Never && !self.process.instances.is_empty() {
            return;
        }
        let live = view.live(&self.drains);
        let taken: BTreeSet<u32> = live.iter().filter(|(_, i)| view.is_new(i)).map(|(_, i)| i.slot).collect();
        let free: Vec<u32> = (0..).filter(|slot| !taken.contains(slot)).take(view.missing(&self.drains)).collect();
        for slot in free {
            let place = places.place((view.kind, slot), now, |last| self.drains.why(self.process, last));
            match place.waits_until(now) {
                Some(until) => {
                    self.resting.push((view.kind, place));
                    self.wake_at(until);
                }
                None => {
                    let what = Want::Start { slot, restarts: place.failures };
                    self.wishes.push(Wish { kind: view.kind, memory: view.formation.size.memory.mib(), what });
                }
            }
        }
    }

    fn wake_at(&mut self, moment: Moment) {
        self.wake = earliest(self.wake, Some(moment));
    }
}

fn earliest(a: Option<Moment>, b: Option<Moment>) -> Option<Moment> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
