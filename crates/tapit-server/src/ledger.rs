//! What is wanted: the world in memory and the store beneath it, changed together or not at all.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tapit_model::{Change, Event, InstanceObserved, ProcessKey, World};
use tapit_store::{EventFilter, Store, StoreError};

pub struct Ledger {
    inner: Mutex<Inner>,
}

struct Inner {
    world: World,
    store: Store,
}

impl Ledger {
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let world = store.load()?;
        Ok(Self { inner: Mutex::new(Inner { world, store }) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The world changes only after its commit succeeded, in one go, so a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the world as it is.
    pub fn world(&self) -> World {
        self.lock().world.clone()
    }

    /// Reads the world without copying it; `read` must be quick.
    pub fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.lock().world)
    }

    /// Decides against the present world and commits what was decided before anybody else can change it.
    pub fn change<T, E: From<StoreError>>(
        &self,
        decide: impl FnOnce(&World) -> Result<(Vec<Change>, Vec<Event>, T), E>,
    ) -> Result<T, E> {
        blocking(|| {
            let mut inner = self.lock();
            let (changes, events, answer) = decide(&inner.world)?;
            if !changes.is_empty() || !events.is_empty() {
                inner.store.commit(&changes, &events)?;
                for change in &changes {
                    inner.world.apply(change);
                }
            }
            Ok(answer)
        })
    }

    pub fn observe(&self, key: &ProcessKey, seen: &[InstanceObserved], events: &[Event]) -> Result<(), StoreError> {
        blocking(|| self.lock().store.observe(key, seen, events))
    }

    pub fn observed(&self) -> Result<Vec<(ProcessKey, Vec<InstanceObserved>)>, StoreError> {
        blocking(|| self.lock().store.observed())
    }

    pub fn events(&self, filter: &EventFilter) -> Result<Vec<(u64, Event)>, StoreError> {
        blocking(|| self.lock().store.events(filter))
    }
}

/// SQLite's calls are short but touch the disk: the runtime moves its other tasks off this thread meanwhile.
fn blocking<T>(act: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(act)
}
