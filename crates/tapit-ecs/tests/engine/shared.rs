//! What all apps share: found or made once.

use tapit_ecs::EcsSettings;
use tapit_ecs::api::{Answer, EcsApi, Operation, Request, Tags};
use tapit_engine::Engine;

use crate::stage::{Stage, app, apply, formation, settled};

#[tokio::test(start_paused = true)]
async fn a_given_listener_and_role_are_used_and_left_alone() {
    let stage = Stage::open();
    let subnets = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"].map(str::to_owned).to_vec();
    let balancer = Request::CreateLoadBalancer {
        name: "theirs".to_owned(),
        subnets: subnets.clone(),
        security_groups: Vec::new(),
        tags: Tags::new(),
    };
    let Ok(Answer::LoadBalancer(balancer)) = stage.account.call(balancer).await else { panic!("no balancer") };
    let listener = Request::CreateListener { load_balancer: balancer.arn.clone(), port: 80, tags: Tags::new() };
    let Ok(Answer::Id(listener)) = stage.account.call(listener).await else { panic!("no listener") };
    let role = Request::CreateRole { name: "theirs".to_owned(), description: String::new(), tags: Tags::new() };
    let Ok(Answer::Id(role)) = stage.account.call(role).await else { panic!("no role") };
    let attach = Request::AttachExecutionPolicy { role: "theirs".to_owned() };
    stage.account.call(attach).await.expect("attached");
    let theirs = stage.account.left_over();
    let settings =
        EcsSettings { subnets, listener: Some(listener), execution_role: Some(role), ..EcsSettings::default() };
    let mut stage = stage;
    stage.settings = settings;
    let engine = stage.started().await;
    let web = formation(1, 1, 0);
    apply(&engine, stage.present("default", web.clone())).await;
    settled(&engine, "default", &web).await;
    assert_eq!(engine.url(&app()), Some(format!("http://{}", balancer.dns_name)));
    assert_eq!((stage.account.inventory().load_balancers, stage.account.inventory().roles), (1, 1));
    engine.teardown().await.expect("tears down");
    assert_eq!(stage.account.left_over(), theirs);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn two_apps_share_one_balancer_and_one_role_and_a_new_server_asks_for_neither() {
    let stage = Stage::open();
    let engine = stage.started().await;
    let web = formation(1, 1, 0);
    let target = stage.present("default", web.clone());
    let mut other = stage.present("default", web.clone());
    other.key.app = tapit_model::AppName::parse("blog").expect("legal");
    apply(&engine, target.clone()).await;
    apply(&engine, other.clone()).await;
    settled(&engine, "default", &web).await;
    crate::stage::until("both have a rule", async || (stage.account.inventory().rules == 2).then_some(())).await;
    let inventory = stage.account.inventory();
    assert_eq!((inventory.load_balancers, inventory.listeners, inventory.roles, inventory.clusters), (1, 1, 1, 2));
    engine.close().await;
    stage.account.reset_counts();
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(vec![target, other]).await.expect("adopts");
    settled(&engine, "default", &web).await;
    let asked = [Operation::DescribeVpcs, Operation::GetRole, Operation::DescribeLoadBalancers];
    assert!(asked.iter().all(|operation| stage.account.count(*operation) == 0), "{:?}", stage.account.counts());
    engine.close().await;
}
