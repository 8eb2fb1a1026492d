//! One caller's way to an account, which can be cut for good: what a server that dies between two calls leaves behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::account::Account;
use crate::api::{Answer, ApiError, EcsApi, Request};

/// Counts the calls of one caller. Once it is cut, no call is answered any more and none reaches the account, as if the
/// caller had died; another link to the same account stands for its successor.
pub struct Link {
    account: Arc<Account>,
    calls: Mutex<Calls>,
    cut: watch::Sender<bool>,
}

struct Calls {
    /// That have reached the account.
    made: u64,
    /// So many may.
    allowed: u64,
    last: Last,
}

/// What becomes of the last call that is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Answered,
    /// It is carried out, and its answer is never received.
    Unanswered,
}

impl Link {
    /// To be cut by `cut_now` alone.
    pub fn to(account: &Arc<Account>) -> Arc<Self> {
        Self::new(account, u64::MAX, Last::Answered)
    }

    /// Cut before its so manieth call (from 1): the ones before are answered.
    pub fn cut_before(account: &Arc<Account>, call: u64) -> Arc<Self> {
        Self::new(account, call.saturating_sub(1), Last::Answered)
    }

    /// Cut after its so manieth call (from 1) was carried out, before the answer arrives.
    pub fn cut_after(account: &Arc<Account>, call: u64) -> Arc<Self> {
        Self::new(account, call, Last::Unanswered)
    }

    fn new(account: &Arc<Account>, allowed: u64, last: Last) -> Arc<Self> {
        let calls = Mutex::new(Calls { made: 0, allowed, last });
        Arc::new(Self { account: Arc::clone(account), calls, cut: watch::Sender::new(false) })
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cut_now(&self) {
        self.calls().allowed = 0;
        self.cut.send_replace(true);
    }

    pub fn is_cut(&self) -> bool {
        *self.cut.borrow()
    }

    /// Returns once the cut has come.
    pub async fn until_cut(&self) {
        let mut cut = self.cut.subscribe();
        // The sender lives as long as this borrow, so waiting never fails.
        while !*cut.borrow_and_update() && cut.changed().await.is_ok() {}
    }

    /// Calls so far that have reached the account.
    pub fn made(&self) -> u64 {
        self.calls().made
    }

    /// What becomes of the next call; `None`: it comes too late.
    fn next(&self) -> Option<Last> {
        let mut calls = self.calls();
        if calls.made >= calls.allowed {
            return None;
        }
        calls.made += 1;
        Some(if calls.made == calls.allowed { calls.last } else { Last::Answered })
    }
}

#[async_trait]
impl EcsApi for Link {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        match self.next() {
            Some(Last::Answered) => return self.account.make(request),
            // The cut comes before anything can be told of what the call has done.
            Some(Last::Unanswered) => drop(self.account.make(request)),
            None => {}
        }
        self.cut.send_replace(true);
        std::future::pending().await
    }
}
