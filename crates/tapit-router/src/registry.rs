//! What the router remembers between tables: backends by id, ids that were withdrawn, counts per route.
//!
//! Publishing and withdrawing are rare and take one lock; requests never take it, they read the swapped table.
//!
//! **Withdrawn ids are remembered** as long as it can matter, in bounded memory. An id that the latest table still names
//! is kept exactly. An id that it does not name is kept in a list of the last 16,384. The publisher makes its tables one
//! after another and never adds an id again that it saw withdrawn, so only a table that was computed before the
//! withdrawal can name one; to slip through, such a table would have to be delayed past 16,384 further withdrawals.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapit_model::{Route, RouteTable};
use tokio::sync::watch;

use crate::backend::{Backend, Clock};
use crate::limits::Limits;
use crate::stats::{Counts, RouteStats};
use crate::table::{Entry, Table};

/// Withdrawn ids that are remembered although no table names them.
const REMEMBERED_IDS: usize = 16_384;
/// Routes whose counts are remembered although the table does not name them.
const REMEMBERED_ROUTES: usize = 4096;

/// What requests and handles share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    table: watch::Sender<Arc<Table>>,
    registry: Mutex<Registry>,
}

impl Shared {
    pub(crate) fn new(limits: Limits) -> Self {
        let (table, _) = watch::channel(Arc::default());
        Self { limits, clock: Clock::start(), table, registry: Mutex::default() }
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.borrow())
    }

    /// Wakes at every publish from now on.
    pub(crate) fn publishes(&self) -> watch::Receiver<Arc<Table>> {
        self.table.subscribe()
    }

    pub(crate) fn publish(&self, table: RouteTable) {
        let mut registry = self.registry();
        let table = registry.publish(table);
        // Still under the lock, so that tables appear in the order in which they were taken in.
        self.table.send_replace(Arc::new(table));
    }

    pub(crate) fn withdraw(&self, id: &str) {
        self.registry().withdraw(id);
    }

    pub(crate) fn is_routed(&self, id: &str) -> bool {
        self.registry().current.contains_key(id)
    }

    pub(crate) fn in_flight(&self, id: &str) -> u32 {
        self.registry().in_flight(id)
    }

    pub(crate) fn counts(&self, route_name: &str) -> Counts {
        self.registry().stats.get(route_name).map_or_else(Counts::default, |stats| stats.counts())
    }

    /// Drops connections to backends that have been idle for long.
    pub(crate) fn sweep(&self) {
        for entry in &self.table().routes {
            for backend in &entry.backends {
                backend.sweep(self.limits.idle);
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Registry {
    /// Open backends that the latest table names.
    current: HashMap<String, Arc<Backend>>,
    /// Closed backends that still had requests when last looked at.
    draining: Vec<Arc<Backend>>,
    withdrawn: Withdrawn,
    stats: HashMap<String, Arc<RouteStats>>,
}

impl Registry {
    fn publish(&mut self, table: RouteTable) -> Table {
        self.withdrawn.list(table.routes.iter().flat_map(|route| &route.backends).map(|backend| backend.id.as_str()));
        let mut before = std::mem::take(&mut self.current);
        let mut hosts = HashMap::new();
        let mut routes = Vec::with_capacity(table.routes.len());
        for (index, route) in table.routes.into_iter().enumerate() {
            for host in &route.hosts {
                hosts.entry(host.clone()).or_insert(index);
            }
            routes.push(Arc::new(self.entry(route, &mut before)));
        }
        for (_, backend) in before {
            self.retire(backend);
        }
        self.forget_routes(&routes);
        Table { routes, hosts, any_host: table.any_host }
    }

    fn entry(&mut self, route: Route, before: &mut HashMap<String, Arc<Backend>>) -> Entry {
        let stats = Arc::clone(self.stats.entry(route.name).or_default());
        let mut backends = Vec::with_capacity(route.backends.len());
        for wanted in route.backends {
            if self.withdrawn.contains(&wanted.id) {
                continue;
            }
            if let Some(known) = self.current.get(&wanted.id) {
                backends.push(Arc::clone(known));
                continue;
            }
            let backend = match before.remove(&wanted.id) {
                Some(known) if known.addr() == wanted.addr => known,
                Some(moved) => {
                    self.retire(moved);
                    Arc::new(Backend::new(wanted.id.clone(), wanted.addr))
                }
                None => Arc::new(Backend::new(wanted.id.clone(), wanted.addr)),
            };
            self.current.insert(wanted.id, Arc::clone(&backend));
            backends.push(backend);
        }
        let first_host = route.hosts.into_iter().next();
        Entry { backends, closed: route.closed, first_host, stats, turn: AtomicUsize::new(0) }
    }

    fn withdraw(&mut self, id: &str) {
        let current = self.current.remove(id);
        self.withdrawn.add(id, if current.is_some() { Named::Yes } else { Named::No });
        if let Some(backend) = current {
            self.retire(backend);
        }
    }

    fn retire(&mut self, backend: Arc<Backend>) {
        backend.close();
        self.draining.retain(|other| other.in_flight() > 0);
        self.draining.push(backend);
    }

    fn in_flight(&self, id: &str) -> u32 {
        let draining = self.draining.iter().filter(|backend| backend.id() == id);
        self.current.get(id).into_iter().chain(draining).map(|backend| backend.in_flight()).sum()
    }

    fn forget_routes(&mut self, named: &[Arc<Entry>]) {
        if self.stats.len() > REMEMBERED_ROUTES {
            let named: HashSet<_> = named.iter().map(|entry| Arc::as_ptr(&entry.stats)).collect();
            self.stats.retain(|_, stats| named.contains(&Arc::as_ptr(stats)));
        }
    }
}

/// Whether the latest table names an id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

/// The ids that were withdrawn.
#[derive(Default)]
struct Withdrawn {
    /// Those that the latest table names.
    listed: HashSet<String>,
    recent: HashSet<Arc<str>>,
    /// The same, oldest first.
    order: VecDeque<Arc<str>>,
}

impl Withdrawn {
    fn contains(&self, id: &str) -> bool {
        self.listed.contains(id) || self.recent.contains(id)
    }

    fn add(&mut self, id: &str, named: Named) {
        if named == Named::Yes {
            self.listed.insert(id.to_owned());
        }
        let id: Arc<str> = id.into();
        if self.recent.insert(Arc::clone(&id)) {
            self.order.push_back(id);
        }
        while self.order.len() > REMEMBERED_IDS {
            if let Some(oldest) = self.order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
    }

    /// Takes in which ids a new table names.
    fn list<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        let listed: HashSet<String> = ids.filter(|id| self.contains(id)).map(str::to_owned).collect();
        let before = std::mem::replace(&mut self.listed, listed);
        for id in before {
            if !self.listed.contains(&id) {
                self.add(&id, Named::No);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawn_ids(count: usize) -> Withdrawn {
        let mut withdrawn = Withdrawn::default();
        for n in 0..count {
            withdrawn.add(&format!("shop/web.{n}"), Named::No);
        }
        withdrawn
    }

    #[test]
    fn ids_that_no_table_names_are_remembered_up_to_a_bound() {
        let withdrawn = withdrawn_ids(REMEMBERED_IDS + 10);
        assert!(!withdrawn.contains("shop/web.9"));
        assert!(withdrawn.contains("shop/web.10"));
        assert_eq!((withdrawn.recent.len(), withdrawn.order.len()), (REMEMBERED_IDS, REMEMBERED_IDS));
    }

    #[test]
    fn an_id_that_the_table_names_is_remembered_past_the_bound_and_as_recent_when_the_table_drops_it() {
        let mut withdrawn = Withdrawn::default();
        withdrawn.add("shop/listed.1", Named::Yes);
        for n in 0..REMEMBERED_IDS {
            withdrawn.add(&format!("shop/web.{n}"), Named::No);
        }
        withdrawn.list(["shop/listed.1", "shop/other.1"].into_iter());
        assert!(withdrawn.contains("shop/listed.1"));
        withdrawn.list(["shop/other.1"].into_iter());
        assert!(withdrawn.contains("shop/listed.1"));
        assert!(withdrawn.listed.is_empty());
        assert!(!withdrawn.contains("shop/other.1"));
    }

    #[test]
    fn withdrawing_twice_takes_no_more_room() {
        let mut withdrawn = withdrawn_ids(1);
        withdrawn.add("shop/web.0", Named::No);
        assert_eq!(withdrawn.order.len(), 1);
    }
}
