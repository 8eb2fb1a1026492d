//! The embedded engine as the suite wants it: a data directory, a runtime for each server, and a check of the host.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tapit_container::engine::{Embedded, EmbeddedConfig};
use tapit_container::instance::InstanceDir;
use tapit_engine::conformance::{Behaviour, CRASH_CODE, LAST_WORDS, Routes, Running, Subject, Test};
use tapit_engine::{Engine, SharedEngine};
use tapit_model::{
    Check, CommandLine, Confinement, CpuMillis, Formation, ImageRef, InstanceKey, Lifecycle, MemoryMib, PinnedImage,
    Port, Restart, Seconds, Size,
};

use crate::image;

const CAPACITY: MemoryMib = MemoryMib::from_mib(256);
const PASS: Duration = Duration::from_millis(10);
/// Some forty seconds: reached only by a test that fails.
const PATIENCE: u32 = 4_000;

pub struct Bed {
    data: tempfile::TempDir,
    engine: Mutex<Option<Arc<Embedded>>>,
    routes: Arc<Routes>,
    image: PinnedImage,
    spares: MemoryMib,
}

/// Makes an engine, runs the test on it, and clears the host, also when the test has failed.
pub fn run(test: Test) {
    run_own(|bed| test(bed));
}

/// The same for tests that know which engine it is.
pub fn run_own(test: impl for<'a> FnOnce(&'a Bed) -> Running<'a>) {
    run_with(MemoryMib::from_mib(0), test);
}

/// With memory for spares.
pub fn run_with(spares: MemoryMib, test: impl for<'a> FnOnce(&'a Bed) -> Running<'a>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let bed = runtime.block_on(Bed::new(spares));
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&bed))));
    let cleared = runtime.block_on(bed.clear());
    match outcome {
        Ok(()) => assert_eq!(cleared, Vec::<String>::new(), "left on the host"),
        Err(panic) => resume_unwind(panic),
    }
}

impl Bed {
    async fn new(spares: MemoryMib) -> Self {
        let data = tempfile::Builder::new().prefix("tapit-engine-").tempdir().expect("a directory");
        let routes = Arc::new(Routes::default());
        let engine = open(data.path(), &routes, spares).await;
        let archive = data.path().join("image.tar");
        image::write_archive(&archive);
        engine.images().import(&archive, None).await.expect("imports");
        let name = ImageRef::parse(image::NAME).expect("a legal name");
        let image = engine.prepare(&name).await.expect("is held").image;
        Self { data, engine: Mutex::new(Some(engine)), routes, image, spares }
    }

    pub fn embedded(&self) -> Arc<Embedded> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.clone().expect("an engine is open but for a moment of `reopen`")
    }

    pub fn instance_dir(&self, instance: &InstanceKey) -> InstanceDir {
        let (process, serial) = instance.id.as_str().rsplit_once('.').expect("PROCESS.SERIAL");
        let app = self.data.path().join("instances").join(instance.app.as_str());
        InstanceDir::new(app.join(process).join(serial))
    }

    /// Healthy once it has run for a second.
    pub fn shell(&self, script: &str) -> Formation {
        let command = CommandLine::parse(&format!("sh -c '{script}'")).expect("a legal command");
        Formation { command: Some(command), check: Check::Uptime(Seconds(1)), ..self.formation(Behaviour::Serves) }
    }

    /// The server dies.
    pub async fn close(&self) {
        let old = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            old.close().await;
        }
    }

    /// The next one opens the engine.
    pub async fn open(&self) {
        self.routes.restart();
        let fresh = open(self.data.path(), &self.routes, self.spares).await;
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    }

    /// Interfaces of instances on the host.
    pub fn veths(&self) -> Vec<String> {
        tapit_container::linux::net::list_veths(&self.tag()).expect("the host lists its interfaces")
    }

    /// What the engine remembers of its network.
    pub fn book(&self) -> PathBuf {
        self.data.path().join("network.json")
    }

    pub fn tag(&self) -> String {
        let network = std::fs::read_to_string(self.book()).expect("the network was remembered");
        let network: serde_json::Value = serde_json::from_str(&network).expect("readable");
        network["tag"].as_str().expect("has a tag").to_owned()
    }

    async fn clear(&self) -> Vec<String> {
        let torn_down = self.embedded().teardown().await;
        let mut left = self.left_over();
        left.extend(torn_down.err().map(|error| format!("{error:?}")));
        left
    }
}

async fn open(data_dir: &Path, routes: &Arc<Routes>, spares_memory: MemoryMib) -> Arc<Embedded> {
    let config = EmbeddedConfig {
        data_dir: data_dir.to_owned(),
        exe: PathBuf::from(env!("CARGO_BIN_EXE_tapit-container-child")),
        capacity: Some(CAPACITY),
        spares_memory,
        reserve_memory: Some(MemoryMib::from_mib(0)),
        traffic: routes.clone(),
    };
    Embedded::open(config).await.expect("the engine opens; it needs root")
}

#[async_trait]
impl Subject for Bed {
    fn engine(&self) -> SharedEngine {
        self.embedded()
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    fn formation(&self, behaviour: Behaviour) -> Formation {
        let script = match behaviour {
            Behaviour::Serves => "for i in 1 2 3 4 5; do echo line $i; done; exec httpd -f -p $PORT -h /www".to_owned(),
            Behaviour::Crashes => format!("echo {LAST_WORDS}; exit {CRASH_CODE}"),
            Behaviour::Completes => "exit 0".to_owned(),
            Behaviour::OutOfMemory => "exec dd if=/dev/zero of=/dev/null bs=200M count=1".to_owned(),
            Behaviour::NeverHealthy => "exec sleep 1000".to_owned(),
        };
        let port = Port::new(8080).expect("not 0");
        Formation {
            generation: 1,
            image: self.image.clone(),
            command: Some(CommandLine::parse(&format!("sh -c '{script}'")).expect("a legal command")),
            port,
            check: Check::Tcp(port),
            health_timeout: Seconds(if behaviour == Behaviour::NeverHealthy { 1 } else { 60 }),
            size: Size { memory: MemoryMib::from_mib(32), cpu: CpuMillis::from_millis(250) },
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
        let record = self.instance_dir(instance).record().found().expect("the instance was started");
        kill(Pid::from_raw(record.init.pid), Signal::SIGKILL).expect("the instance runs");
    }

    async fn pass(&self) {
        tokio::time::sleep(PASS).await;
    }

    fn patience(&self) -> u32 {
        PATIENCE
    }

    async fn reopen(&self) {
        self.close().await;
        self.open().await;
    }

    /// By the tag that names everything of one data directory.
    fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        let tag = self.tag();
        let named =
            |dir: &str| names(Path::new(dir)).into_iter().filter(|name| name.contains(&tag)).collect::<Vec<_>>();
        left.extend(named("/sys/class/net"));
        for hierarchy in names(Path::new("/sys/fs/cgroup")) {
            left.extend(named(&format!("/sys/fs/cgroup/{hierarchy}")));
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
        let ours = self.data.path().display().to_string();
        left.extend(mounts.lines().filter(|line| line.contains(&ours)).map(str::to_owned));
        left.extend(processes_of(&ours));
        let instances = self.data.path().join("instances");
        left.extend(instances.exists().then(|| instances.display().to_string()));
        left
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Shims and monitors name their directory on their command lines.
fn processes_of(data_dir: &str) -> Vec<String> {
    let pids = names(Path::new("/proc")).into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let line = |pid: String| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(data_dir))
    };
    pids.filter_map(line).collect()
}
