//! The one SQLite file that holds everything that must survive, besides the instance records written by shims.
//!
//! The server calls it, on a thread that may block, and holds one `Store` per data directory. What is wanted is stored
//! as rows of `World`, changed by `Change`s only, each transaction together with the events that tell of it. What was
//! seen last is stored as well, so that a restarted server can tell what happened while it was away.
//!
//! The store takes no decisions, never asks the time and knows no engine.

mod error;
mod events;
mod load;
mod observed;
mod open;
mod rows;
mod schema;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tapit_model::{Change, Event, InstanceObserved, ProcessKey, World};

pub use error::StoreError;
pub use events::EventFilter;

use error::Fault;
use events::EventTally;
use open::Durability;

/// An open database. One writer; every call is one transaction.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
    durability: Durability,
    tally: EventTally,
}

impl Store {
    /// Opens the database at `path`, makes it when there is none, and brings an older one up to date.
    ///
    /// A file that is damaged, not ours, or written by a newer tapit is refused and left as it is.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let connection = open::open(path)?;
        let tally = EventTally::count(&connection).map_err(Fault::at(path, "count the events"))?;
        Ok(Store { path: path.to_owned(), connection, durability: Durability::default(), tally })
    }

    /// Everything wanted. A row that cannot be read is an error that names it: going on without it would stop what it
    /// describes.
    pub fn load(&self) -> Result<World, StoreError> {
        load::world(&self.connection, &self.path)
    }

    /// Stores changes and the events that tell of them: all or nothing, and on disk when this returns.
    pub fn commit(&mut self, changes: &[Change], events: &[Event]) -> Result<(), StoreError> {
        self.write(Durability::PowerLoss, "commit a change", events, |transaction| {
            changes.iter().try_for_each(|change| rows::apply(transaction, change))
        })
    }

    /// Replaces what was last seen of a process, and appends the events that tell of the difference.
    ///
    /// Rows are kept for stored processes alone, so that a late sight of a removed process leaves nothing behind.
    pub fn observe(
        &mut self,
        key: &ProcessKey,
        instances: &[InstanceObserved],
        events: &[Event],
    ) -> Result<(), StoreError> {
        // An observation lost in a power cut was of containers that the power cut ended as well, so a crash of the
        // server is all that it must survive: no wait for the disk, and a crash loop costs no more than its rows.
        self.write(Durability::ServerCrash, "store what was seen", events, |transaction| {
            observed::replace(transaction, key, instances)
        })
    }

    /// What was last seen of each process, in the order given to `observe`.
    pub fn observed(&self) -> Result<Vec<(ProcessKey, Vec<InstanceObserved>)>, StoreError> {
        observed::all(&self.connection, &self.path)
    }

    /// Events with their ids, newest last.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<(u64, Event)>, StoreError> {
        events::list(&self.connection, &self.path, filter)
    }

    fn write(
        &mut self,
        durability: Durability,
        act: &'static str,
        events: &[Event],
        body: impl FnOnce(&Connection) -> Result<(), rows::WriteError>,
    ) -> Result<(), StoreError> {
        let fault = Fault::at(&self.path, act);
        if self.durability != durability {
            durability.set(&self.connection).map_err(&fault)?;
            self.durability = durability;
        }
        let transaction = self.connection.transaction().map_err(&fault)?;
        body(&transaction).map_err(|error| error.at(&self.path, act))?;
        let tally = self.tally.append(&transaction, events).map_err(|error| error.at(&self.path, act))?;
        transaction.commit().map_err(&fault)?;
        self.tally = tally;
        Ok(())
    }
}
