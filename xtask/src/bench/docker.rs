//! The same image started by a docker daemon, where there is one: from `docker run` to the first answer.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::rig::{self, Rig};
use super::{BenchError, IMAGE};

/// The image is loaded; it is removed at the end.
pub struct Docker;

/// A container, removed when it goes out of scope.
struct Container(String);

impl Docker {
    /// Loads the image, if a daemon answers.
    pub fn find(rig: &Rig) -> Result<Option<Self>, BenchError> {
        let info = Command::new("docker").arg("info").stdin(Stdio::null()).output();
        if !info.is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        docker(&["load", "--quiet", "--input", &rig.archive().display().to_string()])?;
        Ok(Some(Self))
    }

    pub fn start(&self) -> Result<Duration, BenchError> {
        let to = free_port()?;
        let publish = format!("{to}:8080");
        let begun = Instant::now();
        let container = Container(docker(&["run", "--detach", "--memory", "32m", "--publish", &publish, IMAGE])?);
        super::first_answer(to, "localhost")?;
        let time = begun.elapsed();
        drop(container);
        Ok(time)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // What stays is an image in somebody's daemon: a nuisance, not a failure.
        let _ = docker(&["image", "rm", "--force", IMAGE]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", &self.0]);
    }
}

/// Another program may take it before docker does; then that round fails and says so.
fn free_port() -> Result<SocketAddr, BenchError> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map_err(|source| BenchError::Run { program: "docker".to_owned(), source })
}

fn docker(arguments: &[&str]) -> Result<String, BenchError> {
    let mut command = Command::new("docker");
    command.args(arguments);
    rig::succeed(command, &format!("docker {}", arguments.join(" ")))
}
