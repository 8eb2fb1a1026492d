//! One backend: whether it takes requests, how many it has, and its idle connections.
//!
//! ```text
//! open ──close──▶ closed          (final; a backend that comes back is a new `Backend`)
//! ```
//!
//! The open/closed bit and the number of requests in flight share one atomic. A request is counted by the same
//! compare-and-swap that sees the backend open, so after `close` has returned every request that will ever be sent is
//! already counted, and the count can only fall. That is what lets an engine wait for zero and then stop the instance.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use crate::payload::Outgoing;

const CLOSED: u32 = 1 << 31;

/// Sends requests over one connection to a backend.
pub(crate) type Sender = SendRequest<Outgoing>;

/// Milliseconds since the router was made; fits an atomic, as an `Instant` does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now_millis(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

struct Parked {
    sender: Sender,
    since: Instant,
}

pub(crate) struct Backend {
    id: String,
    addr: SocketAddr,
    state: AtomicU32,
    suspect_until_millis: AtomicU64,
    /// Oldest first.
    idle: Mutex<VecDeque<Parked>>,
}

impl Backend {
    pub(crate) fn new(id: String, addr: SocketAddr) -> Self {
        Self {
            id,
            addr,
            state: AtomicU32::new(0),
            suspect_until_millis: AtomicU64::new(0),
            idle: Mutex::new(VecDeque::new()),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED == 0
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.state.load(Ordering::Acquire) & !CLOSED
    }

    /// Counts a request in, unless the backend is closed.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| (state & CLOSED == 0).then_some(state + 1))
            .ok()
            .map(|_| Lease { backend: Arc::clone(self) })
    }

    /// Takes no more requests, and drops the idle connections.
    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
        let parked = std::mem::take(&mut *self.idle());
        drop(parked);
    }

    pub(crate) fn suspect(&self, until_millis: u64) {
        self.suspect_until_millis.fetch_max(until_millis, Ordering::Relaxed);
    }

    pub(crate) fn is_suspect(&self, now_millis: u64) -> bool {
        self.suspect_until_millis.load(Ordering::Relaxed) > now_millis
    }

    /// The idle connection that was used last, if that was recently enough.
    pub(crate) fn take_idle(&self, max_age: Duration) -> Option<Sender> {
        let mut idle = self.idle();
        while let Some(parked) = idle.pop_back() {
            if !parked.sender.is_ready() {
                continue;
            }
            if parked.since.elapsed() > max_age {
                idle.push_back(parked);
                return None;
            }
            return Some(parked.sender);
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn park(&self, sender: Sender, most: usize) {
        let mut idle = self.idle();
        // Looked at under the lock: `close` sets the bit before it empties the pool, so nothing is left behind in it.
        if self.is_open() && sender.is_ready() && idle.len() < most {
            idle.push_back(Parked { sender, since: Instant::now() });
        }
    }

    /// Drops connections that nobody will use any more.
    pub(crate) fn sweep(&self, max_age: Duration) {
        self.idle().retain(|parked| parked.sender.is_ready() && parked.since.elapsed() <= max_age);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Parked>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request counted in flight to a backend; counted out when it is dropped.
pub(crate) struct Lease {
    backend: Arc<Backend>,
}

impl Lease {
    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.state.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> Arc<Backend> {
        Arc::new(Backend::new("shop/web.1".to_owned(), SocketAddr::from(([127, 0, 0, 1], 1))))
    }

    #[test]
    fn a_closed_backend_leases_nothing_and_keeps_counting_what_it_had() {
        let backend = backend();
        let first = backend.lease().unwrap();
        let second = backend.lease().unwrap();
        backend.close();
        assert!(backend.lease().is_none());
        assert_eq!(backend.in_flight(), 2);
        drop(first);
        drop(second);
        assert_eq!(backend.in_flight(), 0);
        assert!(!backend.is_open());
    }

    #[test]
    fn no_lease_is_granted_after_close_has_returned() {
        for _ in 0..200 {
            let backend = backend();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| while backend.lease().is_some() {});
                }
                backend.close();
                let counted = backend.in_flight();
                assert!(backend.in_flight() <= counted, "the count may only fall");
            });
            assert_eq!(backend.in_flight(), 0);
        }
    }
}
