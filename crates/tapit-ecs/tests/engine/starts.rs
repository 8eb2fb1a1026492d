//! From nothing to something and back.

use std::time::Duration;

use tapit_ecs::sim::Inventory;
use tapit_engine::Engine;

use tokio::time::sleep;

use crate::stage::{Stage, app, apply, formation, gone, seen, settled, until};

#[tokio::test(start_paused = true)]
async fn an_app_is_made_from_nothing_and_leaves_nothing() {
    let stage = Stage::open();
    let engine = stage.started().await;
    assert_eq!(engine.url(&app()), None);
    let (web, api) = (formation(1, 2, 1), formation(1, 1, 0));
    apply(&engine, stage.present("default", web.clone())).await;
    apply(&engine, stage.present("api", api.clone())).await;
    settled(&engine, "default", &web).await;
    settled(&engine, "api", &api).await;
    let there = stage.account.inventory();
    let expected = Inventory {
        clusters: 1,
        services: 3,
        task_definitions: 3,
        tasks: 4,
        security_groups: 2,
        load_balancers: 1,
        listeners: 1,
        rules: 1,
        target_groups: 1,
        log_groups: 1,
        roles: 1,
        ..Inventory::default()
    };
    assert_eq!(there, expected);
    let url = engine.url(&app()).expect("it has a public process");
    assert!(url.starts_with("http://tapit-"), "{url}");

    apply(&engine, stage.absent("default")).await;
    apply(&engine, stage.absent("api")).await;
    gone(&engine, "default").await;
    gone(&engine, "api").await;
    until("only what apps share is left", async || {
        let left = stage.account.inventory();
        let shared =
            Inventory { security_groups: 1, load_balancers: 1, listeners: 1, roles: 1, ..Inventory::default() };
        (left == shared).then_some(())
    })
    .await;
    assert_eq!(*stage.images.forgotten.lock().expect("not poisoned"), [app()]);
    engine.teardown().await.expect("tears down");
    assert_eq!(stage.account.left_over(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(stage.data_dir().join("ecs/apps")).expect("listed").count(), 0);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn one_process_goes_and_its_sibling_stays() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let (web, api) = (formation(1, 1, 0), formation(1, 1, 0));
    apply(&engine, stage.present("default", web.clone())).await;
    apply(&engine, stage.present("api", api.clone())).await;
    settled(&engine, "default", &web).await;
    let before = settled(&engine, "api", &api).await;
    apply(&engine, stage.absent("default")).await;
    gone(&engine, "default").await;
    until("its way in is gone too", async || (stage.account.inventory().target_groups == 0).then_some(())).await;
    assert_eq!(settled(&engine, "api", &api).await.instances, before.instances);
    assert_eq!(stage.account.inventory().services, 1);

    for _ in 0..360 {
        sleep(Duration::from_millis(500)).await;
        assert_eq!(seen(&engine, "default").await, None, "what is gone stays gone");
    }

    // Wanted again, it is made again.
    apply(&engine, stage.present("default", web.clone())).await;
    settled(&engine, "default", &web).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_teardown_needs_no_server_that_knows_anything() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let web = formation(1, 1, 1);
    apply(&engine, stage.present("default", web.clone())).await;
    settled(&engine, "default", &web).await;
    engine.close().await;
    std::fs::remove_dir_all(stage.data_dir().join("ecs")).expect("the files are lost");
    let engine = stage.engine(stage.account.clone()).await;
    engine.teardown().await.expect("tears down");
    assert_eq!(stage.account.left_over(), Vec::<String>::new());
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_file_is_damaged_runs_on_as_it_is() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let web = formation(1, 2, 0);
    let target = stage.present("default", web.clone());
    apply(&engine, target.clone()).await;
    let before = settled(&engine, "default", &web).await;
    let inventory = stage.account.inventory();
    engine.close().await;
    std::fs::write(stage.data_dir().join("ecs/apps/shop.json"), "not JSON").expect("written");
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(vec![target.clone()]).await.expect("adopts");
    until("it has been looked at", async || {
        seen(&engine, "default").await.filter(|seen| seen.revision == target.revision).map(drop)
    })
    .await;
    let after = settled(&engine, "default", &web).await;
    let ids = |seen: &tapit_model::ProcessObserved| seen.instances.iter().map(|i| i.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after), "nothing was restarted");
    assert_eq!(stage.account.inventory(), inventory, "and nothing was made twice");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_server_shows_what_runs_before_aws_has_answered() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let web = formation(1, 2, 0);
    let target = stage.present("default", web.clone());
    apply(&engine, target.clone()).await;
    let before = settled(&engine, "default", &web).await;
    engine.close().await;
    stage.account.faults().expire_credentials();
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(vec![target]).await.expect("adopts all the same");
    let after = seen(&engine, "default").await.expect("listed");
    assert_eq!(before.instances, after.instances);
    engine.close().await;
}
