//! Deletions.

use tapit_model::Request;

use super::stage::{Stage, app, create, create_app, healthy, process};
use crate::api::Core;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_process_goes_and_its_siblings_stay() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    stage.settle(create("api", &[("demand", "2")])).await;
    let before = healthy(&stage.show("default").await);
    let progress = stage.settle(Request::DeleteProcess { app: app("shop"), process: process("api") }).await;
    assert!(progress.ok && progress.settled, "{progress:?}");
    stage.until("the engine has forgotten it", async |stage| stage.engine_holds().await == ["shop/default"]).await;
    assert!(stage.server.core.process(&app("shop"), &process("api")).await.is_err());
    assert_eq!(healthy(&stage.show("default").await), before);
    let events = stage.events("shop").await;
    let ends: Vec<_> = events.iter().filter(|event| event.kind == "instance_stopped").collect();
    assert_eq!(ends.len(), 2, "{events:#?}");
    assert!(ends.iter().all(|end| end.text.contains("exit 143")), "how each ended is told: {ends:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_back_under_its_old_name_is_another_one() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    stage.settle(create("api", &[])).await;
    let before = stage.show("api").await;
    stage.settle(Request::DeleteProcess { app: app("shop"), process: process("api") }).await;
    assert!(stage.settle(create("api", &[])).await.ok);
    let after = stage.show("api").await;
    assert_ne!(healthy(&after), healthy(&before));
    assert!(after.generation > before.generation, "{} then {}", before.generation, after.generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_app_leaves_its_events_and_nothing_else() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2"), ("spot", "1")])).await;
    stage.settle(create("api", &[])).await;
    let progress = stage.settle(Request::DeleteApp { app: app("shop") }).await;
    assert!(progress.ok, "{progress:?}");
    stage.until("the engine has forgotten it", async |stage| stage.engine_holds().await.is_empty()).await;
    assert!(stage.server.core.apps().await.is_empty());
    let events = stage.events("shop").await;
    assert_eq!(events.last().map(|event| event.kind.as_str()), Some("app_deleted"), "{events:?}");
    let starts = events.iter().filter(|event| event.kind == "instance_starting").count();
    let stops = events.iter().filter(|event| event.kind == "instance_stopped").count();
    assert_eq!((starts, stops), (4, 4), "every start and every end is told: {events:#?}");
}
