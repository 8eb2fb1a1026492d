//! A server's engine on a simulated account, in time that tests stop and move; every call that reaches the account is
//! written down.
//!
//! Calls go through the meter, as a server's do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapit_ecs::api::SharedApi;
use tapit_ecs::engine::clock::TokioClock;
use tapit_ecs::engine::pace::Pace;
use tapit_ecs::meter::Metered;
use tapit_ecs::sim::{Account, Call, Setup, Time};
use tapit_ecs::{Ecs, EcsConfig, EcsSettings, Install, TaskImages};
use tapit_engine::conformance::Routes;
use tapit_engine::fake::Fake;
use tapit_engine::{Engine, EngineError, Images, Prepared};
use tapit_model::*;

/// Far more than anything takes here.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

pub struct Bed {
    pub account: Arc<Account>,
    calls: Arc<Mutex<Vec<Call>>>,
    images: Arc<NamedImages>,
    dir: tempfile::TempDir,
    revision: AtomicU64,
}

impl Bed {
    pub fn new(setup: Setup) -> Self {
        // In memory where there is such a place: nothing of it need survive the machine.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
        let account = Account::new(Setup { time: Time::Tokio, ..setup });
        let calls = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&calls);
        account.faults().on_call(move |call| {
            record.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
            None
        });
        let images = Arc::new(NamedImages(Fake::new(MemoryMib::from_mib(1024), Arc::new(Routes::default()))));
        Self { account, calls, images, dir, revision: AtomicU64::new(0) }
    }

    /// A server starts; it has adopted nothing yet.
    pub async fn engine(&self) -> Arc<Ecs> {
        self.engine_over(Arc::new(Metered::new(Arc::clone(&self.account)))).await
    }

    /// The same over another way to the account.
    pub async fn engine_over(&self, api: SharedApi) -> Arc<Ecs> {
        let config = EcsConfig {
            data_dir: self.dir.path().to_owned(),
            install: Install::of(self.dir.path()),
            settings: EcsSettings::default(),
            api,
            region: Setup::default().region,
            images: Arc::clone(&self.images) as Arc<dyn TaskImages>,
            clock: Arc::new(TokioClock::starting_at(self.account.now())),
            pace: Pace::default(),
        };
        Ecs::open(config).await.expect("opens")
    }

    /// The calls since the last time that they were taken.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn present(&self, key: &ProcessKey, formation: &Formation) -> ProcessTarget {
        self.target(key, Presence::Present(Box::new(formation.clone())))
    }

    pub fn target(&self, key: &ProcessKey, presence: Presence) -> ProcessTarget {
        let revision = Revision(self.revision.fetch_add(1, Ordering::Relaxed) + 1);
        ProcessTarget { key: key.clone(), revision, presence }
    }
}

pub fn key(app: &str, process: &str) -> ProcessKey {
    ProcessKey::new(&AppName::parse(app).expect("legal"), &ProcessName::parse(process).expect("legal"))
}

/// So many on demand and on spot; `default` is what the load balancer leads to.
pub fn formation(process: &str, (demand, spot): (u32, u32)) -> Formation {
    let port = Port::new(8080).expect("not zero");
    Formation {
        generation: 1,
        image: image("app:v1"),
        command: None,
        port,
        check: Check::Tcp(port),
        health_timeout: Seconds(120),
        size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
        demand,
        spot,
        restart: Restart::Always,
        lifecycle: Lifecycle::default(),
        confinement: Confinement::default(),
        stand_ins: 0,
        public: process == "default",
        variables: Vec::new(),
        version: "v1".to_owned(),
    }
}

pub fn image(name: &str) -> PinnedImage {
    PinnedImage {
        reference: ImageRef::parse(name).expect("legal"),
        digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal"),
        exposed: Vec::new(),
    }
}

/// Waits, in virtual time, until it is so, and tells how long that took.
pub async fn until(what: &str, step: Duration, mut so: impl AsyncFnMut() -> bool) -> Duration {
    let begun = tokio::time::Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "it does not come to this: {what}");
        tokio::time::sleep(step).await;
    }
    begun.elapsed()
}

/// Whether exactly the wanted instances are there, all of them healthy.
pub fn is_settled(seen: &ProcessObserved, wanted: &Formation) -> bool {
    let left: Vec<_> = seen.instances.iter().filter(|one| one.state != InstanceState::Stopped).collect();
    let good = |kind| {
        let is_good = |one: &&&InstanceObserved| {
            one.kind == kind && one.generation == wanted.generation && one.state == InstanceState::Healthy
        };
        left.iter().filter(is_good).count()
    };
    let (demand, spot) = (wanted.demand as usize, wanted.spot as usize);
    good(InstanceKind::Demand) == demand && good(InstanceKind::Spot) == spot && left.len() == demand + spot
}

/// Images that ECS finds under their own names.
struct NamedImages(Arc<Fake>);

#[async_trait]
impl TaskImages for NamedImages {
    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        Ok(Prepared { image: self::image(&image.to_string()), warning: None })
    }

    async fn location(&self, image: &PinnedImage, _app: &AppName) -> Result<String, EngineError> {
        Ok(format!("{}@{}", image.reference, image.digest))
    }

    fn forget_app(&self, _app: &AppName) {}

    fn local(&self) -> &dyn Images {
        self.0.images()
    }
}
