//! What instances write, read once and followed: through rotation, replacement, and the death of the server.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::cli::wait;
use crate::harness::views::healthy;
use crate::harness::{SMALL, Server, holds, until};

/// Writes `n PADDING` for each n below the count, and then nothing more.
fn counting(count: u32, padding: usize) -> String {
    let padding = "x".repeat(padding);
    format!("i=0; while [ $i -lt {count} ]; do echo $i {padding}; i=$((i+1)); done; exec sleep 1000000")
}

/// `tapit logs -f`, read as it writes.
struct Follower {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Line {
    instance: String,
    text: String,
    /// From the time that the line bears to its arrival here.
    after: Duration,
}

impl Follower {
    fn start(server: &Server, words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapit"));
        command.args(["logs", "-f"]).args(words).env("TAPIT_DATA_DIR", server.data()).current_dir(server.home());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the client program");
        let stdout = child.stdout.take().expect("a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(Line::parse(&text));
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    fn seen(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn until_count(&self, count: usize) {
        until(90, "followed so far", || holds(self.count() >= count, format!("{} of {count} lines", self.count())));
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("it can be signalled");
    }

    /// How it ends by itself, and everything that it wrote.
    fn ended(mut self) -> (ExitStatus, Vec<Line>) {
        let status = wait(&mut self.child, Duration::from_secs(60)).expect("it ends in time");
        self.reader.take().map(std::thread::JoinHandle::join);
        (status, self.seen())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Line {
    fn parse(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let field = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name}: {text}")).to_owned();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instance: field("instance"), text: field("text"), after: now.saturating_sub(since_epoch(&field("at"))) }
    }
}

/// The time of day of a line; both sides of the comparison are of the same day or the result is meaningless.
fn since_epoch(at: &str) -> Duration {
    let day = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{at}"));
    let time = at.split_once('T').expect("a time").1.trim_end_matches('Z');
    let (clock, millis) = time.split_once('.').expect("milliseconds");
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + day(part));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Duration::from_secs(now - now % 86_400 + seconds) + Duration::from_millis(day(millis))
}

/// Each instance wrote 0, 1, 2 and so on: nothing is missing, double or out of order. Answers how far each came.
#[track_caller]
fn numbered(lines: &[Line]) -> BTreeMap<String, u32> {
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines {
        let number = line.text.split(' ').next().and_then(|word| word.parse::<u32>().ok());
        let expected = next.entry(line.instance.clone()).or_default();
        assert_eq!(number, Some(*expected), "of {}: {:.40}", line.instance, line.text);
        *expected += 1;
    }
    next
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn texts(server: &Server, line: &str) -> Vec<String> {
    let lines = json_lines(&server.tapit(line).ok().stdout);
    lines.iter().map(|line| format!("{} {}", line["instance"], line["text"]).replace('"', "")).collect()
}

/// Waits until the log of a process holds so many lines.
fn written(server: &Server, process: &str, count: usize) {
    until(30, "written", || {
        let lines = texts(server, &format!("logs name={process} lines=10000")).len();
        holds(lines >= count, lines)
    });
}

#[test]
fn the_end_of_all_logs_is_merged_and_can_be_narrowed() {
    let server = Server::with_images(&[]);
    server.tapit("create app shop image=worker:v1 demand=0").ok();
    let talking = "command='echo one; echo two >&2; printf \"\\033[31mred\\033[0m\\n\"; exec sleep 1000000'";
    server.tapit(&format!("create process name=a {SMALL} {talking} --wait")).ok();
    written(&server, "a", 3);
    server.tapit(&format!("create process name=b {SMALL} command='echo three; exec sleep 1000000' --wait")).ok();
    written(&server, "b", 1);

    let red = "a.1 \\u001b[31mred\\u001b[0m";
    let all = texts(&server, "logs");
    assert_eq!((all.len(), &all[3]), (4, &"b.1 three".to_owned()), "{all:?}");
    assert!(all.contains(&red.to_owned()), "{all:?}");
    assert_eq!(texts(&server, "logs lines=1"), ["b.1 three"]);
    assert_eq!(texts(&server, "logs name=a lines=0"), Vec::<String>::new());
    assert_eq!(texts(&server, "logs instance=b.1 since=1h"), ["b.1 three"]);
    assert_eq!(texts(&server, "logs since=2099-01-01T00:00:00Z"), Vec::<String>::new());
    let lines = json_lines(&server.tapit("logs name=a").ok().stdout);
    let two = lines.iter().find(|line| line["text"] == "two").expect("is there");
    assert_eq!((&two["stream"], &two["process"]), (&Value::from("stderr"), &Value::from("a")));
    let table = server.tapit("logs -o table").ok().stdout;
    assert!(table.contains(" a.1 ! two\n") && table.contains(" a.1 | red\n"), "{table}");

    server.tapit("logs name=c").exits(3).says("there are: a, b");
    server.tapit("logs instance=a.7").exits(3).says("a.1");
    server.tapit("logs name=b instance=a.1").exits(3).says("there are: b.1");
    server.tapit("logs since=never").exits(2).says("1h30m");
}

#[test]
fn a_follower_sees_every_line_once_across_rotation_in_time() {
    let server = Server::with_images(&[]);
    server.tapit("create app shop image=worker:v1 demand=0").ok();
    let follower = Follower::start(&server, &["lines=0"]);
    // A quarter more than one file holds.
    let (count, padding) = (12_500, 1000);
    let line = counting(count, padding);
    server.tapit(&format!("create process name=count memory=0.03 cpu=1 command='{line}' --wait")).ok();
    follower.until_count(count as usize);
    assert_eq!(numbered(&follower.seen()), BTreeMap::from([("count.1".to_owned(), count)]));

    let slow = "i=0; while [ $i -lt 20 ]; do echo $i; i=$((i+1)); sleep 0.1; done; exec sleep 1000000";
    server.tapit(&format!("create process name=slow {SMALL} command='{slow}' --wait")).ok();
    follower.until_count(count as usize + 20);
    let seen = follower.seen();
    let mut after: Vec<Duration> = seen[count as usize..].iter().map(|line| line.after).collect();
    after.sort();
    println!("a followed line arrives after {} ms, at most {} ms", after[10].as_millis(), after[19].as_millis());
    assert!(after[10] < Duration::from_secs(2), "{after:?}");

    follower.signal(Signal::SIGINT);
    let (status, _) = follower.ended();
    assert_eq!(status.signal(), Some(2), "{status:?}");
}

#[test]
fn a_follower_goes_on_with_the_instances_that_replace_others() {
    let server = Server::with_images(&[]);
    server.tapit("create app shop image=worker:v1 demand=0").ok();
    let line = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done";
    let follower = Follower::start(&server, &["lines=0"]);
    server.tapit(&format!("create process name=w {SMALL} stop_timeout=1 demand=2 command='{line}' --wait")).ok();
    let first = healthy(&server.show("w"));
    server.tapit("restart process name=w --wait").ok();
    let second = healthy(&server.show("w"));
    server.tapit("set process name=w demand=3 --wait").ok();
    // One ends by itself, with last words.
    let crash = "echo 0; echo 1; exit 3";
    server.tapit(&format!("create process name=crash {SMALL} command='{crash}'")).ok();
    until(30, "crashed twice", || {
        let crashes = follower.seen().iter().filter(|line| line.instance.starts_with("crash.")).count();
        holds(crashes >= 4, crashes)
    });
    let third = healthy(&server.show("w"));
    let seen = numbered(&follower.seen());
    for id in first.iter().chain(&second).chain(&third) {
        assert!(seen.get(id).is_some_and(|count| *count > 0), "{id}: {seen:?}");
    }
    // Those that have stopped can be read by name, to their last line.
    let old = first.iter().next().expect("one");
    let whole = texts(&server, &format!("logs instance={old} lines=10000"));
    assert_eq!(whole.len(), seen[old] as usize, "{old}");
    server.tapit("delete process name=crash --force --wait").ok();
    server.tapit("delete process name=w --force --wait").ok();
    numbered(&follower.seen());
}

#[test]
fn following_what_is_deleted_ends_with_its_last_line_and_its_end_is_told() {
    let server = Server::with_images(&[]);
    server.tapit("create app shop image=worker:v1 demand=0").ok();
    let line = "trap \"echo 1; exit 7\" TERM; echo 0; while :; do sleep 0.05; done";
    server.tapit(&format!("create process name=w {SMALL} command='{line}' --wait")).ok();
    let of_process = Follower::start(&server, &["name=w"]);
    let of_instance = Follower::start(&server, &["instance=w.1"]);
    of_process.until_count(1);
    of_instance.until_count(1);
    server.tapit("delete process name=w --force --wait").ok();
    for follower in [of_process, of_instance] {
        let (status, lines) = follower.ended();
        assert!(status.success(), "{status:?}");
        assert_eq!(numbered(&lines), BTreeMap::from([("w.1".to_owned(), 2)]));
    }
    let events = until(10, "told", || {
        let events = server.tapit("events -o json lines=100").ok().stdout;
        holds(events.contains("instance_stopped"), "no end yet").map(|()| events)
    });
    assert!(events.contains("w.1 stopped (exit 7)") && !events.contains("is not known"), "{events}");
}

#[test]
fn a_follower_outlives_the_server_and_misses_nothing() {
    let mut server = Server::with_images(&[]);
    server.tapit("create app shop image=worker:v1 demand=0").ok();
    let line = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done";
    server.tapit(&format!("create process name=w {SMALL} stop_timeout=1 demand=2 command='{line}' --wait")).ok();
    let follower = Follower::start(&server, &["lines=10000"]);
    follower.until_count(10);
    for _ in 0..3 {
        let before = follower.count();
        server.kill9();
        server.restart();
        follower.until_count(before + 100);
    }
    let before = follower.count();
    assert!(server.sigterm().success());
    server.restart();
    follower.until_count(before + 100);
    let seen = numbered(&follower.seen());
    assert_eq!(seen.len(), 2, "{seen:?}");

    server.kill9();
    let (status, lines) = follower.ended();
    assert_eq!(status.code(), Some(6), "nobody came back");
    numbered(&lines);
    server.restart();
}
