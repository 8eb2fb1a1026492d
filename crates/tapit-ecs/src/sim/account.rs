//! The account as tests hold it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapit_model::Timestamp;
use tokio::time::Instant;

use super::calls::{Call, Calls, Outcome, is_read};
use super::faults::{self, Faults, Verdict};
use super::inventory::Inventory;
use super::lag::{Deed, Lag};
use super::setup::{Setup, Time, millis};
use super::world::World;
use crate::api::{Answer, ApiError, ApiFault, EcsApi, Operation, Request};

/// An account in one region.
pub struct Account {
    faults: Faults,
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub world: World,
    lag: Option<Lag>,
    calls: Calls,
    /// Where time is tokio's: since when.
    follows: Option<Instant>,
    /// What `advance` has added, in milliseconds.
    advanced: i64,
}

impl Inner {
    fn catch_up(&mut self) {
        let followed = self.follows.map_or(0, |since| millis(since.elapsed()));
        let now = self.world.setup.start.0 + self.advanced + followed;
        self.world.run_until(now);
    }

    /// Does something to the account, and once more to the one that answers late.
    fn poke<T>(&mut self, poke: impl Fn(&mut World) -> T + Send + Sync + 'static) -> T {
        self.catch_up();
        let done = poke(&mut self.world);
        if let Some(lag) = &mut self.lag {
            let again = move |world: &mut World| drop(poke(world));
            lag.done(self.world.now, Deed::Poke(Arc::new(again)));
        }
        done
    }
}

impl Account {
    pub fn new(setup: Setup) -> Arc<Self> {
        let follows = match setup.time {
            Time::ByHand => None,
            Time::Tokio => Some(Instant::now()),
        };
        let inner = Inner { world: World::new(setup), lag: None, calls: Calls::default(), follows, advanced: 0 };
        Arc::new(Self { faults: Faults::default(), inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Timestamp {
        self.look(World::timestamp)
    }

    /// Lets so much time pass; everything that is due happens at its own time.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.inner();
        inner.advanced = inner.advanced.saturating_add(millis(by));
        inner.catch_up();
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// From now on reads answer what was there so long ago, and what was written since then is not seen.
    pub fn set_lag(&self, by: Duration) {
        let mut inner = self.inner();
        inner.catch_up();
        inner.lag = (!by.is_zero()).then(|| Lag::new(&inner.world, millis(by)));
    }

    /// Every call so far, faulty ones too.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        self.inner().calls.counts.clone()
    }

    /// Calls of one operation.
    pub fn count(&self, operation: Operation) -> u64 {
        self.inner().calls.counts.get(&operation).copied().unwrap_or(0)
    }

    pub fn calls_made(&self) -> u64 {
        self.inner().calls.made
    }

    /// Counts from 0 again, and forgets the changes so far.
    pub fn reset_counts(&self) {
        self.inner().calls = Calls::default();
    }

    /// The calls that were to change something, the oldest first.
    pub fn changes(&self) -> Vec<(Call, Outcome)> {
        self.inner().calls.changes.iter().cloned().collect()
    }

    /// How much of everything there is, as it is and not as reads see it.
    pub fn inventory(&self) -> Inventory {
        self.look(Inventory::of)
    }

    /// Everything that somebody has made and that is still there, one `KIND NAME` each.
    pub fn left_over(&self) -> Vec<String> {
        self.look(World::left_over)
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let mut inner = self.inner();
        inner.catch_up();
        look(&inner.world)
    }

    pub(super) fn poke<T>(&self, poke: impl Fn(&mut World) -> T + Send + Sync + 'static) -> T {
        self.inner().poke(poke)
    }

    /// What `EcsApi::call` does: no call waits.
    pub(super) fn make(&self, request: Request) -> Result<Answer, ApiError> {
        let operation = request.operation();
        let call = {
            let mut inner = self.inner();
            inner.catch_up();
            let at = inner.world.timestamp();
            inner.calls.begin(at, request)
        };
        // A hook may look at the account, so nothing is locked meanwhile.
        let verdict = self.faults.verdict(&call);
        let mut inner = self.inner();
        match verdict {
            Some(Verdict::Refuse(fault)) => {
                inner.calls.end(call, Outcome::Refused(fault));
                Err(faults::error(operation, fault))
            }
            Some(Verdict::LoseAnswer) => {
                let answer = inner.carry_out(&call.request);
                let outcome = answer.map_or_else(|error| Outcome::Refused(error.fault), |_| Outcome::AnswerLost);
                inner.calls.end(call, outcome);
                Err(faults::error(operation, ApiFault::Unavailable))
            }
            None => {
                let answer = inner.carry_out(&call.request);
                let outcome = answer.as_ref().map_or_else(|e| Outcome::Refused(e.fault), |_| Outcome::CarriedOut);
                inner.calls.end(call, outcome);
                answer
            }
        }
    }
}

impl Inner {
    fn carry_out(&mut self, request: &Request) -> Result<Answer, ApiError> {
        self.catch_up();
        let operation = request.operation();
        let answered = match &mut self.lag {
            Some(lag) if is_read(operation) => lag.seen(self.world.now).carry_out(request),
            Some(lag) => {
                lag.done(self.world.now, Deed::Call(request.clone()));
                self.world.carry_out(request)
            }
            None => self.world.carry_out(request),
        };
        answered.map_err(|refusal| refusal.of(operation))
    }
}

#[async_trait]
impl EcsApi for Account {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        self.make(request)
    }
}
