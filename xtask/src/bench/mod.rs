//! `cargo xtask bench [NAME...] [ROUNDS]`: what starts, memory, logs and neighbours cost, as tables of medians.
//!
//! Measures the release binary from outside, command line included, in data directories of its own that are removed at the
//! end. Where other container programs are installed they do the same work in turns, round by round, so that a slow moment
//! of the machine meets all of them. `docs/benchmarks.md` explains the methods and holds a dated table.

mod answer;
mod bundle;
mod cycles;
mod density;
mod docker;
mod ecs;
mod exec;
mod logs;
mod memory;
mod pull;
mod rig;
mod siblings;
mod start;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{self, CommandError};

const ROUNDS: usize = 10;
const MOST_ROUNDS: usize = 1000;
const IMAGE: &str = "tapit-bench:v1";
const IDLE_IMAGE: &str = "tapit-bench:idle";
/// Of one instance.
const SIZE: &str = "memory=0.03 cpu=0.25";

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("there is no bench {0:?}; there are {names}, and rounds are a number from 1 to {MOST_ROUNDS}", names = names())]
    Unknown(String),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("making the image")]
    Image { source: std::io::Error },
    #[error("the server said {line:?} instead of being ready")]
    NotReady { line: String },
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("waited too long for {what}; seen: {seen}")]
    Late { what: String, seen: String },
}

/// What a bench is run with.
pub struct Bench<'a> {
    pub root: &'a Path,
    pub rounds: usize,
}

struct Named {
    name: &'static str,
    about: &'static str,
    run: fn(&Bench) -> Result<(), BenchError>,
}

const BENCHES: [Named; 9] = [
    Named {
        name: "start",
        about: "from the call to the program's first instruction, beside crun, runc, podman, docker",
        run: start::run,
    },
    Named { name: "http", about: "from the command to the first answer, and rolling restarts", run: answer::run },
    Named { name: "density", about: "200 and 500 idle instances: time, memory, what stays", run: density::run },
    Named { name: "logs", about: "lines a second that reach the log, and lost ones", run: logs::run },
    Named { name: "exec", about: "a command in a running container", run: exec::run },
    Named {
        name: "pull",
        about: "a large image from a registry to disk, beside skopeo with umoci, and docker",
        run: pull::run,
    },
    Named { name: "siblings", about: "answers of one process while another misbehaves", run: siblings::run },
    Named { name: "cycles", about: "apps made and deleted while server and monitors are killed", run: cycles::run },
    Named { name: "ecs", about: "cpu and memory of the engine for ECS with 2,000 processes", run: ecs::run },
];

/// Builds the release binary where needed, measures, prints. Without a name all benches run.
pub fn run(root: &Path, words: &[&str]) -> Result<bool, BenchError> {
    if words == ["help"] {
        BENCHES.iter().for_each(|bench| println!("{:<10} {}", bench.name, bench.about));
        return Ok(true);
    }
    let (chosen, rounds) = parse(words)?;
    command::run("cargo", &["build", "--quiet", "--release", "--package", "tapit"], root)?;
    println!("{}", machine());
    let mut good = true;
    for named in chosen {
        let ended = (named.run)(&Bench { root, rounds });
        // The others have something to say all the same.
        if let Err(error) = ended {
            eprintln!("{}: {}", named.name, crate::chain(&error));
            good = false;
        }
    }
    Ok(good)
}

fn parse(words: &[&str]) -> Result<(Vec<&'static Named>, usize), BenchError> {
    let (mut chosen, mut rounds) = (Vec::new(), ROUNDS);
    for word in words {
        let unknown = || BenchError::Unknown((*word).to_owned());
        match word.parse::<usize>() {
            Ok(number) if (1..=MOST_ROUNDS).contains(&number) => rounds = number,
            Ok(_) => return Err(unknown()),
            Err(_) => chosen.push(BENCHES.iter().find(|bench| bench.name == *word).ok_or_else(unknown)?),
        }
    }
    if chosen.is_empty() {
        chosen.extend(&BENCHES);
    }
    Ok((chosen, rounds))
}

fn names() -> String {
    BENCHES.iter().map(|bench| bench.name).collect::<Vec<_>>().join(", ")
}

/// What a reader needs to judge the figures.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo").lines().next().unwrap_or_default().replace("MemTotal:", "").trim().to_owned();
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let layout = if v2 { "v2" } else { "v1" };
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    format!("Linux {}, {cpus} cpus, {memory}, cgroup {layout}, load {load}", read("/proc/sys/kernel/osrelease"))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benches_are_chosen_by_name_and_the_rounds_are_bounded() {
        let parsed = |words: &[&str]| parse(words).map(|(chosen, rounds)| (chosen.len(), rounds)).ok();
        assert_eq!(parsed(&[]), Some((BENCHES.len(), ROUNDS)));
        assert_eq!(parsed(&["http", "start", "3"]), Some((2, 3)));
        for wrong in ["0", "1001", "-1", "many"] {
            assert_eq!(parsed(&[wrong]), None, "{wrong}");
        }
    }
}
