//! A server of ours with nothing in it, and what it and its helpers take while it pulls.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::BenchError;
use crate::command::{CommandError, succeed};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

pub struct Server {
    program: PathBuf,
    data: PathBuf,
    child: Child,
}

impl Server {
    pub fn start(program: &Path, data: &Path) -> Result<Self, BenchError> {
        let mut command = Command::new(program);
        command.args(["server", "--http", "127.0.0.1:0", "--ephemeral", "--data-dir"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let run = |source| CommandError::Run { program: program.display().to_string(), source };
        let child = command.spawn().map_err(run)?;
        let mut server = Self { program: program.to_owned(), data: data.to_owned(), child };
        let mut line = String::new();
        if let Some(stdout) = server.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(run)?;
        }
        if line.contains("http=") { Ok(server) } else { Err(BenchError::NotReady { line }) }
    }

    pub fn pull(&self, image: &str) -> Result<(), BenchError> {
        let mut command = Command::new(&self.program);
        command.args(["pull", "image", image]).env("TAPIT_DATA_DIR", &self.data);
        succeed(command.env_remove("TAPIT_APP").env_remove("TAPIT_BASEURL"))?;
        Ok(())
    }

    pub fn watch(&self) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let (server, ended) = (self.child.id(), over.clone());
        let looking = std::thread::spawn(move || {
            let mut peak = Peak::default();
            while !ended.load(Ordering::SeqCst) {
                peak.look(server);
                std::thread::sleep(LOOK);
            }
            peak
        });
        Watch { over, looking }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM lets an ephemeral server remove what it made; the standard library only knows SIGKILL.
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// The most that was seen, in KiB. A peak between two looks is missed where they are added up, but not in the resident
/// peaks, which the kernel keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peak {
    pub together: u64,
    pub server: u64,
    pub helper: u64,
    pub helpers: usize,
}

impl Peak {
    fn look(&mut self, server: u32) {
        let helpers = children(server);
        let shares = helpers.iter().chain([&server]).map(|pid| field(*pid, "smaps_rollup", "Pss:"));
        self.together = self.together.max(shares.sum());
        self.server = self.server.max(field(server, "status", "VmHWM:"));
        let resident = helpers.iter().map(|pid| field(*pid, "status", "VmHWM:")).max();
        self.helper = self.helper.max(resident.unwrap_or(0));
        self.helpers = self.helpers.max(helpers.len());
    }
}

/// A watch over a server's memory.
pub struct Watch {
    over: Arc<AtomicBool>,
    looking: JoinHandle<Peak>,
}

impl Watch {
    pub fn ended(self) -> Peak {
        self.over.store(true, Ordering::SeqCst);
        self.looking.join().unwrap_or_default()
    }
}

/// The processes that any thread of a process has started.
fn children(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let text = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads.map(text).flat_map(|line| line.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>()).collect()
}

/// A field in KiB; 0 of a process that has ended.
fn field(pid: u32, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().strip_suffix("kB").and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}
