//! The search for a backend for one request: those that failed it are passed over, and when nobody is left it is held
//! until the table changes.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::attempt::Fault;
use crate::backend::{Backend, Lease};
use crate::refusal::Refusal;
use crate::registry::Shared;
use crate::stats::RouteStats;
use crate::table::Entry;

/// The route that a host has at this moment.
pub(crate) fn route(shared: &Shared, host: &str) -> Result<Arc<Entry>, Refusal> {
    let table = shared.table();
    let entry = table.find(host).ok_or_else(|| Refusal::UnknownHost(host.to_owned()))?;
    match &entry.closed {
        Some(text) => Err(Refusal::Closed(text.clone())),
        None => Ok(Arc::clone(entry)),
    }
}

pub(crate) struct Search<'a> {
    shared: &'a Shared,
    host: &'a str,
    stats: &'a Arc<RouteStats>,
    /// Backends that failed this request since it last looked at all of them.
    tried: Vec<Arc<Backend>>,
    fault: Option<Fault>,
    /// Until when the request may be held; set when it first has to be.
    until: Option<Instant>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(shared: &'a Shared, host: &'a str, stats: &'a Arc<RouteStats>) -> Self {
        Self { shared, host, stats, tried: Vec::new(), fault: None, until: None }
    }

    /// The next backend to try, counted in.
    pub(crate) async fn next(&mut self) -> Result<Lease, Refusal> {
        if let Some(lease) = self.look()? {
            return Ok(lease);
        }
        let limits = &self.shared.limits;
        let mut publishes = self.shared.publishes();
        let _held = self.stats.hold(limits.held_per_route).ok_or(Refusal::Crowded)?;
        let until = *self.until.get_or_insert_with(|| Instant::now() + limits.hold);
        loop {
            // Looked at after the subscription, so that no publish falls between the two.
            if let Some(lease) = self.look()? {
                return Ok(lease);
            }
            if Instant::now() >= until {
                return Err(self.give_up());
            }
            // A backend that failed is tried again after a while; that alone needs no publish.
            let wake = if self.tried.is_empty() { until } else { until.min(Instant::now() + limits.suspect) };
            tokio::select! {
                // The sender lives as long as the router's shared state, which is borrowed here.
                _ = publishes.changed() => {}
                () = sleep_until(wake) => {}
            }
            self.tried.clear();
        }
    }

    /// Passes a backend over that failed the request, for this request and for a moment also for others.
    pub(crate) fn pass_over(&mut self, backend: &Arc<Backend>, fault: Fault) {
        let pause = u64::try_from(self.shared.limits.suspect.as_millis()).unwrap_or(u64::MAX);
        backend.suspect(self.shared.clock.now_millis().saturating_add(pause));
        self.tried.push(Arc::clone(backend));
        self.fault = Some(fault);
    }

    /// Remembers why the last attempt failed, without holding it against the backend.
    pub(crate) fn remember(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// What to say when there is no further attempt.
    pub(crate) fn give_up(&mut self) -> Refusal {
        match self.fault.take() {
            Some(fault) => Refusal::BadGateway(Some(fault)),
            None => Refusal::NoBackend,
        }
    }

    fn look(&self) -> Result<Option<Lease>, Refusal> {
        Ok(route(self.shared, self.host)?.pick(self.shared.clock.now_millis(), &self.tried))
    }
}
