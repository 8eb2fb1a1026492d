//! What the API, the reconcile loop and the image tasks share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapit_engine::SharedEngine;
use tapit_model::{AppName, EngineKind, ImageRef, ProcessKey, ProcessTarget, RouteTable, Timestamp};
use tapit_plan::app::ImageProgress;
use tapit_router::RouterHandle;
use tokio::sync::{Notify, watch};

use crate::ledger::Ledger;
use crate::requests::RequestWindows;
use crate::snapshot::Snapshot;
use crate::view::{Addresses, router_url};

/// Fixed for the life of the server.
#[derive(Debug, Clone)]
pub struct Facts {
    pub api_url: String,
    pub http: std::net::SocketAddr,
    pub data_dir: PathBuf,
    pub started_at: Timestamp,
    /// Bytes that images may take before unused ones go; `None`: no bound.
    pub images_disk: Option<u64>,
}

pub struct Hub {
    pub facts: Facts,
    pub ledger: Ledger,
    pub engine: SharedEngine,
    pub router: RouterHandle,
    nudge: Notify,
    passes: watch::Sender<u64>,
    closing: AtomicBool,
    snapshot: Mutex<Snapshot>,
    requests: Mutex<RequestWindows>,
    images: Mutex<BTreeMap<ImageRef, ImageProgress>>,
    images_over: AtomicU64,
    sent: Mutex<Sent>,
}

/// What was handed on last, so that it is handed on again only when it differs.
#[derive(Default)]
pub struct Sent {
    pub targets: BTreeMap<ProcessKey, ProcessTarget>,
    pub routes: RouteTable,
}

impl Hub {
    pub fn new(facts: Facts, ledger: Ledger, engine: SharedEngine, router: RouterHandle) -> Self {
        Self {
            facts,
            ledger,
            engine,
            router,
            nudge: Notify::new(),
            passes: watch::Sender::new(0),
            closing: AtomicBool::new(false),
            snapshot: Mutex::default(),
            requests: Mutex::default(),
            images: Mutex::default(),
            images_over: AtomicU64::new(0),
            sent: Mutex::default(),
        }
    }

    /// Asks for a pass of the reconcile loop. Carries no data.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }

    /// Wakes up after each pass that saw something new.
    pub fn passes(&self) -> watch::Receiver<u64> {
        self.passes.subscribe()
    }

    pub fn passed(&self) {
        self.passes.send_modify(|count| *count += 1);
    }

    /// Lets whoever waits for an outcome go: the server ends.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.passed();
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub fn snapshot(&self) -> MutexGuard<'_, Snapshot> {
        lock(&self.snapshot)
    }

    pub fn requests(&self) -> MutexGuard<'_, RequestWindows> {
        lock(&self.requests)
    }

    pub fn images(&self) -> MutexGuard<'_, BTreeMap<ImageRef, ImageProgress>> {
        lock(&self.images)
    }

    /// Bytes that images take above what they may, as of the last look.
    pub fn images_over(&self) -> u64 {
        self.images_over.load(Ordering::Relaxed)
    }

    /// Notes how it is now. Answers how it was before.
    pub fn note_images_over(&self, bytes: u64) -> u64 {
        self.images_over.swap(bytes, Ordering::Relaxed)
    }

    pub fn sent(&self) -> MutexGuard<'_, Sent> {
        lock(&self.sent)
    }
}

impl Addresses for Hub {
    fn url(&self, app: &AppName) -> Option<String> {
        match self.engine.kind() {
            EngineKind::Embedded => self.engine.url(app).or_else(|| Some(router_url(app, self.facts.http.port()))),
            // Tasks are reached through a load balancer, never through a router that may be outside of their network.
            EngineKind::Ecs => self.engine.url(app),
        }
    }
}

/// All of these are plain values that are replaced or inserted into as a whole, so a panic elsewhere leaves them usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
