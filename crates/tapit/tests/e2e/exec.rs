//! Commands in running instances: streams, statuses, terminals, signals, ends, and the walls around them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use sha2::{Digest, Sha256};

use crate::harness::{SMALL, Server, cli, holds, until, views};

/// No session of the tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker, which is confined like any other and has no port to be healthy on.
fn worker() -> Server {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=worker:v1 {SMALL} port=none -w")).ok();
    server
}

fn tapit(server: &Server) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapit"));
    command.env_clear().env("TAPIT_DATA_DIR", server.data()).env("TERM", "screen").current_dir(server.home());
    command
}

/// `tapit exec` with pipes. Killed with the test.
struct Session(Child);

impl Session {
    fn start(server: &Server, command: &str) -> Self {
        let mut tapit = tapit(server);
        tapit.args(["exec", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(tapit.spawn().expect("the program"))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).expect("a pid")), signal).expect("it can be signalled");
    }

    /// Its exit status; `None` when a signal ended the client itself.
    fn end(&mut self) -> Option<i32> {
        cli::wait(&mut self.0, PATIENCE).expect("it ends in time").code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What runs in the only instance, from outside of it: the command lines of all processes of its cgroup.
fn running(server: &Server) -> Vec<String> {
    let ps = server.tapit("exec 'busybox ps -o args'").ok().stdout;
    ps.lines().map(|line| line.trim().to_owned()).filter(|line| !line.contains("busybox ps")).collect()
}

fn until_running(server: &Server, line: &str) {
    until(20, &format!("running {line}"), || {
        let lines = running(server);
        holds(lines.iter().any(|one| one == line), lines.join("\n"))
    });
}

fn until_not_running(server: &Server, line: &str) {
    until(20, &format!("rid of {line}"), || {
        let lines = running(server);
        holds(!lines.iter().any(|one| one == line), lines.join("\n"))
    });
}

#[test]
fn the_exit_status_is_the_commands() {
    let server = worker();
    server.tapit("exec true").ok();
    for (command, status) in
        [("sh -c \"exit 3\"", 3), ("exit 255;", 255), ("no-such-program", 127), ("/etc/passwd", 126), ("/bin", 126)]
    {
        // The shell types the line, so the command is quoted for it.
        server.tapit(&format!("exec '{command}'")).exits(status);
    }
    server.tapit("exec no-such-program").exits(127).says("no such program");
    server.tapit("exec 'sh -c \"kill -TERM \\$\\$\"'").exits(143);
    server.tapit("exec name=default instance=default.1 'echo one two'").ok().says("one two");
    server.tapit("exec command='echo a=b'").ok().says("a=b");
    server.tapit("exec 'A=b; echo $A$HOME'").ok().says("b/root");
}

#[test]
fn what_cannot_be_run_is_refused_with_a_reason() {
    let server = worker();
    server.tapit("exec name=nope true").exits(3).says("default");
    server.tapit("exec instance=default.99 true").exits(3).says("default.1 (healthy)");
    server.tapit("exec").exits(2).says("'CMD'");
    server.tapit("exec ls /").exits(2).says("quote it");
    server.tapit("set process name=default demand_count=0 -w").ok();
    server.tapit("exec true").exits(4).says("no instance of process default is healthy");
}

#[test]
fn input_and_output_of_any_size_go_through_and_the_streams_stay_apart() {
    let server = worker();
    let mut block = Sha256::digest(b"seed").to_vec();
    while block.len() < 10 * 1024 * 1024 {
        let next = Sha256::digest(&block[block.len() - 32..]);
        block.extend(next);
    }
    let expected = Sha256::digest(&block);
    let mut session = Session::start(&server, "cat");
    let mut stdin = session.0.stdin.take().expect("a pipe");
    let feeder = std::thread::spawn(move || stdin.write_all(&block).expect("all of it is taken"));
    let mut came = Vec::new();
    session.0.stdout.take().expect("a pipe").read_to_end(&mut came).expect("readable");
    feeder.join().expect("the feeder ends");
    assert_eq!(session.end(), Some(0));
    assert_eq!((came.len(), Sha256::digest(&came)), (10 * 1024 * 1024, expected));
    let apart = server.tapit("exec 'echo out; echo err >&2'").ok();
    assert_eq!((apart.stdout.as_str(), apart.stderr.as_str()), ("out\n", "err\n"));
    // A command that wants no input is not held up by it, nor by a reader that has seen enough.
    server.shell(&[]).type_line("busybox yes | tapit exec 'exit 5;'").exits(5);
    server.shell(&[]).type_line("tapit exec 'busybox yes' | busybox head -n 1").ok().says("y");
    until_not_running(&server, "busybox yes");
}

#[test]
fn signals_reach_the_command() {
    let server = worker();
    let mut session = Session::start(&server, "sleep 1001");
    until_running(&server, "sleep 1001");
    session.signal(Signal::SIGTERM);
    assert_eq!(session.end(), Some(143));
    let mut session =
        Session::start(&server, "trap \"echo caught; exit 9\" INT; echo ready; while true; do sleep 0.1; done");
    let mut stdout = session.0.stdout.take().expect("a pipe");
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).expect("it gets ready");
    session.signal(Signal::SIGINT);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("readable");
    assert_eq!((session.end(), rest.as_str()), (Some(9), "caught\n"));
}

#[test]
fn a_command_whose_client_is_killed_ends_too() {
    let server = worker();
    let mut session = Session::start(&server, "sleep 1002");
    until_running(&server, "sleep 1002");
    session.signal(Signal::SIGKILL);
    assert_eq!(session.end(), None);
    until_not_running(&server, "sleep 1002");
    // Also one that does not care for a hang-up.
    let mut session = Session::start(&server, "trap \"\" HUP; sleep 1003; sleep 1004");
    until_running(&server, "sleep 1003");
    session.signal(Signal::SIGKILL);
    assert_eq!(session.end(), None);
    until_not_running(&server, "sleep 1003");
    until_not_running(&server, "sleep 1004");
}

#[test]
fn a_command_ends_with_its_instance_and_says_so() {
    let server = worker();
    let mut session = Session::start(&server, "sleep 1005");
    until_running(&server, "sleep 1005");
    server.tapit("delete process name=default --force").ok();
    let status = session.end();
    let mut said = String::new();
    session.0.stderr.take().expect("a pipe").read_to_string(&mut said).expect("readable");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("the instance has ended"), "{said}");
}

#[test]
fn a_command_ends_with_the_server_and_the_instance_runs_on() {
    let mut server = worker();
    let before = views::healthy(&server.show("default"));
    let mut session = Session::start(&server, "sleep 1006");
    until_running(&server, "sleep 1006");
    assert!(server.sigterm().success());
    let status = session.end();
    let mut said = String::new();
    session.0.stderr.take().expect("a pipe").read_to_string(&mut said).expect("readable");
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("the server is ending"), "{said}");
    server.restart();
    until(20, "healthy again", || {
        let now = views::healthy(&server.show("default"));
        holds(now == before, format!("{now:?}"))
    });
    until_not_running(&server, "sleep 1006");
    // What a server that was killed leaves running, too.
    let mut session = Session::start(&server, "sleep 1007");
    until_running(&server, "sleep 1007");
    server.kill9();
    assert_eq!(session.end(), Some(6));
    server.restart();
    until_not_running(&server, "sleep 1007");
}

#[test]
fn twenty_commands_run_at_once() {
    let server = worker();
    let mut sessions: Vec<Session> = (0..20).map(|_| Session::start(&server, "cat")).collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        let mut stdin = session.0.stdin.take().expect("a pipe");
        stdin.write_all(format!("number {number}").as_bytes()).expect("is taken");
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        let mut said = String::new();
        session.0.stdout.take().expect("a pipe").read_to_string(&mut said).expect("readable");
        assert_eq!((session.end(), said), (Some(0), format!("number {number}")));
    }
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(Session::start(&server, "true").end(), Some(0));
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("exec of `true`, client included: median {:?}, longest {:?}", times[10], times[19]);
}

fn window(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// A terminal with the program on it.
struct Terminal {
    master: File,
    slave: File,
    session: Session,
}

impl Terminal {
    fn start(server: &Server, command: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let slave = File::options()
            .read(true)
            .write(true)
            .custom_flags(nix::fcntl::OFlag::O_NOCTTY.bits())
            .open(name)
            .expect("opens");
        tcsetwinsize(&slave, window(99, 33)).expect("resizes");
        let stream = || Stdio::from(slave.try_clone().expect("a copy"));
        // A program learns that its terminal was resized only from the one that controls it.
        let mut setsid = Command::new("setsid");
        setsid.arg("--ctty").arg(env!("CARGO_BIN_EXE_tapit")).args(["exec", command]);
        setsid.env_clear().env("PATH", "/usr/bin:/bin").env("TAPIT_DATA_DIR", server.data()).env("TERM", "screen");
        let child = setsid.stdin(stream()).stdout(stream()).stderr(stream()).current_dir(server.home()).spawn();
        let session = Session(child.expect("setsid, of util-linux"));
        Self { master: File::from(master), slave, session }
    }

    fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("is taken");
    }

    /// Reads until this was shown.
    fn until(&mut self, part: &str) -> String {
        let mut shown = Vec::new();
        let end = Instant::now() + PATIENCE;
        while !String::from_utf8_lossy(&shown).contains(part) {
            let mut fds = [nix::poll::PollFd::new(self.master.as_fd(), nix::poll::PollFlags::POLLIN)];
            let ready = nix::poll::poll(&mut fds, 1000u16).expect("can be waited for");
            let seen = String::from_utf8_lossy(&shown).into_owned();
            assert!(Instant::now() < end, "{part:?} is not shown, but {seen:?}");
            if ready > 0 {
                let mut block = [0; 4096];
                let len = self.master.read(&mut block).unwrap_or_else(|error| panic!("{error} after {seen:?}"));
                shown.extend_from_slice(&block[..len]);
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn is_cooked(&self) -> bool {
        tcgetattr(&self.slave).expect("is a terminal").local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

#[test]
fn at_a_terminal_the_command_gets_one_of_its_own() {
    let server = worker();
    let mut terminal = Terminal::start(&server, "sh");
    terminal.type_in("busybox tty; busybox stty size; echo term=$TERM; echo rea''dy\n");
    let shown = terminal.until("ready");
    for part in ["/dev/pts/0", "33 99", "term=screen"] {
        assert!(shown.contains(part), "{part}: {shown:?}");
    }
    assert!(!terminal.is_cooked(), "keys go through as they are");
    tcsetwinsize(&terminal.slave, window(120, 40)).expect("resizes");
    terminal.type_in("while test \"$(busybox stty size)\" != \"40 120\"; do sleep 0.05; done; echo res''ized\n");
    terminal.until("resized");
    terminal.type_in("sleep 1008; echo interr''upted $?\n");
    until_running(&server, "sleep 1008");
    terminal.type_in("\u{3}");
    terminal.type_in("echo aft''er\n");
    terminal.until("after");
    terminal.type_in("exit 7\n");
    assert_eq!(terminal.session.end(), Some(7));
    assert!(terminal.is_cooked(), "the terminal is as it was");
}

#[test]
fn the_terminal_is_restored_whatever_ends_the_command() {
    let server = worker();
    let mut terminal = Terminal::start(&server, "no-such-program");
    assert_eq!(terminal.session.end(), Some(127));
    assert!(terminal.is_cooked());
    let mut terminal = Terminal::start(&server, "echo rea''dy; sleep 1009");
    terminal.until("ready");
    server.tapit("delete process name=default --force").ok();
    terminal.until("the instance has ended");
    assert_eq!(terminal.session.end(), Some(1));
    assert!(terminal.is_cooked());
}

/// What the probe does not look at: namespaces, groups, limits, variables.
const LOOK: &str = "cat /proc/self/cgroup /proc/self/oom_score_adj /proc/self/limits; \
    for n in cgroup ipc mnt net pid user uts; do busybox readlink /proc/self/ns/$n; done; \
    busybox env | busybox sort; umask";

fn probe() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/probe/main.rs");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("exec-probe-{}", std::process::id()));
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]);
    assert!(rustc.arg(&program).arg(source).status().expect("rustc").success(), "the probe does not compile");
    program
}

/// Has the probe run by an instance's program and by a command, and compares what they found.
fn compare(server: &Server, program: &Path, words: &str) {
    let waits = "while ! test -x /tmp/probe; do sleep 0.05; done";
    let script =
        format!("{waits}; (/tmp/probe; {LOOK}) > /tmp/new 2>&1; busybox mv /tmp/new /tmp/found; exec sleep 1000000");
    let name = format!("walls-{}", words.len());
    let mut create = tapit(server);
    create.args([
        "create",
        "process",
        &format!("name={name}"),
        "image=worker:v1",
        "memory=0.1",
        "cpu=0.5",
        "port=none",
    ]);
    create.args(words.split_ascii_whitespace()).arg(format!("command={script}")).arg("-w").stderr(Stdio::null());
    assert!(create.stdout(Stdio::null()).status().expect("the program").success());
    let exec = |command: &str| {
        let mut tapit = tapit(server);
        tapit.args(["exec", &format!("name={name}"), command]).stderr(Stdio::inherit());
        tapit
    };
    let put = "cat > /tmp/put && busybox chmod 755 /tmp/put && busybox mv /tmp/put /tmp/probe";
    assert!(exec(put).stdin(File::open(program).expect("the probe")).status().expect("the program").success());
    let said = |command: &str| {
        let output = exec(command).stdin(Stdio::null()).output().expect("the program");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let found = until(20, "done looking", || {
        let found = said("cat /tmp/found");
        if found.is_empty() { Err("nothing yet".to_owned()) } else { Ok(found) }
    });
    let by_command = said(&format!("(/tmp/probe; {LOOK}) 2>&1"));
    let own = |line: &&str| !["OLDPWD=", "SHLVL=", "_="].iter().any(|name| line.starts_with(name));
    let lines = |text: &str| text.lines().filter(own).map(str::to_owned).collect::<Vec<_>>();
    for wall in ["NoNewPrivs 1", "Seccomp 2", "descriptors [0, 1, 2]", "end ok"] {
        assert!(found.lines().any(|line| line == wall), "{wall}: {found}");
    }
    assert_eq!(lines(&by_command), lines(&found), "{words}");
}

#[test]
fn a_command_finds_exactly_the_walls_that_the_instances_program_finds() {
    let server = worker();
    let program = probe();
    for words in ["", "cap_add=NET_RAW", "userns=false"] {
        compare(&server, &program, words);
    }
    std::fs::remove_file(program).expect("removable");
}
