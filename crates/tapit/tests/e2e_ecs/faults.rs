//! Calls to AWS that fail: they are made again, and nothing is doubled by it.

use serde_json::json;

use crate::harness::views::healthy;
use crate::harness::{SMALL, Server, holds, until};
use crate::support::strict::faults::{Fault, On};

/// Whatever makes something.
const MAKING: [&str; 10] = [
    "ecs:CreateCluster",
    "ecs:RegisterTaskDefinition",
    "ecs:CreateService",
    "ec2:CreateSecurityGroup",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:CreateRule",
    "ecr:CreateRepository",
    "iam:CreateRole",
];

#[test]
fn calls_that_are_throttled_or_whose_answers_are_lost_are_made_again_and_nothing_is_doubled() {
    let Some(server) = Server::with_images() else { return };
    let account = server.account();
    for operation in MAKING {
        account.strict().plan(On::Next(operation, 1), Fault::LoseAnswer);
    }
    account.strict().plan(On::Every(4), Fault::Throttle);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();

    let mut made: Vec<String> = account.left_over();
    made.retain(|line| !line.starts_with("container"));
    let kinds = [
        "service ",
        "cluster ",
        "definition ",
        "repository ",
        "log group ",
        "load balancer ",
        "target group ",
        "role ",
    ];
    for kind in kinds {
        let of_kind: Vec<&String> = made.iter().filter(|line| line.starts_with(kind)).collect();
        assert_eq!(of_kind.len(), 1, "one of each, as names are derived: {made:#?}");
    }
    assert_eq!(account.containers().len(), 2);

    server.tapit("restart process name=default --wait").ok();
    let services = account.ecs("ListServices", &json!({"cluster": account.containers()[0].cluster}));
    assert_eq!(services["serviceArns"].as_array().map(Vec::len), Some(1), "{services}");
    account.strict().plan_nothing();
}

#[test]
fn credentials_that_expire_are_told_and_what_was_asked_for_is_done_with_new_ones() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    let before = healthy(&server.show("default"));
    server.account().strict().plan(On::All, Fault::Expired);
    server.tapit("set process demand_count=2").ok();
    until(60, "told why nothing happens", || {
        let shown = server.show("default");
        let told = shown["blocked"].to_string().to_lowercase();
        holds(told.contains("credentials"), format!("{shown:#}"))
    });
    assert_eq!(server.get("shop", "/").status, 200, "what runs goes on");
    server.account().strict().plan_nothing();
    until(120, "scaled", || {
        let now = healthy(&server.show("default"));
        holds(now.len() == 2 && now.is_superset(&before), format!("{now:?}"))
    });
}
