//! Load balancers, listeners, rules and target groups.

use tapit_ecs::api::*;
use tapit_ecs::sim::{Quotas, Setup};

use super::stage::{Stage, VPC, id, rule, target_group};

fn create_group(stage: &Stage, edit: impl Fn(&mut NewTargetGroup)) -> Result<Answer, ApiError> {
    let mut new = target_group("other");
    edit(&mut new);
    stage.ask(Request::CreateTargetGroup(Box::new(new)))
}

#[test]
fn names_are_short_and_without_underscores() {
    let stage = Stage::open();
    for name in ["", "-shop", "shop-", "sh_op", "internal-shop", &"x".repeat(33)] {
        let refused = create_group(&stage, |new| new.name = name.to_owned());
        assert_eq!(refused.expect_err("is refused").fault, ApiFault::Invalid, "{name}");
    }
    assert!(create_group(&stage, |new| new.name = "x".repeat(32)).is_ok());
}

#[test]
fn a_target_group_is_made_once() {
    let stage = Stage::open();
    let first = id(create_group(&stage, |_| {}));
    assert_eq!(id(create_group(&stage, |_| {})), first);
    let other = create_group(&stage, |new| new.port = 81).expect_err("has other settings");
    assert_eq!(other.fault, ApiFault::AlreadyExists);
    assert_eq!(id(stage.ask(Request::DescribeTargetGroup { name: "other".to_owned() })), first);
    let nobody = Request::DescribeTargetGroup { name: "nobody".to_owned() };
    assert_eq!(stage.fault(nobody), ApiFault::NotFound);
}

#[test]
fn a_target_group_stays_as_long_as_a_rule_leads_to_it() {
    let stage = Stage::open();
    let arn = id(create_group(&stage, |_| {}));
    let rule = id(stage.ask(rule(&stage.listener, 2, &arn)));
    let delete = || stage.ask(Request::DeleteTargetGroup { arn: arn.clone() });
    assert_eq!(delete().expect_err("is in use").fault, ApiFault::InUse);
    stage.ask(Request::DeleteRule { arn: rule.clone() }).expect("is deleted");
    assert_eq!(delete(), Ok(Answer::Done));
    assert_eq!(delete(), Ok(Answer::Done), "also once it is gone");
    assert_eq!(stage.ask(Request::DeleteRule { arn: rule }), Ok(Answer::Done));
}

#[test]
fn a_priority_is_given_once_in_a_listener() {
    let stage = Stage::open();
    let create =
        |priority| stage.ask(rule(&stage.listener, priority, &stage.target_group)).map_err(|error| error.fault);
    assert_eq!(create(1), Err(ApiFault::AlreadyExists));
    assert!(create(2).is_ok());
    assert_eq!(create(0), Err(ApiFault::Invalid));
    assert_eq!(create(50_001), Err(ApiFault::Invalid));
    let unknown = rule(&stage.listener, 3, "gone");
    assert_eq!(stage.fault(unknown), ApiFault::NotFound);
    assert_eq!(stage.fault(rule("gone", 3, &stage.target_group)), ApiFault::NotFound);
}

#[test]
fn rules_are_described_by_priority_and_page_by_page_with_the_default_one() {
    let quotas = Quotas { rules_per_balancer: 150, ..Quotas::default() };
    let stage = Stage::of(Setup { quotas, ..Setup::default() });
    for priority in (2..=130).rev() {
        id(stage.ask(rule(&stage.listener, priority, &stage.target_group)));
    }
    let page = |next| match stage.ask(Request::DescribeRules { listener: stage.listener.clone(), next }) {
        Ok(Answer::Rules { rules, next }) => (rules, next),
        other => panic!("{other:?}"),
    };
    let (first, next) = page(None);
    let (second, end) = page(next);
    assert_eq!((first.len(), second.len(), end), (100, 31, None));
    assert!(first.is_sorted_by_key(|rule| rule.priority));
    assert_eq!(second.last().map(|rule| (rule.priority, rule.target_group.clone())), Some((None, None)));
}

#[test]
fn a_load_balancer_has_a_hundred_rules_unless_aws_was_asked_for_more() {
    let stage = Stage::open();
    for priority in 2..=100 {
        id(stage.ask(rule(&stage.listener, priority, &stage.target_group)));
    }
    assert_eq!(stage.fault(rule(&stage.listener, 101, &stage.target_group)), ApiFault::Quota);
}

#[test]
fn a_load_balancer_needs_two_zones_and_a_name_of_its_own() {
    let stage = Stage::open();
    let create = |name: &str, subnets: &[&str]| {
        let subnets = subnets.iter().map(|id| (*id).to_owned()).collect();
        let (name, security_groups) = (name.to_owned(), vec![stage.group.clone()]);
        stage.ask(Request::CreateLoadBalancer { name, subnets, security_groups, tags: Tags::new() })
    };
    let fault = |name, subnets| create(name, subnets).expect_err("is refused").fault;
    let zones = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"];
    assert_eq!(fault("other", &zones[..1]), ApiFault::Invalid);
    assert_eq!(fault("other", &["subnet-0a0a0a0a", "subnet-gone"]), ApiFault::NotFound);
    assert_eq!(fault("balancer", &zones), ApiFault::AlreadyExists);
    let Ok(Answer::LoadBalancer(made)) = create("other", &zones) else { panic!("not made") };
    assert_eq!(made.vpc, VPC);
    for by in [LoadBalancerBy::Name("other".to_owned()), LoadBalancerBy::Arn(made.arn.clone())] {
        assert_eq!(stage.ask(Request::DescribeLoadBalancer(by)), Ok(Answer::LoadBalancer(made.clone())));
    }
    let listen = || Request::CreateListener { load_balancer: made.arn.clone(), port: 80, tags: Tags::new() };
    let listener = id(stage.ask(listen()));
    assert_eq!(stage.fault(listen()), ApiFault::AlreadyExists);
    let found = stage.ask(Request::DescribeListeners(ListenersOf::Arn(listener.clone())));
    let of = stage.ask(Request::DescribeListeners(ListenersOf::LoadBalancer(made.arn.clone())));
    let expected = Listener { arn: listener.clone(), load_balancer: made.arn.clone(), port: 80 };
    assert_eq!(found, Ok(Answer::Listeners(vec![expected])));
    assert_eq!(found, of);
    stage.ask(Request::DeleteLoadBalancer { arn: made.arn.clone() }).expect("is deleted");
    assert_eq!(stage.fault(Request::DescribeListeners(ListenersOf::Arn(listener))), ApiFault::NotFound);
}

#[test]
fn a_load_balancer_takes_its_rules_with_it() {
    let stage = Stage::open();
    let by = LoadBalancerBy::Name("balancer".to_owned());
    let Ok(Answer::LoadBalancer(balancer)) = stage.ask(Request::DescribeLoadBalancer(by)) else { panic!("not there") };
    stage.ask(Request::DeleteLoadBalancer { arn: balancer.arn }).expect("is deleted");
    let inventory = stage.account.inventory();
    assert_eq!((inventory.listeners, inventory.rules, inventory.target_groups), (0, 0, 1));
    stage.ask(Request::DeleteTargetGroup { arn: stage.target_group.clone() }).expect("nothing leads to it any more");
}

#[test]
fn a_target_is_checked_before_it_is_healthy_and_drained_before_it_goes() {
    let stage = Stage::open();
    stage.create(stage.public_service("web", &stage.register("web:1")));
    stage.until("it is registered", || !stage.targets().is_empty());
    assert_eq!(stage.targets()[0].state, TargetState::Initial);
    stage.until("it is healthy", || stage.healthy_targets() == 1);
    assert_eq!(stage.targets()[0].ip, stage.alive()[0].ip.expect("has an address"));
    stage.scale("web", 0);
    stage.until("it drains", || stage.targets().iter().all(|target| target.state == TargetState::Draining));
    stage.until("it is gone", || stage.targets().is_empty());
}
