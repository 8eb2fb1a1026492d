//! The life of the account, with every call checked against what AWS allows.

use std::collections::BTreeMap;
use std::time::Duration;

use tapit_ecs::sim::Fault;
use tapit_engine::Engine;
use tokio::time::sleep;

use crate::limits;
use crate::paused::Made;
use crate::town::{APPS, Town};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const KILLED: usize = 100;
const RESTARTED: usize = 20;

#[tokio::test(start_paused = true)]
async fn two_hundred_apps_are_made_kept_and_mended_within_the_rates_of_aws() {
    let real = std::time::Instant::now();
    let mut town = Town::planned();
    let mut calls = Vec::new();
    let engine = town.bed.engine().await;
    engine.adopt(Vec::new()).await.expect("adopts nothing");
    town.order(&engine).await;
    let made = town.settles(&engine, &Default::default()).await;
    // As many registrations as there are services, at four in five seconds.
    assert!(made < 80 * MINUTE, "{made:?}");
    sleep(10 * MINUTE).await;
    calls.extend(town.bed.take_calls());
    eprintln!("REAL made {:?}", real.elapsed());
    limits::check(&format!("made in {made:?}"), &calls);

    sleep(HOUR).await;
    let idle = town.bed.take_calls();
    eprintln!("REAL idle {:?}", real.elapsed());
    limits::check("an idle hour", &idle);
    // A page of services or two for each app every 15 s, and its tasks and its targets every minute.
    let per_minute = idle.len() / 60;
    assert!(per_minute <= APPS * (4 * 2 + 3), "{per_minute} calls a minute");
    let pass = pass(&idle, APPS);
    println!("a pass over all apps: {:?}, {} calls", pass.took, pass.calls);
    assert!(pass.took <= MINUTE / 2, "{:?}", pass.took);
    calls.extend(idle);
    engine.close().await;

    let engine = town.bed.engine().await;
    let found = town.adopted(&engine).await;
    println!("a new server has looked at everything after {found:?}");
    assert!(found < 2 * MINUTE, "{found:?}");
    assert_eq!(town.bed.account.changes().iter().filter(|(call, _)| call.at.0 > last(&calls)).count(), 0);
    eprintln!("REAL found {:?}", real.elapsed());
    let killed = town.kill(KILLED);
    town.restart(&engine, RESTARTED).await;
    let mended = town.settles(&engine, &killed).await;
    eprintln!("REAL mended {:?}", real.elapsed());
    println!("{KILLED} tasks killed and {RESTARTED} processes restarted: healthy after {mended:?}");
    assert!(mended < 5 * MINUTE, "{mended:?}");
    sleep(3 * MINUTE).await;
    calls.extend(town.bed.take_calls());
    limits::check("all of it", &calls);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_throttles_every_tenth_call_is_mended_too() {
    let mut town = Town::made().await;
    let engine = town.bed.engine().await;
    town.bed.account.faults().add(Fault::every(10));
    let found = town.adopted(&engine).await;
    let killed = town.kill(KILLED);
    town.restart(&engine, RESTARTED).await;
    let mended = town.settles(&engine, &killed).await;
    println!("throttled: looked at after {found:?}, healthy after {mended:?}");
    assert!(found < 10 * MINUTE && mended < 20 * MINUTE, "{found:?}, {mended:?}");
    limits::check("throttled", &town.bed.take_calls());
    engine.close().await;
}

fn last(calls: &[Made]) -> i64 {
    calls.last().map_or(0, |made| made.at)
}

struct Pass {
    took: Duration,
    calls: usize,
}

/// From a moment in the middle until each app was looked at once.
fn pass(calls: &[Made], apps: usize) -> Pass {
    let middle = &calls[calls.len() / 2..];
    let from = middle.first().map_or(0, |made| made.at);
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for made in middle {
        if let Some(app) = &made.looked_at {
            first.entry(app).or_insert(made.at);
        }
    }
    assert_eq!(first.len(), apps, "every app is looked at");
    let until = first.values().copied().max().unwrap_or(from);
    let took = Duration::from_millis((until - from).unsigned_abs());
    Pass { took, calls: middle.iter().take_while(|made| made.at <= until).count() }
}
