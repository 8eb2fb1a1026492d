//! Services: what is refused, names that are taken, and what may be asked again.

use tapit_ecs::api::*;

use super::stage::{CLUSTER, Stage};

fn refused(stage: &Stage, edit: impl Fn(&mut NewService)) -> ApiFault {
    let arn = stage.register("web:1");
    let mut new = stage.public_service("web", &arn);
    edit(&mut new);
    let fault = stage.fault(Request::CreateService(Box::new(new)));
    assert_eq!(stage.account.inventory().services, 0);
    fault
}

#[test]
fn a_service_needs_everything_that_it_names() {
    let stage = Stage::open();
    let invalid = |edit: fn(&mut NewService)| assert_eq!(refused(&stage, edit), ApiFault::Invalid);
    invalid(|new| new.name = "web.1".to_owned());
    invalid(|new| new.name = "x".repeat(256));
    invalid(|new| new.client_token = "x".repeat(37));
    invalid(|new| new.task_definition = "web:77".to_owned());
    invalid(|new| new.task_definition = "web".to_owned());
    invalid(|new| new.network.subnets.clear());
    invalid(|new| new.network.subnets.push("subnet-gone".to_owned()));
    invalid(|new| new.network.security_groups.push("sg-gone".to_owned()));
    assert_eq!(refused(&stage, |new| new.cluster = "gone".to_owned()), ApiFault::NotFound);
}

#[test]
fn a_target_group_must_be_led_to_and_fit_the_container() {
    let stage = Stage::open();
    let with = |edit: fn(&mut ServiceTarget)| refused(&stage, |new| edit(new.target.as_mut().expect("has a target")));
    assert_eq!(with(|target| target.port = 81), ApiFault::Invalid);
    assert_eq!(with(|target| target.container = "other".to_owned()), ApiFault::Invalid);
    assert_eq!(with(|target| target.target_group = "gone".to_owned()), ApiFault::Invalid);
    let unled = super::stage::id(stage.ask(Request::CreateTargetGroup(Box::new(super::stage::target_group("unled")))));
    let fault = refused(&stage, |new| new.target.as_mut().expect("has one").target_group.clone_from(&unled));
    assert_eq!(fault, ApiFault::Invalid, "no rule leads to it yet");
}

#[test]
fn a_creation_is_repeated_with_its_token_and_everything_else_alone() {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    let new = stage.new_service("web", &arn);
    stage.create(new.clone());
    stage.scale("web", 2);
    assert_eq!(stage.create(new.clone()).desired, 2, "the service as it is");
    let other_token = NewService { client_token: "other".to_owned(), ..new.clone() };
    let other_count = NewService { desired: 5, ..new };
    for new in [other_token, other_count] {
        assert_eq!(stage.fault(Request::CreateService(Box::new(new))), ApiFault::AlreadyExists);
    }
    assert_eq!(stage.account.inventory().services, 1);
}

#[test]
fn a_name_is_taken_until_the_last_task_has_stopped() {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    stage.create(stage.new_service("web", &arn));
    stage.until_completed("web");
    stage.delete("web").expect("is deleted");
    assert_eq!(stage.service("web").status, ServiceStatus::Draining);
    let create = || stage.ask(Request::CreateService(Box::new(stage.new_service("web", &arn))));
    assert_eq!(create().expect_err("is draining").fault, ApiFault::AlreadyExists);
    assert_eq!(stage.fault(Request::UpdateService(stage.change("web"))), ApiFault::NotActive);
    let listed = stage.ask(Request::ListServices { cluster: CLUSTER.to_owned(), next: None });
    assert_eq!(listed, Ok(Answer::Names { names: Vec::new(), next: None }), "only active ones are listed");
    assert_eq!(stage.fault(Request::DeleteCluster { name: CLUSTER.to_owned() }), ApiFault::InUse);
    stage.until("it is inactive", || stage.service("web").status == ServiceStatus::Inactive);
    assert_eq!(stage.alive(), []);
    assert_eq!(stage.fault(Request::UpdateService(stage.change("web"))), ApiFault::NotActive);
    assert_eq!(super::stage::fault(stage.delete("web")), ApiFault::NotFound);
    create().expect("the name is free");
    assert_eq!(stage.service("web").status, ServiceStatus::Active);
}

#[test]
fn an_inactive_service_is_missing_after_an_hour_and_its_successor_is_not() {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    for name in ["web", "api"] {
        stage.create(NewService { desired: 0, ..stage.new_service(name, &arn) });
        stage.delete(name).expect("is deleted");
    }
    stage.until("it is inactive", || stage.service("web").status == ServiceStatus::Inactive);
    stage.create(stage.new_service("api", &arn));
    stage.seconds(3500);
    assert!(stage.find("web").is_some());
    stage.seconds(200);
    assert!(stage.find("web").is_none());
    assert_eq!(stage.service("api").status, ServiceStatus::Active);
    let missing =
        stage.ask(Request::DescribeServices { cluster: CLUSTER.to_owned(), services: vec!["web".to_owned()] });
    assert_eq!(missing, Ok(Answer::Services(Vec::new())), "no error, but left out");
}

#[test]
fn ten_services_are_described_at_once_and_no_more() {
    let stage = Stage::open();
    let describe = |count: usize| {
        let services = (0..count).map(|number| format!("web{number}")).collect();
        stage.ask(Request::DescribeServices { cluster: CLUSTER.to_owned(), services })
    };
    assert!(describe(10).is_ok());
    assert_eq!(describe(11).expect_err("too many").fault, ApiFault::Invalid);
    assert_eq!(describe(0).expect_err("none").fault, ApiFault::Invalid);
    let elsewhere = Request::DescribeServices { cluster: "gone".to_owned(), services: vec!["web".to_owned()] };
    assert_eq!(stage.fault(elsewhere), ApiFault::NotFound);
}

#[test]
fn services_and_clusters_are_listed_page_by_page() {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    for number in 0..250 {
        stage.create(NewService { desired: 0, ..stage.new_service(&format!("web{number}"), &arn) });
    }
    let (mut all, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        match stage.ask(Request::ListServices { cluster: CLUSTER.to_owned(), next }) {
            Ok(Answer::Names { names, next: more }) => {
                assert!(names.len() <= 100);
                all.extend(names);
                (next, pages) = (more, pages + 1);
            }
            other => panic!("{other:?}"),
        }
        if next.is_none() {
            break;
        }
    }
    all.sort();
    all.dedup();
    assert_eq!((all.len(), pages), (250, 3));
    let nonsense = Request::ListClusters { next: Some("nonsense".to_owned()) };
    assert_eq!(stage.fault(nonsense), ApiFault::Invalid);
}

#[test]
fn a_cluster_is_made_once_and_deleted_once_it_is_empty() {
    let stage = Stage::open();
    let create = || stage.ask(Request::CreateCluster { name: "other".to_owned(), tags: Tags::new() });
    let delete = || stage.ask(Request::DeleteCluster { name: "other".to_owned() });
    assert_eq!((create(), create()), (Ok(Answer::Done), Ok(Answer::Done)));
    assert_eq!(stage.account.inventory().clusters, 2);
    assert_eq!(delete(), Ok(Answer::Done));
    assert_eq!(delete().expect_err("is gone").fault, ApiFault::NotFound);
}
