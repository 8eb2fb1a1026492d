//! Answers that no emulator gives, in AWS's words.

use serde_json::{Value, json};
use tapit_ecs::api::*;
use tapit_ecs::doctor::{Simulated, Verdict};
use tapit_model::Timestamp;

use crate::canned::{Account, Canned, ec2_error, json_error, well, xml_error};

async fn services(body: Value) -> Result<Vec<Service>, ApiError> {
    let request = Request::DescribeServices { cluster: "c".to_owned(), services: vec!["web".to_owned()] };
    Account::answering([well(body)]).call(request).await?.services(Operation::DescribeServices)
}

async fn tasks(body: Value) -> Result<Vec<Task>, ApiError> {
    let request = Request::DescribeTasks { cluster: "c".to_owned(), tasks: vec!["t".to_owned()] };
    Account::answering([well(body)]).call(request).await?.tasks(Operation::DescribeTasks)
}

#[tokio::test]
async fn a_missing_service_is_left_out_and_any_other_failure_is_an_error() {
    let failed = |reason: &str| {
        json!({ "services": [{ "serviceName": "web", "status": "ACTIVE" }],
                "failures": [{ "arn": "arn:aws:ecs:eu-central-1:1:service/c/other", "reason": reason }] })
    };
    let found = services(failed("MISSING")).await.expect("what is there");
    assert_eq!(found.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["web"]);
    let error = services(failed("ACCESS")).await.expect_err("a failure");
    assert!(error.text.contains("ACCESS") && error.text.contains("service/c/other"), "{error}");
    let missing = json!({ "tasks": [], "failures": [{ "arn": "arn", "reason": "MISSING" }] });
    assert_eq!(tasks(missing).await.expect("nothing"), []);
}

#[tokio::test]
async fn a_service_on_its_way_out_is_told_from_one_that_is_gone() {
    for (word, status) in [
        ("ACTIVE", ServiceStatus::Active),
        ("DRAINING", ServiceStatus::Draining),
        ("INACTIVE", ServiceStatus::Inactive),
    ] {
        let found = services(json!({ "services": [{ "serviceName": "web", "status": word }] })).await.expect("one");
        assert_eq!(found[0].status, status);
    }
    let error = services(json!({ "services": [{ "serviceName": "web", "status": "RESTING" }] })).await;
    assert!(error.expect_err("no such word").text.contains("RESTING"));
}

#[tokio::test]
async fn a_service_is_read_with_its_deployments_the_wanted_one_first() {
    let deployment = |id: &str, status: &str, created: f64, state: &str| {
        json!({ "id": id, "status": status, "createdAt": created, "rolloutState": state, "taskDefinition": id,
                "rolloutStateReason": "because", "failedTasks": 3 })
    };
    let events: Vec<Value> =
        (0..30).map(|number| json!({ "id": number.to_string(), "createdAt": 1.5, "message": "m" })).collect();
    let found = services(json!({ "services": [{
        "serviceName": "web",
        "status": "ACTIVE",
        "desiredCount": 3,
        "runningCount": 2,
        "pendingCount": 1,
        "taskDefinition": "arn:2",
        "loadBalancers": [{ "targetGroupArn": "tg", "containerName": "web", "containerPort": 80 }],
        "deployments": [
            deployment("old", "ACTIVE", 10.0, "COMPLETED"),
            deployment("older", "ACTIVE", 5.0, "FAILED"),
            deployment("new", "PRIMARY", 1.0, "IN_PROGRESS"),
        ],
        "events": events,
    }] }))
    .await
    .expect("a service")
    .remove(0);
    assert_eq!((found.desired, found.running, found.pending), (3, 2, 1));
    assert_eq!(found.target_group.as_deref(), Some("tg"));
    let deployments: Vec<_> = found.deployments.iter().map(|one| (one.id.as_str(), one.primary, one.state)).collect();
    assert_eq!(
        deployments,
        [
            ("new", true, RolloutState::InProgress),
            ("old", false, RolloutState::Completed),
            ("older", false, RolloutState::Failed),
        ]
    );
    assert_eq!((found.deployments[0].failed_tasks, found.deployments[0].reason.as_deref()), (3, Some("because")));
    assert_eq!((found.events.len(), found.events[0].at), (20, Timestamp(1_500)));
}

fn stopped(code: &str, reason: &str) -> Value {
    json!({ "tasks": [{
        "taskArn": "arn:aws:ecs:eu-central-1:1:task/c/1",
        "taskDefinitionArn": "arn:2",
        "group": "service:web_spot",
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "capacityProviderName": "FARGATE_SPOT",
        "cpu": "256",
        "memory": "512",
        "createdAt": 1.0,
        "stoppingAt": 100.25,
        "stoppedAt": 130.5,
        "stopCode": code,
        "stoppedReason": reason,
        "containers": [{ "name": "web", "exitCode": 137, "reason": "OutOfMemoryError: killed",
                         "imageDigest": "sha256:1",
                         "networkInterfaces": [{ "privateIpv4Address": "10.0.0.7" }] }],
    }] })
}

#[tokio::test]
async fn stop_codes_are_told_as_aws_spells_them_also_those_that_the_sdk_does_not_know() {
    for code in [
        "SpotInterruption",
        "TerminationNotice",
        "TaskFailedToStart",
        "EssentialContainerExited",
        "ServiceSchedulerInitiated",
        "UserInitiated",
        "SomethingNew",
    ] {
        let task = tasks(stopped(code, "Your Spot Task was interrupted.")).await.expect("a task").remove(0);
        assert_eq!(task.stop_code.as_deref(), Some(code));
    }
}

#[tokio::test]
async fn a_stopped_task_tells_when_why_and_what_of_it_ran() {
    let task = tasks(stopped("SpotInterruption", "Your Spot Task was interrupted.")).await.expect("a task").remove(0);
    assert_eq!((task.status, task.desired), (TaskStatus::Stopped, DesiredStatus::Stopped));
    assert_eq!((task.provider, task.cpu, task.memory_mib), (Some(Provider::FargateSpot), 256, 512));
    assert_eq!((task.stopping_at, task.stopped_at), (Some(Timestamp(100_250)), Some(Timestamp(130_500))));
    assert_eq!(task.stopped_reason.as_deref(), Some("Your Spot Task was interrupted."));
    assert_eq!((task.exit_code, task.container_reason.as_deref()), (Some(137), Some("OutOfMemoryError: killed")));
    assert_eq!(task.image_digest.as_deref(), Some("sha256:1"));
    assert_eq!(task.ip.map(|ip| ip.to_string()).as_deref(), Some("10.0.0.7"));
}

#[tokio::test]
async fn a_task_that_starts_has_the_address_of_its_attachment() {
    let task = |status: &str| {
        json!({ "tasks": [{
            "taskArn": "arn", "taskDefinitionArn": "arn:2", "lastStatus": status, "desiredStatus": "RUNNING",
            "attachments": [{ "type": "ElasticNetworkInterface", "details": [
                { "name": "subnetId", "value": "subnet-1" }, { "name": "privateIPv4Address", "value": "10.0.0.8" },
            ] }],
        }] })
    };
    for (word, status) in [
        ("PROVISIONING", TaskStatus::Provisioning),
        ("PENDING", TaskStatus::Pending),
        ("ACTIVATING", TaskStatus::Activating),
        ("RUNNING", TaskStatus::Running),
        ("DEACTIVATING", TaskStatus::Deactivating),
        ("STOPPING", TaskStatus::Stopping),
        ("DEPROVISIONING", TaskStatus::Deprovisioning),
    ] {
        let found = tasks(task(word)).await.expect("a task").remove(0);
        assert_eq!((found.status, found.provider), (status, None));
        assert_eq!(found.ip.map(|ip| ip.to_string()).as_deref(), Some("10.0.0.8"));
    }
}

#[tokio::test]
async fn pages_of_lists_go_on_where_they_ended() {
    let arns: Vec<String> = (0..100).map(|number| format!("arn:aws:ecs:eu-central-1:1:service/c/s{number}")).collect();
    let account = Account::answering([
        well(json!({ "serviceArns": arns, "nextToken": "more" })),
        well(json!({ "serviceArns": ["arn:aws:ecs:eu-central-1:1:service/c/last"] })),
    ]);
    let list = |next| Request::ListServices { cluster: "c".to_owned(), next };
    let (first, next) = account.call(list(None)).await.expect("a page").names(Operation::ListServices).expect("names");
    assert_eq!((first.len(), first[99].as_str(), next.as_deref()), (100, "s99", Some("more")));
    let last = account.call(list(next)).await.expect("a page");
    assert_eq!(last, Answer::Names { names: vec!["last".to_owned()], next: None });
    let sent: Vec<Value> = account.sent().iter().map(|sent| sent.json()).collect();
    assert_eq!(sent[0], json!({ "cluster": "c", "maxResults": 100 }));
    assert_eq!(sent[1]["nextToken"], "more");
}

#[tokio::test]
async fn what_is_gone_already_is_deleted_and_what_is_there_already_is_made() {
    let named = |name: &str| name.to_owned();
    let cases: Vec<(Canned, Request)> = vec![
        (ec2_error("InvalidGroup.NotFound", "gone"), Request::DeleteSecurityGroup { group: named("sg") }),
        (xml_error("LoadBalancerNotFound", "gone"), Request::DeleteLoadBalancer { arn: named("lb") }),
        (xml_error("TargetGroupNotFound", "gone"), Request::DeleteTargetGroup { arn: named("tg") }),
        (xml_error("RuleNotFound", "gone"), Request::DeleteRule { arn: named("rule") }),
        (json_error("ResourceNotFoundException", "gone"), Request::DeleteLogGroup { name: named("g") }),
        (xml_error("NoSuchEntity", "gone"), Request::DeleteRole { name: named("r") }),
        (json_error("RepositoryNotFoundException", "gone"), Request::DeleteRepository { name: named("r") }),
        (
            json_error("ResourceAlreadyExistsException", "there"),
            Request::CreateLogGroup { name: named("g"), tags: Tags::new() },
        ),
        (
            ec2_error("InvalidPermission.Duplicate", "there"),
            Request::AuthorizeIngress { group: named("sg"), from: IngressFrom::Itself },
        ),
    ];
    for (canned, request) in cases {
        assert_eq!(Account::answering([canned]).call(request.clone()).await, Ok(Answer::Done), "{request:?}");
    }
    let account = Account::answering([
        json_error("RepositoryAlreadyExistsException", "there"),
        well(json!({ "repositories": [{ "repositoryUri": "1.dkr.ecr.eu-central-1.amazonaws.com/r" }] })),
    ]);
    let create = Request::CreateRepository { name: named("r"), tags: Tags::new() };
    let uri = "1.dkr.ecr.eu-central-1.amazonaws.com/r".to_owned();
    assert_eq!(account.call(create).await, Ok(Answer::Id(uri)));
}

#[tokio::test]
async fn targets_are_read_with_aws_reasons_and_foreign_ones_are_left_out() {
    let target = |id: &str, state: &str| {
        format!(
            "<member><Target><Id>{id}</Id><Port>8080</Port></Target>\
             <TargetHealth><State>{state}</State><Description>why</Description></TargetHealth></member>"
        )
    };
    let members = [target("10.0.0.1", "initial"), target("10.0.0.2", "unhealthy.draining"), target("i-1", "healthy")];
    let body = format!(
        "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>{}\
         </TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>",
        members.concat()
    );
    let account = Account::answering([well(body)]);
    let answer = account.call(Request::DescribeTargetHealth { arn: "tg".to_owned() }).await.expect("targets");
    let found = answer.targets(Operation::DescribeTargetHealth).expect("targets");
    let states: Vec<_> = found.iter().map(|target| (target.ip.to_string(), target.state)).collect();
    assert_eq!(states, [("10.0.0.1".to_owned(), TargetState::Initial), ("10.0.0.2".to_owned(), TargetState::Draining)]);
    assert_eq!(found[0].reason.as_deref(), Some("why"));
}

#[tokio::test]
async fn policies_are_asked_about_permissions_resources_and_conditions_and_their_decisions_are_read() {
    let result = |permission: &str, decision: &str| {
        format!(
            "<member><EvalActionName>{permission}</EvalActionName><EvalDecision>{decision}</EvalDecision>\
             <MatchedStatements><member><SourcePolicyId>p</SourcePolicyId></member></MatchedStatements></member>"
        )
    };
    let results =
        [result("ecs:A", "allowed"), result("ecs:B", "implicitDeny"), result("ecs:C", "explicitDeny")].concat();
    let body = format!(
        "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
         <SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{results}\
         </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    );
    let account = Account::answering([well(body)]);
    let asked = Simulated {
        principal: "arn:user".to_owned(),
        permissions: vec!["ecs:A".to_owned(), "ecs:B".to_owned()],
        resources: vec!["arn:one".to_owned()],
        context: vec![("iam:PassedToService", "ecs-tasks.amazonaws.com".to_owned())],
    };
    let decisions = account.simulate(&asked).await.expect("decisions");
    let verdicts: Vec<_> = decisions.iter().map(|decision| (decision.permission.as_str(), decision.verdict)).collect();
    assert_eq!(verdicts, [("ecs:A", Verdict::Allowed), ("ecs:B", Verdict::Denied), ("ecs:C", Verdict::Denied)]);
    assert_eq!(
        account.only_sent().body,
        "Action=SimulatePrincipalPolicy&Version=2010-05-08&PolicySourceArn=arn%3Auser\
         &ActionNames.member.1=ecs%3AA&ActionNames.member.2=ecs%3AB&ResourceArns.member.1=arn%3Aone&MaxItems=1000\
         &ContextEntries.member.1.ContextKeyName=iam%3APassedToService&ContextEntries.member.1.ContextKeyType=string\
         &ContextEntries.member.1.ContextKeyValues.member.1=ecs-tasks.amazonaws.com"
    );
}
