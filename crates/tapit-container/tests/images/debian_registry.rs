//! The registry of Debian's package `docker-registry`, on a port and in a directory of its own, with what it was asked.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tapit_model::ImageRef;

pub struct Registry {
    child: Child,
    pub host: String,
    log: PathBuf,
    dir: tempfile::TempDir,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With more settings; `DIR` in them is the directory of its own.
    pub fn start_with(settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        // Freed again at once; nobody else is given it so soon.
        let host = TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address").to_string();
        let (config, log) = (dir.path().join("config.yml"), dir.path().join("access.log"));
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {dir}/data\nhttp:\n  addr: {host}\n{}",
            settings.replace("DIR", &dir.path().display().to_string()),
            dir = dir.path().display()
        );
        std::fs::write(&config, text).expect("config");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is needed: apt-get install docker-registry");
        let registry = Self { child, host, log, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.host).is_err() {
            assert!(Instant::now() < deadline, "the registry does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Writes a file into the directory of its own.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("written");
    }

    pub fn image(&self, rest: &str) -> ImageRef {
        ImageRef::parse(&format!("{}/{rest}", self.host)).expect("reference")
    }

    /// How many requests it has answered whose line begins so and holds that, such as `PUT` and `/blobs/`.
    pub fn answered(&self, method: &str, part: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).expect("log");
        let request = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let lines = log.lines().filter_map(request);
        lines.filter(|request| request.starts_with(method) && request.contains(part)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
