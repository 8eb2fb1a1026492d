//! `cargo xtask bench [ROUNDS]`: how long starts and restarts take and what they cost, as a table of medians.
//!
//! Measures the release binary from outside, command line included, in a data directory of its own that is removed at the
//! end. Where a docker daemon answers, the same image is started with it beside.

mod docker;
mod memory;
mod rig;
// One image builder and one HTTP client serve the tests and the bench, so that both speak of the same thing.
#[path = "../../../crates/tapit/tests/e2e/harness/http.rs"]
mod http;
#[path = "../../../crates/tapit/tests/e2e/harness/image.rs"]
mod image;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docker::Docker;
use rig::Rig;

const ROUNDS: usize = 10;
const MOST_ROUNDS: usize = 50;
/// How many instances are restarted, and how many share the memory that is measured.
const RESTARTED: usize = 5;
const MEASURED: usize = 20;
/// For one start, whatever it is of.
const PATIENCE: Duration = Duration::from_secs(30);
const IMAGE: &str = "tapit-bench:v1";

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("rounds are a number from 1 to {MOST_ROUNDS}, not {0:?}")]
    Rounds(String),
    #[error("running {program}")]
    Run { program: String, source: std::io::Error },
    #[error("{line} failed: {text}")]
    Failed { line: String, text: String },
    #[error("making the image")]
    Image { source: std::io::Error },
    #[error("the server said {line:?} instead of being ready")]
    NotReady { line: String },
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{host} did not answer with 200 within {} s: {seen}", PATIENCE.as_secs())]
    Silent { host: String, seen: String },
}

/// Builds the release binary where needed, measures, prints.
pub fn run(root: &Path, words: &[&str]) -> Result<bool, BenchError> {
    let rounds = rounds(words)?;
    rig::run("cargo", &["build", "--quiet", "--release", "--package", "tapit"], root)?;
    let rig = Rig::start(root)?;
    let docker = Docker::find(&rig)?;
    if docker.is_none() {
        println!("no docker daemon answers (`docker info`), so its column is left out");
    }
    let start = median(rounds, |round| start_tapit(&rig, round))?;
    let beside = docker.as_ref().map(|docker| median(rounds, |_| docker.start())).transpose()?;
    rig.tapit(&format!("create app restart image={IMAGE} memory=0.03 cpu=0.25 demand={RESTARTED} --wait"))?;
    let restart = median(rounds.min(5), |_| timed(|| rig.tapit("-a restart restart process name=default --wait")))?;
    rig.tapit(&format!("-a restart set process demand={MEASURED} --wait"))?;
    let memory = memory::measure(rig.server_pid(), rig.data())?;
    print(
        rounds,
        &[
            ("create to first 200 through the router".into(), millis(start), beside.map(millis)),
            (format!("restart of {RESTARTED} instances, steady again"), millis(restart), None),
            ("server, resident".into(), kib(memory.server_rss), None),
            ("server, proportional (PSS)".into(), kib(memory.server_pss), None),
            (
                format!("our processes per instance, PSS ({} instances)", memory.instances),
                kib(memory.per_instance),
                None,
            ),
        ],
    );
    Ok(true)
}

fn rounds(words: &[&str]) -> Result<usize, BenchError> {
    let Some(word) = words.first() else { return Ok(ROUNDS) };
    let number = word.parse().ok().filter(|n| (1..=MOST_ROUNDS).contains(n));
    number.ok_or_else(|| BenchError::Rounds((*word).to_owned()))
}

/// One new app from the command to its first answer; removing it again is not counted.
fn start_tapit(rig: &Rig, round: usize) -> Result<Duration, BenchError> {
    let app = format!("start{round}");
    let begun = Instant::now();
    rig.tapit(&format!("create app {app} image={IMAGE} memory=0.03 cpu=0.25"))?;
    first_answer(rig.http(), &format!("{app}.localhost"))?;
    let time = begun.elapsed();
    rig.tapit(&format!("-a {app} delete app --force --wait"))?;
    Ok(time)
}

fn timed<T>(work: impl FnOnce() -> Result<T, BenchError>) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    work().map(|_| begun.elapsed())
}

/// Asks until the answer is 200.
fn first_answer(to: SocketAddr, host: &str) -> Result<(), BenchError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = match http::get(to, host, "/") {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("{} (retry-after {:?}) {}", answer.status, answer.header("retry-after"), answer.body),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= end {
            return Err(BenchError::Silent { host: host.to_owned(), seen });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn median(rounds: usize, measure: impl FnMut(usize) -> Result<Duration, BenchError>) -> Result<Duration, BenchError> {
    let mut times = (0..rounds).map(measure).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

fn kib(kib: u64) -> String {
    format!("{:.2} MB", kib as f64 / 1024.0)
}

fn print(rounds: usize, rows: &[(String, String, Option<String>)]) {
    let beside = rows.iter().any(|(_, _, docker)| docker.is_some());
    let docker = |text: &str| if beside { format!("  {text:>12}") } else { String::new() };
    println!("medians of {rounds} rounds");
    println!("{:<52} {:>12}{}", "", "tapit", docker("docker run"));
    for (what, tapit, other) in rows {
        println!("{what:<52} {tapit:>12}{}", docker(other.as_deref().unwrap_or("")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_rounds_is_bounded() {
        assert_eq!(rounds(&[]).ok(), Some(ROUNDS));
        assert_eq!(rounds(&["3"]).ok(), Some(3));
        for wrong in ["0", "51", "-1", "many"] {
            assert!(rounds(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_middle_one_counts() {
        let times = [5, 1, 9, 3, 7];
        assert_eq!(median(5, |round| Ok(Duration::from_millis(times[round]))).ok(), Some(Duration::from_millis(5)));
        assert!(median(2, |_| Err(BenchError::Rounds("x".to_owned()))).is_err());
    }
}
