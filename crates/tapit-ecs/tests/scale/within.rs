//! The life of the account, with every call checked against what AWS allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tapit_ecs::api::Request;
use tapit_ecs::sim::{Call, Fault};
use tapit_engine::Engine;
use tokio::time::sleep;

use crate::limits;
use crate::town::{APPS, MINUTE, Town};

const HOUR: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_secs(5);
const KILLED: usize = 100;
const RESTARTED: usize = 20;

#[tokio::test(start_paused = true)]
async fn two_hundred_apps_are_made_within_the_rates_of_aws() {
    let town = Town::planned();
    let engine = town.bed.engine().await;
    engine.adopt(Vec::new()).await.expect("adopts nothing");
    town.order(&engine).await;
    let made = town.settles(&engine, (&BTreeSet::new(), MINUTE)).await;
    limits::check(&format!("made in {made:?}"), &town.bed.take_calls());
    // As many registrations as there are services, at four in five seconds.
    assert!(made < 60 * MINUTE, "{made:?}");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_apps_are_kept_and_mended_within_the_rates_of_aws() {
    let mut town = Town::made().await;
    let engine = town.bed.engine().await;
    let found = town.adopted(&engine).await;
    println!("a new server has looked at everything after {found:?}");
    assert!(found < 2 * MINUTE, "{found:?}");
    sleep(5 * MINUTE).await;
    let mut calls = town.bed.take_calls();

    sleep(HOUR).await;
    let idle = town.bed.take_calls();
    limits::check("an idle hour", &idle);
    // Looks at services leave half of what we may to others; and the targets and tasks of each app, every minute at most.
    let per_minute = idle.len() / 60;
    assert!(per_minute <= 8 * 60 + APPS * 3, "{per_minute} calls a minute");
    let pass = pass(&idle, APPS);
    println!("a pass over all apps: {:?}, {} calls", pass.took, pass.calls);
    assert!(pass.took <= MINUTE, "{:?}", pass.took);
    calls.extend(idle);
    assert_eq!(town.bed.account.changes().len(), town.changes, "nothing was changed");

    let killed = town.kill(KILLED);
    town.restart(&engine, RESTARTED).await;
    let mended = town.settles(&engine, (&killed, STEP)).await;
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
    let mended = town.settles(&engine, (&killed, STEP)).await;
    println!("throttled: looked at after {found:?}, healthy after {mended:?}");
    assert!(found < 10 * MINUTE && mended < 20 * MINUTE, "{found:?}, {mended:?}");
    limits::check("throttled", &town.bed.take_calls());
    engine.close().await;
}

struct Pass {
    took: Duration,
    calls: usize,
}

/// From a moment in the middle until each app was looked at once.
fn pass(calls: &[Call], apps: usize) -> Pass {
    let middle = &calls[calls.len() / 2..];
    let from = middle.first().map_or(0, |made| made.at.0);
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for made in middle {
        if let Request::DescribeServices { cluster, .. } = &made.request {
            first.entry(cluster).or_insert(made.at.0);
        }
    }
    assert_eq!(first.len(), apps, "every app is looked at");
    let until = first.values().copied().max().unwrap_or(from);
    let took = Duration::from_millis((until - from).unsigned_abs());
    Pass { took, calls: middle.iter().take_while(|made| made.at.0 <= until).count() }
}
