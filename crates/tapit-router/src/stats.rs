//! What became of requests, counted per route, and the room for held ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Requests of one route, cumulative. A request whose client went away first is in `sent` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that were meant for the route.
    pub sent: u64,
    /// Answered by a backend, whatever the status, down to the last byte.
    pub ok: u64,
    /// Answered by the router itself with 502, 503 or 504, or cut off in the middle of the response.
    pub failed: u64,
    /// Further attempts after one that a backend failed.
    pub retried: u64,
}

#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    sent: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    held: AtomicU32,
}

impl RouteStats {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Ordering::Relaxed),
            ok: self.ok.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
        }
    }

    /// Room for one more held request; `None` when the route has its fill.
    pub(crate) fn hold(self: &Arc<Self>, most: u32) -> Option<Held> {
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < most).then_some(held + 1))
            .ok()
            .map(|_| Held { stats: Arc::clone(self) })
    }
}

/// A held request; makes room when it is dropped.
pub(crate) struct Held {
    stats: Arc<RouteStats>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stats.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The outcome of one request, still open. Dropped without an outcome, the client went away or sent rubbish, which is
/// nobody's failure.
pub(crate) struct Tally {
    stats: Arc<RouteStats>,
}

impl Tally {
    pub(crate) fn open(stats: &Arc<RouteStats>) -> Self {
        stats.sent.fetch_add(1, Ordering::Relaxed);
        Self { stats: Arc::clone(stats) }
    }

    pub(crate) fn stats(&self) -> &Arc<RouteStats> {
        &self.stats
    }

    pub(crate) fn retried(&self) {
        self.stats.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ok(self) {
        self.stats.ok.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(self) {
        self.stats.failed.fetch_add(1, Ordering::Relaxed);
    }
}
