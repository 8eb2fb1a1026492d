//! `bench cycles`: apps made and deleted, while the server or a monitor is killed now and then; what stays on the host.
//!
//! The moments are drawn from a fixed seed, so a run can be repeated. A round that a kill has cut short is done again by
//! the server that starts next; what counts is what is left at the end.

use std::process::Command;
use std::time::{Duration, Instant};

use super::density::until;
use super::memory::Objects;
use super::rig::Rig;
use super::{Bench, BenchError, IMAGE, SIZE, table};

/// Of a hundred rounds, in how many the server, and in how many a monitor is killed.
const SERVER: u64 = 8;
const MONITOR: u64 = 8;
const CALM: Duration = Duration::from_secs(8);
const SEED: u64 = 20_260_101;
/// No round takes longer than this to be cut short.
const MOMENTS_MILLIS: u64 = 120;

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let rounds = bench.rounds.max(30);
    let mut rig = Rig::start(bench.root)?;
    let (data, tag) = (rig.data(), rig.tag()?);
    rig.tapit(&format!("create app stays image={IMAGE} {SIZE} --wait"))?;
    // Two containers are kept ready beside it, once the host has been calm.
    std::thread::sleep(CALM);
    let before = Objects::of(&data, &tag);
    let (mut dice, mut servers, mut monitors) = (Dice(SEED), 0, 0);
    let begun = Instant::now();
    for round in 0..rounds {
        let app = format!("goes{round}");
        let fate = dice.roll(100);
        let moment = Duration::from_millis(dice.roll(MOMENTS_MILLIS));
        if fate < SERVER {
            servers += 1;
            rig.tapit(&format!("create app {app} image={IMAGE} {SIZE}"))?;
            std::thread::sleep(moment);
            rig.kill_and_restart()?;
        } else {
            rig.tapit(&format!("create app {app} image={IMAGE} {SIZE}"))?;
            std::thread::sleep(moment);
            monitors += usize::from(fate < SERVER + MONITOR && kill_a_monitor(&rig, &app));
        }
        rig.tapit(&format!("-a {app} delete app --force --wait"))?;
    }
    let took = begun.elapsed();
    until("as few objects as before", || Objects::of(&data, &tag) == before).or_else(|_| {
        println!("still there: {}", Objects::of(&data, &tag));
        Ok::<(), BenchError>(())
    })?;
    let after = Objects::of(&data, &tag);
    let rate = format!("{:.1}", took.as_secs_f64() * 1000.0 / rounds as f64);
    table::figures(
        &format!("{rounds} apps made and deleted"),
        &[
            ("server killed".to_owned(), servers.to_string()),
            ("a monitor killed".to_owned(), monitors.to_string()),
            ("ms per round".to_owned(), rate),
            ("nothing is left".to_owned(), (before == after).to_string()),
        ],
    );
    println!("before {before}\nafter  {after}");
    Ok(())
}

/// The process that watches an app's container, found by the directory that it names. Answers whether there was one.
fn kill_a_monitor(rig: &Rig, app: &str) -> bool {
    let words = rig.data().join("instances").join(app).display().to_string();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ours = pids
        .filter(|entry| std::fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(&words)));
    ours.next().is_some_and(|entry| {
        let killed = Command::new("kill").arg("-9").arg(entry.file_name()).status();
        killed.is_ok_and(|status| status.success())
    })
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_fall_alike_every_time() {
        let rolls = |seed| (0..5).scan(Dice(seed), |dice, _| Some(dice.roll(100))).collect::<Vec<_>>();
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }
}
