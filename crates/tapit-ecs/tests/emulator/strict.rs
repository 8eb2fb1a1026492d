//! The layer that makes the emulator strict, by itself: canned calls and answers.

use hyper::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::support::strict::Reply;
use crate::support::strict::call::{Call, Refusal};
use crate::support::strict::faults::{Fault, Faults, On};
use crate::support::strict::ledger::{Ledger, Verdict};

/// An account in which calls were carried out and answered as AWS would.
#[derive(Default)]
struct Canned(Ledger);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |value: &str| HeaderValue::from_str(value).expect("a header");
    pairs.iter().map(|(name, text)| (hyper::header::HeaderName::from_static(name), value(text))).collect()
}

fn ecs(operation: &str, input: &Value) -> Call {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    Call::read(&headers(&[("x-amz-target", &target)]), input.to_string().as_bytes()).expect("a call")
}

fn query(version: &str, form: &str) -> Call {
    let kind = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    Call::read(&kind, format!("Version={version}&{form}").as_bytes()).expect("a call")
}

fn elb(form: &str) -> Call {
    query("2015-12-01", form)
}

impl Canned {
    fn judge(&self, call: &Call) -> Verdict {
        self.0.judge(call)
    }

    #[track_caller]
    fn refuses(&self, call: &Call, code: &str) -> String {
        match self.judge(call) {
            Verdict::Refuse(Refusal { code: given, message, .. }) if given == code => message,
            other @ (Verdict::Forward | Verdict::Refuse(_) | Verdict::Replay(_)) => {
                panic!("{} should be refused with {code}, not: {other:?}", call.operation)
            }
        }
    }

    #[track_caller]
    fn passes(&self, call: &Call) {
        let verdict = self.judge(call);
        assert!(matches!(verdict, Verdict::Forward), "{}: {verdict:?}", call.operation);
    }

    #[track_caller]
    fn carried_out(&mut self, call: &Call, answer: impl Into<Vec<u8>>) {
        self.passes(call);
        let reply = Reply { status: 200, content_type: String::new(), body: answer.into().into() };
        self.0.record(call, &reply);
    }

    /// A cluster with the two providers of Fargate, a definition `web:1`, and the target group `tg` behind a listener.
    fn with_everything() -> Self {
        let mut account = Self::default();
        let cluster = json!({"clusterName": "shop", "capacityProviders": ["FARGATE", "FARGATE_SPOT"]});
        account.carried_out(&ecs("CreateCluster", &cluster), "{}");
        let mut made = definition("256", "512");
        made["taskDefinitionArn"] = json!("arn:web:1");
        made["revision"] = json!(1);
        let answer = json!({"taskDefinition": made}).to_string();
        account.carried_out(&ecs("RegisterTaskDefinition", &definition("256", "512")), answer);
        let balancer = elb("Action=CreateLoadBalancer&Name=lb&Subnets.member.1=a&Subnets.member.2=b");
        account.carried_out(&balancer, "<LoadBalancerArn>lb</LoadBalancerArn>");
        let listener = elb("Action=CreateListener&LoadBalancerArn=lb&Port=80");
        account.carried_out(&listener, "<ListenerArn>listener</ListenerArn>");
        account.carried_out(&elb(TARGET_GROUP), "<TargetGroupArn>tg</TargetGroupArn>");
        account.carried_out(&rule(1, "tg"), "<RuleArn>rule</RuleArn>");
        account
    }
}

const TARGET_GROUP: &str =
    "Action=CreateTargetGroup&Name=tg&Protocol=HTTP&Port=8080&VpcId=vpc&TargetType=ip&HealthCheckIntervalSeconds=10";

fn rule(priority: u32, target: &str) -> Call {
    elb(&format!(
        "Action=CreateRule&ListenerArn=listener&Priority={priority}&Conditions.member.1.Field=host-header\
         &Conditions.member.1.HostHeaderConfig.Values.member.1=shop.example\
         &Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn={target}"
    ))
}

fn definition(cpu: &str, memory: &str) -> Value {
    json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": cpu, "memory": memory,
           "containerDefinitions": [{"name": "default", "image": "web", "stopTimeout": 30,
                                     "portMappings": [{"containerPort": 8080}]}]})
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    value.pointer_mut(parent).expect("something there")[key] = new;
    value
}

fn service(provider: &str) -> Value {
    json!({"cluster": "shop", "serviceName": "default", "taskDefinition": "web:1", "desiredCount": 1,
           "clientToken": "token", "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
           "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet"], "securityGroups": ["sg-1"]}}})
}

fn balanced(target: &str, container: &str, port: u16) -> Value {
    let balancer = json!([{"targetGroupArn": target, "containerName": container, "containerPort": port}]);
    with(service("FARGATE"), "/loadBalancers", balancer)
}

#[test]
fn only_sizes_that_fargate_has_are_registered() {
    let account = Canned::default();
    for (cpu, memory) in [("256", "512"), ("256", "2048"), ("512", "4096"), ("4096", "30720"), ("16384", "122880")] {
        account.passes(&ecs("RegisterTaskDefinition", &definition(cpu, memory)));
    }
    for (cpu, memory) in
        [("256", "4096"), ("256", "1536"), ("300", "512"), ("1024", "1024"), ("8192", "17408"), ("x", "512")]
    {
        account.refuses(&ecs("RegisterTaskDefinition", &definition(cpu, memory)), "ClientException");
    }
}

#[test]
fn what_fargate_does_not_run_is_not_registered() {
    let account = Canned::default();
    let fine = definition("256", "512");
    let container = "/containerDefinitions/0";
    for (pointer, value, says) in [
        ("/family".to_owned(), json!("shop/web"), "Family"),
        ("/family".to_owned(), json!("x".repeat(256)), "Family"),
        ("/networkMode".to_owned(), json!("bridge"), "awsvpc"),
        (format!("{container}/stopTimeout"), json!(600), "stopTimeout"),
        (format!("{container}/stopTimeout"), json!(1), "stopTimeout"),
        (format!("{container}/logConfiguration"), json!({"logDriver": "awslogs"}), "execution role"),
        (format!("{container}/portMappings"), json!([{"containerPort": 80, "hostPort": 81}]), "must match"),
        (format!("{container}/linuxParameters"), json!({"capabilities": {"add": ["NET_ADMIN"]}}), "SYS_PTRACE"),
    ] {
        let call = ecs("RegisterTaskDefinition", &with(fine.clone(), &pointer, value));
        let message = account.refuses(&call, "ClientException");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_service_needs_its_cluster_its_definition_its_network_and_a_legal_name() {
    let account = Canned::with_everything();
    let fine = service("FARGATE");
    account.passes(&ecs("CreateService", &fine));
    for (pointer, value, code) in [
        ("/cluster", json!("other"), "ClusterNotFoundException"),
        ("/taskDefinition", json!("web:2"), "ClientException"),
        ("/taskDefinition", json!("ghost"), "ClientException"),
        ("/networkConfiguration", json!({}), "InvalidParameterException"),
        ("/serviceName", json!("a b"), "InvalidParameterException"),
        ("/serviceName", json!("x".repeat(256)), "InvalidParameterException"),
        ("/clientToken", json!("x".repeat(37)), "InvalidParameterException"),
        ("/launchType", json!("FARGATE"), "InvalidParameterException"),
        ("/healthCheckGracePeriodSeconds", json!(30), "InvalidParameterException"),
        (
            "/capacityProviderStrategy",
            json!([{"capacityProvider": "FARGATE", "weight": 0}]),
            "InvalidParameterException",
        ),
        ("/capacityProviderStrategy", json!([{"capacityProvider": "mine", "weight": 1}]), "InvalidParameterException"),
    ] {
        account.refuses(&ecs("CreateService", &with(fine.clone(), pointer, value)), code);
    }
}

#[test]
fn a_definition_that_was_deregistered_starts_no_service() {
    let mut account = Canned::with_everything();
    let answer = json!({"taskDefinition": {"taskDefinitionArn": "arn:web:1"}}).to_string();
    account.carried_out(&ecs("DeregisterTaskDefinition", &json!({"taskDefinition": "web:1"})), answer);
    account.refuses(&ecs("CreateService", &service("FARGATE")), "ClientException");
}

#[test]
fn a_target_group_must_hang_on_a_listener_and_fit_the_container() {
    let mut account = Canned::with_everything();
    account.passes(&ecs("CreateService", &balanced("tg", "default", 8080)));
    let loose = TARGET_GROUP.replace("Name=tg", "Name=loose");
    account.carried_out(&elb(&loose), "<TargetGroupArn>loose</TargetGroupArn>");
    for (target, container, port) in
        [("loose", "default", 8080), ("ghost", "default", 8080), ("tg", "other", 8080), ("tg", "default", 81)]
    {
        account.refuses(&ecs("CreateService", &balanced(target, container, port)), "InvalidParameterException");
    }
}

#[test]
fn a_service_that_is_made_twice_is_one_only_with_its_token_and_the_same_words() {
    let mut account = Canned::with_everything();
    let fine = service("FARGATE");
    account.carried_out(&ecs("CreateService", &fine), r#"{"service": {"serviceName": "default"}}"#);
    match account.judge(&ecs("CreateService", &fine)) {
        Verdict::Replay(reply) => assert_eq!(&reply.body[..], br#"{"service": {"serviceName": "default"}}"#),
        other @ (Verdict::Forward | Verdict::Refuse(_)) => panic!("{other:?}"),
    }
    let more = with(fine.clone(), "/desiredCount", json!(2));
    account.refuses(&ecs("CreateService", &more), "InvalidParameterException");
    let mut tokenless = fine.clone();
    tokenless.as_object_mut().expect("an object").remove("clientToken");
    account.refuses(&ecs("CreateService", &tokenless), "InvalidParameterException");
    account.carried_out(&ecs("DeleteService", &json!({"cluster": "shop", "service": "default"})), "{}");
    account.passes(&ecs("CreateService", &more));
}

#[test]
fn a_service_changes_its_strategy_only_by_force_and_nothing_once_it_is_deleted() {
    let mut account = Canned::with_everything();
    account.carried_out(&ecs("CreateService", &service("FARGATE")), "{}");
    let named = json!({"cluster": "shop", "service": "default"});
    let scaled = ecs("UpdateService", &with(named.clone(), "/desiredCount", json!(3)));
    account.passes(&scaled);
    let spot = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]);
    let moved = with(named.clone(), "/capacityProviderStrategy", spot);
    account.refuses(&ecs("UpdateService", &moved), "InvalidParameterException");
    account.passes(&ecs("UpdateService", &with(moved, "/forceNewDeployment", json!(true))));
    account.refuses(&ecs("UpdateService", &with(named.clone(), "/taskDefinition", json!("web:9"))), "ClientException");
    account.refuses(&ecs("DeleteCluster", &json!({"cluster": "shop"})), "ClusterContainsServicesException");
    account.carried_out(&ecs("DeleteService", &named), "{}");
    account.refuses(&scaled, "ServiceNotActiveException");
    let other = json!({"cluster": "shop", "service": "other", "desiredCount": 1});
    account.refuses(&ecs("UpdateService", &other), "ServiceNotFoundException");
    account.passes(&ecs("DeleteCluster", &json!({"cluster": "shop"})));
}

#[test]
fn ten_services_and_a_hundred_tasks_are_described_at_once_and_ten_tasks_run() {
    let account = Canned::with_everything();
    let names = |n: usize| (0..n).map(|i| format!("n{i}")).collect::<Vec<_>>();
    for (operation, key, most) in [("DescribeServices", "services", 10), ("DescribeTasks", "tasks", 100)] {
        account.passes(&ecs(operation, &json!({"cluster": "shop", key: names(most)})));
        for wrong in [0, most + 1] {
            let call = ecs(operation, &json!({"cluster": "shop", key: names(wrong)}));
            account.refuses(&call, "InvalidParameterException");
        }
    }
    let run = |count: u32| ecs("RunTask", &with(task(), "/count", json!(count)));
    account.passes(&run(10));
    account.refuses(&run(11), "InvalidParameterException");
}

fn task() -> Value {
    json!({"cluster": "shop", "taskDefinition": "web:1", "count": 1, "clientToken": "token", "group": "task_task-1",
           "startedBy": "token", "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
           "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet"], "securityGroups": ["sg-1"]}}})
}

#[test]
fn a_task_that_is_started_twice_is_one_with_its_token_and_the_same_words() {
    let mut account = Canned::with_everything();
    account.carried_out(&ecs("RunTask", &task()), r#"{"tasks": [{"taskArn": "arn"}]}"#);
    match account.judge(&ecs("RunTask", &task())) {
        Verdict::Replay(reply) => assert_eq!(&reply.body[..], br#"{"tasks": [{"taskArn": "arn"}]}"#),
        other @ (Verdict::Forward | Verdict::Refuse(_)) => panic!("{other:?}"),
    }
    account.refuses(&ecs("RunTask", &with(task(), "/group", json!("other"))), "ConflictException");
    account.passes(&ecs("RunTask", &with(task(), "/clientToken", json!("another"))));
}

#[test]
fn a_task_that_aws_would_not_start_is_refused() {
    let account = Canned::with_everything();
    for (key, wrong) in [
        ("/networkConfiguration", json!({})),
        ("/group", json!("service:web")),
        ("/group", json!("family:web")),
        ("/group", json!("g".repeat(256))),
        ("/startedBy", json!("a server")),
        ("/startedBy", json!("s".repeat(129))),
        ("/clientToken", json!("t".repeat(65))),
        ("/launchType", json!("FARGATE")),
        ("/capacityProviderStrategy", json!([{"capacityProvider": "MINE", "weight": 1}])),
    ] {
        account.refuses(&ecs("RunTask", &with(task(), key, wrong)), "InvalidParameterException");
    }
    account.refuses(&ecs("RunTask", &with(task(), "/taskDefinition", json!("web:9"))), "ClientException");
    let elsewhere = with(task(), "/cluster", json!("other"));
    account.refuses(&ecs("RunTask", &elsewhere), "ClusterNotFoundException");
}

#[test]
fn target_groups_have_short_names_and_stay_while_a_rule_names_them() {
    let mut account = Canned::with_everything();
    let named = |name: &str| elb(&TARGET_GROUP.replace("Name=tg", &format!("Name={name}")));
    account.passes(&named(&"a".repeat(32)));
    for wrong in [&"a".repeat(33), "-a", "a-", "a_b"] {
        account.refuses(&named(wrong), "ValidationError");
    }
    assert!(matches!(account.judge(&elb(TARGET_GROUP)), Verdict::Replay(_)));
    account.refuses(&elb(&TARGET_GROUP.replace("8080", "8081")), "DuplicateTargetGroupName");
    let delete = elb("Action=DeleteTargetGroup&TargetGroupArn=tg");
    account.refuses(&delete, "ResourceInUse");
    account.carried_out(&elb("Action=DeleteRule&RuleArn=rule"), "");
    account.carried_out(&delete, "");
    account.refuses(&elb("Action=DescribeTargetGroups&Names.member.1=tg"), "TargetGroupNotFound");
}

#[test]
fn a_priority_is_given_once_and_a_rule_names_what_is_there() {
    let account = Canned::with_everything();
    account.passes(&rule(2, "tg"));
    account.refuses(&rule(1, "tg"), "PriorityInUse");
    account.refuses(&rule(50_001, "tg"), "ValidationError");
    account.refuses(&rule(2, "ghost"), "TargetGroupNotFound");
    account.refuses(&elb("Action=CreateListener&LoadBalancerArn=lb&Port=80"), "DuplicateListener");
    account.refuses(&elb("Action=CreateLoadBalancer&Name=one&Subnets.member.1=a"), "ValidationError");
}

#[test]
fn a_host_has_letters_alone_behind_its_last_dot() {
    let account = Canned::with_everything();
    account.passes(&rule(2, "tg"));
    for host in ["shop.*", "shop", "shop.c0m", "shop.", "sh/op.com"] {
        let call = elb(&format!(
            "Action=CreateRule&ListenerArn=listener&Priority=2&Conditions.member.1.Field=host-header\
             &Conditions.member.1.HostHeaderConfig.Values.member.1={host}\
             &Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn=tg"
        ));
        account.refuses(&call, "ValidationError");
    }
}

#[test]
fn a_security_group_stays_while_a_service_is_in_it() {
    let mut account = Canned::with_everything();
    let delete = query("2016-11-15", "Action=DeleteSecurityGroup&GroupId=sg-1");
    account.passes(&delete);
    account.carried_out(&ecs("CreateService", &service("FARGATE")), "{}");
    account.refuses(&delete, "DependencyViolation");
    account.carried_out(&ecs("DeleteService", &json!({"cluster": "shop", "service": "default"})), "{}");
    account.passes(&delete);
    let described =
        |text: &str| query("2016-11-15", &format!("Action=CreateSecurityGroup&GroupName=a&GroupDescription={text}"));
    account.passes(&described("of+the+app+shop"));
    account.refuses(&described("%E2%80%99"), "InvalidParameterValue");
}

#[test]
fn forms_are_decoded_and_services_told_apart() {
    let call = elb("Action=CreateRule&Conditions.member.1.Values.member.1=a%2Fb+c%3D");
    assert_eq!(call.permission(), "elasticloadbalancing:CreateRule");
    assert!(matches!(call.input, crate::support::strict::call::Input::Form(form)
        if form["Conditions.member.1.Values.member.1"] == "a/b c="));
    assert_eq!(query("2011-06-15", "Action=GetCallerIdentity").permission(), "sts:GetCallerIdentity");
    let logs = headers(&[("x-amz-target", "Logs_20140328.GetLogEvents")]);
    assert_eq!(Call::read(&logs, b"{}").expect("a call").permission(), "logs:GetLogEvents");
    assert!(Call::read(&HeaderMap::new(), b"").is_none(), "a request to a load balancer is no call");
}

#[test]
fn faults_hit_the_calls_that_they_are_planned_for() {
    let (create, update) = (ecs("CreateService", &json!({})), ecs("UpdateService", &json!({})));
    let mut faults = Faults::default();
    faults.plan(On::Next("ecs:UpdateService", 2), Fault::LoseAnswer);
    let seen: Vec<_> = [&create, &update, &update, &update].map(|call| faults.next(call)).into();
    assert_eq!(seen, [None, Some(Fault::LoseAnswer), Some(Fault::LoseAnswer), None]);
    faults.clear();
    faults.plan(On::Every(3), Fault::Throttle);
    let hits = (0..9).filter(|_| faults.next(&create).is_some()).count();
    assert_eq!(hits, 3);
}
