//! How often AWS is asked, and what makes somebody look.

use std::time::Duration;

use tapit_ecs::api::Operation;
use tapit_engine::Engine;
use tapit_model::{InstanceKind, InstanceState, ReasonCode};
use tokio::time::sleep;

use crate::stage::{Stage, apply, formation, key, seen, settled, until};

#[tokio::test(start_paused = true)]
async fn a_steady_app_costs_one_call_for_ten_services_and_seldom_more() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let names: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
    for name in &names {
        apply(&engine, stage.present(name, formation(1, 1, 0))).await;
    }
    for name in &names {
        settled(&engine, name, &formation(1, 1, 0)).await;
    }
    sleep(Duration::from_secs(120)).await;
    stage.account.reset_counts();
    sleep(Duration::from_secs(240)).await;
    let counts = stage.account.counts();
    let of = |operation| counts.get(&operation).copied().unwrap_or(0);
    // Sixteen periods of two calls each; a whole look each minute.
    assert!((30..=34).contains(&of(Operation::DescribeServices)), "{counts:?}");
    assert!((3..=5).contains(&of(Operation::ListTasks)), "{counts:?}");
    assert!((3..=5).contains(&of(Operation::DescribeTasks)), "{counts:?}");
    assert_eq!(counts.len(), 3, "{counts:?}");
    // A nudge says nothing to somebody who waits for nothing.
    stage.account.reset_counts();
    for _ in 0..10 {
        engine.nudge();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(stage.account.calls_made() <= 2, "{:?}", stage.account.counts());
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn scaling_costs_one_change_and_no_deployment() {
    let stage = Stage::open();
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    settled(&engine, "api", &formation(1, 1, 0)).await;
    stage.account.reset_counts();
    apply(&engine, stage.present("api", formation(1, 4, 0))).await;
    settled(&engine, "api", &formation(1, 4, 0)).await;
    assert_eq!(stage.account.changes().len(), 1, "{:?}", stage.account.changes());
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_again_under_a_newer_revision_costs_no_call() {
    let stage = Stage::open();
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    settled(&engine, "api", &formation(1, 1, 0)).await;
    stage.account.reset_counts();
    let newer = stage.present("api", formation(1, 1, 0));
    apply(&engine, newer.clone()).await;
    assert_eq!(seen(&engine, "api").await.expect("listed").revision, newer.revision);
    assert_eq!(stage.account.calls_made(), 0);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(seen(&engine, "api").await.expect("listed").revision, newer.revision, "also after the next looks");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_dies_unseen_is_noticed_with_its_reason_and_replaced() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let api = formation(1, 2, 0);
    apply(&engine, stage.present("api", api.clone())).await;
    settled(&engine, "api", &api).await;
    sleep(Duration::from_secs(120)).await;
    let task = stage.account.tasks().into_iter().next().expect("two").arn;
    assert!(stage.account.kill(&task));
    let ended = until("its end is told", async || {
        let process = seen(&engine, "api").await?;
        process.instances.into_iter().find(|one| one.state == InstanceState::Stopped)
    })
    .await;
    assert!(task.ends_with(ended.id.as_str()));
    assert_eq!(ended.reason.map(|reason| reason.code), Some(ReasonCode::Crashed));
    settled(&engine, "api", &api).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_interruption_by_hand_takes_the_newest_spot_task_and_is_told() {
    let stage = Stage::open();
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 1))).await;
    let first = settled(&engine, "api", &formation(1, 1, 1)).await;
    apply(&engine, stage.present("api", formation(1, 1, 2))).await;
    let both = settled(&engine, "api", &formation(1, 1, 2)).await;
    let newest =
        both.instances.iter().find(|one| first.instances.iter().all(|old| old.id != one.id)).expect("a new one");
    assert_eq!(newest.kind, InstanceKind::Spot);
    assert_eq!(engine.interrupt(&key("api"), 1).await.expect("stops"), std::slice::from_ref(&newest.id));
    let ended = until("its end is told", async || {
        let process = seen(&engine, "api").await?;
        process.instances.into_iter().find(|one| one.id == newest.id && one.state == InstanceState::Stopped)
    })
    .await;
    assert_eq!(ended.reason.map(|reason| reason.code), Some(ReasonCode::Reclaimed));
    settled(&engine, "api", &formation(1, 1, 2)).await;
    assert!(engine.interrupt(&key("nobody"), 1).await.is_err());
    engine.close().await;
}
