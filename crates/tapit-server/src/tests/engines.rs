//! What the kind of the engine decides for a server: what is admitted, where apps are reached, what a diff compares.

use tapit_model::{Code, EngineKind};

use super::stage::{Stage, app, create, create_app, image, set};
use crate::api::Core;

#[tokio::test(flavor = "multi_thread")]
async fn what_fargate_cannot_run_is_refused_and_nothing_is_stored() {
    let stage = Stage::open().await;
    stage.fake.act_as(EngineKind::Ecs);
    stage.settle(create_app("shop", &[])).await;
    let before = stage.show("default").await;
    for request in [set("default", &[("memory", "4")]), create("api", &[("cpu", "0.3")])] {
        let refusal = stage.try_submit(request).await.expect_err("no such size");
        assert!(refusal.code == Code::Usage && refusal.message.contains("the nearest are"), "{refusal}");
    }
    let after = stage.show("default").await;
    assert_eq!((after.memory, after.generation), (before.memory, before.generation));
    let outcome = stage.submit(set("default", &[("memory", "1")])).await;
    assert!(outcome.message.contains("a rolling rollout replaces every instance"), "{}", outcome.message);
    stage.fake.act_as(EngineKind::Embedded);
    stage.submit(set("default", &[("memory", "4")])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_engine_is_shown_instead_of_the_routers() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let url = stage.show("default").await.url.expect("behind the router");
    assert!(url.starts_with("http://shop.localhost:"), "{url}");
    stage.fake.act_as(EngineKind::Ecs);
    assert_eq!(stage.show("default").await.url.as_deref(), Some("http://shop.example"));
    let view = stage.server.core.app(&app("shop")).await.expect("there");
    assert_eq!(view.url.as_deref(), Some("http://shop.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_on_ecs_has_no_address_before_the_engine_gives_it_one() {
    let stage = Stage::open().await;
    stage.fake.act_as(EngineKind::Ecs);
    let outcome = stage.server.core.submit(create_app("shop", &[]), true).await.expect("admitted");
    assert!(outcome.dry_run && outcome.app.is_none());
    stage.fake.spoil_image(&image("gone:1"), tapit_engine::ImageFault::NotFound);
    let request = tapit_model::Request::CreateApp {
        app: app("shop"),
        image: Some(image("gone:1")),
        patch: tapit_model::ProcessPatch::default(),
    };
    stage.submit(request).await;
    stage.full_pass().await;
    assert_eq!(stage.show("default").await.url, None);
    assert_eq!(stage.server.core.apps().await[0].url, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_compares_with_the_engine_that_runs_and_knows_images_that_were_imported() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let diff = async |kind| stage.server.core.diff(&app("shop"), kind).await.expect("the app is there");
    assert_eq!(diff(EngineKind::Embedded).await, []);
    let there = diff(EngineKind::Ecs).await;
    let resize = there.iter().find(|row| row.what == "resize").expect("it always differs");
    assert_eq!((resize.process.as_str(), resize.there.as_str()), ("default", "rolling"));
    let local = there.iter().any(|row| row.what == "image" && row.here.contains(&image("shop:1").to_string()));
    assert!(local, "{there:?}");
    stage.fake.act_as(EngineKind::Ecs);
    assert_eq!(diff(EngineKind::Ecs).await, []);
    let back = diff(EngineKind::Embedded).await;
    assert!(back.iter().any(|row| row.what == "resize" && row.here == "rolling"), "{back:?}");
    let refusal = stage.server.core.diff(&app("nope"), EngineKind::Ecs).await.expect_err("no such app");
    assert_eq!(refusal.code, Code::NotFound);
}
