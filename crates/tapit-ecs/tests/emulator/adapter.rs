//! Every call that the adapter to the SDK makes, against the emulator: that requests are understood and answers read.

mod runs;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tapit_container::doctor::State;
use tapit_ecs::EcsSettings;
use tapit_ecs::api::*;
use tapit_ecs::aws::{Aws, connector};
use tapit_ecs::doctor::{self, Examined};

use crate::support::emulator::REGION;
use crate::support::registry::Image;
use crate::support::{Account, images};

fn aws(account: &Account) -> Aws {
    let credentials = Credentials::new(account.id(), "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{}", account.address()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .build();
    Aws::new(&config, connector()).expect("a complete configuration")
}

fn tags() -> Tags {
    Tags::from([("tapit:app".to_owned(), "shop".to_owned())])
}

/// A call that must succeed.
async fn call(aws: &Aws, request: Request) -> Answer {
    let operation = request.operation();
    aws.call(request).await.unwrap_or_else(|error| panic!("{operation} has failed: {error:?}"))
}

async fn id(aws: &Aws, request: Request) -> String {
    let operation = request.operation();
    call(aws, request).await.id(operation).expect("an id")
}

async fn fault(aws: &Aws, request: Request) -> ApiFault {
    let operation = request.operation();
    match aws.call(request).await {
        Ok(answer) => panic!("{operation} must fail, and has answered {answer:?}"),
        Err(error) => error.fault,
    }
}

fn definition(image: &str) -> NewTaskDefinition {
    let container = Container {
        name: "default".to_owned(),
        image: image.to_owned(),
        command: Vec::new(),
        environment: BTreeMap::from([("PORT".to_owned(), "8080".to_owned())]),
        port: Some(8080),
        stop_timeout: 5,
        cap_add: Vec::new(),
        log_group: "/tapit/shop".to_owned(),
        log_region: REGION.to_owned(),
        log_prefix: "default".to_owned(),
        labels: BTreeMap::from([("tapit.generation".to_owned(), "1".to_owned())]),
    };
    NewTaskDefinition {
        family: "tapit-shop-default".to_owned(),
        cpu: 256,
        memory_mib: 512,
        execution_role: Some("arn:aws:iam::123456789012:role/tapit-execution".to_owned()),
        task_role: None,
        container,
        tags: tags(),
    }
}

struct Network {
    vpc: String,
    subnets: Vec<String>,
    group: String,
}

async fn network(aws: &Aws) -> Network {
    let (vpcs, _) = call(aws, Request::DescribeDefaultVpc).await.names(Operation::DescribeVpcs).expect("names");
    let vpc = vpcs.first().expect("a default VPC").clone();
    let of_vpc = call(aws, Request::DescribeSubnets(SubnetsOf::Vpc(vpc.clone()))).await;
    let subnets = of_vpc.subnets(Operation::DescribeSubnets).expect("subnets");
    assert!(subnets.iter().all(|subnet| subnet.vpc == vpc && !subnet.zone.is_empty()), "{subnets:?}");
    let ids: Vec<String> = subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let by_ids = call(aws, Request::DescribeSubnets(SubnetsOf::Ids(ids.clone()))).await;
    assert_eq!(by_ids.subnets(Operation::DescribeSubnets).expect("subnets").len(), ids.len());

    let new = Request::CreateSecurityGroup {
        name: "tapit-shop".to_owned(),
        vpc: vpc.clone(),
        description: "App shop".to_owned(),
        tags: tags(),
    };
    let group = id(aws, new.clone()).await;
    assert_eq!(fault(aws, new).await, ApiFault::AlreadyExists);
    let by_name = Request::DescribeSecurityGroup { name: "tapit-shop".to_owned(), vpc: vpc.clone() };
    let found = call(aws, by_name).await.names(Operation::DescribeSecurityGroups).expect("names").0;
    assert_eq!(found, std::slice::from_ref(&group));
    for from in [IngressFrom::Itself, IngressFrom::World { port: 80 }, IngressFrom::Group(group.clone())] {
        let request = Request::AuthorizeIngress { group: group.clone(), from };
        assert_eq!(call(aws, request.clone()).await, Answer::Done);
        assert_eq!(call(aws, request).await, Answer::Done, "a rule that is there is taken for made");
    }
    Network { vpc, subnets: ids, group }
}

/// ARNs of a target group, a listener and a balancer.
struct Way {
    target: String,
    balancer: String,
    listener: String,
}

async fn way(aws: &Aws, network: &Network) -> Way {
    let created = call(
        aws,
        Request::CreateLoadBalancer {
            name: "tapit-lb".to_owned(),
            subnets: network.subnets.clone(),
            security_groups: vec![network.group.clone()],
            tags: tags(),
        },
    );
    let made = created.await.load_balancer(Operation::CreateLoadBalancer).expect("a balancer");
    for by in [LoadBalancerBy::Name("tapit-lb".to_owned()), LoadBalancerBy::Arn(made.arn.clone())] {
        let found = call(aws, Request::DescribeLoadBalancer(by)).await;
        let found = found.load_balancer(Operation::DescribeLoadBalancers).expect("a balancer");
        assert_eq!((&found.arn, &found.tags), (&made.arn, &tags()));
        assert_eq!((found.vpc, found.security_groups), (network.vpc.clone(), vec![network.group.clone()]));
        assert!(!found.dns_name.is_empty());
    }
    let missing = Request::DescribeLoadBalancer(LoadBalancerBy::Name("nothing".to_owned()));
    assert_eq!(fault(aws, missing).await, ApiFault::NotFound);

    let listener = Request::CreateListener { load_balancer: made.arn.clone(), port: 80, tags: tags() };
    let listener = id(aws, listener).await;
    for of in [ListenersOf::LoadBalancer(made.arn.clone()), ListenersOf::Arn(listener.clone())] {
        let found = call(aws, Request::DescribeListeners(of)).await.listeners(Operation::DescribeListeners);
        let expected = Listener { arn: listener.clone(), load_balancer: made.arn.clone(), port: 80 };
        assert_eq!(found.expect("listeners"), [expected]);
    }

    let health = TargetHealthCheck { path: "/".to_owned(), any_status: true };
    let name = "tapit-shop".to_owned();
    let new = NewTargetGroup { name: name.clone(), vpc: network.vpc.clone(), port: 8080, health, tags: tags() };
    let target = id(aws, Request::CreateTargetGroup(Box::new(new))).await;
    assert_eq!(id(aws, Request::DescribeTargetGroup { name }).await, target);
    let nothing = Request::DescribeTargetGroup { name: "nothing".to_owned() };
    assert_eq!(fault(aws, nothing).await, ApiFault::NotFound);
    let health = TargetHealthCheck { path: "/health".to_owned(), any_status: false };
    assert_eq!(call(aws, Request::ModifyTargetGroup { arn: target.clone(), health }).await, Answer::Done);
    let delay = Request::SetDeregistrationDelay { arn: target.clone(), seconds: 30 };
    assert_eq!(call(aws, delay).await, Answer::Done);
    Way { target, balancer: made.arn, listener }
}

async fn rule(aws: &Aws, way: &Way) -> String {
    let hosts = vec!["shop.example.com".to_owned(), "shop.example.com".to_owned()];
    let rule = Request::CreateRule {
        listener: way.listener.clone(),
        priority: 7,
        hosts: hosts.clone(),
        target_group: way.target.clone(),
        tags: tags(),
    };
    let arn = id(aws, rule.clone()).await;
    assert_eq!(fault(aws, rule).await, ApiFault::AlreadyExists, "the priority is taken");
    let described = call(aws, Request::DescribeRules { listener: way.listener.clone(), next: None }).await;
    let (rules, next) = described.rules(Operation::DescribeRules).expect("rules");
    let ours = Rule { arn: arn.clone(), priority: Some(7), hosts, target_group: Some(way.target.clone()) };
    assert!(rules.contains(&ours) && next.is_none(), "{rules:?}");
    assert_eq!(rules.iter().filter(|rule| rule.priority.is_none()).count(), 1, "the default one: {rules:?}");
    arn
}

async fn describe(aws: &Aws, names: &[&str]) -> Vec<Service> {
    let services = names.iter().map(|name| (*name).to_owned()).collect();
    let described = call(aws, Request::DescribeServices { cluster: "tapit-shop".to_owned(), services }).await;
    described.services(Operation::DescribeServices).expect("services")
}

async fn tasks(aws: &Aws, desired: DesiredStatus) -> Vec<Task> {
    let list = Request::ListTasks { cluster: "tapit-shop".to_owned(), desired, next: None };
    let (tasks, next) = call(aws, list).await.names(Operation::ListTasks).expect("names");
    assert_eq!(next, None);
    if tasks.is_empty() {
        return Vec::new();
    }
    let described = call(aws, Request::DescribeTasks { cluster: "tapit-shop".to_owned(), tasks }).await;
    described.tasks(Operation::DescribeTasks).expect("tasks")
}

/// Looks until it is so, for a minute at most.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "after a minute still not: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_way_to_a_process_is_made_found_and_removed() {
    let Some(account) = Account::open() else { return };
    let aws = aws(&account);
    let network = network(&aws).await;
    let way = way(&aws, &network).await;
    let rule = rule(&aws, &way).await;
    for request in [
        Request::DeleteRule { arn: rule },
        Request::DeleteLoadBalancer { arn: way.balancer },
        Request::DeleteTargetGroup { arn: way.target },
        Request::DeleteSecurityGroup { group: network.group },
    ] {
        assert_eq!(call(&aws, request.clone()).await, Answer::Done, "{request:?}");
        assert_eq!(call(&aws, request.clone()).await, Answer::Done, "gone already: {request:?}");
    }
    account.assert_empty();
}

#[tokio::test]
async fn roles_log_groups_and_repositories_are_made_found_and_removed() {
    let Some(account) = Account::open() else { return };
    let aws = aws(&account);
    let (number, arn) = call(&aws, Request::CallerIdentity).await.account(Operation::CallerIdentity).expect("account");
    assert_eq!(number, account.id());
    assert!(arn.starts_with("arn:aws:"), "{arn}");

    let name = "tapit-execution".to_owned();
    assert_eq!(fault(&aws, Request::GetRole { name: name.clone() }).await, ApiFault::NotFound);
    let create = Request::CreateRole { name: name.clone(), description: "For ECS".to_owned(), tags: tags() };
    let role = id(&aws, create.clone()).await;
    assert_eq!(fault(&aws, create).await, ApiFault::AlreadyExists);
    assert_eq!(id(&aws, Request::GetRole { name: name.clone() }).await, role);

    let log = "/tapit/shop".to_owned();
    let create = Request::CreateLogGroup { name: log.clone(), tags: tags() };
    assert_eq!(call(&aws, create.clone()).await, Answer::Done);
    assert_eq!(call(&aws, create).await, Answer::Done, "a group that is there is taken for made");
    assert_eq!(call(&aws, Request::SetLogRetention { name: log.clone(), days: 14 }).await, Answer::Done);
    let stream = "default/default/none".to_owned();
    let of = LogEventsOf { group: log.clone(), stream, after: LogFrom::End, since: None, limit: 10 };
    assert_eq!(fault(&aws, Request::GetLogEvents(of)).await, ApiFault::NotFound);

    let repository = "tapit/shop".to_owned();
    let create = Request::CreateRepository { name: repository.clone(), tags: tags() };
    let uri = id(&aws, create.clone()).await;
    assert!(uri.ends_with("/tapit/shop"), "{uri}");
    assert_eq!(id(&aws, create).await, uri, "a repository that is there is taken for made");
    let login = call(&aws, Request::RegistryLogin).await.login(Operation::GetAuthorizationToken).expect("a login");
    assert_eq!(login.username, "AWS");
    assert!(uri.starts_with(&login.host), "{uri} is at {}", login.host);

    let role = name;
    for request in [
        Request::AttachExecutionPolicy { role: role.clone() },
        Request::DetachExecutionPolicy { role: role.clone() },
        Request::DeleteRole { name: role.clone() },
        Request::DeleteRole { name: role },
        Request::DeleteLogGroup { name: log.clone() },
        Request::DeleteLogGroup { name: log },
        Request::DeleteRepository { name: repository.clone() },
        Request::DeleteRepository { name: repository },
    ] {
        assert_eq!(call(&aws, request.clone()).await, Answer::Done, "{request:?}");
    }
    account.assert_empty();
}

fn service(way: &Way, network: &Network, definition: &str) -> NewService {
    NewService {
        cluster: "tapit-shop".to_owned(),
        name: "default".to_owned(),
        task_definition: definition.to_owned(),
        desired: 1,
        provider: Provider::FargateSpot,
        network: tapit_ecs::api::Network {
            subnets: network.subnets.clone(),
            security_groups: vec![network.group.clone()],
            assign_public_ip: true,
        },
        target: Some(ServiceTarget {
            target_group: way.target.clone(),
            container: "default".to_owned(),
            port: 8080,
            grace_seconds: 30,
        }),
        breaker: Breaker::RollsBack,
        client_token: "shop-default".to_owned(),
        tags: tags(),
    }
}

async fn family(aws: &Aws) -> Vec<String> {
    let list = Request::ListTaskDefinitions { family: "tapit-shop-default".to_owned(), next: None };
    call(aws, list).await.names(Operation::ListTaskDefinitions).expect("names").0
}

#[tokio::test]
async fn the_doctor_looks_at_an_account_and_leaves_it_as_it_was() {
    let Some(account) = Account::open() else { return };
    let aws = aws(&account);
    let settings = EcsSettings::default();
    let checks = doctor::examine(&Examined { api: &aws, policies: &aws, region: REGION, settings: &settings }).await;
    let state = |feature: &str| checks.iter().find(|check| check.feature == feature).map(|check| check.state);
    for feature in ["region", "credentials", "network", "reading"] {
        assert_eq!(state(feature), Some(State::Ok), "{feature}: {checks:#?}");
    }
    account.assert_empty();
}

#[tokio::test]
async fn a_service_runs_is_changed_and_goes() {
    let Some(account) = Account::open() else { return };
    let aws = aws(&account);
    let image = account.push("web", "v1", &Image { layer: images::layer(), config: images::web("1") });
    let network = network(&aws).await;
    let way = way(&aws, &network).await;
    rule(&aws, &way).await;
    let cluster = "tapit-shop".to_owned();
    call(&aws, Request::CreateCluster { name: cluster.clone(), tags: tags() }).await;
    call(&aws, Request::CreateCluster { name: cluster.clone(), tags: tags() }).await;
    let listed = call(&aws, Request::ListClusters { next: None }).await.names(Operation::ListClusters);
    assert_eq!(listed.expect("names").0, std::slice::from_ref(&cluster));
    call(&aws, Request::CreateLogGroup { name: "/tapit/shop".to_owned(), tags: tags() }).await;

    let register = || Request::RegisterTaskDefinition(Box::new(definition(&image)));
    let mut definitions = Vec::new();
    for _ in 0..2 {
        let made = call(&aws, register()).await.task_definition(Operation::RegisterTaskDefinition);
        definitions.push(made.expect("a task definition"));
    }
    let [first, second] = definitions.try_into().expect("two");
    assert_eq!(second.labels.get("tapit.generation").map(String::as_str), Some("1"));
    assert_eq!(family(&aws).await, [second.arn.clone(), first.arn.clone()]);
    let newest = Request::DescribeTaskDefinition { name: "tapit-shop-default".to_owned() };
    assert_eq!(call(&aws, newest).await, Answer::TaskDefinition(Box::new(second.clone())));
    let nothing = Request::DescribeTaskDefinition { name: "nothing:1".to_owned() };
    assert_eq!(fault(&aws, nothing).await, ApiFault::NotFound);

    let new = service(&way, &network, &first.arn);
    call(&aws, Request::CreateService(Box::new(new.clone()))).await;
    let listed = call(&aws, Request::ListServices { cluster: cluster.clone(), next: None }).await;
    assert_eq!(listed.names(Operation::ListServices).expect("names").0, ["default"]);
    let steady = until("one task runs", async || {
        let found = describe(&aws, &["default", "missing"]).await;
        assert_eq!(found.len(), 1, "what is missing is left out");
        found.into_iter().next().filter(|service| service.running == 1)
    });
    let steady = steady.await;
    assert_eq!((steady.status, steady.desired), (ServiceStatus::Active, 1));
    assert_eq!((steady.target_group, steady.task_definition), (Some(way.target.clone()), first.arn.clone()));
    assert!(steady.deployments[0].primary, "{:?}", steady.deployments);

    let task = tasks(&aws, DesiredStatus::Running).await.pop().expect("a task");
    assert_eq!((task.status, task.provider), (TaskStatus::Running, Some(Provider::FargateSpot)));
    assert_eq!((task.cpu, task.memory_mib, task.group.as_str()), (256, 512, "service:default"));
    assert!(task.ip.is_some() && task.started_at.is_some() && task.created_at.0 > 0, "{task:?}");
    let target = until("a target is registered", async || {
        let health = call(&aws, Request::DescribeTargetHealth { arn: way.target.clone() }).await;
        health.targets(Operation::DescribeTargetHealth).expect("targets").pop()
    });
    let target = target.await;
    assert_eq!((Some(target.ip), target.port, target.state), (task.ip, 8080, TargetState::Healthy));

    changed(&aws, &second).await;
    logs(&aws, &task).await;
    gone(&aws, &cluster).await;
    for definition in [first.arn, second.arn] {
        call(&aws, Request::DeregisterTaskDefinition { arn: definition }).await;
    }
    assert_eq!(family(&aws).await, [""; 0]);
    assert_eq!(call(&aws, Request::DeleteCluster { name: cluster.clone() }).await, Answer::Done);
    assert_eq!(fault(&aws, Request::DeleteCluster { name: cluster }).await, ApiFault::NotFound);
}

async fn changed(aws: &Aws, to: &TaskDefinition) {
    let nothing = ServiceChange {
        cluster: "tapit-shop".to_owned(),
        service: "default".to_owned(),
        desired: None,
        task_definition: None,
        breaker: None,
        target: None,
    };
    let change = ServiceChange { desired: Some(2), ..nothing.clone() };
    let updated = call(aws, Request::UpdateService(change)).await.service(Operation::UpdateService).expect("a service");
    assert_eq!(updated.desired, 2);
    let rolled =
        ServiceChange { task_definition: Some(to.arn.clone()), breaker: Some(Breaker::RollsBack), ..nothing.clone() };
    call(aws, Request::UpdateService(rolled)).await;
    until("two tasks of the new definition run", async || {
        let running = tasks(aws, DesiredStatus::Running).await;
        let new = running.iter().filter(|task| task.task_definition == to.arn && task.status == TaskStatus::Running);
        (new.count() == 2 && running.len() == 2).then_some(())
    })
    .await;
    let stopped = tasks(aws, DesiredStatus::Stopped).await;
    assert!(stopped.iter().all(|task| task.status == TaskStatus::Stopped && task.stopped_at.is_some()), "{stopped:?}");
    assert!(stopped.iter().any(|task| task.stop_code.is_some()), "{stopped:?}");

    let missing = ServiceChange { service: "missing".to_owned(), ..nothing };
    assert_eq!(fault(aws, Request::UpdateService(missing)).await, ApiFault::NotFound);
}

async fn logs(aws: &Aws, task: &Task) {
    let id = task.arn.rsplit('/').next().expect("an id");
    let of = |after| LogEventsOf {
        group: "/tapit/shop".to_owned(),
        stream: format!("default/default/{id}"),
        after,
        since: None,
        limit: 100,
    };
    let (events, next) = until("it has written something", async || {
        let answer = aws.call(Request::GetLogEvents(of(LogFrom::Start))).await.ok()?;
        let read = answer.log_events(Operation::GetLogEvents).expect("events");
        (!read.0.is_empty()).then_some(read)
    })
    .await;
    assert!(events.iter().all(|event| event.at.0 > 0), "{events:?}");
    let later = call(aws, Request::GetLogEvents(of(LogFrom::Token(next)))).await;
    let (later, _) = later.log_events(Operation::GetLogEvents).expect("events");
    assert!(later.iter().all(|event| !events.contains(event)), "{later:?}");
}

async fn gone(aws: &Aws, cluster: &str) {
    let task = tasks(aws, DesiredStatus::Running).await.pop().expect("a task").arn;
    let stop = Request::StopTask { cluster: cluster.to_owned(), task, reason: "for the test".to_owned() };
    assert_eq!(call(aws, stop).await, Answer::Done);
    let delete = Request::DeleteService { cluster: cluster.to_owned(), service: "default".to_owned() };
    assert_eq!(call(aws, delete).await, Answer::Done);
    until("nothing runs any more", async || tasks(aws, DesiredStatus::Running).await.is_empty().then_some(())).await;
    let left = describe(aws, &["default"]).await;
    assert!(left.iter().all(|service| service.status != ServiceStatus::Active), "{left:?}");
}
