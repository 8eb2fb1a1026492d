//! Plays many seeds of the simulator. A seed that breaks a promise prints its trace and how to play it alone:
//! `SIM_SEED=17 cargo test -p tapit-plan --test simulator`. `SIM_SEEDS=100000` plays more of them.

use tapit_plan::sim::{Seen, run};

const STEPS: u64 = 150;
const PARTS: u64 = 4;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_promise_holds_for_every_seed() {
    let seeds: Vec<u64> = match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_SEEDS").unwrap_or(1000)).collect(),
    };
    let parts: Vec<Vec<u64>> =
        (0..PARTS).map(|part| seeds.iter().copied().filter(|seed| seed % PARTS == part).collect()).collect();
    let players: Vec<_> = parts.into_iter().map(|part| std::thread::spawn(move || play(&part))).collect();
    let mut total = Seen::default();
    for player in players {
        total.add(&player.join().expect("no seed makes the simulator panic"));
    }
    println!("{} seeds: {total:?}", seeds.len());
    if seeds.len() >= 1000 {
        let rare = [
            total.server_deaths,
            total.reboots,
            total.successes,
            total.rollbacks,
            total.reclaimed,
            total.stop_first,
            total.stood_in,
            total.paid_back,
            total.tasks_succeeded,
            total.tasks_failed,
            total.tasks_stopped,
        ];
        assert!(rare.iter().all(|times| *times >= 100), "something interesting hardly ever happened: {total:?}");
    }
}

fn play(seeds: &[u64]) -> Seen {
    let mut total = Seen::default();
    for &seed in seeds {
        match run(seed, number("SIM_STEPS").unwrap_or(STEPS)) {
            Ok(seen) => total.add(&seen),
            Err(broken) => panic!(
                "{}\nseed {seed}, step {}: {}\nalone: SIM_SEED={seed} cargo test -p tapit-plan --test simulator",
                broken.trace.join("\n"),
                broken.step,
                broken.what
            ),
        }
    }
    total
}
