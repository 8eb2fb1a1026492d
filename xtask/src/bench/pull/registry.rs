//! Debian's `docker-registry` on the loopback, with the image in it and its access log.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::BenchError;
use super::ground::Ground;
use crate::command::{CommandError, succeed};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Registry {
    child: Child,
    host: String,
    log: PathBuf,
}

impl Registry {
    pub fn start(ground: &Ground) -> Result<Self, BenchError> {
        let run = |source| CommandError::Run { program: "docker-registry".to_owned(), source };
        // Freed again at once; nobody else is given it so soon.
        let host =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(run)?.to_string();
        let (config, log) = (ground.path("registry.yml"), ground.path("registry.log"));
        let data = ground.path("registry");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            data.display()
        );
        std::fs::write(&config, text).map_err(run)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.stdout(File::create(&log).map_err(run)?).spawn().map_err(run)?;
        let registry = Self { child, host, log };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(&registry.host).is_err() {
            if Instant::now() >= end {
                return Err(BenchError::Late { what: "docker-registry".to_owned(), seen: "nothing".to_owned() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    pub fn image(&self) -> String {
        format!("{}/bench:v1", self.host)
    }

    /// Puts an OCI layout into it.
    pub fn fill(&self, layout: &Path) -> Result<(), BenchError> {
        let (from, to) = (format!("oci:{}:v1", layout.display()), format!("docker://{}", self.image()));
        succeed(Command::new("skopeo").args(["copy", "--quiet", "--dest-tls-verify=false", &from, &to]))?;
        Ok(())
    }

    /// How often blobs were asked for so far.
    pub fn blob_requests(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("\"GET /v2/") && line.contains("/blobs/")).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
