//! AWS refuses, or does not answer: people are told, and it goes on by itself.

use std::time::Duration;

use tapit_ecs::EcsSettings;
use tapit_ecs::api::{ApiFault, Operation};
use tapit_ecs::sim::{Fault, Verdict};
use tapit_engine::Engine;
use tapit_model::BlockedCode;
use tokio::time::{Instant, sleep};

use crate::stage::{Stage, apply, formation, provider_trouble, seen, settled, until};

#[tokio::test(start_paused = true)]
async fn an_account_that_throttles_only_takes_longer() {
    let stage = Stage::open();
    stage.account.faults().add(Fault::every(3));
    let engine = stage.engine(stage.metered()).await;
    engine.adopt(Vec::new()).await.expect("adopts");
    let web = formation(1, 2, 1);
    apply(&engine, stage.present("default", web.clone())).await;
    settled(&engine, "default", &web).await;
    assert_eq!(stage.account.inventory().task_definitions, 2);
    let next = formation(2, 2, 1);
    apply(&engine, stage.present("default", next.clone())).await;
    settled(&engine, "default", &next).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_told_within_seconds_and_forgotten_once_they_are_renewed() {
    let stage = Stage::open();
    stage.account.faults().expire_credentials();
    let engine = stage.started().await;
    let api = formation(1, 1, 0);
    let asked = Instant::now();
    apply(&engine, stage.present("api", api.clone())).await;
    let text = until("it is told", async || provider_trouble(&engine, "api").await).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert!(text.contains("credentials are missing, invalid or expired") && text.contains("ExpiredToken"), "{text}");
    let blocked = seen(&engine, "api").await.expect("listed").blocked;
    assert_eq!((blocked[0].demand, blocked[0].spot), (1, 0));

    sleep(Duration::from_secs(300)).await;
    let calls = stage.account.calls_made();
    sleep(Duration::from_secs(600)).await;
    assert!(stage.account.calls_made() - calls <= 22, "about one try a minute: {}", stage.account.calls_made() - calls);
    stage.account.faults().renew_credentials();
    let seen = settled(&engine, "api", &api).await;
    assert_eq!(seen.blocked, []);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_while_all_is_well_take_nothing_away() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let api = formation(1, 2, 0);
    apply(&engine, stage.present("api", api.clone())).await;
    let before = settled(&engine, "api", &api).await;
    stage.account.faults().expire_credentials();
    let text = until("it is told", async || provider_trouble(&engine, "api").await).await;
    assert!(text.contains("renew them"), "{text}");
    assert_eq!(seen(&engine, "api").await.expect("listed").instances, before.instances);
    // What is wanted meanwhile is done once it can be.
    let more = formation(1, 3, 0);
    apply(&engine, stage.present("api", more.clone())).await;
    sleep(Duration::from_secs(30)).await;
    stage.account.faults().renew_credentials();
    engine.nudge();
    let renewed = Instant::now();
    settled(&engine, "api", &more).await;
    assert!(renewed.elapsed() < Duration::from_secs(40), "a nudge is heard: {:?}", renewed.elapsed());
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_denied_permission_is_named_and_keeps_no_sibling() {
    let stage = Stage::open();
    let denied = Fault::every(1).of(Operation::CreateLoadBalancer).with(Verdict::Refuse(ApiFault::Denied));
    stage.account.faults().add(denied);
    let engine = stage.started().await;
    let (web, api) = (formation(1, 1, 0), formation(1, 1, 0));
    apply(&engine, stage.present("default", web.clone())).await;
    apply(&engine, stage.present("api", api.clone())).await;
    let seen = settled(&engine, "api", &api).await;
    assert_eq!(seen.blocked, []);
    let text = provider_trouble(&engine, "default").await.expect("told");
    assert!(text.contains("allow elasticloadbalancing:CreateLoadBalancer"), "{text}");
    stage.account.faults().clear();
    settled(&engine, "default", &web).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_aws_refuses_keeps_no_sibling() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let api = formation(1, 1, 0);
    // No size that Fargate has.
    let mut wrong = formation(1, 1, 0);
    wrong.size.memory = tapit_model::MemoryMib::from_mib(777);
    apply(&engine, stage.present("wrong", wrong)).await;
    apply(&engine, stage.present("api", api.clone())).await;
    let seen = settled(&engine, "api", &api).await;
    assert_eq!(seen.blocked, []);
    let text = until("it is told", async || provider_trouble(&engine, "wrong").await).await;
    assert!(text.contains("AWS refuses ecs:RegisterTaskDefinition"), "{text}");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_without_a_default_vpc_is_told_what_to_do() {
    let stage = Stage::open();
    stage.account.remove_default_vpc();
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    let text = until("it is told", async || provider_trouble(&engine, "api").await).await;
    assert_eq!(text, "this account has no default VPC in eu-central-1; name subnets with --ecs-subnets");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn subnets_that_are_not_there_are_named() {
    let subnets = vec!["subnet-0a0a0a0a".to_owned(), "subnet-lost".to_owned()];
    let stage = Stage::with(EcsSettings { subnets, ..EcsSettings::default() });
    let engine = stage.started().await;
    apply(&engine, stage.present("api", formation(1, 1, 0))).await;
    let text = until("it is told", async || provider_trouble(&engine, "api").await).await;
    assert!(text.contains("subnet-lost"), "{text}");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_place_is_told_and_tried_again() {
    let stage = Stage::open();
    let fault = ("app:v1".to_owned(), "the registry does not answer".to_owned());
    stage.images.faults.lock().expect("not poisoned").extend([fault]);
    let engine = stage.started().await;
    let api = formation(1, 1, 0);
    apply(&engine, stage.present("api", api.clone())).await;
    let blocked = until("it is told", async || {
        let blocked = seen(&engine, "api").await?.blocked;
        blocked.into_iter().find(|one| one.code == BlockedCode::ImageUnavailable)
    })
    .await;
    assert!(blocked.text.contains("the registry does not answer"), "{}", blocked.text);
    assert_eq!(blocked.demand, 1);
    stage.images.faults.lock().expect("not poisoned").clear();
    settled(&engine, "api", &api).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn two_troubles_at_once_are_tried_again_without_hurry() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let api = formation(1, 1, 0);
    apply(&engine, stage.present("api", api.clone())).await;
    settled(&engine, "api", &api).await;
    let fault = ("app:v1".to_owned(), "the registry does not answer".to_owned());
    stage.images.faults.lock().expect("not poisoned").extend([fault]);
    let next = formation(2, 1, 0);
    apply(&engine, stage.present("api", next.clone())).await;
    sleep(Duration::from_secs(5)).await;
    stage.account.faults().expire_credentials();
    sleep(Duration::from_secs(120)).await;
    let told = engine.changes();
    let calls = stage.account.calls_made();
    sleep(Duration::from_secs(600)).await;
    assert!(stage.account.calls_made() - calls <= 25, "{}", stage.account.calls_made() - calls);
    assert!(!told.has_changed().expect("the engine is there"), "the same is not told again and again");
    stage.account.faults().renew_credentials();
    stage.images.faults.lock().expect("not poisoned").clear();
    engine.nudge();
    settled(&engine, "api", &next).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn reads_that_lag_behind_double_nothing() {
    let stage = Stage::open();
    stage.account.set_lag(Duration::from_secs(5));
    let engine = stage.started().await;
    let web = formation(1, 2, 1);
    apply(&engine, stage.present("default", web.clone())).await;
    settled(&engine, "default", &web).await;
    let inventory = stage.account.inventory();
    assert_eq!((inventory.services, inventory.task_definitions, inventory.tasks), (2, 2, 3));
    let scaled = formation(1, 1, 2);
    apply(&engine, stage.present("default", scaled.clone())).await;
    settled(&engine, "default", &scaled).await;
    assert_eq!(stage.account.count(Operation::UpdateService), 2, "each service was told once");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_aws_does_not_allow_ends_and_says_why() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let api = formation(1, 1, 0);
    apply(&engine, stage.present("api", api.clone())).await;
    settled(&engine, "api", &api).await;
    let denied = Fault::every(1).of(Operation::DeleteService).with(Verdict::Refuse(ApiFault::Denied));
    stage.account.faults().add(denied);
    let error = engine.teardown().await.expect_err("it is not allowed");
    let text = tapit_model::describe(&error);
    assert!(text.starts_with("removing shop: ") && text.contains("allow ecs:DeleteService"), "{text}");
    stage.account.faults().clear();
    engine.teardown().await.expect("goes on");
    assert_eq!(stage.account.left_over(), Vec::<String>::new());
    engine.close().await;
}
