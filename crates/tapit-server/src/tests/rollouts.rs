//! Rollouts: how they end well, and how not.

use tapit_engine::ImageFault;
use tapit_engine::fake::{Ending, Script};
use tapit_model::Request;

use super::stage::{Stage, app, create, create_app, healthy, image, process, set, set_image};
use crate::api::Core;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_app_comes_up_and_its_events_say_how() {
    let stage = Stage::open().await;
    let progress = stage.settle(create_app("shop", &[("demand", "2"), ("spot", "1")])).await;
    assert!(progress.ok, "{progress:?}");
    let view = stage.show("default").await;
    assert_eq!((view.status.as_str(), view.running.demand, view.running.spot), ("running", 2, 1));
    assert_eq!((view.generation, view.running_generation), (1, 1));
    assert_eq!(view.rollout.expect("there was one").state, "succeeded");
    let events = stage.events("shop").await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    for kind in ["app_created", "image_pinned", "instance_starting", "instance_healthy", "rollout_succeeded"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let at = |kind| kinds.iter().position(|other| *other == kind);
    assert!(at("app_created") < at("image_pinned") && at("image_pinned") < at("instance_starting"), "{kinds:?}");
    assert!(at("instance_healthy") < at("rollout_succeeded"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_instance_is_explained_from_its_start_to_its_end() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    stage.settle(Request::RestartProcess { app: app("shop"), process: process("default") }).await;
    stage.settle(set("default", &[("demand_count", "1")])).await;
    stage
        .until("the surplus one has stopped", async |stage| {
            stage.show("default").await.instances.iter().filter(|one| one.state != "stopped").count() == 1
        })
        .await;
    let events = stage.events("shop").await;
    for instance in stage.show("default").await.instances {
        let of = events.iter().filter(|event| event.instance.as_deref() == Some(&instance.id));
        let kinds: Vec<_> = of.map(|event| event.kind.clone()).collect();
        assert_eq!(kinds.first().map(String::as_str), Some("instance_starting"), "{}: {kinds:?}", instance.id);
        assert!(kinds.iter().any(|kind| kind == "instance_healthy"), "{}: {kinds:?}", instance.id);
        let ended = kinds.last().is_some_and(|kind| kind == "instance_stopped");
        assert_eq!(ended, instance.state == "stopped", "{}: {kinds:?}", instance.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_crashes_is_rolled_back_with_its_last_words() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    let before = healthy(&stage.show("default").await);
    stage.fake.put_image(&image("shop:2"), Script::ends(Ending::Exit(7)).logs(&["reading", "no database"]));
    let progress = stage.settle(set_image("shop:2")).await;
    assert!(!progress.ok);
    assert_eq!(progress.log_tail, ["reading", "no database"]);
    assert!(progress.text.contains("exit 7"), "{}", progress.text);
    stage
        .until("only the old generation is left", async |stage| {
            let view = stage.show("default").await;
            view.instances.iter().filter(|one| one.state != "stopped").count() == 2
        })
        .await;
    let view = stage.show("default").await;
    assert_eq!(view.status, "rolled_back");
    assert_eq!(healthy(&view), before, "the old instances were not touched");
    assert_eq!((view.generation, view.running_generation), (2, 1));
    let rollout = view.rollout.expect("there was one");
    assert_eq!((rollout.state.as_str(), rollout.from, rollout.to), ("rolled_back", 1, 2));
    assert_eq!(rollout.last_exit.and_then(|exit| exit.code), Some(7));
    assert_eq!(rollout.log_tail, ["reading", "no database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_never_gets_healthy_is_rolled_back_at_its_deadline() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("health_timeout", "3s")])).await;
    stage.fake.put_image(&image("shop:2"), Script::never_healthy());
    let progress = stage.settle(set_image("shop:2")).await;
    assert!(!progress.ok && progress.text.contains("in time"), "{progress:?}");
    assert_eq!(stage.status("default").await, "rolled_back");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rollback_the_next_image_is_tried_afresh() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    stage.fake.put_image(&image("shop:2"), Script::ends(Ending::Exit(1)));
    assert!(!stage.settle(set_image("shop:2")).await.ok);
    stage.fake.put_image(&image("shop:3"), Script::healthy());
    let progress = stage.settle(set_image("shop:3")).await;
    assert!(progress.ok, "{progress:?}");
    let view = stage.show("default").await;
    assert_eq!((view.status.as_str(), view.version.as_deref()), ("running", Some("3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_the_reason_until_it_comes() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let progress = stage.settle(create("api", &[("image", "nowhere:9")])).await;
    assert!(!progress.ok && progress.text.contains("nowhere:9"), "{progress:?}");
    let view = stage.show("api").await;
    assert_eq!(view.status, "pending");
    assert_eq!(view.blocked.first().map(|blocked| blocked.code.as_str()), Some("image_unavailable"), "{view:?}");
    let archive = tempfile::NamedTempFile::new().expect("a file");
    stage.server.core.import_image(archive.path(), Some(image("nowhere:9"))).await.expect("imports");
    stage.until("it runs", async |stage| stage.status("api").await == "running").await;
    assert_eq!(stage.status("default").await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_held_is_no_obstacle_to_tell_of() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let restart = Request::RestartProcess { app: app("shop"), process: process("default") };
    assert!(stage.settle(restart).await.ok);
    let events = stage.events("shop").await;
    assert!(events.iter().all(|event| !event.kind.contains("blocked")), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_to_an_image_that_is_not_there_is_rolled_back() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let before = healthy(&stage.show("default").await);
    stage.fake.spoil_image(&image("shop:2"), ImageFault::Denied);
    let progress = stage.settle(set_image("shop:2")).await;
    assert!(!progress.ok && progress.text.contains("shop:2"), "{progress:?}");
    let view = stage.show("default").await;
    assert_eq!(view.status, "rolled_back");
    assert_eq!(healthy(&view), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_leaves_its_siblings_alone() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    let before = stage.show("default").await;
    stage.fake.put_image(&image("bad:1"), Script::ends(Ending::OutOfMemory));
    let progress = stage.settle(create("worker", &[("image", "bad:1")])).await;
    assert!(!progress.ok, "{progress:?}");
    let after = stage.show("default").await;
    assert_eq!(healthy(&after), healthy(&before));
    assert_eq!((after.generation, after.updated_at), (before.generation, before.updated_at));
}
