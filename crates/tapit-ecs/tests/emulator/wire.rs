//! The layer over the wire, in front of the emulator: what it lets through, what not, and what fails on purpose.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Account;
use crate::support::plain_http::{self, Ask};
use crate::support::strict::faults::{Fault, On};

/// A call as an SDK makes it. `Err`: the connection ended without an answer.
fn call(account: &Account, operation: &str, input: &Value) -> Result<(u16, Value), std::io::Error> {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let authorization = format!("AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/ecs/aws4_request", account.id());
    let headers = [
        ("X-Amz-Target", target.as_str()),
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Authorization", authorization.as_str()),
    ];
    let body = input.to_string();
    let ask = Ask { method: "POST", path: "/", headers: &headers, body: body.as_bytes() };
    let answer = plain_http::send(account.address(), &ask)?;
    Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
}

#[test]
fn a_refusal_reaches_the_caller_as_aws_words_it_and_nothing_is_done() {
    let Some(account) = Account::open() else { return };
    let service = json!({"cluster": "nowhere", "serviceName": "default", "taskDefinition": "web:1"});
    let (status, answer) = call(&account, "CreateService", &service).expect("an answer");
    assert_eq!((status, &answer["__type"]), (400, &json!("ClusterNotFoundException")));
    assert_eq!(account.ecs("ListClusters", &json!({}))["clusterArns"], json!([]), "the emulator would have made one");
    assert_eq!(account.strict().take_counts(), [("ecs:CreateService".to_owned(), 1)].into());
    assert_eq!(account.strict().take_refused().len(), 1);
}

#[test]
fn an_answer_that_is_lost_was_carried_out_and_a_call_that_is_throttled_or_dropped_was_not() {
    let Some(account) = Account::open() else { return };
    let clusters = || account.ecs("ListClusters", &json!({}))["clusterArns"].as_array().map_or(0, Vec::len);
    account.strict().plan(On::Next("ecs:CreateCluster", 1), Fault::Throttle);
    let (status, answer) = call(&account, "CreateCluster", &json!({"clusterName": "a"})).expect("an answer");
    assert_eq!((status, &answer["__type"], clusters()), (400, &json!("ThrottlingException"), 0));
    account.strict().plan(On::Next("ecs:CreateCluster", 1), Fault::Drop);
    assert!(call(&account, "CreateCluster", &json!({"clusterName": "a"})).is_err());
    assert_eq!(clusters(), 0);
    account.strict().plan(On::Next("ecs:CreateCluster", 1), Fault::LoseAnswer);
    assert!(call(&account, "CreateCluster", &json!({"clusterName": "a"})).is_err());
    assert_eq!(clusters(), 1);
    account.strict().plan(On::All, Fault::Expired);
    let (_, answer) = call(&account, "ListClusters", &json!({})).expect("an answer");
    assert_eq!(answer["__type"], "ExpiredTokenException");
    account.strict().plan_nothing();
    account.strict().plan(On::Next("ecs:ListClusters", 1), Fault::Delay(Duration::from_millis(100)));
    let begun = Instant::now();
    assert_eq!(call(&account, "ListClusters", &json!({})).expect("an answer").0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[test]
fn accounts_do_not_see_one_another() {
    let (Some(one), Some(other)) = (Account::open(), Account::open()) else { return };
    call(&one, "CreateCluster", &json!({"clusterName": "shop"})).expect("an answer");
    assert_eq!(one.left_over().len(), 1, "{:?}", one.left_over());
    other.assert_empty();
    let (_, answer) =
        call(&other, "DescribeServices", &json!({"cluster": "shop", "services": ["a"]})).expect("an answer");
    assert_eq!(answer["__type"], "ClusterNotFoundException");
}
