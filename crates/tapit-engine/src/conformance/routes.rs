//! A router in memory: routes every healthy instance of public processes when told to look, and keeps the books that
//! the suite's promises are checked against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapit_model::{InstanceKey, InstanceState, ProcessKey, ProcessObserved};

use crate::Traffic;

#[derive(Default)]
pub struct Routes {
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    routed: BTreeMap<InstanceKey, ProcessKey>,
    withdrawn: BTreeSet<InstanceKey>,
    /// The fewest that each process was left with by a withdrawal.
    fewest: BTreeMap<ProcessKey, usize>,
    in_flight: BTreeMap<InstanceKey, u32>,
}

impl Routes {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True: there are routes that were not there before, so the engine should look again.
    pub fn publish(&self, observed: &[ProcessObserved]) -> bool {
        let mut books = self.books();
        let mut news = false;
        for process in observed.iter().filter(|process| process.key.process.is_public()) {
            for instance in process.instances.iter().filter(|one| one.state == InstanceState::Healthy) {
                let key = InstanceKey { app: process.key.app.clone(), id: instance.id.clone() };
                if !books.withdrawn.contains(&key) {
                    news |= books.routed.insert(key, process.key.clone()).is_none();
                }
            }
        }
        news
    }

    /// Of an engine that routes by itself: what is healthy is routed, newcomers first, and nothing else is.
    pub fn follow(&self, observed: &[ProcessObserved]) {
        self.publish(observed);
        let is_healthy = |key: &InstanceKey| {
            let of_app = observed.iter().filter(|process| process.key.app == key.app);
            let mut instances = of_app.flat_map(|process| &process.instances);
            instances.any(|one| one.id == key.id && one.state == InstanceState::Healthy)
        };
        let gone: Vec<InstanceKey> = self.books().routed.keys().filter(|key| !is_healthy(key)).cloned().collect();
        for key in gone {
            self.withdraw(&key);
            // It may become healthy again.
            self.books().withdrawn.remove(&key);
        }
    }

    pub fn routed(&self, process: &ProcessKey) -> usize {
        self.books().routed.values().filter(|owner| *owner == process).count()
    }

    /// The fewest routed instances that a withdrawal has left the process with since `watch`; `None`: there was none.
    pub fn fewest(&self, process: &ProcessKey) -> Option<usize> {
        self.books().fewest.get(process).copied()
    }

    pub fn watch(&self, process: &ProcessKey) {
        self.books().fewest.remove(process);
    }

    /// Pretends that so many requests are under way to an instance.
    pub fn busy(&self, instance: &InstanceKey, requests: u32) {
        self.books().in_flight.insert(instance.clone(), requests);
    }

    /// The router of a new server knows no routes yet; it remembers no withdrawals either.
    pub fn restart(&self) {
        *self.books() = Books::default();
    }
}

impl Traffic for Routes {
    fn withdraw(&self, instance: &InstanceKey) {
        let mut books = self.books();
        books.withdrawn.insert(instance.clone());
        if let Some(process) = books.routed.remove(instance) {
            let left = books.routed.values().filter(|owner| **owner == process).count();
            let fewest = books.fewest.entry(process).or_insert(left);
            *fewest = left.min(*fewest);
        }
    }

    fn is_routed(&self, instance: &InstanceKey) -> bool {
        self.books().routed.contains_key(instance)
    }

    fn in_flight(&self, instance: &InstanceKey) -> u32 {
        self.books().in_flight.get(instance).copied().unwrap_or(0)
    }
}
