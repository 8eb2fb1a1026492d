//! The engine is held to the suite of all engines, on an account in memory, in tokio's time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapit_ecs::engine::clock::TokioClock;
use tapit_ecs::engine::pace::Pace;
use tapit_ecs::meter::Metered;
use tapit_ecs::sim::{self, Account, Setup, Time};
use tapit_ecs::{Ecs, EcsConfig, EcsSettings, Install, TaskImages};
use tapit_engine::conformance::{Behaviour, CRASH_CODE, LAST_WORDS, LOG_LINES, Nature, Routes, Subject, Test};
use tapit_engine::{Engine, EngineError, Images, Prepared, SharedEngine, conformance_tests};
use tapit_model::{
    AppName, Check, CommandLine, Confinement, CpuMillis, Digest, Formation, ImageRef, InstanceKey, Lifecycle,
    MemoryMib, PinnedImage, Port, Restart, Seconds, Size,
};

const PASS: Duration = Duration::from_millis(500);
/// An hour of the account's time: reached only by a test that fails.
const PATIENCE: u32 = 7_200;

/// Images that a registry has.
struct Registry;

fn pinned(reference: &ImageRef) -> PinnedImage {
    let digest = Digest::parse(&format!("sha256:{}", "d".repeat(64))).expect("a legal digest");
    PinnedImage { reference: reference.clone(), digest, exposed: Vec::new() }
}

#[async_trait]
impl TaskImages for Registry {
    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        Ok(Prepared { image: pinned(image), warning: None })
    }

    async fn location(&self, image: &PinnedImage, _: &AppName) -> Result<String, EngineError> {
        Ok(format!("registry.example/{}@{}", image.reference, image.digest))
    }

    fn forget_app(&self, _: &AppName) {}

    fn local(&self) -> &dyn Images {
        unreachable!("the suite asks for no image")
    }
}

struct Bed {
    account: Arc<Account>,
    data: tempfile::TempDir,
    engine: Mutex<Arc<Ecs>>,
    routes: Arc<Routes>,
}

async fn open(account: &Arc<Account>, data_dir: &Path) -> Arc<Ecs> {
    let config = EcsConfig {
        data_dir: data_dir.to_owned(),
        install: Install::of(data_dir),
        settings: EcsSettings::default(),
        api: Arc::new(Metered::new(Arc::clone(account))),
        region: Setup::default().region,
        images: Arc::new(Registry),
        clock: Arc::new(TokioClock::starting_at(account.now())),
        pace: Pace::default(),
    };
    Ecs::open(config).await.expect("opens")
}

impl Bed {
    async fn new() -> Self {
        let account = Account::new(Setup { time: Time::Tokio, ..Setup::default() });
        account.behave(|definition| {
            let command = definition.container.command.join(" ");
            match command.as_str() {
                "crashes" => sim::Behaviour::crashes(CRASH_CODE).writes(&[LAST_WORDS]),
                "completes" => sim::Behaviour::completes(),
                "outofmemory" => sim::Behaviour::out_of_memory(),
                "neverhealthy" => sim::Behaviour::never_healthy(),
                _ => sim::Behaviour::serves().writes(&LOG_LINES),
            }
        });
        let data = tempfile::tempdir().expect("a directory");
        let engine = Mutex::new(open(&account, data.path()).await);
        Self { account, data, engine, routes: Arc::default() }
    }

    fn ecs(&self) -> Arc<Ecs> {
        Arc::clone(&self.engine.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Subject for Bed {
    fn engine(&self) -> SharedEngine {
        self.ecs()
    }

    fn nature(&self) -> Nature {
        Nature::Managed
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    fn formation(&self, behaviour: Behaviour) -> Formation {
        let word = format!("{behaviour:?}").to_lowercase();
        let port = Port::new(8080).expect("not 0");
        let check = match behaviour {
            // ECS asks nothing of a process that is not public, so only time can keep it from being healthy.
            Behaviour::NeverHealthy => Check::Uptime(Seconds(100_000)),
            Behaviour::Serves | Behaviour::Crashes | Behaviour::Completes | Behaviour::OutOfMemory => Check::Tcp(port),
        };
        Formation {
            generation: 1,
            image: pinned(&ImageRef::parse("suite:v1").expect("a legal name")),
            command: Some(CommandLine::parse(&word).expect("a legal command")),
            port,
            check,
            health_timeout: Seconds(60),
            size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
            demand: 1,
            stand_ins: 0,
            spot: 0,
            restart: Restart::Always,
            lifecycle: Lifecycle { drain_timeout: Seconds(30), stop_timeout: Seconds(10) },
            confinement: Confinement::default(),
            public: false,
            variables: Vec::new(),
            version: "1".to_owned(),
        }
    }

    async fn kill(&self, instance: &InstanceKey) {
        let wanted = instance.id.as_str();
        let task = self.account.tasks().into_iter().find(|task| task.arn.ends_with(wanted)).expect("a task");
        assert!(self.account.kill(&task.arn), "{instance} does not run");
    }

    async fn pass(&self) {
        tokio::time::sleep(PASS).await;
    }

    fn patience(&self) -> u32 {
        PATIENCE
    }

    async fn reopen(&self) {
        self.ecs().close().await;
        self.routes.restart();
        let fresh = open(&self.account, self.data.path()).await;
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    fn left_over(&self) -> Vec<String> {
        self.account.left_over()
    }
}

fn run(test: Test) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let bed = Bed::new().await;
        test(&bed).await;
        bed.ecs().close().await;
    });
}

conformance_tests!(run);
