//! The server dies and another one starts: on the same store, over the same machine.

use tapit_engine::fake::{Ending, Script};

use super::stage::{Stage, app, create, create_app, healthy, image, process, set_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_finds_everything_as_it_was() {
    let mut stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2"), ("spot", "1")])).await;
    stage.settle(create("api", &[])).await;
    let before = (healthy(&stage.show("default").await), healthy(&stage.show("api").await));
    stage.restart().await;
    stage
        .until("both run", async |stage| {
            (healthy(&stage.show("default").await), healthy(&stage.show("api").await)) == before
        })
        .await;
    for name in ["default", "api"] {
        let view = stage.show(name).await;
        assert!(view.instances.iter().all(|one| one.state == "healthy"), "{view:?}");
        assert_eq!((view.status.as_str(), view.generation), ("running", 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_carries_on_the_rollout_that_the_old_one_was_in() {
    let mut stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "4")])).await;
    stage.fake.put_image(&image("shop:2"), Script::healthy());
    let outcome = stage.submit(set_image("shop:2")).await;
    stage
        .until("the new generation has begun", async |stage| {
            stage.show("default").await.instances.iter().any(|one| one.generation == 2)
        })
        .await;
    stage.restart().await;
    let progress = stage.settled(&app("shop"), None, outcome.revision).await;
    assert!(progress.ok, "{progress:?}");
    let view = stage.show("default").await;
    assert_eq!(healthy(&view).len(), 4);
    assert_eq!((view.running_generation, view.version.as_deref()), (2, Some("2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_rolls_back_what_the_old_one_would_have() {
    let mut stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    let before = healthy(&stage.show("default").await);
    stage.fake.put_image(&image("shop:2"), Script::ends(Ending::Exit(1)));
    let outcome = stage.submit(set_image("shop:2")).await;
    stage
        .until("one has failed", async |stage| {
            stage.show("default").await.instances.iter().any(|one| one.generation == 2 && one.state == "stopped")
        })
        .await;
    stage.restart().await;
    let progress = stage.settled(&app("shop"), Some(&process("default")), outcome.revision).await;
    assert!(!progress.ok, "{progress:?}");
    let view = stage.show("default").await;
    assert_eq!((view.status.as_str(), healthy(&view)), ("rolled_back", before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_finishes_a_deletion() {
    let mut stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    let outcome = stage.submit(tapit_model::Request::DeleteApp { app: app("shop") }).await;
    stage.restart().await;
    assert!(stage.settled(&app("shop"), None, outcome.revision).await.ok);
    stage.until("the engine has forgotten it", async |stage| stage.engine_holds().await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_the_old_server_can_be_read_from_the_new_one() {
    let mut stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let before = stage.events("shop").await;
    stage.restart().await;
    let after = stage.events("shop").await;
    assert_eq!(after[..before.len()], before);
}
