use super::*;
use crate::api::{Service, ServiceEvent, ServiceStatus};

const NO_CAPACITY: &str = "(service api_spot) was unable to place a task. Reason: Capacity is unavailable at this time. \
                           Please try again later or in a different availability zone.";

fn blocked(bench: &mut Bench) -> Vec<String> {
    let told = bench.see().blocked.into_iter();
    told.map(|one| format!("{:?} {}+{}: {}", one.code, one.demand, one.spot, one.text)).collect()
}

/// The newest first.
fn events(bench: &mut Bench, kind: InstanceKind, messages: &[&str]) {
    let at = bench.ecs_now();
    let event = |message: &&str| ServiceEvent { id: (*message).to_owned(), at, message: (*message).to_owned() };
    bench.look.services = vec![Service {
        name: names::service(&bench.key.process, kind),
        status: ServiceStatus::Active,
        desired: 2,
        running: 0,
        pending: 0,
        task_definition: definition_arn(1),
        target_group: None,
        deployments: Vec::new(),
        events: messages.iter().map(event).collect(),
    }];
}

#[test]
fn missing_spot_capacity_is_told_with_how_many_wait_for_it() {
    let mut bench = Bench::new(1, 3);
    bench.healthy(&["a"], Spot);
    events(&mut bench, Spot, &["(service api_spot) registered 1 targets in (target-group x)", NO_CAPACITY]);
    assert_eq!(
        blocked(&mut bench),
        ["Capacity 0+2: 2 spot instances wait: no spot capacity on Fargate now; ECS tries again by itself"]
    );
    bench.made("b", Spot);
    assert_eq!(
        blocked(&mut bench),
        ["Capacity 0+1: 1 spot instance waits: no spot capacity on Fargate now; ECS tries again by itself"]
    );
    bench.made("c", Spot);
    assert_eq!(blocked(&mut bench), [""; 0]);
}

#[test]
fn news_that_tasks_were_started_ends_the_shortage() {
    let mut bench = Bench::new(0, 2);
    events(&mut bench, Spot, &[NO_CAPACITY]);
    assert_eq!(blocked(&mut bench).len(), 1);
    events(&mut bench, Spot, &["(service api_spot) has started 2 tasks: (task x) (task y).", NO_CAPACITY]);
    assert_eq!(blocked(&mut bench), [""; 0]);
}

#[test]
fn other_reasons_not_to_start_are_told_in_both_words() {
    let mut bench = Bench::new(1, 0);
    let theirs = "(service api) was unable to place a task. Reason: You've reached the limit on the number of vCPUs you \
                  can run concurrently.";
    events(&mut bench, Demand, &[theirs]);
    assert_eq!(
        blocked(&mut bench),
        [format!(
            "Capacity 1+0: 1 demand instance waits: the account's quota of Fargate vCPUs is used up: ask AWS for a larger \
             one, or scale something down [{theirs}]"
        )]
    );
    for (code, theirs, ours) in [
        ("Capacity", "(service api) was unable to place a task. Reason: the moon.", "ECS cannot start any"),
        (
            "Provider",
            "(service api) failed to launch a task with (error ECS was unable to assume the role 'x').",
            "ECS may not use the execution role: it must trust ecs-tasks.amazonaws.com",
        ),
    ] {
        events(&mut bench, Demand, &[theirs]);
        assert_eq!(blocked(&mut bench), [format!("{code} 1+0: 1 demand instance waits: {ours} [{theirs}]")]);
    }
}

#[test]
fn a_crash_loop_is_told_after_the_second_failure_until_one_is_healthy() {
    let mut bench = Bench::new(2, 0);
    bench.healthy(&["z"], Demand);
    let text = |worst| {
        format!(
            "BackOff 1+0: 1 demand instance failed {worst} times in a row; ECS starts it again without waiting; see the last \
             exit and the logs"
        )
    };
    bench.made("a", Demand);
    bench.see();
    bench.exits("a", 3);
    assert_eq!(blocked(&mut bench), [""; 0]);
    bench.pass(1);
    bench.made("b", Demand);
    assert_eq!(blocked(&mut bench), [""; 0]);
    bench.exits("b", 3);
    assert_eq!(blocked(&mut bench), [text(2)]);
    bench.pass(1);
    bench.made("c", Demand);
    assert_eq!(blocked(&mut bench), [text(2)], "the next attempt does not run yet");
    bench.runs("c");
    bench.see();
    bench.pass(2);
    assert_eq!(blocked(&mut bench), [""; 0]);
}

#[test]
fn ecs_waits_only_for_tasks_that_never_ran() {
    let mut bench = Bench::new(1, 0);
    for id in ["a", "b"] {
        bench.made(id, Demand);
        bench.see();
        bench.stops(id, "TaskFailedToStart", "CannotPullContainerError: not found");
        bench.see();
        bench.pass(1);
    }
    assert_eq!(
        blocked(&mut bench),
        [
            "BackOff 1+0: 1 demand instance failed 2 times in a row; ECS waits longer before each attempt; see the last exit and \
          the logs"
        ]
    );
}

#[test]
fn nothing_is_blocked_that_is_not_wanted() {
    let mut bench = Bench::new(0, 2);
    events(&mut bench, Spot, &[NO_CAPACITY]);
    bench.wanted().spot = 0;
    assert_eq!(blocked(&mut bench), [""; 0]);
    bench.formation = None;
    assert_eq!(blocked(&mut bench), [""; 0]);
}
