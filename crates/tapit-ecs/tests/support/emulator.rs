//! The emulator's process: started for the first test that needs it, ended after the last one that holds it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::docker;
use super::plain_http;

/// From its start to its first answer: a second on an idle machine.
const READY: Duration = Duration::from_secs(40);
/// It removes its containers when it ends, each with a few seconds of grace.
const ENDING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Somebody else may take a port between our look and the emulator's.
const TRIES: usize = 3;
const SERVICES: &str = "ecs,elbv2,ecr,ec2,logs,sts,iam";
/// By this name containers are known to be of an emulator of ours.
const NAME: &str = "tapit-tests";
pub const REGION: &str = "us-east-1";

pub struct Emulator {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Emulator {
    /// The one of this test binary. `Err` says what is missing.
    pub fn shared() -> Result<Arc<Self>, String> {
        static CURRENT: Mutex<Weak<Emulator>> = Mutex::new(Weak::new());
        // A test that failed while it started one leaves nothing half-done here.
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = current.upgrade() {
            return Ok(running);
        }
        docker::answers()?;
        let program = program()?;
        sweep();
        let mut why = String::new();
        for _ in 0..TRIES {
            match Self::start(&program) {
                Ok(started) => {
                    let started = Arc::new(started);
                    *current = Arc::downgrade(&started);
                    return Ok(started);
                }
                Err(error) => why = error,
            }
        }
        panic!("the emulator of AWS does not start: {why}");
    }

    fn start(program: &Path) -> Result<Self, String> {
        let home = tempfile::Builder::new().prefix("tapit-aws-").tempdir_in("/tmp").expect("a temporary directory");
        let address = free_port();
        let child = spawn(program, &home, address);
        let mut emulator = Self { child, address, home };
        let end = Instant::now() + READY;
        while Instant::now() < end {
            if plain_http::get(address, "/_ministack/health").is_ok_and(|answer| answer.status == 200) {
                return Ok(emulator);
            }
            if emulator.child.try_wait().expect("the emulator can be waited for").is_some() {
                break;
            }
            std::thread::sleep(LOOK);
        }
        Err(emulator.log())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The label that all of its containers carry, and no other's.
    pub fn label(&self) -> String {
        format!("ministack.instance={NAME}:{}", self.address.port())
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // One that has ended already is not there to be signalled.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let end = Instant::now() + ENDING;
        while Instant::now() < end && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
        let left = docker::containers(&self.label()).unwrap_or_default();
        for container in &left {
            let _ = docker::remove(&container.id);
        }
        if !std::thread::panicking() {
            assert!(left.is_empty(), "the emulator left containers: {left:?}\n{}", self.log());
        }
    }
}

/// Removes what an emulator has left that was killed while it started a container: nobody listens on its port any more.
fn sweep() {
    for container in docker::containers("ministack.instance").unwrap_or_default() {
        let port = container.emulator.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(':')?.parse::<u16>().ok());
        if port.is_some_and(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()) {
            // Another test binary may be about to remove it as well.
            let _ = docker::remove(&container.id);
        }
    }
}

/// Where `scripts/aws-emulator` has put it.
fn program() -> Result<PathBuf, String> {
    let from_here = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        target.join("aws-emulator/venv")
    };
    let venv = std::env::var_os("TAPIT_AWS_VENV").map_or_else(from_here, PathBuf::from);
    let program = venv.join("bin/ministack");
    if program.exists() { Ok(program) } else { Err(format!("no {}: scripts/aws-emulator makes it", program.display())) }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

/// It is told to end when this process ends, however that happens: `setpriv` asks the kernel for it. The kernel means the
/// thread that made the process, so one makes it that stays.
fn spawn(program: &Path, home: &TempDir, address: SocketAddr) -> Child {
    let log = File::create(home.path().join("log")).expect("a log file");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command.env("BIND_HOST", address.ip().to_string()).env("GATEWAY_PORT", address.port().to_string());
    command.env("SERVICES", SERVICES).env("IOT_MTLS_ENABLED", "0").env("SFTP_ENABLED", "0");
    command.env("MINISTACK_HOSTNAME", NAME).env("MINISTACK_REGION", REGION);
    command.env("TMPDIR", home.path()).env("HOME", home.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("its log file")).stderr(log);
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody waits for an answer any more once the test has failed.
        let _ = send.send(command.spawn());
        loop {
            std::thread::park();
        }
    });
    receive.recv().expect("a thread that starts it").expect("setpriv and the emulator run")
}
