//! Tasks: their way, their end, and how long they are shown.

use tapit_ecs::api::*;
use tapit_ecs::sim::{Behaviour, End};

use super::stage::{CLUSTER, LOGS, Stage};

fn run(behaviour: Behaviour) -> Stage {
    let stage = Stage::open();
    stage.account.behave(move |_| behaviour.clone());
    stage.create(stage.public_service("web", &stage.register("web:1")));
    stage
}

/// The first task once it has stopped.
fn ended(stage: &Stage) -> Task {
    stage.until("one has stopped", || !stage.stopped().is_empty());
    stage.stopped().remove(0)
}

#[test]
fn a_task_goes_the_whole_way() {
    let stage = run(Behaviour::serves());
    let mut seen: Vec<TaskStatus> = Vec::new();
    let mut look = |stage: &Stage| {
        let status = stage.account.tasks().first().map(|task| task.status);
        seen.extend(status.filter(|status| seen.last() != Some(status)));
    };
    for _ in 0..30 {
        stage.seconds(1);
        look(&stage);
    }
    let task = stage.alive().remove(0);
    assert!(task.ip.is_some() && task.image_digest.is_some());
    assert!([Some(task.created_at), task.pull_started_at, task.pull_stopped_at, task.started_at].is_sorted());
    assert_eq!((task.group.as_str(), task.provider), ("service:web", Some(Provider::Fargate)));
    stage.delete("web").expect("is deleted");
    for _ in 0..30 {
        stage.seconds(1);
        look(&stage);
    }
    use TaskStatus::*;
    let all = [Provisioning, Pending, Activating, Running, Deactivating, Stopping, Deprovisioning, Stopped];
    assert_eq!(seen, all);
}

#[test]
fn a_container_that_exits_says_how() {
    let crashed = ended(&run(Behaviour::crashes(3)));
    assert_eq!(crashed.stop_code.as_deref(), Some("EssentialContainerExited"));
    assert_eq!((crashed.exit_code, crashed.started_at), (Some(3), None));
    assert_eq!(ended(&run(Behaviour::completes())).exit_code, Some(0));
    let oom = ended(&run(Behaviour::out_of_memory()));
    assert_eq!(oom.exit_code, Some(137));
    assert!(oom.container_reason.is_some_and(|reason| reason.starts_with("OutOfMemoryError")));
}

#[test]
fn a_task_that_cannot_start_says_why_and_has_no_exit_code() {
    let unpulled = ended(&run(Behaviour::cannot_pull()));
    assert_eq!((unpulled.stop_code.as_deref(), unpulled.exit_code), (Some("TaskFailedToStart"), None));
    assert!(unpulled.stopped_reason.is_some_and(|reason| reason.starts_with("CannotPullContainerError")));
    let stage = run(Behaviour::serves());
    stage.ask(Request::DeleteLogGroup { name: LOGS.to_owned() }).expect("is deleted");
    let unlogged = ended(&stage);
    assert_eq!(unlogged.stop_code.as_deref(), Some("TaskFailedToStart"));
    assert!(unlogged.stopped_reason.is_some_and(|reason| reason.starts_with("ResourceInitializationError")));
}

#[test]
fn without_its_role_no_task_starts() {
    let stage = Stage::open();
    stage.create(stage.new_service("web", &stage.register("web:1")));
    let role = || "tapit-execution".to_owned();
    assert_eq!(stage.fault(Request::DeleteRole { name: role() }), ApiFault::InUse, "a policy is attached");
    stage.ask(Request::DetachExecutionPolicy { role: role() }).expect("is detached");
    stage.seconds(60);
    assert_eq!(stage.account.tasks(), []);
    assert!(stage.said("web", "was unable to assume the role"));
    stage.ask(Request::AttachExecutionPolicy { role: role() }).expect("is attached");
    stage.until("it runs", || stage.service("web").running == 1);
}

#[test]
fn a_killed_container_is_replaced() {
    let stage = run(Behaviour::serves());
    stage.until_completed("web");
    let killed = stage.alive().remove(0);
    assert!(stage.account.kill(&killed.arn));
    assert!(!stage.account.kill(&killed.arn), "only once");
    stage.until("another one runs", || stage.service("web").running == 1);
    assert_ne!(stage.alive()[0].arn, killed.arn);
    let stopped = ended(&stage);
    assert_eq!((stopped.exit_code, stopped.stop_code.as_deref()), (Some(137), Some("EssentialContainerExited")));
}

#[test]
fn what_ignores_its_end_is_killed_when_its_time_is_over() {
    let stage = run(Behaviour::serves().ignores_term());
    stage.until_completed("web");
    stage.scale("web", 0);
    let waited = stage.until("it has stopped", || stage.alive().is_empty());
    assert_eq!(ended(&stage).exit_code, Some(137));
    assert!((15..=20).contains(&waited), "{waited} s with drain 3 s, timeout 10 s, and what AWS needs");
}

#[test]
fn a_target_with_requests_stays_until_they_end_or_the_delay_is_over() {
    let stage = run(Behaviour::serves());
    stage.until_completed("web");
    let ip = stage.alive()[0].ip.expect("has an address");
    stage.account.set_in_flight(ip, 1);
    stage.scale("web", 0);
    stage.seconds(20);
    assert_eq!(stage.targets()[0].state, TargetState::Draining);
    assert_eq!(stage.alive()[0].status, TaskStatus::Deactivating);
    stage.account.set_in_flight(ip, 0);
    stage.until("it has stopped", || stage.alive().is_empty());
    stage.scale("web", 1);
    stage.until("another one runs", || stage.healthy_targets() == 1);
    stage.account.set_in_flight(stage.alive()[0].ip.expect("has an address"), 1);
    stage.scale("web", 0);
    let waited = stage.until("it has stopped all the same", || stage.alive().is_empty());
    assert!((30..=40).contains(&waited), "{waited}");
}

#[test]
fn a_target_that_fails_later_is_replaced() {
    let stage = run(Behaviour::serves());
    stage.until_completed("web");
    stage.seconds(60);
    let sick = stage.alive().remove(0).arn;
    assert!(stage.account.sicken(&sick));
    stage.until("another one serves", || {
        stage.alive().iter().all(|task| task.arn != sick) && stage.healthy_targets() == 1
    });
    assert_eq!(stage.primary("web").state, RolloutState::Completed);
}

#[test]
fn a_task_that_is_told_to_stop_by_somebody_is_replaced() {
    let stage = run(Behaviour::serves());
    stage.until_completed("web");
    let task = stage.alive().remove(0).arn;
    let stop = |task: &str| Request::StopTask {
        cluster: CLUSTER.to_owned(),
        task: task.to_owned(),
        reason: "because".to_owned(),
    };
    stage.ask(stop(&task)).expect("is told");
    let stopped = ended(&stage);
    assert_eq!(
        (stopped.stop_code.as_deref(), stopped.stopped_reason.as_deref()),
        (Some("UserInitiated"), Some("because"))
    );
    stage.until("another one runs", || stage.service("web").running == 1);
    assert_eq!(stage.fault(stop("nobody")), ApiFault::NotFound);
}

#[test]
fn stopped_tasks_are_shown_for_an_hour() {
    let stage = run(Behaviour::serves());
    stage.until_completed("web");
    let task = stage.alive().remove(0);
    stage.scale("web", 0);
    ended(&stage);
    let listed = || match stage.ask(Request::ListTasks {
        cluster: CLUSTER.to_owned(),
        desired: DesiredStatus::Stopped,
        next: None,
    }) {
        Ok(Answer::Names { names, .. }) => names,
        other => panic!("{other:?}"),
    };
    stage.seconds(3500);
    assert_eq!(listed(), std::slice::from_ref(&task.arn));
    stage.seconds(200);
    assert_eq!(listed(), Vec::<String>::new());
    let described = stage.ask(Request::DescribeTasks { cluster: CLUSTER.to_owned(), tasks: vec![task.arn] });
    assert_eq!(described, Ok(Answer::Tasks(Vec::new())));
}

#[test]
fn a_hundred_tasks_are_described_at_once_and_listed_on_a_page() {
    let stage = Stage::open();
    stage.create(NewService { desired: 120, ..stage.new_service("web", &stage.register("web:1")) });
    stage.until("all run", || stage.service("web").running == 120);
    let list = |next| match stage.ask(Request::ListTasks {
        cluster: CLUSTER.to_owned(),
        desired: DesiredStatus::Running,
        next,
    }) {
        Ok(Answer::Names { names, next }) => (names, next),
        other => panic!("{other:?}"),
    };
    let (mut tasks, next) = list(None);
    assert_eq!(tasks.len(), 100);
    let describe = |tasks: &[String]| {
        stage.ask(Request::DescribeTasks { cluster: CLUSTER.to_owned(), tasks: tasks.to_vec() }).map_err(|e| e.fault)
    };
    assert!(matches!(describe(&tasks), Ok(Answer::Tasks(tasks)) if tasks.len() == 100));
    let (more, end) = list(next);
    tasks.extend(more);
    assert_eq!((tasks.len(), end), (120, None));
    assert_eq!(describe(&tasks), Err(ApiFault::Invalid));
}

#[test]
fn tasks_start_no_faster_than_aws_lets_them() {
    let stage = Stage::open();
    stage.create(NewService { desired: 300, ..stage.new_service("web", &stage.register("web:1")) });
    stage.seconds(1);
    assert_eq!(stage.account.tasks().len(), 100);
    stage.seconds(1);
    assert_eq!(stage.account.tasks().len(), 120);
    stage.until("all run", || stage.service("web").running == 300);
}

#[test]
fn a_container_that_ends_while_it_is_told_to_stop_has_its_own_code() {
    let stage = run(Behaviour::serves());
    stage.until_completed("web");
    let task = stage.alive().remove(0).arn;
    stage.scale("web", 0);
    stage.seconds(2);
    assert!(stage.account.end(&task, End::Exit(9)));
    let stopped = ended(&stage);
    assert_eq!((stopped.exit_code, stopped.stop_code.as_deref()), (Some(9), Some("ServiceSchedulerInitiated")));
}
