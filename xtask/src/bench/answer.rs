//! `bench http`: from the command that makes an app to its first answer through the router, beside `docker run`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::docker::Docker;
use super::rig::Rig;
use super::table::{self, Row};
use super::{Bench, BenchError, IMAGE, SIZE, millis};
use crate::http;

/// For one start, whatever it is of.
const PATIENCE: Duration = Duration::from_secs(30);
const RESTARTED: usize = 5;

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let rig = Rig::start(bench.root)?;
    let docker = Docker::find(&rig)?;
    let (mut ours, mut theirs) = (Row::new("tapit create app"), Row::new("docker run"));
    for round in 0..bench.rounds {
        ours.values.push(millis(created(&rig, round)?));
        if let Some(docker) = &docker {
            theirs.values.push(millis(docker.first_answer()?));
        }
    }
    table::print("from the command to the first 200 over HTTP", "ms", &[ours, theirs]);
    rig.tapit(&format!("create app restart image={IMAGE} {SIZE} demand={RESTARTED} --wait"))?;
    let mut restart = Row::new(format!("restart of {RESTARTED} instances, steady again"));
    for _ in 0..bench.rounds.min(5) {
        let begun = Instant::now();
        rig.tapit("-a restart restart process name=default --wait")?;
        restart.values.push(millis(begun.elapsed()));
    }
    table::print("rolling restart", "ms", &[restart]);
    Ok(())
}

/// One new app from the command to its first answer; removing it again is not counted.
fn created(rig: &Rig, round: usize) -> Result<Duration, BenchError> {
    let app = format!("start{round}");
    let begun = Instant::now();
    rig.tapit(&format!("create app {app} image={IMAGE} {SIZE}"))?;
    first(rig.http(), &format!("{app}.localhost"))?;
    let time = begun.elapsed();
    rig.tapit(&format!("-a {app} delete app --force --wait"))?;
    Ok(time)
}

/// Asks until the answer is 200.
pub fn first(to: SocketAddr, host: &str) -> Result<(), BenchError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = match http::get(to, host, "/") {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("{} (retry-after {:?}) {}", answer.status, answer.header("retry-after"), answer.body),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= end {
            return Err(BenchError::Late { what: format!("a 200 of {host}"), seen });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
