//! An account with all that a service needs, and short words for calls.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tapit_ecs::api::*;
use tapit_ecs::sim::{Account, Setup};

pub const VPC: &str = "vpc-0d0d0d0d";
pub const CLUSTER: &str = "shop";
pub const LOGS: &str = "/shop";

pub struct Stage {
    pub account: Arc<Account>,
    pub role: String,
    pub group: String,
    pub listener: String,
    pub target_group: String,
}

/// Makes a call; none of the account waits.
pub fn ask(api: &dyn EcsApi, request: Request) -> Result<Answer, ApiError> {
    match pin!(api.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the call waits"),
    }
}

pub fn fault(answer: Result<Answer, ApiError>) -> ApiFault {
    answer.expect_err("is refused").fault
}

pub fn id(answer: Result<Answer, ApiError>) -> String {
    match answer {
        Ok(Answer::Id(id)) => id,
        other => panic!("no id: {other:?}"),
    }
}

impl Stage {
    pub fn open() -> Self {
        Self::of(Setup::default())
    }

    pub fn of(setup: Setup) -> Self {
        let account = Account::new(setup);
        let ask = |request| ask(&*account, request);
        let tags = Tags::new;
        ask(Request::CreateCluster { name: CLUSTER.to_owned(), tags: tags() }).expect("a cluster");
        ask(Request::CreateLogGroup { name: LOGS.to_owned(), tags: tags() }).expect("a log group");
        let name = || "tapit-execution".to_owned();
        let role = id(ask(Request::CreateRole { name: name(), description: String::new(), tags: tags() }));
        ask(Request::AttachExecutionPolicy { role: name() }).expect("a policy");
        let group = id(ask(security_group("shop")));
        let subnets = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"].map(str::to_owned).to_vec();
        let name = "balancer".to_owned();
        let balancer = Request::CreateLoadBalancer { name, subnets, security_groups: Vec::new(), tags: tags() };
        let Ok(Answer::LoadBalancer(balancer)) = ask(balancer) else { panic!("no load balancer") };
        let load_balancer = balancer.arn;
        let listener = id(ask(Request::CreateListener { load_balancer, port: 80, tags: tags() }));
        let target_group = id(ask(Request::CreateTargetGroup(Box::new(target_group("shop")))));
        id(ask(rule(&listener, 1, &target_group)));
        let arn = target_group.clone();
        ask(Request::SetDeregistrationDelay { arn, seconds: 30 }).expect("a delay");
        Self { account, role, group, listener, target_group }
    }

    pub fn ask(&self, request: Request) -> Result<Answer, ApiError> {
        ask(&*self.account, request)
    }

    pub fn fault(&self, request: Request) -> ApiFault {
        fault(self.ask(request))
    }

    pub fn seconds(&self, seconds: u64) {
        self.account.advance(Duration::from_secs(seconds));
    }

    pub fn definition(&self, image: &str) -> NewTaskDefinition {
        NewTaskDefinition {
            family: "web".to_owned(),
            cpu: 256,
            memory_mib: 512,
            execution_role: Some(self.role.clone()),
            task_role: None,
            container: Container {
                name: "app".to_owned(),
                image: image.to_owned(),
                command: Vec::new(),
                environment: BTreeMap::new(),
                port: Some(8080),
                stop_timeout: 10,
                cap_add: Vec::new(),
                log_group: LOGS.to_owned(),
                log_region: "eu-central-1".to_owned(),
                log_prefix: "web".to_owned(),
                labels: BTreeMap::new(),
            },
            tags: Tags::new(),
        }
    }

    /// Registers a definition of this image and answers its ARN.
    pub fn register(&self, image: &str) -> String {
        match self.ask(Request::RegisterTaskDefinition(Box::new(self.definition(image)))) {
            Ok(Answer::TaskDefinition(definition)) => definition.arn,
            other => panic!("not registered: {other:?}"),
        }
    }

    /// On demand, without a target.
    pub fn new_service(&self, name: &str, definition: &str) -> NewService {
        NewService {
            cluster: CLUSTER.to_owned(),
            name: name.to_owned(),
            task_definition: definition.to_owned(),
            desired: 1,
            provider: Provider::Fargate,
            network: Network {
                subnets: vec!["subnet-0a0a0a0a".to_owned()],
                security_groups: vec![self.group.clone()],
                assign_public_ip: true,
            },
            target: None,
            breaker: Breaker::Off,
            client_token: format!("token-of-{name}"),
            tags: Tags::new(),
        }
    }

    /// In the target group.
    pub fn public_service(&self, name: &str, definition: &str) -> NewService {
        let target_group = self.target_group.clone();
        let target = ServiceTarget { target_group, container: "app".to_owned(), port: 8080, grace_seconds: 30 };
        NewService { target: Some(target), ..self.new_service(name, definition) }
    }

    pub fn create(&self, new: NewService) -> Service {
        match self.ask(Request::CreateService(Box::new(new))) {
            Ok(Answer::Service(service)) => *service,
            other => panic!("not created: {other:?}"),
        }
    }

    pub fn change(&self, name: &str) -> ServiceChange {
        ServiceChange {
            cluster: CLUSTER.to_owned(),
            service: name.to_owned(),
            desired: None,
            task_definition: None,
            breaker: None,
            target: None,
        }
    }

    pub fn scale(&self, name: &str, desired: u32) {
        let change = ServiceChange { desired: Some(desired), ..self.change(name) };
        self.ask(Request::UpdateService(change)).expect("is scaled");
    }

    pub fn update(&self, name: &str, definition: &str) {
        let change = ServiceChange { task_definition: Some(definition.to_owned()), ..self.change(name) };
        self.ask(Request::UpdateService(change)).expect("is updated");
    }

    pub fn delete(&self, name: &str) -> Result<Answer, ApiError> {
        self.ask(Request::DeleteService { cluster: CLUSTER.to_owned(), service: name.to_owned() })
    }

    /// As it is described; `None`: it is not.
    pub fn find(&self, name: &str) -> Option<Service> {
        let services = vec![name.to_owned()];
        match self.ask(Request::DescribeServices { cluster: CLUSTER.to_owned(), services }) {
            Ok(Answer::Services(services)) => services.into_iter().next(),
            other => panic!("not described: {other:?}"),
        }
    }

    pub fn service(&self, name: &str) -> Service {
        self.find(name).expect("is described")
    }

    pub fn primary(&self, name: &str) -> Deployment {
        self.service(name).deployments.into_iter().find(|one| one.primary).expect("has a primary deployment")
    }

    /// Those that have not stopped, the oldest first.
    pub fn alive(&self) -> Vec<Task> {
        let tasks = self.account.tasks().into_iter();
        tasks.filter(|task| task.status != TaskStatus::Stopped).collect()
    }

    pub fn stopped(&self) -> Vec<Task> {
        let tasks = self.account.tasks().into_iter();
        tasks.filter(|task| task.status == TaskStatus::Stopped).collect()
    }

    /// Passes second after second, for at most 15 minutes, until this holds.
    #[track_caller]
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> u64 {
        for second in 0..15 * 60 {
            if holds() {
                return second;
            }
            self.seconds(1);
        }
        panic!("never so: {what}; {:#?}", self.alive());
    }

    #[track_caller]
    pub fn until_completed(&self, name: &str) -> u64 {
        self.until("its deployment is completed", || self.primary(name).state == RolloutState::Completed)
    }

    pub fn targets(&self) -> Vec<TargetHealth> {
        match self.ask(Request::DescribeTargetHealth { arn: self.target_group.clone() }) {
            Ok(Answer::Targets(targets)) => targets,
            other => panic!("no targets: {other:?}"),
        }
    }

    pub fn healthy_targets(&self) -> usize {
        self.targets().iter().filter(|target| target.state == TargetState::Healthy).count()
    }

    pub fn said(&self, name: &str, words: &str) -> bool {
        self.service(name).events.iter().any(|event| event.message.contains(words))
    }
}

pub fn security_group(name: &str) -> Request {
    let (name, vpc) = (name.to_owned(), VPC.to_owned());
    Request::CreateSecurityGroup { name, vpc, description: "Processes".to_owned(), tags: Tags::new() }
}

pub fn target_group(name: &str) -> NewTargetGroup {
    let health = TargetHealthCheck { path: "/".to_owned(), any_status: true };
    NewTargetGroup { name: name.to_owned(), vpc: VPC.to_owned(), port: 8080, health, tags: Tags::new() }
}

pub fn rule(listener: &str, priority: u16, target_group: &str) -> Request {
    let (listener, target_group) = (listener.to_owned(), target_group.to_owned());
    Request::CreateRule {
        listener,
        priority,
        hosts: vec!["shop.example.com".to_owned()],
        target_group,
        tags: Tags::new(),
    }
}
