//! One caller's way to an account, which can be cut for good: what a server that dies between two calls leaves behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::account::Account;
use crate::api::{Answer, ApiError, EcsApi, Request};

/// Counts the calls of one caller. Once it is cut, no call is answered any more and none reaches the account, as if the
/// caller had died; another link to the same account stands for its successor.
pub struct Link {
    account: Arc<Account>,
    made: AtomicU64,
    /// The call that does not reach the account any more.
    cut_before: AtomicU64,
    /// The answer of this one is not received.
    deaf: AtomicBool,
    cut: watch::Sender<bool>,
}

impl Link {
    /// To be cut by `cut_now` alone.
    pub fn to(account: &Arc<Account>) -> Arc<Self> {
        Self::cut_at(account, u64::MAX)
    }

    /// Cut before its so manieth call (from 1): the ones before are answered.
    pub fn cut_before(account: &Arc<Account>, call: u64) -> Arc<Self> {
        Self::cut_at(account, call)
    }

    /// Cut after its so manieth call (from 1) was carried out, before the answer arrives.
    pub fn cut_after(account: &Arc<Account>, call: u64) -> Arc<Self> {
        let link = Self::cut_at(account, call.saturating_add(1));
        link.deaf.store(true, Ordering::Relaxed);
        link
    }

    fn cut_at(account: &Arc<Account>, call: u64) -> Arc<Self> {
        Arc::new(Self {
            account: Arc::clone(account),
            made: AtomicU64::new(0),
            cut_before: AtomicU64::new(call),
            deaf: AtomicBool::new(false),
            cut: watch::Sender::new(false),
        })
    }

    pub fn cut_now(&self) {
        self.cut_before.store(0, Ordering::Relaxed);
        self.cut.send_replace(true);
    }

    pub fn is_cut(&self) -> bool {
        *self.cut.borrow()
    }

    /// Returns once the cut has come.
    pub async fn until_cut(&self) {
        // The sender lives as long as this borrow, so it cannot be gone.
        drop(self.cut.subscribe().wait_for(|cut| *cut).await);
    }

    /// Calls so far, the one that met the cut not counted.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl EcsApi for Link {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let cut_before = self.cut_before.load(Ordering::Relaxed);
        let number = self.made.load(Ordering::Relaxed) + 1;
        if number >= cut_before || self.is_cut() {
            self.cut.send_replace(true);
            return std::future::pending().await;
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        let answer = self.account.make(request);
        if self.deaf.load(Ordering::Relaxed) && number + 1 == cut_before {
            self.cut.send_replace(true);
            return std::future::pending().await;
        }
        answer
    }
}
