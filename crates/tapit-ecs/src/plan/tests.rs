//! Data in, text out: what is wanted, recorded and seen on the left, the deeds on the right.

mod runs;

use std::collections::BTreeMap;

use tapit_model::{
    AppName, Check, Confinement, CpuMillis, Digest, Formation, ImageRef, InstanceKind, Lifecycle, MemoryMib, Moment,
    PinnedImage, Presence, ProcessName, Restart, Revision, Seconds, Size, Timestamp,
};

use super::{Answered, AppPlan, Attempt, Deed, Inputs, Wanted, plan_app};
use crate::api::{
    Answer, ApiError, ApiFault, Breaker, Deployment, Operation, RolloutState, Service, ServiceStatus, TaskDefinition,
};
use crate::look::Look;
use crate::names::Install;
use crate::record::{AccountRecord, AppRecord, Balancer, Definition, Made, ProcessRecord, TargetRecord, Told};
use crate::settings::EcsSettings;

const NOW: Moment = Moment(1_000_000);
const TODAY: Timestamp = Timestamp(9_000_000_000);

struct Case {
    wanted: BTreeMap<ProcessName, Wanted>,
    record: AppRecord,
    look: Look,
}

fn app() -> AppName {
    AppName::parse("shop").expect("legal")
}

fn name(text: &str) -> ProcessName {
    ProcessName::parse(text).expect("legal")
}

fn formation(process: &str, generation: u64, demand: u32, spot: u32) -> Formation {
    let port = tapit_model::Port::new(8080).expect("not zero");
    Formation {
        generation,
        image: PinnedImage {
            reference: ImageRef::parse("app:v1").expect("legal"),
            digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal"),
            exposed: vec![port],
        },
        command: None,
        port,
        check: Check::Tcp(port),
        health_timeout: Seconds(60),
        size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
        demand,
        stand_ins: 0,
        spot,
        restart: Restart::Always,
        lifecycle: Lifecycle::default(),
        confinement: Confinement::default(),
        public: process == "default",
        variables: Vec::new(),
        version: "v1".to_owned(),
    }
}

fn present(process: &str, generation: u64, demand: u32, spot: u32) -> (ProcessName, Wanted) {
    let presence = Presence::Present(Box::new(formation(process, generation, demand, spot)));
    let location = Some("registry/app@sha256:a".to_owned());
    (name(process), Wanted { revision: Revision(generation), presence, location })
}

fn absent(process: &str) -> (ProcessName, Wanted) {
    let presence = Presence::Absent(Lifecycle::default());
    (name(process), Wanted { revision: Revision(9), presence, location: None })
}

/// Everything of the app is made, but for what its processes need.
fn built() -> AppRecord {
    AppRecord {
        cluster: Made::Yes,
        log_group: Made::Yes,
        log_retention: Made::Yes,
        security_group: Some("sg-app".to_owned()),
        ingress_from_itself: Made::Yes,
        ingress_from_balancer: ["sg-balancer".to_owned()].into(),
        target: TargetRecord {
            group: Some("tg".to_owned()),
            health: Some(super::app::health_check(&formation("default", 1, 1, 0).check)),
            delay: Made::Yes,
            rule: Some("rule".to_owned()),
            ..TargetRecord::default()
        },
        ..AppRecord::default()
    }
}

fn arn(kind: InstanceKind, generation: u64) -> String {
    format!("{}:{generation}", kind.as_str())
}

fn with_definitions(mut record: AppRecord, process: &str, made: &[(InstanceKind, u64)]) -> AppRecord {
    let entry = record.processes.entry(name(process)).or_default();
    for (kind, generation) in made {
        let what = Definition { kind: *kind, generation: *generation, fingerprint: String::new() };
        entry.definitions.insert(arn(*kind, *generation), what);
    }
    record
}

fn service(process: &str, kind: InstanceKind, generation: u64, count: u32) -> Service {
    Service {
        name: crate::names::service(&name(process), kind),
        status: ServiceStatus::Active,
        desired: count,
        running: count,
        pending: 0,
        task_definition: arn(kind, generation),
        target_group: (process == "default").then(|| "tg".to_owned()),
        deployments: vec![deployment(kind, generation, RolloutState::Completed)],
        events: Vec::new(),
    }
}

fn deployment(kind: InstanceKind, generation: u64, state: RolloutState) -> Deployment {
    Deployment {
        id: format!("d{generation}"),
        primary: true,
        task_definition: arn(kind, generation),
        state,
        reason: None,
        failed_tasks: 0,
    }
}

impl Case {
    fn new(wanted: impl IntoIterator<Item = (ProcessName, Wanted)>, record: AppRecord, services: Vec<Service>) -> Self {
        Self { wanted: wanted.into_iter().collect(), record, look: Look { services, ..Look::default() } }
    }

    fn plan(&self) -> AppPlan {
        let account = AccountRecord {
            vpc: "vpc".to_owned(),
            subnets: vec!["subnet".to_owned()],
            assign_public_ip: true,
            execution_role: "role".to_owned(),
            balancer: Some(Balancer {
                arn: "lb".to_owned(),
                dns_name: "lb.example".to_owned(),
                listener: "listener".to_owned(),
                port: 80,
                security_groups: vec!["sg-balancer".to_owned()],
            }),
        };
        plan_app(&Inputs {
            install: &Install::of(std::path::Path::new("/x")),
            settings: &EcsSettings::default(),
            region: "eu-central-1",
            account: &account,
            app: &app(),
            wanted: &self.wanted,
            record: &self.record,
            look: &self.look,
            now: NOW,
            at: TODAY,
        })
    }

    fn check(&self, expected: &str) {
        assert_eq!(words(&self.plan()), expected);
    }
}

/// The deeds, then what the plan says of itself.
fn words(plan: &AppPlan) -> String {
    let mut words: Vec<String> = plan.deeds.iter().map(word).collect();
    words.extend(plan.acted.iter().map(|(process, revision)| format!("{process} acted {}", revision.0)));
    words.extend(plan.gone.iter().map(|process| format!("{process} gone")));
    words.extend(plan.empty.then(|| "empty".to_owned()));
    words.extend(plan.busy.then(|| "busy".to_owned()));
    words.join(", ")
}

fn word(deed: &Deed) -> String {
    match deed {
        Deed::Register { definition, what, .. } => {
            format!("register {} {}", definition.family.rsplit('-').next().unwrap_or_default(), what.generation)
        }
        Deed::FindDefinition { .. } => "find definition".to_owned(),
        Deed::LearnDefinition { arn, .. } => format!("learn {arn}"),
        Deed::Deregister { arn, .. } => format!("deregister {arn}"),
        Deed::CreateService { service, .. } => {
            let target =
                service.target.as_ref().map(|target| format!(" at {}", target.target_group)).unwrap_or_default();
            format!("create {} {} x{}{target}", service.name, service.task_definition, service.desired)
        }
        Deed::ChangeService { change, .. } => {
            let definition = change.task_definition.iter().map(|arn| format!(" to {arn}"));
            let desired = change.desired.iter().map(|count| format!(" x{count}"));
            let breaker = change
                .breaker
                .iter()
                .filter(|breaker| **breaker == Breaker::RollsBack)
                .map(|_| " with breaker".to_owned());
            let parts: String = definition.chain(desired).chain(breaker).collect();
            format!("change {}{parts}", change.service)
        }
        Deed::RunTask { asked, attempt, .. } => {
            let again = if *attempt == Attempt::Again { " again" } else { "" };
            format!("run {} {}{again}", asked.task.group, asked.task.task_definition)
        }
        Deed::StopTask { arn, .. } => format!("stop {arn}"),
        Deed::DeleteService { process, kind } => format!("delete {}", crate::names::service(process, *kind)),
        Deed::CreateCluster => "cluster".to_owned(),
        Deed::CreateLogGroup => "log group".to_owned(),
        Deed::SetLogRetention => "retention".to_owned(),
        Deed::CreateSecurityGroup => "security group".to_owned(),
        Deed::FindSecurityGroup => "find security group".to_owned(),
        Deed::AdmitItself { .. } => "admit itself".to_owned(),
        Deed::AdmitBalancer { from, .. } => format!("admit {from}"),
        Deed::CreateTargetGroup { .. } => "target group".to_owned(),
        Deed::FindTargetGroup => "find target group".to_owned(),
        Deed::ChangeHealthCheck { .. } => "health check".to_owned(),
        Deed::SetDeregistrationDelay { .. } => "delay".to_owned(),
        Deed::FindRule { .. } => "find rule".to_owned(),
        Deed::CreateRule { .. } => "rule".to_owned(),
        Deed::DeleteRule { .. } => "remove rule".to_owned(),
        Deed::DeleteTargetGroup { .. } => "remove target group".to_owned(),
        Deed::DeleteSecurityGroup { .. } => "remove security group".to_owned(),
        Deed::DeleteLogGroup => "remove log group".to_owned(),
        Deed::DeleteRepository => "remove repository".to_owned(),
        Deed::DeleteCluster => "remove cluster".to_owned(),
    }
}

const DEMAND: InstanceKind = InstanceKind::Demand;
const SPOT: InstanceKind = InstanceKind::Spot;

#[test]
fn what_the_app_needs_is_made_first_and_each_thing_when_it_can_be() {
    let nothing = Case::new([present("api", 1, 2, 0)], AppRecord::default(), vec![]);
    nothing.check("register shop_api 1, cluster, log group, security group, busy");
    let public = AppRecord { target: TargetRecord::default(), ..built() };
    Case::new([present("default", 1, 1, 0)], public, vec![]).check("register shop_default 1, target group, busy");
    let group = TargetRecord { rule: None, ..built().target };
    let found = AppRecord { target: group, ..built() };
    Case::new([present("default", 1, 1, 0)], found, vec![]).check("register shop_default 1, find rule, busy");
}

#[test]
fn a_service_is_made_for_each_kind_that_has_instances() {
    let record = with_definitions(built(), "api", &[(DEMAND, 1)]);
    Case::new([present("api", 1, 2, 0)], record, vec![]).check("create api demand:1 x2, remove rule, busy");
    let record = with_definitions(built(), "default", &[(DEMAND, 1), (SPOT, 1)]);
    let both = Case::new([present("default", 1, 2, 1)], record, vec![]);
    both.check("create default demand:1 x2 at tg, create default_spot spot:1 x1 at tg, busy");
}

#[test]
fn a_count_is_changed_alone_and_a_generation_is_a_new_revision() {
    let record = with_definitions(built(), "default", &[(DEMAND, 1), (DEMAND, 2)]);
    let services = vec![service("default", DEMAND, 1, 2)];
    let more = Case::new([present("default", 1, 5, 0)], record.clone(), services.clone());
    more.check("change default x5, busy");
    let next = Case::new([present("default", 2, 2, 0)], record.clone(), services.clone());
    next.check("change default to demand:2 with breaker, busy");
    let as_wanted = Case::new([present("default", 1, 2, 0)], record.clone(), services);
    as_wanted.check("default acted 1");
    let none = Case::new([present("default", 2, 0, 0)], record, vec![service("default", DEMAND, 1, 2)]);
    none.check("change default x0, busy");
}

#[test]
fn the_first_spot_instance_gets_its_service_and_the_other_is_left_alone() {
    let record = with_definitions(built(), "default", &[(DEMAND, 1)]);
    let case = Case::new([present("default", 1, 2, 1)], record, vec![service("default", DEMAND, 1, 2)]);
    case.check("register shop_default_spot 1, busy");
}

#[test]
fn what_a_service_was_told_is_believed_before_the_account_shows_it() {
    let mut record = with_definitions(built(), "default", &[(DEMAND, 1)]);
    let told = |at| Told { at, desired: 5, task_definition: arn(DEMAND, 1) };
    let tell = |record: &mut AppRecord, at| {
        record.processes.entry(name("default")).or_default().told.insert(DEMAND, told(at));
    };
    tell(&mut record, Moment(NOW.0 - 1_000));
    let services = vec![service("default", DEMAND, 1, 2)];
    Case::new([present("default", 1, 5, 0)], record.clone(), services.clone()).check("busy");
    Case::new([present("default", 1, 5, 0)], record.clone(), vec![]).check("busy");
    tell(&mut record, Moment(NOW.0 - 60_000));
    Case::new([present("default", 1, 5, 0)], record.clone(), services.clone()).check("change default x5, busy");
    // After a reboot of the host the moments begin anew.
    tell(&mut record, Moment(NOW.0 + 60_000));
    Case::new([present("default", 1, 5, 0)], record, services).check("change default x5, busy");
}

#[test]
fn a_name_that_drains_is_waited_for() {
    let record = with_definitions(built(), "default", &[(DEMAND, 1)]);
    let status = |status| vec![Service { status, ..service("default", DEMAND, 1, 0) }];
    Case::new([present("default", 1, 1, 0)], record.clone(), status(ServiceStatus::Draining)).check("busy");
    let free = Case::new([present("default", 1, 1, 0)], record, status(ServiceStatus::Inactive));
    free.check("create default demand:1 x1 at tg, busy");
}

#[test]
fn a_revision_that_ecs_has_given_up_is_not_ordered_again() {
    let mut record = with_definitions(built(), "default", &[(DEMAND, 1), (DEMAND, 2)]);
    let failed = Deployment { primary: false, ..deployment(DEMAND, 2, RolloutState::Failed) };
    let mut back = service("default", DEMAND, 1, 2);
    back.deployments.push(failed);
    Case::new([present("default", 2, 2, 0)], record.clone(), vec![back.clone()]).check("default acted 2");
    let look = Look { services: vec![back], ..Look::default() };
    super::note_given_up(&mut record, &look);
    // Also once ECS does not list it any more.
    let case = Case::new([present("default", 2, 2, 0)], record, vec![service("default", DEMAND, 1, 2)]);
    case.check("default acted 2");
}

#[test]
fn a_registration_without_an_answer_is_looked_up_before_it_is_made_again() {
    let case = Case::new([present("default", 1, 1, 0)], built(), vec![]);
    let plan = case.plan();
    let mut record = case.record.clone();
    let [register] = plan.deeds.as_slice() else { panic!("{plan:?}") };
    assert!(register.is_intent());
    register.intend(&mut record);
    let lost =
        ApiError { operation: Operation::RegisterTaskDefinition, fault: ApiFault::Unavailable, text: "x".into() };
    let answered = Answered { operation: Operation::RegisterTaskDefinition, result: Err(lost), at: NOW };
    assert!(register.fold(&mut record, answered).is_err());
    Case::new([present("default", 1, 1, 0)], record.clone(), vec![]).check("find definition, busy");

    let Deed::Register { definition, .. } = register else { panic!("{register:?}") };
    let find = Deed::FindDefinition { process: name("default"), family: definition.family.clone() };
    let found = |labels| {
        let definition =
            TaskDefinition { arn: arn(DEMAND, 7), family: definition.family.clone(), labels, active: true };
        let result = Ok(Answer::TaskDefinition(Box::new(definition)));
        Answered { operation: Operation::DescribeTaskDefinition, result, at: NOW }
    };
    let mut it = record.clone();
    find.fold(&mut it, found(definition.container.labels.clone())).expect("folds");
    let case = Case::new([present("default", 1, 1, 0)], it, vec![]);
    case.check("create default demand:7 x1 at tg, busy");
    find.fold(&mut record, found(BTreeMap::new())).expect("folds");
    Case::new([present("default", 1, 1, 0)], record, vec![]).check("register shop_default 1, busy");
}

#[test]
fn a_revision_that_the_record_does_not_know_is_learned() {
    let case = Case::new([present("default", 1, 2, 0)], built(), vec![service("default", DEMAND, 1, 2)]);
    case.check("register shop_default 1, learn demand:1, busy");
}

#[test]
fn old_revisions_go_when_all_is_quiet() {
    let record = with_definitions(built(), "default", &[(DEMAND, 1), (DEMAND, 2)]);
    let quiet = Case::new([present("default", 2, 2, 0)], record.clone(), vec![service("default", DEMAND, 2, 2)]);
    quiet.check("deregister demand:1, default acted 2, busy");
    let moving = Service { running: 1, ..service("default", DEMAND, 2, 2) };
    Case::new([present("default", 2, 2, 0)], record, vec![moving]).check("default acted 2, busy");
}

#[test]
fn a_process_goes_route_first_and_its_definitions_last() {
    let record = with_definitions(built(), "default", &[(DEMAND, 1)]);
    let services = vec![service("default", DEMAND, 1, 2)];
    Case::new([absent("default")], record.clone(), services.clone()).check("remove rule, busy");
    let no_rule = AppRecord { target: TargetRecord { rule: None, ..record.target.clone() }, ..record };
    Case::new([absent("default")], no_rule.clone(), services.clone()).check("delete default, busy");
    let status = |status| vec![Service { status, ..services[0].clone() }];
    Case::new([absent("default")], no_rule.clone(), status(ServiceStatus::Draining)).check("busy");
    let inactive = Case::new([absent("default")], no_rule, status(ServiceStatus::Inactive));
    inactive.check("deregister demand:1, busy");
}

#[test]
fn an_app_goes_the_other_way_round_and_its_cluster_last() {
    let bare = AppRecord { processes: [(name("default"), ProcessRecord::default())].into(), ..built() };
    let no_rule = AppRecord { target: TargetRecord { rule: None, ..bare.target.clone() }, ..bare };
    let case = Case::new([absent("default")], no_rule, vec![]);
    let all = "remove target group, remove security group, remove log group, remove repository";
    case.check(&format!("{all}, default gone, busy"));
    let last = AppRecord { cluster: Made::Yes, repository_removed: Made::Yes, ..AppRecord::default() };
    Case::new([absent("default")], last, vec![]).check("remove cluster, default gone, busy");
    Case::new([absent("default")], AppRecord::default(), vec![]).check("default gone, empty");
}
