//! A docker daemon for the bench alone: its own data, socket and network, gone at the end.
//!
//! Where `dockerd` is not installed there is none, and its rows are left out.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::rig::Rig;
use super::{BenchError, IMAGE};
use crate::command::{CommandError, succeed};

const PATIENCE: Duration = Duration::from_secs(30);
const BRIDGE: &str = "docker0";

pub struct Docker {
    daemon: Child,
    home: TempDir,
    _store: TempDir,
    /// The daemon makes the bridge and leaves it behind; one that was there before is somebody else's.
    made_bridge: bool,
}

/// A container, removed when it goes out of scope.
pub struct Container<'a> {
    docker: &'a Docker,
    pub id: String,
}

impl Docker {
    /// Starts one and loads the image into it; `None` where there is none to start.
    pub fn find(rig: &Rig) -> Result<Option<Self>, BenchError> {
        let Some(docker) = Self::launch(Path::new("/tmp"))? else { return Ok(None) };
        docker.run(&["load", "--quiet", "--input", &rig.archive().display().to_string()])?;
        Ok(Some(docker))
    }

    /// Starts one that keeps its images in a directory of its own below `near`; `None` where there is none to start.
    pub fn launch(near: &Path) -> Result<Option<Self>, BenchError> {
        let made = |source| BenchError::Image { source };
        let home = tempfile::Builder::new().prefix("tapit-dockerd-").tempdir_in("/tmp").map_err(made)?;
        let store = tempfile::Builder::new().prefix("tapit-dockerd-").tempdir_in(near).map_err(made)?;
        let path = |name: &str| home.path().join(name);
        let mut dockerd = Command::new("dockerd");
        dockerd.arg("--data-root").arg(store.path()).arg("--exec-root").arg(path("exec"));
        dockerd.arg("--pidfile").arg(path("pid")).arg("--host").arg(format!("unix://{}", path("sock").display()));
        // Its packet filter rules would stay behind; the published port is served by its proxy without them.
        dockerd.args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"]);
        dockerd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let made_bridge = !Path::new("/sys/class/net").join(BRIDGE).exists();
        let Ok(daemon) = dockerd.spawn() else {
            println!("dockerd is not installed, so its rows are left out");
            return Ok(None);
        };
        let docker = Self { daemon, home, _store: store, made_bridge };
        let end = Instant::now() + PATIENCE;
        while let Err(error) = docker.run(&["info"]) {
            if Instant::now() >= end {
                println!("dockerd does not get ready, so its rows are left out: {error}");
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(Some(docker))
    }

    pub fn run(&self, arguments: &[&str]) -> Result<String, BenchError> {
        Ok(succeed(&mut self.command(arguments))?)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).args(arguments);
        command
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.home.path().join("sock").display())
    }

    /// `docker run --detach` with these arguments.
    pub fn start(&self, arguments: &[&str]) -> Result<Container<'_>, BenchError> {
        let id = self.run(&[&["run", "--detach", "--memory", "32m"], arguments].concat())?;
        Ok(Container { docker: self, id })
    }

    /// From `docker run` to the first answer.
    pub fn first_answer(&self) -> Result<Duration, BenchError> {
        let to = free_port()?;
        let begun = Instant::now();
        let container = self.start(&["--publish", &format!("{to}:8080"), IMAGE])?;
        super::answer::first(to, "localhost")?;
        let time = begun.elapsed();
        drop(container);
        Ok(time)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Its end is waited for below; the standard library only knows SIGKILL.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
        if self.made_bridge {
            // A bridge without ports is a nuisance, not a failure.
            let _ = Command::new("ip").args(["link", "delete", BRIDGE]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.docker.run(&["rm", "--force", &self.id]);
    }
}

/// Another program may take it before docker does; then that round fails and says so.
fn free_port() -> Result<SocketAddr, BenchError> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.map_err(|source| CommandError::Run { program: "docker".to_owned(), source })?)
}
