//! A server of a test's own, with everything that it ever makes removed at the end, and a check that it is.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::cli::{self, Answer, Shell};
use super::{http, images, leaks};

/// From the exec of the program to its ready line.
const READY: Duration = Duration::from_secs(20);
/// Ending includes stopping instances, when it was asked to leave nothing.
const ENDING: Duration = Duration::from_secs(60);

pub struct Server {
    home: TempDir,
    data: PathBuf,
    flags: Vec<String>,
    /// What callers on TCP must give; empty: none was set.
    token: String,
    child: Option<Child>,
    http: SocketAddr,
    api: String,
    ready_after: Duration,
    /// Of the data directory's kernel objects; known once a server has run.
    tag: String,
    /// It removed everything itself, so there is nothing to tear down.
    removed: bool,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further flags.
    pub fn with(flags: &[&str]) -> Self {
        Self::with_token("", flags)
    }

    /// With a token that callers on TCP must give.
    pub fn with_token(token: &str, flags: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("tapit-e2e-").tempdir_in("/tmp").expect("a temporary directory");
        let data = home.path().join("data");
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            home,
            data,
            flags,
            token: token.to_owned(),
            child: None,
            http: nowhere,
            api: String::new(),
            ready_after: Duration::ZERO,
            tag: String::new(),
            removed: false,
        };
        server.run();
        server.tag = leaks::tag(&server.data);
        server
    }

    /// With the images of the tests imported.
    pub fn with_images(flags: &[&str]) -> Self {
        let server = Self::with(flags);
        server.tapit(&format!("import image {}", images::archive().display())).ok();
        server
    }

    /// Starts the program and waits until it says that it is ready. A later start gets the same HTTP port.
    fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tapit"))
            .arg("server")
            .arg("--data-dir")
            .arg(&self.data)
            .args(["--http", &self.http.to_string()])
            .args(&self.flags)
            .env("TAPIT_TOKEN", &self.token)
            // Most tests count what there is; those of spares ask for them with the flag.
            .env("TAPIT_SPARES_MEMORY", "0")
            // What else runs on this machine is nothing that a test should hang on.
            .env("TAPIT_RESERVE_MEMORY", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server program");
        let stdout = child.stdout.take().expect("a pipe");
        self.child = Some(child);
        let (send, receive) = mpsc::channel();
        // Goes on reading, so that the server never writes into a closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let line = receive.recv_timeout(READY).unwrap_or_else(|_| panic!("the server is not ready\n{}", self.log()));
        self.ready_after = begun.elapsed();
        let value = |key: &str| {
            let found = line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("the ready line has no {key}: {line}")).to_owned()
        };
        assert!(line.starts_with("tapit ready "), "{line}");
        assert_eq!(value("engine"), "embedded");
        self.http = value("http").parse().expect("an address");
        self.api = value("api");
    }

    /// Ends the server with no chance to tidy up.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("a running server");
        child.kill().expect("the server can be killed");
        child.wait().expect("the server can be waited for");
    }

    /// Asks the server to end, and waits until it has.
    pub fn sigterm(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running server");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("the server can be signalled");
        match cli::wait(&mut child, ENDING) {
            Some(status) => status,
            None => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not end within {ENDING:?} of SIGTERM\n{}", self.log());
            }
        }
    }

    /// Starts it again. Answers how long it took to be ready.
    pub fn restart(&mut self) -> Duration {
        assert!(self.child.is_none(), "it runs");
        self.run();
        self.ready_after
    }

    /// Starts it again with another set of flags.
    pub fn restart_with(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.restart();
    }

    /// Types `tapit LINE`.
    #[track_caller]
    pub fn tapit(&self, line: &str) -> Answer {
        self.shell(&[]).type_line(&format!("tapit {line}"))
    }

    pub fn shell<'a>(&'a self, environment: &'a [(&'a str, &'a str)]) -> Shell<'a> {
        Shell { directory: self.home.path(), data: &self.data, environment }
    }

    /// `show process` of the only app.
    #[track_caller]
    pub fn show(&self, process: &str) -> Value {
        self.tapit(&format!("show process name={process} -o json")).ok().json()
    }

    #[track_caller]
    pub fn get(&self, host: &str, path: &str) -> http::Response {
        http::get(self.http, host, path)
            .unwrap_or_else(|error| panic!("GET http://{host}{path}: {error}\n{}", self.log()))
    }

    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn api(&self) -> &str {
        &self.api
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    /// The end of what the server said.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Says that an ephemeral server has ended and so removed everything.
    pub fn expect_nothing_left(&mut self) {
        self.removed = true;
        leaks::assert_none(&self.tag, &self.data);
    }

    /// `tapit teardown` as the test's last act; also done when the server goes out of scope.
    pub fn teardown(&mut self) {
        let answer = self.tapit(&format!("teardown --data-dir {} --force", self.data.display()));
        self.reap();
        assert!(answer.code == 0, "teardown\n{answer}\n{}", self.log());
        self.expect_nothing_left();
    }

    /// The teardown ended the program; nobody else waits for it.
    fn reap(&mut self) {
        if let Some(mut child) = self.child.take()
            && cli::wait(&mut child, Duration::from_secs(5)).is_none()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            if !self.removed {
                self.teardown();
            }
            return;
        }
        eprintln!("the server's log ends:\n{}", self.log());
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The test has failed for a reason of its own; whatever goes wrong here must not hide it.
        let teardown = Command::new(env!("CARGO_BIN_EXE_tapit"))
            .args(["teardown", "--force", "--data-dir"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .output();
        if let Ok(output) = teardown
            && !output.status.success()
        {
            eprintln!("teardown: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
