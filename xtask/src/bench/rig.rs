//! A server of the release binary with one image, for as long as the bench runs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::image::{self, Image};
use super::{BenchError, IMAGE};

pub struct Rig {
    home: TempDir,
    program: PathBuf,
    archive: PathBuf,
    server: Child,
    http: SocketAddr,
}

impl Rig {
    pub fn start(root: &Path) -> Result<Self, BenchError> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let program = target.join("release/tapit");
        let made = |source| BenchError::Image { source };
        let home = tempfile::Builder::new().prefix("tapit-bench-").tempdir_in("/tmp").map_err(made)?;
        let web = image::web_program(&root.join("examples/web/main.rs"), home.path()).map_err(made)?;
        let config = json!({"Cmd": ["/bin/web"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}});
        let archive = home.path().join("image.tar");
        let layer = image::layer(&web).map_err(made)?;
        image::archive(&archive, &layer, &[Image { name: IMAGE, config }]).map_err(made)?;
        let mut server = Command::new(&program)
            .args(["server", "--http", "127.0.0.1:0", "--ephemeral", "--data-dir"])
            .arg(home.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| BenchError::Run { program: program.display().to_string(), source })?;
        let http = ready(&mut server);
        // From here on the guard ends the server, whatever happens.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut rig = Self { home, program, archive, server, http: nowhere };
        rig.http = http?;
        rig.tapit(&format!("import image {}", rig.archive.display()))?;
        Ok(rig)
    }

    /// Runs one command; words are separated by spaces.
    pub fn tapit(&self, line: &str) -> Result<(), BenchError> {
        let mut command = Command::new(&self.program);
        command.args(line.split(' ')).env("TAPIT_DATA_DIR", self.data());
        command.env_remove("TAPIT_APP").env_remove("TAPIT_BASEURL");
        succeed(command, &format!("tapit {line}")).map(drop)
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

/// The router's address, from the line that says that the server is ready.
fn ready(server: &mut Child) -> Result<SocketAddr, BenchError> {
    let mut line = String::new();
    if let Some(stdout) = server.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut line);
        read.map_err(|source| BenchError::Run { program: "tapit server".to_owned(), source })?;
    }
    let address = line.split(' ').find_map(|word| word.strip_prefix("http=")).and_then(|text| text.parse().ok());
    address.ok_or(BenchError::NotReady { line })
}

/// Runs a program in a directory and shows what it prints.
pub fn run(program: &str, arguments: &[&str], directory: &Path) -> Result<(), BenchError> {
    let line = format!("{program} {}", arguments.join(" "));
    let status = Command::new(program).args(arguments).current_dir(directory).status();
    match status.map_err(|source| BenchError::Run { program: program.to_owned(), source })? {
        status if status.success() => Ok(()),
        status => Err(BenchError::Failed { line, text: status.to_string() }),
    }
}

/// Runs a command that must succeed. Answers what it printed.
pub fn succeed(mut command: Command, line: &str) -> Result<String, BenchError> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| BenchError::Run { program: line.to_owned(), source })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BenchError::Failed { line: line.to_owned(), text });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
