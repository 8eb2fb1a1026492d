//! What the tests share: a directory, a parent cgroup and an image layer of their own, gone when the test ends, however it
//! ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tapit_container::instance::{
    EtcFiles, IdRange, InstanceDir, LaunchError, LogBounds, Order, Running, StopSignal, WaitOutcome, launch,
};
use tapit_container::linux::cgroup::{CgroupPath, Root};
use tapit_model::{AppName, CpuMillis, Exit, InstanceId, InstanceKey, InstanceKind, MemoryMib, ProcessName, Size};

pub const EXE: &str = env!("CARGO_BIN_EXE_tapit-container-child");

/// Longer than anything here takes; reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Any range will do: ids need not be anybody's.
pub const IDS: IdRange = IdRange { base: 0x5000_0000 };

const APPLETS: [&str; 25] = [
    "cat", "chmod", "dd", "echo", "false", "grep", "head", "hostname", "id", "ip", "kill", "ls", "mkdir", "mknod",
    "nc", "ps", "pwd", "readlink", "seq", "sh", "sleep", "tail", "touch", "true", "yes",
];

pub struct Host {
    dir: tempfile::TempDir,
    pub root: Root,
    serial: AtomicU64,
}

pub struct Instance {
    pub dir: InstanceDir,
    pub order: Order,
    pub running: Running,
}

impl Host {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tapit-instance-").tempdir().expect("a directory");
        let name: String = dir.path().file_name().expect("has a name").to_string_lossy().into_owned();
        let root = Root::ensure(&name).expect("a cgroup");
        make_layer(&dir.path().join("layer"));
        Self { dir, root, serial: AtomicU64::new(0) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn layer(&self) -> PathBuf {
        self.path().join("layer")
    }

    /// A layer of a test's own, to be put above the common one.
    pub fn empty_layer(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).expect("a directory");
        path
    }

    pub fn order(&self, argv: &[&str]) -> (InstanceDir, Order) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) + 1;
        let process = ProcessName::parse("web").expect("is a name");
        let id = InstanceId::of_serial(&process, serial);
        let order = Order {
            key: InstanceKey { app: AppName::parse("shop").expect("is a name"), id },
            process,
            kind: InstanceKind::Demand,
            generation: 1,
            slot: 0,
            serial,
            restarts: 0,
            layers: vec![self.layer()],
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: vec![("GREETING".to_owned(), "hello".to_owned())],
            cwd: String::new(),
            user: String::new(),
            ids: Some(IDS),
            cap_add: Default::default(),
            hostname: format!("web-{serial}"),
            size: Size { memory: MemoryMib::from_mib(64), cpu: CpuMillis::from_millis(1000) },
            pids: 1024,
            cpu_weight: 100,
            oom_score_adj: 100,
            stop_signal: StopSignal::TERM,
            network: None,
            cgroup: self.root.leaf(&format!("shop.web.{serial}")).expect("is a path"),
            log: LogBounds::default(),
            etc: EtcFiles {
                hosts: "127.0.0.1 localhost\n".to_owned(),
                resolv_conf: "nameserver 10.0.0.1\n".to_owned(),
                hostname: format!("web-{serial}\n"),
            },
        };
        let dir = InstanceDir::new(self.instances().join(serial.to_string()));
        dir.create().expect("makes its directory");
        (dir, order)
    }

    fn instances(&self) -> PathBuf {
        self.path().join("instances")
    }

    pub async fn try_start(&self, dir: InstanceDir, order: Order) -> Result<Instance, LaunchError> {
        let running = launch(Path::new(EXE), &dir, &order).await?;
        Ok(Instance { dir, order, running })
    }

    pub async fn start(&self, dir: InstanceDir, order: Order) -> Instance {
        self.try_start(dir, order).await.expect("starts")
    }

    /// Runs a script of the container's shell.
    pub async fn shell(&self, script: &str) -> Instance {
        let (dir, order) = self.order(&["sh", "-c", script]);
        self.start(dir, order).await
    }

    /// Runs a script to its end; answers its exit and the text of its output.
    pub async fn run(&self, script: &str) -> (Exit, Vec<String>) {
        let instance = self.shell(script).await;
        let exit = instance.exit().await;
        (exit, instance.texts())
    }

    /// All that the kernel and the disk still hold of instances: cgroups and directories.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let children = |path: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()).collect()
        };
        let groups = children(Path::new("/sys/fs/cgroup")).into_iter().map(|mount| mount.join(self.root.name()));
        groups.chain([self.instances()]).flat_map(|parent| children(&parent)).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let entries = fs::read_dir(self.instances()).into_iter().flatten().flatten();
        let removed: Vec<_> = entries.filter_map(|entry| InstanceDir::new(entry.path()).remove().err()).collect();
        let root = self.root.remove();
        if !std::thread::panicking() {
            assert!(removed.is_empty() && root.is_ok(), "{removed:?} {root:?}");
        }
    }
}

impl Instance {
    pub async fn exit(&self) -> Exit {
        match tokio::time::timeout(PATIENCE, self.running.wait_exit()).await.expect("ends in time") {
            WaitOutcome::Exited(exit) => exit,
            WaitOutcome::Lost(text) => panic!("lost: {text}"),
        }
    }

    pub fn texts(&self) -> Vec<String> {
        self.dir.log_tail(10_000).into_iter().map(|line| line.text).collect()
    }

    /// Waits until it has written a line.
    pub async fn wrote(&self, text: &str) {
        eventually(&format!("writes {text:?}"), || self.texts().iter().any(|line| line == text)).await;
    }
}

/// Looks again and again until something is so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The directory of a cgroup where a controller is mounted, on v1 or v2.
pub fn cgroup_dir(controller: &str, path: &CgroupPath) -> PathBuf {
    let v1 = Path::new("/sys/fs/cgroup").join(controller);
    let mount = if v1.is_dir() { v1 } else { PathBuf::from("/sys/fs/cgroup") };
    mount.join(&path.as_str()[1..])
}

/// A root filesystem with nothing but busybox in it.
fn make_layer(layer: &Path) {
    for name in ["bin", "etc", "tmp", "root"] {
        fs::create_dir_all(layer.join(name)).expect("a directory");
    }
    fs::set_permissions(layer.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    fs::copy("/bin/busybox", layer.join("bin/busybox")).expect("Debian's busybox-static is installed");
    for applet in APPLETS {
        symlink("busybox", layer.join("bin").join(applet)).expect("a link");
    }
    fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n").expect("a file");
    fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:77:app\n").expect("a file");
}
