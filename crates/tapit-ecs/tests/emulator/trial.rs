//! The stand on which the other tests stand: that containers really run, are counted, and go.

use serde_json::{Value, json};

use crate::support::plain_http::{self, Ask};
use crate::support::registry::Image;
use crate::support::{Account, docker, images};

#[test]
fn a_service_of_the_emulator_runs_real_containers_which_come_back_and_go_with_it() {
    let Some(account) = Account::open() else { return };
    let image = account.push("web", "v1", &Image { layer: images::layer(), config: images::web("1") });
    account.ecs("CreateCluster", &json!({"clusterName": "shop"}));
    account.ecs("RegisterTaskDefinition", &definition(&image));
    account.ecs(
        "CreateService",
        &json!({"cluster": "shop", "serviceName": "default", "taskDefinition": "shop-default:1", "desiredCount": 2,
                "launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
    );
    let first = running(&account, 2);
    docker::kill(&first[0].id).expect("a container that runs");
    let second = until("the killed one is replaced", || {
        let now = running(&account, 2);
        now.iter().all(|one| one.id != first[0].id).then_some(now)
    });
    assert!(second.iter().any(|one| one.id == first[1].id), "the other one was left alone");
    let tasks = account.ecs("DescribeTasks", &json!({"cluster": "shop", "tasks": [second[0].task]}));
    assert_eq!(address(&tasks["tasks"][0]).split('.').count(), 4, "{tasks}");
    account.ecs("DeleteService", &json!({"cluster": "shop", "service": "default", "force": true}));
    until("all containers are gone", || account.containers().is_empty().then_some(()));
}

#[test]
fn a_load_balancer_of_the_emulator_leads_to_the_containers_of_its_account() {
    let Some(account) = Account::open() else { return };
    let image = account.push("web", "v1", &Image { layer: images::layer(), config: images::web("1") });
    let elb = |form: &str, element: &str| {
        let answer = account.query(&format!("Version=2015-12-01&{form}"));
        let value = answer.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split('<').next());
        value.unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let balancer = elb("Action=CreateLoadBalancer&Name=lb&Subnets.member.1=a&Subnets.member.2=b", "LoadBalancerArn");
    let target = elb("Action=CreateTargetGroup&Name=shop&Protocol=HTTP&Port=8080&TargetType=ip", "TargetGroupArn");
    let listener = elb(
        &format!(
            "Action=CreateListener&LoadBalancerArn={balancer}&Port=80&DefaultActions.member.1.Type=fixed-response\
                  &DefaultActions.member.1.FixedResponseConfig.StatusCode=404"
        ),
        "ListenerArn",
    );
    elb(
        &format!(
            "Action=CreateRule&ListenerArn={listener}&Priority=1&Conditions.member.1.Field=host-header\
                  &Conditions.member.1.HostHeaderConfig.Values.member.1=shop.%2A\
                  &Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn={target}"
        ),
        "RuleArn",
    );
    account.ecs("CreateCluster", &json!({"clusterName": "shop"}));
    account.ecs("RegisterTaskDefinition", &definition(&image));
    account.ecs(
        "CreateService",
        &json!({"cluster": "shop", "serviceName": "default", "taskDefinition": "shop-default:1", "desiredCount": 1,
                "launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
                "loadBalancers": [{"targetGroupArn": target, "containerName": "default", "containerPort": 8080}]}),
    );
    running(&account, 1);
    let get = |host: &str| {
        // The emulator takes names below `localhost` for buckets.
        let headers = [("Host", host)];
        let ask = Ask { method: "GET", path: "/_alb/lb/", headers: &headers, body: &[] };
        plain_http::send(account.address(), &ask).expect("an answer")
    };
    let answer = until("registered", || Some(get("shop.example.com")).filter(|answer| answer.status == 200));
    assert!(answer.text().starts_with("hello from"), "{}", answer.text());
    assert_eq!(get("other.example.com").status, 404, "the rule is for one host");
}

fn definition(image: &str) -> Value {
    json!({"family": "shop-default", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
           "cpu": "256", "memory": "512",
           "containerDefinitions": [{"name": "default", "image": image, "portMappings": [{"containerPort": 8080}]}]})
}

fn address(task: &Value) -> String {
    let details = task["attachments"][0]["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ip = details.iter().find(|one| one["name"] == "privateIPv4Address").and_then(|one| one["value"].as_str());
    ip.unwrap_or_default().to_owned()
}

fn running(account: &Account, count: usize) -> Vec<docker::Container> {
    until("running", || {
        let running = account.containers();
        (running.len() == count).then_some(running)
    })
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < end, "after a minute still not: {what}");
        std::thread::sleep(std::time::Duration::from_millis(40));
    }
}
