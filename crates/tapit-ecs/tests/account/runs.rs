//! Tasks that are started alone, by a token.

use tapit_ecs::api::*;
use tapit_ecs::sim::{Behaviour, End};

use super::stage::{CLUSTER, Stage};

fn task(stage: &Stage, token: &str) -> NewTask {
    let network = stage.new_service("none", "none").network;
    NewTask {
        cluster: CLUSTER.to_owned(),
        task_definition: stage.register("web:1"),
        group: "task_task-1".to_owned(),
        provider: Provider::Fargate,
        network,
        client_token: token.to_owned(),
        tags: Tags::new(),
    }
}

fn run(stage: &Stage, new: &NewTask) -> Result<Task, ApiError> {
    let answer = stage.ask(Request::RunTask(Box::new(new.clone())))?;
    Ok(answer.tasks(Operation::RunTask)?.remove(0))
}

fn fault(stage: &Stage, new: NewTask) -> ApiFault {
    run(stage, &new).expect_err("is refused").fault
}

#[test]
fn it_runs_to_its_end_and_nothing_takes_its_place() {
    let stage = Stage::open();
    stage.account.behave(|_| Behaviour::completes());
    let started = run(&stage, &task(&stage, "token")).expect("starts");
    assert_eq!((started.group.as_str(), started.started_by.as_deref()), ("task_task-1", Some("token")));
    assert_eq!((started.status, started.provider), (TaskStatus::Provisioning, Some(Provider::Fargate)));
    stage.until("it has stopped", || stage.alive().is_empty());
    stage.seconds(600);
    let tasks = stage.account.tasks();
    assert_eq!((tasks.len(), tasks[0].exit_code), (1, Some(0)));
}

#[test]
fn the_same_token_and_words_are_the_same_task_and_other_words_are_refused() {
    let stage = Stage::open();
    let new = task(&stage, "token");
    let first = run(&stage, &new).expect("starts");
    stage.seconds(60);
    let again = run(&stage, &new).expect("is known");
    assert_eq!((&again.arn, again.status), (&first.arn, TaskStatus::Running), "as it is by now");
    let other = NewTask { group: "task_task-2".to_owned(), ..new.clone() };
    assert_eq!(fault(&stage, other), ApiFault::AlreadyExists);
    assert_eq!(stage.account.tasks().len(), 1);
    let another = NewTask { client_token: "another".to_owned(), ..new };
    assert_ne!(run(&stage, &another).expect("starts").arn, first.arn);
}

#[test]
fn a_token_is_remembered_for_an_hour_beyond_the_tasks_life_and_a_day_at_most() {
    let stage = Stage::open();
    let (short, long) = (task(&stage, "short"), task(&stage, "long"));
    let [first, kept] = [&short, &long].map(|new| run(&stage, new).expect("starts"));
    stage.seconds(60);
    assert!(stage.account.end(&first.arn, End::Exit(0)));
    stage.seconds(3500);
    assert_eq!(run(&stage, &short).expect("is known").arn, first.arn);
    stage.seconds(200);
    assert_ne!(run(&stage, &short).expect("starts anew").arn, first.arn);
    assert_eq!(run(&stage, &long).expect("is known").arn, kept.arn);
    stage.seconds(24 * 3600);
    assert_ne!(run(&stage, &long).expect("starts anew").arn, kept.arn);
}

#[test]
fn it_is_stopped_by_a_call_as_often_as_that_is_made() {
    let stage = Stage::open();
    let started = run(&stage, &task(&stage, "token")).expect("starts");
    stage.seconds(60);
    let stop = || Request::StopTask { cluster: CLUSTER.to_owned(), task: started.arn.clone(), reason: "enough".into() };
    stage.ask(stop()).expect("is told");
    stage.ask(stop()).expect("is told again");
    stage.until("it has stopped", || stage.alive().is_empty());
    stage.ask(stop()).expect("has stopped");
    let stopped = stage.stopped().remove(0);
    assert_eq!(
        (stopped.stop_code.as_deref(), stopped.stopped_reason.as_deref()),
        (Some("UserInitiated"), Some("enough"))
    );
    stage.seconds(2 * 3600);
    assert_eq!(stage.fault(stop()), ApiFault::NotFound, "nobody knows it any more");
}

#[test]
fn what_aws_would_not_start_is_not_started() {
    let stage = Stage::open();
    let new = task(&stage, "token");
    let with = |change: fn(&mut NewTask)| {
        let mut new = new.clone();
        change(&mut new);
        new
    };
    for (expected, wrong) in [
        (ApiFault::NotFound, with(|new| new.cluster = "other".to_owned())),
        (ApiFault::Invalid, with(|new| new.task_definition = "web:9".to_owned())),
        (ApiFault::Invalid, with(|new| new.group = "service:web".to_owned())),
        (ApiFault::Invalid, with(|new| new.group = "family:web".to_owned())),
        (ApiFault::Invalid, with(|new| new.client_token = "t".repeat(65))),
        (ApiFault::Invalid, with(|new| new.client_token.clear())),
        (ApiFault::Invalid, with(|new| new.network.subnets.clear())),
    ] {
        assert_eq!(fault(&stage, wrong), expected);
    }
    stage.account.set_demand_capacity(Some(0));
    assert_eq!(fault(&stage, new.clone()), ApiFault::Capacity);
    stage.account.set_demand_capacity(None);
    stage.ask(Request::DetachExecutionPolicy { role: "tapit-execution".to_owned() }).expect("is detached");
    assert_eq!(fault(&stage, new), ApiFault::Invalid, "its role lacks its rights");
    assert_eq!(stage.account.tasks(), []);
}

#[test]
fn its_cluster_and_its_security_group_stay_as_long_as_it_runs() {
    let stage = Stage::open();
    run(&stage, &task(&stage, "token")).expect("starts");
    assert_eq!(stage.fault(Request::DeleteCluster { name: CLUSTER.to_owned() }), ApiFault::InUse);
    assert_eq!(stage.fault(Request::DeleteSecurityGroup { group: stage.group.clone() }), ApiFault::InUse);
}
