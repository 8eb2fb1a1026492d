//! Task definitions: what is refused, and how revisions are counted.

use tapit_ecs::api::*;

use super::stage::Stage;

fn register(stage: &Stage, edit: impl Fn(&mut NewTaskDefinition)) -> Result<Answer, ApiError> {
    let mut definition = stage.definition("web:1");
    edit(&mut definition);
    stage.ask(Request::RegisterTaskDefinition(Box::new(definition)))
}

#[test]
fn only_sizes_of_the_table_are_registered() {
    let stage = Stage::open();
    let size = |cpu, memory| register(&stage, |new| (new.cpu, new.memory_mib) = (cpu, memory)).map_err(|e| e.fault);
    for (cpu, memory) in [(256, 512), (256, 2048), (512, 4096), (4096, 30_720), (8192, 20_480), (16_384, 122_880)] {
        assert!(size(cpu, memory).is_ok(), "{cpu} {memory}");
    }
    for (cpu, memory) in [(256, 4096), (256, 1536), (257, 512), (300, 512), (8192, 17_408), (16_384, 33_792), (0, 0)] {
        assert_eq!(size(cpu, memory).expect_err("is refused"), ApiFault::Invalid, "{cpu} {memory}");
    }
}

#[test]
fn what_fargate_does_not_take_is_refused() {
    let stage = Stage::open();
    let refused = |edit: fn(&mut NewTaskDefinition)| {
        assert_eq!(register(&stage, edit).expect_err("is refused").fault, ApiFault::Invalid);
    };
    refused(|new| new.family = "web.1".to_owned());
    refused(|new| new.family = "x".repeat(256));
    refused(|new| new.container.stop_timeout = 1);
    refused(|new| new.container.stop_timeout = 121);
    refused(|new| new.container.cap_add = vec!["NET_ADMIN".to_owned()]);
    refused(|new| new.container.image = String::new());
    // Without the role nothing could write the log.
    refused(|new| new.execution_role = None);
    assert_eq!(stage.account.inventory().task_definitions, 0);
    assert!(register(&stage, |new| new.container.cap_add = vec!["SYS_PTRACE".to_owned()]).is_ok());
}

#[test]
fn each_registration_is_another_revision_and_none_is_used_again() {
    let stage = Stage::open();
    let first = stage.register("web:1");
    let second = stage.register("web:1");
    assert!(first.ends_with("/web:1") && second.ends_with("/web:2"), "{first} {second}");
    stage.ask(Request::DeregisterTaskDefinition { arn: second.clone() }).expect("is deregistered");
    assert!(stage.register("web:1").ends_with("/web:3"));
    let again = Request::DeregisterTaskDefinition { arn: second.clone() };
    assert_eq!(stage.fault(again), ApiFault::Invalid, "it is inactive already");
    match stage.ask(Request::DescribeTaskDefinition { name: second }) {
        Ok(Answer::TaskDefinition(found)) => assert!(!found.active),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_family_is_its_newest_revision_that_is_active() {
    let stage = Stage::open();
    let describe = |name: &str| match stage.ask(Request::DescribeTaskDefinition { name: name.to_owned() }) {
        Ok(Answer::TaskDefinition(found)) => Ok(found.arn),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.fault),
    };
    assert_eq!(describe("web"), Err(ApiFault::NotFound));
    let (first, second) = (stage.register("web:1"), stage.register("web:2"));
    assert_eq!(describe("web").as_ref(), Ok(&second));
    assert_eq!(describe("web:1").as_ref(), Ok(&first));
    stage.ask(Request::DeregisterTaskDefinition { arn: second.clone() }).expect("is deregistered");
    assert_eq!(describe("web").as_ref(), Ok(&first));
    assert_eq!(describe("web:9"), Err(ApiFault::NotFound));
    let list = stage.ask(Request::ListTaskDefinitions { family: "web".to_owned(), next: None });
    assert_eq!(list, Ok(Answer::Names { names: vec![first], next: None }));
}

#[test]
fn a_service_is_not_told_to_run_what_is_inactive_and_goes_on_with_what_was() {
    let stage = Stage::open();
    let (first, second) = (stage.register("web:1"), stage.register("web:2"));
    stage.create(stage.new_service("web", &second));
    stage.until_completed("web");
    for arn in [&first, &second] {
        stage.ask(Request::DeregisterTaskDefinition { arn: arn.clone() }).expect("is deregistered");
    }
    let change = ServiceChange { task_definition: Some(first), ..stage.change("web") };
    assert_eq!(stage.fault(Request::UpdateService(change)), ApiFault::Invalid);
    let new = stage.new_service("other", &second);
    assert_eq!(stage.fault(Request::CreateService(Box::new(new))), ApiFault::Invalid);
    stage.scale("web", 3);
    stage.until("it grows all the same", || stage.service("web").running == 3);
}
