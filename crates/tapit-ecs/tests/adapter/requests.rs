//! What goes out: the shapes that AWS wants, and what is refused before anything goes out.

use std::collections::BTreeMap;

use serde_json::json;
use tapit_ecs::api::*;

use crate::canned::{Account, Canned, json_error, well};

pub fn definition() -> NewTaskDefinition {
    let container = Container {
        name: "web".to_owned(),
        image: "registry.example/shop@sha256:1".to_owned(),
        command: vec!["serve".to_owned()],
        environment: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        port: Some(8080),
        stop_timeout: 30,
        cap_add: vec!["SYS_PTRACE".to_owned()],
        log_group: "/tapit/1/shop".to_owned(),
        log_region: "eu-central-1".to_owned(),
        log_prefix: "web".to_owned(),
        labels: BTreeMap::from([("tapit.generation".to_owned(), "3".to_owned())]),
    };
    NewTaskDefinition {
        family: "tapit-1-shop_web".to_owned(),
        cpu: 256,
        memory_mib: 512,
        execution_role: Some("arn:aws:iam::1:role/e".to_owned()),
        task_role: None,
        container,
        tags: BTreeMap::from([("tapit:app".to_owned(), "shop".to_owned())]),
    }
}

pub fn service() -> NewService {
    NewService {
        cluster: "tapit-1-shop".to_owned(),
        name: "web_spot".to_owned(),
        task_definition: "arn:1".to_owned(),
        desired: 3,
        provider: Provider::FargateSpot,
        network: Network {
            subnets: vec!["subnet-1".to_owned()],
            security_groups: vec!["sg-1".to_owned()],
            assign_public_ip: false,
        },
        target: None,
        breaker: Breaker::Off,
        client_token: "token".to_owned(),
        tags: BTreeMap::new(),
    }
}

fn described(name: &str) -> Canned {
    well(json!({ "service": { "serviceName": name, "status": "ACTIVE", "desiredCount": 3 } }))
}

fn target(action: &str) -> Option<String> {
    Some(format!("AmazonEC2ContainerServiceV20141113.{action}"))
}

#[tokio::test]
async fn a_service_names_one_provider_with_the_whole_weight_and_no_launch_type() {
    let account = Account::answering([described("web_spot")]);
    account.call(Request::CreateService(Box::new(service()))).await.expect("a service");
    let sent = account.only_sent();
    assert_eq!(sent.uri, "https://ecs.eu-central-1.amazonaws.com/");
    assert_eq!(sent.target, target("CreateService"));
    assert_eq!(
        sent.json(),
        json!({
            "cluster": "tapit-1-shop",
            "serviceName": "web_spot",
            "taskDefinition": "arn:1",
            "desiredCount": 3,
            "clientToken": "token",
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
            "networkConfiguration": { "awsvpcConfiguration": {
                "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED",
            } },
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
                "deploymentCircuitBreaker": { "enable": false, "rollback": false },
            },
            "availabilityZoneRebalancing": "DISABLED",
            "propagateTags": "SERVICE",
        })
    );
}

#[tokio::test]
async fn a_change_names_what_changes_and_forces_nothing() {
    let nothing = ServiceChange {
        cluster: "c".to_owned(),
        service: "web".to_owned(),
        desired: None,
        task_definition: None,
        breaker: None,
        target: None,
    };
    let account = Account::answering([described("web"), described("web")]);
    let scaled = ServiceChange { desired: Some(0), ..nothing.clone() };
    account.call(Request::UpdateService(scaled)).await.expect("a service");
    let target =
        ServiceTarget { target_group: "tg".to_owned(), container: "web".to_owned(), port: 8080, grace_seconds: 60 };
    let rolled = ServiceChange {
        task_definition: Some("arn:2".to_owned()),
        breaker: Some(Breaker::RollsBack),
        target: Some(target),
        ..nothing
    };
    account.call(Request::UpdateService(rolled)).await.expect("a service");
    let sent: Vec<_> = account.sent().iter().map(|sent| sent.json()).collect();
    assert_eq!(sent[0], json!({ "cluster": "c", "service": "web", "desiredCount": 0 }));
    assert_eq!(
        sent[1],
        json!({
            "cluster": "c",
            "service": "web",
            "taskDefinition": "arn:2",
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
                "deploymentCircuitBreaker": { "enable": true, "rollback": true },
            },
            "loadBalancers": [{ "targetGroupArn": "tg", "containerName": "web", "containerPort": 8080 }],
            "healthCheckGracePeriodSeconds": 60,
        })
    );
}

pub fn task() -> NewTask {
    NewTask {
        cluster: "tapit-1-shop".to_owned(),
        task_definition: "arn:1".to_owned(),
        group: "task_task-7".to_owned(),
        provider: Provider::Fargate,
        network: Network {
            subnets: vec!["subnet-1".to_owned()],
            security_groups: vec!["sg-1".to_owned()],
            assign_public_ip: true,
        },
        client_token: "token".to_owned(),
        tags: BTreeMap::from([("tapit:app".to_owned(), "shop".to_owned())]),
    }
}

#[tokio::test]
async fn a_task_alone_is_one_in_a_group_of_its_own_with_its_token() {
    let account = Account::answering([well(json!({ "failures": [], "tasks": [{
        "taskArn": "arn:aws:ecs:eu-central-1:1:task/tapit-1-shop/1", "taskDefinitionArn": "arn:1",
        "group": "task_task-7", "startedBy": "token", "lastStatus": "PROVISIONING", "desiredStatus": "RUNNING",
    }] }))]);
    let answer = account.call(Request::RunTask(Box::new(task()))).await.expect("a task");
    let started = answer.tasks(Operation::RunTask).expect("tasks").remove(0);
    assert_eq!((started.group.as_str(), started.started_by.as_deref()), ("task_task-7", Some("token")));
    let sent = account.only_sent();
    assert_eq!(sent.target, target("RunTask"));
    assert_eq!(
        sent.json(),
        json!({
            "cluster": "tapit-1-shop",
            "taskDefinition": "arn:1",
            "count": 1,
            "group": "task_task-7",
            "startedBy": "token",
            "clientToken": "token",
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1 }],
            "networkConfiguration": { "awsvpcConfiguration": {
                "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED",
            } },
            "tags": [{ "key": "tapit:app", "value": "shop" }],
        })
    );
}

#[tokio::test]
async fn a_definition_is_one_container_on_fargate_with_its_logs() {
    let account = Account::answering([well(json!({ "taskDefinition": {
        "taskDefinitionArn": "arn:aws:ecs:eu-central-1:1:task-definition/tapit-1-shop_web:7",
        "family": "tapit-1-shop_web",
        "status": "ACTIVE",
        "containerDefinitions": [{ "name": "web", "dockerLabels": { "tapit.generation": "3" } }],
    } }))]);
    let answer = account.call(Request::RegisterTaskDefinition(Box::new(definition()))).await.expect("a definition");
    let made = answer.task_definition(Operation::RegisterTaskDefinition).expect("a definition");
    assert!(made.active && made.arn.ends_with(":7") && made.labels["tapit.generation"] == "3", "{made:?}");
    assert_eq!(
        account.only_sent().json(),
        json!({
            "family": "tapit-1-shop_web",
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": "arn:aws:iam::1:role/e",
            "containerDefinitions": [{
                "name": "web",
                "image": "registry.example/shop@sha256:1",
                "essential": true,
                "command": ["serve"],
                "environment": [{ "name": "A", "value": "1" }],
                "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
                "linuxParameters": { "capabilities": { "add": ["SYS_PTRACE"] } },
                "stopTimeout": 30,
                "dockerLabels": { "tapit.generation": "3" },
                "logConfiguration": { "logDriver": "awslogs", "options": {
                    "awslogs-group": "/tapit/1/shop",
                    "awslogs-region": "eu-central-1",
                    "awslogs-stream-prefix": "web",
                    "mode": "non-blocking",
                    "max-buffer-size": "25m",
                } },
            }],
            "tags": [{ "key": "tapit:app", "value": "shop" }],
        })
    );
}

#[tokio::test]
async fn a_cluster_has_both_providers_and_one_that_is_there_with_other_tags_is_taken_for_made() {
    let words = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
    let account = Account::answering([well(json!({ "cluster": {} })), json_error("InvalidParameterException", words)]);
    for _ in 0..2 {
        let create = Request::CreateCluster { name: "c".to_owned(), tags: Tags::new() };
        assert_eq!(account.call(create).await, Ok(Answer::Done));
    }
    let sent = account.sent()[0].json();
    assert_eq!(sent["capacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
}

#[tokio::test]
async fn more_than_aws_describes_at_once_is_refused_before_anything_is_sent() {
    let names = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let account = Account::answering([]);
    let cluster = || "c".to_owned();
    for request in [
        Request::DescribeServices { cluster: cluster(), services: names(11) },
        Request::DescribeServices { cluster: cluster(), services: names(0) },
        Request::DescribeTasks { cluster: cluster(), tasks: names(101) },
        Request::DescribeTasks { cluster: cluster(), tasks: names(0) },
    ] {
        let error = account.call(request).await.expect_err("too many, or none");
        assert_eq!(error.fault, ApiFault::Invalid, "{error}");
    }
    assert!(account.sent().is_empty());

    let account = Account::answering([well(json!({})), well(json!({}))]);
    for request in [
        Request::DescribeServices { cluster: cluster(), services: names(10) },
        Request::DescribeTasks { cluster: cluster(), tasks: names(100) },
    ] {
        account.call(request).await.expect("as many as AWS takes");
    }
    assert_eq!(account.sent()[1].json()["tasks"].as_array().map(Vec::len), Some(100));
}

#[tokio::test]
async fn calls_that_are_written_here_go_to_the_right_place_and_are_signed_for_it() {
    let empty = || well("<Empty/>");
    let account = Account::answering([empty(), empty(), well(""), well(r#"{"authorizationData":[]}"#)]);
    let group = Request::AuthorizeIngress { group: "sg-1".to_owned(), from: IngressFrom::World { port: 80 } };
    account.call(group).await.expect("done");
    account.call(Request::AttachExecutionPolicy { role: "r".to_owned() }).await.expect("done");
    account.call(Request::SetLogRetention { name: "/tapit".to_owned(), days: 14 }).await.expect("done");
    account.call(Request::RegistryLogin).await.expect_err("nothing to log in with");

    let sent = account.sent();
    let places: Vec<(&str, String)> = sent
        .iter()
        .map(|sent| {
            let authorization = sent.authorization.clone().expect("signed");
            let scope = authorization.split(['/', ',']).skip(2).take(2).collect::<Vec<_>>().join("/");
            (sent.uri.as_str(), scope)
        })
        .collect();
    let place = |uri, scope: &str| (uri, scope.to_owned());
    assert_eq!(
        places,
        [
            place("https://ec2.eu-central-1.amazonaws.com/", "eu-central-1/ec2"),
            place("https://iam.amazonaws.com/", "us-east-1/iam"),
            place("https://logs.eu-central-1.amazonaws.com/", "eu-central-1/logs"),
            place("https://api.ecr.eu-central-1.amazonaws.com/", "eu-central-1/ecr"),
        ]
    );
    assert_eq!(
        sent[0].body,
        "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&IpPermissions.1.IpProtocol=tcp\
         &IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0"
    );
    assert!(
        sent[1]
            .body
            .ends_with("PolicyArn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Fservice-role%2FAmazonECSTaskExecutionRolePolicy")
    );
    assert_eq!(sent[2].target.as_deref(), Some("Logs_20140328.PutRetentionPolicy"));
    assert_eq!(sent[2].json(), json!({ "logGroupName": "/tapit", "retentionInDays": 14 }));
}
