//! Subnets, security groups, roles and repositories.

use tapit_ecs::api::*;

use super::stage::{Stage, VPC, id, security_group};

#[test]
fn the_default_vpc_has_three_public_subnets_in_three_zones() {
    let stage = Stage::open();
    let vpc = Ok(Answer::Names { names: vec![VPC.to_owned()], next: None });
    assert_eq!(stage.ask(Request::DescribeDefaultVpc), vpc);
    let of = SubnetsOf::Vpc(VPC.to_owned());
    let Ok(Answer::Subnets(subnets)) = stage.ask(Request::DescribeSubnets(of)) else { panic!("none") };
    assert!(subnets.len() == 3 && subnets.iter().all(|subnet| subnet.public));
    let gone = SubnetsOf::Ids(vec!["subnet-gone".to_owned()]);
    assert_eq!(stage.fault(Request::DescribeSubnets(gone)), ApiFault::NotFound);
    stage.account.remove_default_vpc();
    assert_eq!(stage.ask(Request::DescribeDefaultVpc), Ok(Answer::Names { names: Vec::new(), next: None }));
}

#[test]
fn a_security_group_is_found_by_its_name_and_made_once() {
    let stage = Stage::open();
    let find = |name: &str| Request::DescribeSecurityGroup { name: name.to_owned(), vpc: VPC.to_owned() };
    let names = |names| Ok(Answer::Names { names, next: None });
    assert_eq!(stage.ask(find("shop")), names(vec![stage.group.clone()]));
    assert_eq!(stage.ask(find("nobody")), names(Vec::new()));
    assert_eq!(stage.fault(security_group("shop")), ApiFault::AlreadyExists);
    assert_eq!(stage.fault(security_group("sg-shop")), ApiFault::Invalid);
}

#[test]
fn a_security_group_stays_as_long_as_something_is_in_it_or_names_it() {
    let stage = Stage::open();
    let delete = |group: &str| stage.ask(Request::DeleteSecurityGroup { group: group.to_owned() });
    let other = id(stage.ask(security_group("other")));
    let from = |from| Request::AuthorizeIngress { group: stage.group.clone(), from };
    for _ in 0..2 {
        stage.ask(from(IngressFrom::Itself)).expect("also again");
        stage.ask(from(IngressFrom::Group(other.clone()))).expect("also again");
    }
    assert_eq!(stage.fault(from(IngressFrom::Group("sg-gone".to_owned()))), ApiFault::NotFound);
    assert_eq!(delete(&other).expect_err("is named").fault, ApiFault::InUse);
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.until("it runs", || stage.service("web").running == 1);
    assert_eq!(delete(&stage.group).expect_err("has a task in it").fault, ApiFault::InUse);
    stage.scale("web", 0);
    stage.until("it has stopped", || stage.alive().is_empty());
    assert_eq!(delete(&stage.group), Ok(Answer::Done));
    assert_eq!(delete(&other), Ok(Answer::Done), "nothing names it any more");
    assert_eq!(delete(&other), Ok(Answer::Done), "also once it is gone");
}

#[test]
fn a_role_is_made_once_and_deleted_without_policies() {
    let stage = Stage::open();
    let name = || "other".to_owned();
    let create = || Request::CreateRole { name: name(), description: String::new(), tags: Tags::new() };
    assert_eq!(stage.fault(Request::GetRole { name: name() }), ApiFault::NotFound);
    let arn = id(stage.ask(create()));
    assert_eq!(stage.fault(create()), ApiFault::AlreadyExists);
    assert_eq!(id(stage.ask(Request::GetRole { name: name() })), arn);
    stage.ask(Request::AttachExecutionPolicy { role: name() }).expect("is attached");
    assert_eq!(stage.fault(Request::DeleteRole { name: name() }), ApiFault::InUse);
    stage.ask(Request::DetachExecutionPolicy { role: name() }).expect("is detached");
    assert_eq!(stage.fault(Request::DetachExecutionPolicy { role: name() }), ApiFault::NotFound);
    for _ in 0..2 {
        assert_eq!(stage.ask(Request::DeleteRole { name: name() }), Ok(Answer::Done));
    }
}

#[test]
fn a_repository_is_made_once_and_is_where_the_login_leads() {
    let stage = Stage::open();
    let create = |name: &str| stage.ask(Request::CreateRepository { name: name.to_owned(), tags: Tags::new() });
    let uri = id(create("tapit-000000/shop"));
    assert_eq!(id(create("tapit-000000/shop")), uri);
    let Ok(Answer::Login(login)) = stage.ask(Request::RegistryLogin) else { panic!("no login") };
    assert_eq!((uri, login.plain_http), (format!("{}/tapit-000000/shop", login.host), false));
    for name in ["Shop", "tapit//shop", "-shop", "shop_", "s"] {
        assert_eq!(create(name).expect_err("is refused").fault, ApiFault::Invalid, "{name}");
    }
    stage.account.set_registry("127.0.0.1:5000");
    assert_eq!(id(create("shop")), "127.0.0.1:5000/shop");
}

#[test]
fn everything_that_was_made_is_told_as_left_over() {
    let stage = Stage::open();
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.until("it runs", || stage.service("web").running == 1);
    stage.ask(Request::CreateRepository { name: "shop".to_owned(), tags: Tags::new() }).expect("is made");
    let left = stage.account.left_over();
    let kinds: Vec<_> = left.iter().filter_map(|line| line.split(' ').next()).collect();
    let expected = [
        "cluster",
        "service",
        "task-definition",
        "task",
        "security-group",
        "load-balancer",
        "listener",
        "rule",
        "target-group",
        "log-group",
        "role",
        "repository",
    ];
    assert_eq!(kinds, expected);
}
