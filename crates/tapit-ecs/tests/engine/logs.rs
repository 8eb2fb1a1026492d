//! Logs out of CloudWatch.

use std::time::Duration;

use tapit_ecs::sim::Behaviour;
use tapit_engine::{Engine, EngineError, LogPart};
use tapit_model::{InstanceId, InstanceKey};
use tokio::time::sleep;

use crate::stage::{Stage, app, apply, formation, settled};

#[tokio::test(start_paused = true)]
async fn a_log_is_read_from_its_end_and_on_from_there() {
    let stage = Stage::open();
    stage.account.behave(|_| Behaviour::serves().writes(&["one", "two", "three"]));
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    let seen = settled(&engine, "api", &formation(1, 1, 0)).await;
    let instance = InstanceKey { app: app(), id: seen.instances[0].id.clone() };
    assert_eq!(engine.log_tail(&instance, 2).await.expect("a log"), ["two", "three"]);
    let end = engine.logs(&instance, &LogPart::Last { lines: 0, since: None }).await.expect("a log");
    assert!(end.lines.is_empty());
    let task = stage.account.tasks().into_iter().next().expect("one").arn;
    assert!(stage.account.write(&task, &["four"]));
    let more = LogPart::Next { after: Some(end.next), limit: 10 };
    let more = engine.logs(&instance, &more).await.expect("a log");
    assert_eq!(more.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["four"]);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_followed_is_asked_for_once_a_second_at_most() {
    let stage = Stage::open();
    stage.account.behave(|_| Behaviour::serves().writes(&["one"]));
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    let seen = settled(&engine, "api", &formation(1, 1, 0)).await;
    let instance = InstanceKey { app: app(), id: seen.instances[0].id.clone() };
    let mut next = engine.logs(&instance, &LogPart::Last { lines: 1, since: None }).await.expect("a log").next;
    stage.account.reset_counts();
    for _ in 0..100 {
        let part = LogPart::Next { after: Some(next.clone()), limit: 100 };
        let reading = engine.logs(&instance, &part).await.expect("a log");
        assert!(reading.lines.is_empty());
        next = reading.next;
        sleep(Duration::from_millis(100)).await;
    }
    let asked = stage.account.count(tapit_ecs::api::Operation::GetLogEvents);
    assert!((9..=11).contains(&asked), "{asked} times in ten seconds");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_has_written_nothing_has_an_empty_log_and_an_unknown_one_has_none() {
    let stage = Stage::open();
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    let seen = settled(&engine, "api", &formation(1, 1, 0)).await;
    let instance = InstanceKey { app: app(), id: seen.instances[0].id.clone() };
    assert_eq!(engine.log_tail(&instance, 5).await.expect("empty"), Vec::<String>::new());
    let nobody = InstanceKey { app: app(), id: InstanceId::opaque("nobody") };
    assert!(matches!(engine.log_tail(&nobody, 5).await, Err(EngineError::UnknownInstance(_))));
    engine.close().await;
}
