//! Requests that keep coming: half on connections that stay open, half on one of their own each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::http::{Connection, Response};

/// Threads of either kind.
const EACH: usize = 2;
/// Between two requests of one thread: some hundred requests a second in all, which leaves cpu to those who answer.
const PAUSE: Duration = Duration::from_millis(3);

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Report {
    pub ok: u64,
    /// How often for which reason.
    pub failed: BTreeMap<String, u64>,
    /// The instances that answered.
    pub answered: BTreeSet<String>,
}

impl Report {
    /// Without what failed for a reason that says nothing of what is tested.
    #[allow(dead_code, reason = "the router of the embedded engine is forgiven nothing")]
    pub fn forgive(mut self, is_forgiven: impl Fn(&str) -> bool) -> Self {
        self.failed.retain(|why, _| !is_forgiven(why));
        self
    }

    #[track_caller]
    pub fn assert_none_failed(&self, what: &str) {
        let failed: u64 = self.failed.values().sum();
        println!("{what}: {} requests answered, {failed} failed", self.ok);
        assert!(failed == 0, "{what}: {failed} of {} requests failed: {:?}", self.ok + failed, self.failed);
        assert!(self.ok > 0, "{what}: no request was sent");
    }
}

pub struct Load {
    end: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Report>>,
}

#[derive(Clone, Copy)]
enum Mode {
    KeepAlive,
    NewConnection,
}

/// What is asked for.
#[derive(Clone)]
struct Goal {
    to: SocketAddr,
    host: String,
    path: String,
}

impl Load {
    /// Begins to send `GET /` for a host.
    pub fn start(to: SocketAddr, host: &str) -> Self {
        Self::start_at(to, host, "/")
    }

    /// The same with another path, at which the app answers as at `/`.
    pub fn start_at(to: SocketAddr, host: &str, path: &str) -> Self {
        let goal = Goal { to, host: host.to_owned(), path: path.to_owned() };
        let (end, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let modes = [Mode::KeepAlive, Mode::NewConnection].into_iter().flat_map(|mode| [mode; EACH]);
        let threads = modes.map(|mode| {
            let (end, answered, goal) = (end.clone(), answered.clone(), goal.clone());
            std::thread::spawn(move || send(&goal, mode, &end, &answered))
        });
        Self { threads: threads.collect(), end, answered }
    }

    /// Waits until this many more requests were answered.
    pub fn until_answered(&self, more: u64) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        super::until(30, "answering requests", || {
            let seen = self.answered.load(Ordering::Relaxed);
            super::holds(seen >= goal, format!("{seen} of {goal}"))
        });
    }

    pub fn finish(mut self) -> Report {
        self.end.store(true, Ordering::Relaxed);
        let mut all = Report::default();
        for thread in self.threads.drain(..) {
            let one = thread.join().expect("a thread that sends requests");
            all.ok += one.ok;
            all.answered.extend(one.answered);
            for (reason, count) in one.failed {
                *all.failed.entry(reason).or_default() += count;
            }
        }
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn send(goal: &Goal, mode: Mode, end: &AtomicBool, answered: &AtomicU64) -> Report {
    let mut report = Report::default();
    let mut kept: Option<Connection> = None;
    while !end.load(Ordering::Relaxed) {
        let mut request = || {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(goal.to).map_err(|error| format!("connecting: {error}"))?,
            };
            let response =
                connection.get(&goal.host, &goal.path).map_err(|error| format!("{:?}: {error}", error.kind()))?;
            // A server that means to close says so; one that closes without a word is a failure of the next request.
            let closes = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            match mode {
                Mode::KeepAlive if !closes => kept = Some(connection),
                Mode::KeepAlive | Mode::NewConnection => {}
            }
            answer(response)
        };
        match request() {
            Ok(instance) => {
                report.ok += 1;
                report.answered.insert(instance);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(reason) => *report.failed.entry(reason).or_default() += 1,
        }
        std::thread::sleep(PAUSE);
    }
    report
}

/// The instance that answered.
fn answer(response: Response) -> Result<String, String> {
    if response.status != 200 {
        return Err(format!("{} {}", response.status, response.body.trim()));
    }
    let instance = response.body.split(' ').nth(2).map(str::to_owned);
    instance.ok_or_else(|| format!("an answer that is not the app's: {}", response.body))
}
