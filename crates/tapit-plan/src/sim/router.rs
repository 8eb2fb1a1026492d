//! The router: a table, the instances that were withdrawn from it for ever, and the requests in flight.

use std::collections::{BTreeMap, BTreeSet};

use tapit_model::{Moment, RouteTable};

#[derive(Debug, Default)]
pub(super) struct Router {
    table: RouteTable,
    withdrawn: BTreeSet<String>,
    /// When the requests in flight to each backend end.
    in_flight: BTreeMap<String, Vec<Moment>>,
}

impl Router {
    pub(super) fn publish(&mut self, table: RouteTable) {
        self.table = table;
    }

    pub(super) fn withdraw(&mut self, id: &str) {
        self.withdrawn.insert(id.to_owned());
    }

    pub(super) fn is_routed(&self, id: &str) -> bool {
        self.backends().any(|backend| backend == id)
    }

    /// Everybody that may get a request now.
    pub(super) fn backends(&self) -> impl Iterator<Item = &str> {
        let all = self.table.routes.iter().flat_map(|route| &route.backends).map(|backend| backend.id.as_str());
        all.filter(|id| !self.withdrawn.contains(*id))
    }

    pub(super) fn in_flight(&self, id: &str) -> u32 {
        self.in_flight.get(id).map_or(0, |ends| u32::try_from(ends.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn send(&mut self, id: &str, ends_at: Moment) {
        self.in_flight.entry(id.to_owned()).or_default().push(ends_at);
    }

    /// Ends the requests whose time has come.
    pub(super) fn tick(&mut self, now: Moment) {
        self.in_flight.retain(|_, ends| {
            ends.retain(|at| *at > now);
            !ends.is_empty()
        });
    }

    /// The backend is gone, and with it its requests.
    pub(super) fn hang_up(&mut self, id: &str) {
        self.in_flight.remove(id);
    }

    /// When the next request ends that somebody waits for: one to a backend that drains.
    pub(super) fn next_event(&self) -> Option<Moment> {
        let draining = self.in_flight.iter().filter(|(id, _)| self.withdrawn.contains(*id));
        draining.flat_map(|(_, ends)| ends).min().copied()
    }
}
