//! A layer in front of the emulator that refuses what AWS refuses, counts what is called, and fails on purpose.
//!
//! It changes nothing of what it lets through but two things that an account on this machine needs: the registry is said to
//! be here, and requests that carry no credentials (the registry, the load balancers) are those of this layer's account.

pub mod call;
mod ecs;
mod elb;
mod fargate;
pub mod faults;
pub mod ledger;
mod serve;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::oneshot;

use faults::{Fault, Faults, On};
use ledger::Ledger;

/// A body that is there as a whole.
pub type Whole = Full<Bytes>;

/// An answer of AWS's.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

impl Reply {
    /// The first element of that name in an answer in XML.
    pub fn element(&self, name: &str) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let inner = text.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map(|(inner, _)| inner);
        inner.unwrap_or_default().to_owned()
    }
}

/// What the layer of one account remembers.
#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    faults: Faults,
    counts: BTreeMap<String, u64>,
    /// Refusals of our own, so that a test can tell that there were none.
    refused: Vec<String>,
}

type Shared = Arc<Mutex<State>>;

fn locked(state: &Shared) -> MutexGuard<'_, State> {
    // A test that failed while it looked has changed nothing.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layer of one account, on an address of its own, until it is dropped.
pub struct Strict {
    address: SocketAddr,
    state: Shared,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Strict {
    pub fn start(emulator: SocketAddr, account: &str) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("its address");
        let state = Shared::default();
        let (end, ended) = oneshot::channel();
        let front = serve::Front { emulator, here: address, account: account.to_owned(), state: state.clone() };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve::accept(listener, Arc::new(front)) => {}
                    // Also when the other side was dropped.
                    _ = ended => {}
                }
            });
        });
        Self { address, state, end: Some(end), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often what was called since the last look: `ecs:UpdateService` and so on.
    pub fn take_counts(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut locked(&self.state).counts)
    }

    pub fn plan(&self, on: On, fault: Fault) {
        locked(&self.state).faults.plan(on, fault);
    }

    pub fn plan_nothing(&self) {
        locked(&self.state).faults.clear();
    }

    /// What was refused here since the last look, one line each; planned faults are none.
    pub fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.state).refused)
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // It has ended already where nobody listens.
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
