//! The published routes in the form that requests are looked up in, and the choice of a backend.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::{Backend, Lease};
use crate::stats::RouteStats;

/// One published table; never changed, only replaced.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) routes: Vec<Arc<Entry>>,
    pub(crate) hosts: HashMap<String, usize>,
    pub(crate) any_host: Option<usize>,
}

impl Table {
    /// The route of a lower-case host without a port; the route for any host otherwise.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Entry>> {
        let index = self.hosts.get(host).copied().or(self.any_host)?;
        self.routes.get(index)
    }
}

/// One route.
pub(crate) struct Entry {
    pub(crate) backends: Vec<Arc<Backend>>,
    pub(crate) closed: Option<String>,
    /// Stands in for the Host of an HTTP/1.0 request that names none.
    pub(crate) first_host: Option<String>,
    pub(crate) stats: Arc<RouteStats>,
    /// Where the next choice starts, so that equals take turns.
    pub(crate) turn: AtomicUsize,
}

impl Entry {
    /// The backend with the fewest requests in flight, counted in. Suspects are taken only when nobody else is there;
    /// those in `tried` never.
    pub(crate) fn pick(&self, now_millis: u64, tried: &[Arc<Backend>]) -> Option<Lease> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.backends.len();
        // Goes round again only when the chosen one was closed in between, which happens to each at most once.
        loop {
            let best = (0..count)
                .map(|offset| &self.backends[(start.wrapping_add(offset)) % count])
                .filter(|backend| backend.is_open() && !tried.iter().any(|other| Arc::ptr_eq(other, backend)))
                .min_by_key(|backend| (backend.is_suspect(now_millis), backend.in_flight()))?;
            if let Some(lease) = best.lease() {
                return Some(lease);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn entry(count: usize) -> Entry {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        Entry {
            backends: (0..count).map(|n| Arc::new(Backend::new(format!("shop/web.{n}"), addr))).collect(),
            closed: None,
            first_host: None,
            stats: Arc::default(),
            turn: AtomicUsize::new(0),
        }
    }

    fn picked(entry: &Entry, tried: &[Arc<Backend>]) -> Option<String> {
        entry.pick(0, tried).map(|lease| lease.backend().id().to_owned())
    }

    #[test]
    fn equals_take_turns() {
        let entry = entry(3);
        let ids: Vec<_> = (0..4).filter_map(|_| picked(&entry, &[])).collect();
        assert_eq!(ids, ["shop/web.0", "shop/web.1", "shop/web.2", "shop/web.0"]);
    }

    #[test]
    fn the_one_with_the_fewest_requests_is_chosen() {
        let entry = entry(3);
        let _busy: Vec<_> = [0, 0, 2].iter().filter_map(|n| entry.backends[*n].lease()).collect();
        for _ in 0..3 {
            assert_eq!(picked(&entry, &[]).as_deref(), Some("shop/web.1"));
        }
    }

    #[test]
    fn suspects_come_last_and_tried_ones_never() {
        let entry = entry(2);
        entry.backends[0].suspect(100);
        assert_eq!(picked(&entry, &[]).as_deref(), Some("shop/web.1"));
        assert_eq!(picked(&entry, &[]).as_deref(), Some("shop/web.1"));
        let tried = [Arc::clone(&entry.backends[1])];
        assert_eq!(picked(&entry, &tried).as_deref(), Some("shop/web.0"));
        assert_eq!(picked(&entry, &entry.backends), None);
    }

    #[test]
    fn a_route_without_backends_has_nobody() {
        assert_eq!(picked(&entry(0), &[]), None);
    }
}
