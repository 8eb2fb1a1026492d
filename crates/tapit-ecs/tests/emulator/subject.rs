//! The engine as the suite wants it: on an account of the emulator, with the adapter to the SDK and real containers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapit_ecs::engine::clock::HostClock;
use tapit_ecs::engine::pace::Pace;
use tapit_ecs::images::EcsImages;
use tapit_ecs::meter::Metered;
use tapit_ecs::{Ecs, EcsConfig, EcsSettings, Install};
use tapit_engine::conformance::{Behaviour, CRASH_CODE, LAST_WORDS, Nature, Routes, Subject, Test};
use tapit_engine::{Engine, SharedEngine};
use tapit_model::{
    Check, CommandLine, Confinement, CpuMillis, Formation, ImageRef, InstanceKey, Lifecycle, MemoryMib, PinnedImage,
    Port, Restart, Seconds, Size,
};

use crate::sdk;
use crate::support::emulator::REGION;
use crate::support::image::{self, Image};
use crate::support::{Account, docker, images};

/// Behaviours that the emulator does not have, each with what it does instead. The simulated account has them all.
const NOT_HERE: [(&str, &str); 3] = [
    ("an_instance_out_of_memory_says_so", "it sets no limit of memory"),
    ("an_interruption_takes_the_newest_spot_instance", "it does not replace a task that was stopped by a call"),
    ("a_generation_past_its_deadline_is_reported", "its load balancer takes every target for healthy"),
];
const PASS: Duration = Duration::from_millis(50);
/// A minute and a half: reached only by a test that fails.
const PATIENCE: u32 = 1_800;
const NAME: &str = "suite:v1";

struct Bed {
    data: tempfile::TempDir,
    engine: Mutex<Option<Arc<Ecs>>>,
    routes: Arc<Routes>,
    image: PinnedImage,
    /// Of instances that a server has shown which is not there any more.
    addresses: Mutex<BTreeMap<InstanceKey, Ipv4Addr>>,
    account: Account,
}

/// Makes an engine, runs the test on it, and clears the account, also when the test has failed.
pub fn run(test: Test) {
    let thread = std::thread::current();
    let name = thread.name().and_then(|name| name.rsplit("::").next()).unwrap_or_default();
    if let Some((name, why)) = NOT_HERE.iter().find(|(one, _)| *one == name) {
        println!("{name} cannot be tried on the emulator: {why}");
        return;
    }
    let Some(account) = Account::open() else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let bed = runtime.block_on(Bed::new(account));
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&bed))));
    let torn_down = runtime.block_on(bed.engine().teardown());
    match outcome {
        Ok(()) => {
            torn_down.expect("the engine removes everything");
            assert_eq!(bed.account.left_over(), Vec::<String>::new(), "left in the account");
        }
        Err(panic) => {
            eprintln!("refused as AWS would: {:#?}", bed.account.strict().take_refused());
            resume_unwind(panic)
        }
    }
}

impl Bed {
    async fn new(account: Account) -> Self {
        let data = tempfile::Builder::new().prefix("tapit-ecs-").tempdir().expect("a directory");
        let engine = open(data.path(), &account).await;
        let archive = data.path().join("image.tar");
        let config = images::gentle(serde_json::json!({"Cmd": ["/bin/web"], "Env": ["PATH=/bin"]}));
        image::archive(&archive, images::layer(), &[Image { name: NAME, config }]).expect("an archive");
        engine.images().import(&archive, None).await.expect("imports");
        let name = ImageRef::parse(NAME).expect("a legal name");
        let image = engine.prepare(&name).await.expect("is held").image;
        Self {
            data,
            engine: Mutex::new(Some(engine)),
            routes: Arc::default(),
            image,
            addresses: Mutex::default(),
            account,
        }
    }

    fn addresses(&self) -> MutexGuard<'_, BTreeMap<InstanceKey, Ipv4Addr>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the addresses that are shown now.
    async fn look(&self) {
        let observed = self.engine().observe().await.expect("the engine can be looked at");
        for process in observed {
            let shown = process.instances.into_iter().filter_map(|one| Some((one.id, one.ip?)));
            let keyed = shown.map(|(id, ip)| (InstanceKey { app: process.key.app.clone(), id }, ip));
            self.addresses().extend(keyed);
        }
    }
}

async fn open(data_dir: &Path, account: &Account) -> Arc<Ecs> {
    let install = Install::of(data_dir);
    let api = Arc::new(Metered::new(sdk::connect(account)));
    let child = Path::new(env!("CARGO_BIN_EXE_tapit-ecs-child"));
    let images = EcsImages::open(data_dir, child, api.clone(), install.clone()).expect("the images open");
    let config = EcsConfig {
        data_dir: data_dir.to_owned(),
        install,
        settings: EcsSettings::default(),
        api,
        region: REGION.to_owned(),
        images: Arc::new(images),
        clock: Arc::new(HostClock),
        pace: Pace {
            busy: Duration::from_millis(150),
            idle: Duration::from_millis(500),
            whole: Duration::from_secs(2),
            role_settles: Duration::ZERO,
        },
    };
    Ecs::open(config).await.expect("the engine opens")
}

#[async_trait]
impl Subject for Bed {
    fn engine(&self) -> SharedEngine {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.clone().expect("an engine is open but for a moment of `reopen`")
    }

    fn nature(&self) -> Nature {
        Nature::Managed
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    fn formation(&self, behaviour: Behaviour) -> Formation {
        let script = match behaviour {
            Behaviour::Serves => "for i in 1 2 3 4 5; do echo line $i; done; exec web >/dev/null".to_owned(),
            Behaviour::Crashes => format!("echo {LAST_WORDS}; exit {CRASH_CODE}"),
            Behaviour::Completes => "exit 0".to_owned(),
            Behaviour::OutOfMemory | Behaviour::NeverHealthy => "exec sleep 1000".to_owned(),
        };
        let port = Port::new(8080).expect("not 0");
        Formation {
            generation: 1,
            image: self.image.clone(),
            command: Some(CommandLine::parse(&format!("sh -c '{script}'")).expect("a legal command")),
            port,
            check: Check::Tcp(port),
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

    /// The container is known by the address that the engine shows.
    async fn kill(&self, instance: &InstanceKey) {
        self.look().await;
        let ip = self.addresses().get(instance).expect("it has an address").to_string();
        let containers = self.account.containers();
        let container = containers.iter().find(|one| one.ip == ip).expect("it has a container");
        docker::kill(&container.id).expect("it runs");
    }

    async fn pass(&self) {
        tokio::time::sleep(PASS).await;
    }

    fn patience(&self) -> u32 {
        PATIENCE
    }

    async fn reopen(&self) {
        self.look().await;
        let old = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            old.close().await;
        }
        self.routes.restart();
        let fresh = open(self.data.path(), &self.account).await;
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    }

    fn left_over(&self) -> Vec<String> {
        self.account.left_over()
    }
}
