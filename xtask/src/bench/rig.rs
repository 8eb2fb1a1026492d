//! A server of the release binary with one image, for as long as the bench runs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BenchError, IDLE_IMAGE, IMAGE};
use crate::command::{CommandError, succeed};
use crate::image::{self, Image};

pub struct Rig {
    home: TempDir,
    program: PathBuf,
    archive: PathBuf,
    server: Child,
    http: SocketAddr,
}

impl Rig {
    pub fn start(root: &Path) -> Result<Self, BenchError> {
        let program = release(root);
        let made = |source| BenchError::Image { source };
        let home = tempfile::Builder::new().prefix("tapit-bench-").tempdir_in("/tmp").map_err(made)?;
        let web = image::web_program(&root.join("examples/web/main.rs"), home.path()).map_err(made)?;
        let config = json!({"Cmd": ["/bin/web"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}});
        let archive = home.path().join("image.tar");
        let layer = image::layer(&web).map_err(made)?;
        let idle = json!({"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"]});
        let images = [Image { name: IMAGE, config }, Image { name: IDLE_IMAGE, config: idle }];
        image::archive(&archive, &layer, &images).map_err(made)?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = server(&program, &home.path().join("data"), nowhere)?;
        // From here on the guard ends the server, whatever happens.
        let mut rig = Self { home, program, archive, server, http: nowhere };
        rig.http = ready(&mut rig.server)?;
        rig.tapit(&format!("import image {}", rig.archive.display()))?;
        Ok(rig)
    }

    /// Runs one command; words are separated by spaces.
    pub fn tapit(&self, line: &str) -> Result<(), BenchError> {
        self.words(&line.split(' ').collect::<Vec<_>>()).map(drop)
    }

    /// Runs one command; answers what it prints.
    pub fn words(&self, words: &[&str]) -> Result<String, BenchError> {
        let mut command = Command::new(&self.program);
        command.args(words).env("TAPIT_DATA_DIR", self.data());
        command.env_remove("TAPIT_APP").env_remove("TAPIT_BASEURL");
        Ok(succeed(&mut command)?)
    }

    /// The answer of a command in JSON.
    pub fn json(&self, line: &str) -> Result<Value, BenchError> {
        let words: Vec<&str> = line.split(' ').chain(["-o", "json"]).collect();
        let text = self.words(&words)?;
        serde_json::from_str(&text).map_err(|error| BenchError::Late { what: line.to_owned(), seen: error.to_string() })
    }

    /// How many instances of an app's `default` are healthy.
    pub fn healthy(&self, app: &str) -> Result<usize, BenchError> {
        let shown = self.json(&format!("-a {app} show process name=default"))?;
        let instances = shown["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(instances.iter().filter(|one| one["state"] == "healthy").count())
    }

    /// The six digits after which the server names its kernel objects.
    pub fn tag(&self) -> Result<String, BenchError> {
        let path = self.data().join("network.json");
        let text = std::fs::read_to_string(&path).map_err(|source| BenchError::Read { path, source })?;
        let network: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(network["tag"].as_str().unwrap_or_default().to_owned())
    }

    /// Seconds of cpu that the server has taken.
    pub fn server_cpu(&self) -> Result<f64, BenchError> {
        let path = PathBuf::from(format!("/proc/{}/stat", self.server.id()));
        let text = std::fs::read_to_string(&path).map_err(|source| BenchError::Read { path, source })?;
        // Behind the name, which may hold anything: user and system time are fields 14 and 15, in hundredths.
        let rest = text.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
    }

    /// Ends the server with no chance to tidy up, and starts it again at once.
    pub fn kill_and_restart(&mut self) -> Result<(), BenchError> {
        // A server that has ended by itself cannot be killed; what matters is the next one.
        let _ = self.server.kill();
        let _ = self.server.wait();
        self.server = server(&self.program, &self.data(), self.http)?;
        self.http = ready(&mut self.server)?;
        Ok(())
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn archive(&self) -> &Path {
        &self.archive
    }

    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn server_pid(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // SIGTERM lets an ephemeral server remove what it made; the standard library only knows SIGKILL.
        let told = Command::new("kill").arg(self.server.id().to_string()).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// The release binary.
pub fn release(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release/tapit")
}

fn server(program: &Path, data: &Path, http: SocketAddr) -> Result<Child, BenchError> {
    let mut server = Command::new(program);
    server.args(["server", "--http", &http.to_string(), "--ephemeral", "--data-dir"]).arg(data);
    server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(server.spawn().map_err(|source| CommandError::Run { program: program.display().to_string(), source })?)
}

/// The router's address, from the line that says that the server is ready.
fn ready(server: &mut Child) -> Result<SocketAddr, BenchError> {
    let mut line = String::new();
    if let Some(stdout) = server.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut line);
        read.map_err(|source| CommandError::Run { program: "tapit server".to_owned(), source })?;
    }
    let address = line.split(' ').find_map(|word| word.strip_prefix("http=")).and_then(|text| text.parse().ok());
    address.ok_or(BenchError::NotReady { line })
}
