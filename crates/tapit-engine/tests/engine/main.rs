//! The fake is held to the suite that it helps to test others with.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tapit_engine::conformance::{Behaviour, CRASH_CODE, LAST_WORDS, LOG_LINES, Routes, Subject, Test};
use tapit_engine::fake::{Ending, Fake, Script};
use tapit_engine::{Engine, SharedEngine, conformance_tests};
use tapit_model::{
    Check, Confinement, CpuMillis, Formation, ImageRef, InstanceKey, Lifecycle, MemoryMib, Port, Restart, Seconds, Size,
};

struct FakeSubject {
    fake: Mutex<Arc<Fake>>,
    routes: Arc<Routes>,
}

impl FakeSubject {
    fn fake(&self) -> Arc<Fake> {
        Arc::clone(&self.fake.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Subject for FakeSubject {
    fn engine(&self) -> SharedEngine {
        self.fake()
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    fn formation(&self, behaviour: Behaviour) -> Formation {
        let script = match behaviour {
            Behaviour::Serves => Script::healthy().logs(&LOG_LINES),
            Behaviour::Crashes => Script::ends(Ending::Exit(CRASH_CODE)).logs(&[LAST_WORDS]),
            Behaviour::Completes => Script::ends(Ending::Exit(0)),
            Behaviour::OutOfMemory => Script::ends(Ending::OutOfMemory),
            Behaviour::NeverHealthy => Script::never_healthy(),
        };
        let image = ImageRef::parse(&format!("{behaviour:?}:1").to_lowercase()).expect("a legal name");
        let port = Port::new(8080).expect("not 0");
        Formation {
            generation: 1,
            image: self.fake().put_image(&image, script),
            command: None,
            port,
            check: Check::Tcp(port),
            health_timeout: Seconds(5),
            size: Size { memory: MemoryMib::from_mib(32), cpu: CpuMillis::from_millis(100) },
            demand: 1,
            stand_ins: 0,
            spot: 0,
            restart: Restart::Always,
            lifecycle: Lifecycle { drain_timeout: Seconds(30), stop_timeout: Seconds(5) },
            confinement: Confinement::default(),
            public: false,
            variables: Vec::new(),
            version: "1".to_owned(),
        }
    }

    async fn kill(&self, instance: &InstanceKey) {
        assert!(self.fake().end(instance, Ending::Exit(137)), "{instance} does not run");
    }

    async fn pass(&self) {
        self.fake().tick();
    }

    fn patience(&self) -> u32 {
        200
    }

    async fn reopen(&self) {
        self.routes.restart();
        let fresh = self.fake().restarted(self.routes.clone());
        *self.fake.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    fn left_over(&self) -> Vec<String> {
        let used = self.fake().capacity().map_or(0, |capacity| capacity.used.mib());
        if used == 0 { Vec::new() } else { vec![format!("{used} MiB")] }
    }
}

fn run(test: Test) {
    let routes = Arc::new(Routes::default());
    let fake = Fake::new(MemoryMib::from_mib(256), routes.clone());
    let subject = FakeSubject { fake: Mutex::new(fake), routes };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(test(&subject));
}

conformance_tests!(run);
