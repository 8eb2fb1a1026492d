//! A server's engine with an account of its own, and short words for targets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tapit_ecs::api::{Answer, ApiError, EcsApi, Request, SharedApi};
use tapit_ecs::engine::clock::TokioClock;
use tapit_ecs::engine::pace::Pace;
use tapit_ecs::meter::Metered;
use tapit_ecs::sim::{Account, Setup, Time};
use tapit_ecs::{Ecs, EcsConfig, EcsSettings, Install, TaskImages};
use tapit_engine::conformance::Routes;
use tapit_engine::fake::Fake;
use tapit_engine::{Engine, EngineError, ImageFault, Images, Prepared};
use tapit_model::*;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(500);

pub struct Stage {
    pub account: Arc<Account>,
    pub settings: EcsSettings,
    pub images: Arc<TestImages>,
    dir: tempfile::TempDir,
    revision: AtomicU64,
}

impl Stage {
    pub fn open() -> Self {
        Self::with(EcsSettings::default())
    }

    pub fn with(settings: EcsSettings) -> Self {
        Self::of(Setup::default(), settings)
    }

    pub fn of(setup: Setup, settings: EcsSettings) -> Self {
        Self {
            account: Account::new(Setup { time: Time::Tokio, ..setup }),
            settings,
            images: Arc::new(TestImages::new()),
            dir: directory(),
            revision: AtomicU64::new(0),
        }
    }

    pub fn install(&self) -> Install {
        Install::of(self.dir.path())
    }

    pub fn data_dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// A server opens the engine over this way to the account, and adopts nothing yet.
    pub async fn engine(&self, api: SharedApi) -> Arc<Ecs> {
        let config = EcsConfig {
            data_dir: self.dir.path().to_owned(),
            install: self.install(),
            settings: self.settings.clone(),
            api,
            region: Setup::default().region,
            images: Arc::clone(&self.images) as Arc<dyn TaskImages>,
            clock: Arc::new(TokioClock::starting_at(self.account.now())),
            pace: Pace::default(),
        };
        Ecs::open(config).await.expect("opens")
    }

    /// The way that a server takes: paced, and repeated where that is safe.
    pub fn metered(&self) -> SharedApi {
        Arc::new(Metered::new(Direct(Arc::clone(&self.account))))
    }

    /// One that is up, with nothing to look after yet.
    pub async fn started(&self) -> Arc<Ecs> {
        let engine = self.engine(Arc::clone(&self.account) as SharedApi).await;
        engine.adopt(Vec::new()).await.expect("adopts nothing");
        engine
    }

    pub fn target(&self, process: &str, presence: Presence) -> ProcessTarget {
        let revision = Revision(self.revision.fetch_add(1, Ordering::Relaxed) + 1);
        ProcessTarget { key: key(process), revision, presence }
    }

    pub fn present(&self, process: &str, formation: Formation) -> ProcessTarget {
        let formation = Formation { public: process == "default", ..formation };
        self.target(process, Presence::Present(Box::new(formation)))
    }

    pub fn absent(&self, process: &str) -> ProcessTarget {
        self.target(process, Presence::Absent(Lifecycle::default()))
    }
}

/// In memory where there is such a place: tests write often, and nothing of it need survive the machine.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

pub fn key(process: &str) -> ProcessKey {
    ProcessKey::new(&app(), &ProcessName::parse(process).expect("legal"))
}

pub fn app() -> AppName {
    AppName::parse("shop").expect("legal")
}

pub fn formation(generation: u64, demand: u32, spot: u32) -> Formation {
    let port = Port::new(8080).expect("not zero");
    Formation {
        generation,
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
        public: false,
        variables: Vec::new(),
        version: format!("v{generation}"),
    }
}

pub fn image(name: &str) -> PinnedImage {
    PinnedImage {
        reference: ImageRef::parse(name).expect("legal"),
        digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal"),
        exposed: Vec::new(),
    }
}

/// A meter takes what it measures by value.
struct Direct(Arc<Account>);

#[async_trait]
impl EcsApi for Direct {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        self.0.call(request).await
    }
}

/// What the engine shows of a process.
pub async fn seen(engine: &Ecs, process: &str) -> Option<ProcessObserved> {
    let all = engine.observe().await.expect("can be looked at");
    all.into_iter().find(|one| one.key == key(process))
}

/// Waits, in virtual time, until it is so.
pub async fn until<T>(what: &str, mut so: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = so().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not come to this: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// Waits until so many of a generation are healthy and nothing else is left.
pub async fn settled(engine: &Ecs, process: &str, wanted: &Formation) -> ProcessObserved {
    let last = Mutex::new(None);
    let what = format!("{process} runs {} and {} of generation {}", wanted.demand, wanted.spot, wanted.generation);
    until(&what, async || {
        let now = seen(engine, process).await?;
        let left: Vec<_> = now.instances.iter().filter(|i| i.state != InstanceState::Stopped).collect();
        let of = |kind| {
            let healthy = |i: &&&InstanceObserved| {
                i.kind == kind && i.generation == wanted.generation && i.state == InstanceState::Healthy
            };
            left.iter().filter(healthy).count()
        };
        let (demand, spot) = (wanted.demand as usize, wanted.spot as usize);
        let is_so = of(InstanceKind::Demand) == demand && of(InstanceKind::Spot) == spot && left.len() == demand + spot;
        let found = is_so.then(|| now.clone());
        *last.lock().expect("not poisoned") = Some(now);
        found
    })
    .await
}

pub async fn gone(engine: &Ecs, process: &str) {
    until(&format!("{process} is gone"), async || seen(engine, process).await.is_none().then_some(())).await;
}

pub async fn apply(engine: &Ecs, target: ProcessTarget) {
    engine.apply(target).await.expect("is taken");
}

/// What is blocked for want of AWS, in words.
pub async fn provider_trouble(engine: &Ecs, process: &str) -> Option<String> {
    let blocked = seen(engine, process).await?.blocked;
    blocked.into_iter().find(|one| one.code == BlockedCode::Provider).map(|one| one.text)
}

/// Images that ECS finds under their own names, unless the test says otherwise.
pub struct TestImages {
    shelf: Arc<Fake>,
    pub faults: Mutex<BTreeMap<String, String>>,
    pub forgotten: Mutex<Vec<AppName>>,
}

impl TestImages {
    fn new() -> Self {
        let shelf = Fake::new(MemoryMib::from_mib(1024), Arc::new(Routes::default()));
        Self { shelf, faults: Mutex::default(), forgotten: Mutex::default() }
    }
}

#[async_trait]
impl TaskImages for TestImages {
    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        Ok(Prepared { image: self::image(&image.to_string()), warning: None })
    }

    async fn location(&self, image: &PinnedImage, _app: &AppName) -> Result<String, EngineError> {
        let name = image.reference.to_string();
        match self.faults.lock().expect("not poisoned").get(&name) {
            None => Ok(format!("{name}@{}", image.digest)),
            Some(text) => {
                let image = Box::new(image.reference.clone());
                Err(EngineError::Image { image, fault: ImageFault::Unreachable, text: text.clone() })
            }
        }
    }

    fn forget_app(&self, app: &AppName) {
        self.forgotten.lock().expect("not poisoned").push(app.clone());
    }

    fn local(&self) -> &dyn Images {
        self.shelf.images()
    }
}
