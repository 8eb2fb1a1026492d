//! A server on an account of its own: started, killed, started again, and asked to leave nothing.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::cli::{self, Answer, Shell};
use super::load::Load;
use super::{http, images};
use crate::support::Account;

/// From the exec of the program to its ready line; the first calls to the account are made meanwhile.
const READY: Duration = Duration::from_secs(30);
const ENDING: Duration = Duration::from_secs(20);

pub struct Server {
    // Dropped last: the account outlives its server.
    home: TempDir,
    data: PathBuf,
    child: Option<Child>,
    torn_down: bool,
    account: Account,
}

impl Server {
    /// With the images of the tests imported; `None` where there is no emulator.
    pub fn with_images() -> Option<Self> {
        let account = Account::open()?;
        let home = tempfile::Builder::new().prefix("tapit-ecs-").tempdir_in("/tmp").expect("a temporary directory");
        let data = home.path().join("data");
        let mut server = Self { home, data, child: None, torn_down: false, account };
        server.start();
        server.tapit(&format!("import image {}", images::archive().display())).ok();
        Some(server)
    }

    /// Starts the program and waits until it says that it is ready.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let mut child = self
            .program()
            .args(["server", "--engine", "ecs", "--http", "127.0.0.1:0", "--ecs-domain", "example.com"])
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
        assert!(line.starts_with("tapit ready ") && line.ends_with("engine=ecs"), "{line}");
    }

    /// The program with the account's environment and no other of AWS.
    pub fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapit"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("TAPIT_DATA_DIR", &self.data).envs(self.account.environment());
        command.current_dir(self.home.path());
        command
    }

    /// Ends the server with no chance to tidy up.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("a running server");
        child.kill().expect("the server can be killed");
        child.wait().expect("the server can be waited for");
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

    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A request to the app through its load balancer.
    #[track_caller]
    pub fn get(&self, app: &str, path: &str) -> http::Response {
        let (host, root) = self.place(app);
        http::get(self.account.address(), &host, &format!("{root}{path}"))
            .unwrap_or_else(|error| panic!("GET {path} of {host}: {error}\n{}", self.log()))
    }

    /// Requests to the app through its load balancer that keep coming.
    pub fn load(&self, app: &str) -> Load {
        let (host, root) = self.place(app);
        Load::start_at(self.account.address(), &host, &format!("{root}/"))
    }

    /// The host of the address that the app is said to have, and the path below which the emulator answers for it: none
    /// for the load balancer's own name, one with its name for all others.
    fn place(&self, app: &str) -> (String, String) {
        let shown = self.tapit(&format!("-a {app} show process name=default -o json")).ok().json();
        let host = shown["url"].as_str().and_then(|url| url.strip_prefix("http://"));
        let host = host.unwrap_or_else(|| panic!("no address: {shown:#}"));
        let answer = self.account.query("Action=DescribeLoadBalancers&Version=2015-12-01");
        let element = |name: &str| {
            let rest = answer.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split('<').next());
            rest.unwrap_or_else(|| panic!("no load balancer: {answer}"))
        };
        let is_own = element("DNSName").eq_ignore_ascii_case(host);
        let root = if is_own { String::new() } else { format!("/_alb/{}", element("LoadBalancerName")) };
        (host.to_owned(), root)
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

    /// `tapit teardown` as the test's last act, after which nothing is left; also done when the server goes out of scope.
    pub fn teardown(&mut self) {
        self.torn_down = true;
        let line = format!("tapit teardown --data-dir {} --force", self.data.display());
        let environment = self.account.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = self.shell(&environment).type_line(&line);
        self.reap();
        assert!(answer.code == 0, "teardown\n{answer}\n{}", self.log());
        self.account.assert_empty();
        let refused = self.account.strict().take_refused();
        println!("refused as AWS would: {refused:?}");
    }

    fn reap(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if cli::wait(&mut child, ENDING).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            if !self.torn_down {
                self.teardown();
            }
            return;
        }
        eprintln!("the server's log ends:\n{}", self.log());
        eprintln!("refused as AWS would: {:#?}", self.account.strict().take_refused());
        if let Some(child) = &self.child
            && let Ok(pid) = i32::try_from(child.id())
        {
            // Whatever is left in the account goes with the account.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.reap();
    }
}
