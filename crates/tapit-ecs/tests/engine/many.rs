//! An account with two hundred apps and two thousand processes.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use tapit_ecs::api::Operation;
use tapit_ecs::sim::{Quotas, Setup};
use tapit_ecs::{Ecs, EcsSettings};
use tapit_engine::Engine;
use tapit_model::{AppName, InstanceState, ProcessTarget};
use tokio::time::{Instant, sleep};

use crate::stage::{Stage, formation, until};

const APPS: usize = 200;
const PROCESSES: usize = 10;
/// For a pass over all of it, in whatever build this is.
const CPU_AT_MOST: Duration = Duration::from_secs(5);

/// Of this thread, on which all of it runs: the tests beside this one do not count.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("the kernel counts");
    let total = [usage.user_time(), usage.system_time()].map(|time| (time.tv_sec(), time.tv_usec()));
    total.iter().map(|(s, us)| Duration::from_secs(*s as u64) + Duration::from_micros(*us as u64)).sum()
}

fn targets(stage: &Stage) -> Vec<ProcessTarget> {
    let apps = (0..APPS).map(|n| AppName::parse(&format!("app-{n}")).expect("legal"));
    let all = apps.flat_map(|app| (0..PROCESSES).map(move |n| (app.clone(), n)));
    all.map(|(app, n)| {
        let name = if n == 0 { "default".to_owned() } else { format!("p{n}") };
        let mut target = stage.present(&name, formation(1, 2, 0));
        target.key.app = app;
        target
    })
    .collect()
}

async fn healthy(engine: &Ecs) -> usize {
    let all = engine.observe().await.expect("can be looked at");
    all.iter().flat_map(|process| &process.instances).filter(|one| one.state == InstanceState::Healthy).count()
}

/// All that exists, made without regard for rates: AWS lets an account register a definition a second, which is no
/// matter of ours.
async fn made(stage: &Stage) -> Vec<ProcessTarget> {
    let engine = stage.started().await;
    let targets = targets(stage);
    for target in &targets {
        engine.apply(target.clone()).await.expect("taken");
    }
    until("all run", async || (healthy(&engine).await == APPS * PROCESSES * 2).then_some(())).await;
    sleep(Duration::from_secs(120)).await;
    engine.close().await;
    targets
}

#[tokio::test(start_paused = true)]
async fn two_thousand_processes_are_looked_after_within_the_rates_of_aws() {
    // Two hundred rules on one listener: somebody has asked AWS for more.
    let quotas =
        Quotas { rules_per_balancer: 400, target_groups_per_balancer: 400, launches: 10_000, ..Quotas::default() };
    let stage = Stage::of(Setup { quotas, ..Setup::default() }, EcsSettings::default());
    let targets = made(&stage).await;
    let last = targets.last().expect("many").revision;

    stage.account.reset_counts();
    let (begun, used) = (Instant::now(), cpu());
    let engine = stage.engine(stage.metered()).await;
    engine.adopt(targets).await.expect("adopts");
    until("a new server has looked at all", async || {
        let all = engine.observe().await.expect("can be looked at");
        all.iter().all(|one| one.revision.0 > 0 && one.revision <= last).then_some(())
    })
    .await;
    let (pass, used) = (begun.elapsed(), cpu().saturating_sub(used));
    println!("a new server: {pass:?}, {used:?} of cpu, {:?}", stage.account.counts());
    assert!(used < CPU_AT_MOST, "{used:?}");
    assert!(pass < Duration::from_secs(60), "{pass:?}");
    assert_eq!(stage.account.changes(), [], "it has changed nothing");

    sleep(Duration::from_secs(120)).await;
    stage.account.reset_counts();
    let used = cpu();
    sleep(Duration::from_secs(75)).await;
    let used = cpu().saturating_sub(used);
    let counts = stage.account.counts();
    println!("75 s of rest: {used:?} of cpu, {counts:?}");
    assert!(used < CPU_AT_MOST, "{used:?}");
    // A look at one page of services for each app every 25 s, which leaves half of the calls to others; every third one is
    // a look at its tasks and its targets as well.
    let apps = APPS as u64;
    let expected = [
        (Operation::DescribeServices, 3 * apps),
        (Operation::ListTasks, apps),
        (Operation::DescribeTasks, apps),
        (Operation::DescribeTargetHealth, apps),
    ];
    let near = |(operation, calls): &(Operation, u64)| {
        let made = counts.get(operation).copied().unwrap_or(0);
        made <= calls + apps / 4 && made >= calls - apps / 4
    };
    assert!(expected.iter().all(near) && counts.len() == expected.len(), "{counts:?}");
    engine.close().await;
}
