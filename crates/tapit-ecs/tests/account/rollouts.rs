//! Deployments: at least 100 and at most 200 % of what is wanted, and what a breaker does.

use std::time::Duration;

use tapit_ecs::api::*;
use tapit_ecs::sim::{Behaviour, End};

use super::stage::Stage;

/// A service on this image with so many tasks in the target group, completed. `bad` images do as the behaviour says.
fn stage(desired: u32, bad: Behaviour) -> (Stage, String) {
    let stage = Stage::open();
    stage.account.behave(move |new| match new.container.image.as_str() {
        "bad:1" => bad.clone(),
        _ => Behaviour::serves(),
    });
    let arn = stage.register("web:1");
    let new = NewService { desired, breaker: Breaker::RollsBack, ..stage.public_service("web", &arn) };
    stage.create(new);
    stage.until_completed("web");
    (stage, arn)
}

#[test]
fn a_rollout_keeps_all_healthy_and_has_at_most_twice_as_many() {
    let (stage, _) = stage(3, Behaviour::serves());
    let before: Vec<_> = stage.alive().into_iter().map(|task| task.arn).collect();
    let second = stage.register("web:2");
    stage.update("web", &second);
    let (mut fewest, mut most) = (usize::MAX, 0);
    stage.until("the new one is completed", || {
        fewest = fewest.min(stage.healthy_targets());
        let live = stage.alive().iter().filter(|task| task.desired == DesiredStatus::Running).count();
        most = most.max(live);
        stage.primary("web").state == RolloutState::Completed
    });
    assert_eq!((fewest, most), (3, 6));
    let after = stage.alive();
    assert!(after.iter().all(|task| task.task_definition == second && !before.contains(&task.arn)), "{after:?}");
    let service = stage.service("web");
    assert_eq!((service.deployments.len(), service.running, service.task_definition), (1, 3, second));
    for task in stage.stopped() {
        assert_eq!(task.stop_code.as_deref(), Some("ServiceSchedulerInitiated"));
        assert_eq!(task.exit_code, Some(0));
    }
}

#[test]
fn a_count_is_reached_without_another_deployment() {
    let (stage, _) = stage(2, Behaviour::serves());
    let (deployment, oldest) = (stage.primary("web").id, stage.alive()[0].arn.clone());
    stage.scale("web", 4);
    assert!(stage.until("there are four", || stage.service("web").running == 4) > 1);
    stage.scale("web", 1);
    stage.until("one is left", || stage.alive().len() == 1);
    assert_eq!((stage.primary("web").id, stage.alive()[0].arn.clone()), (deployment, oldest));
    stage.scale("web", 0);
    stage.until("none is left", || stage.alive().is_empty());
    stage.until("it says so", || stage.said("web", "has reached a steady state."));
}

#[test]
fn the_same_definition_again_deploys_nothing() {
    let (stage, arn) = stage(1, Behaviour::serves());
    let before = (stage.primary("web"), stage.alive());
    stage.update("web", &arn);
    stage.seconds(120);
    assert_eq!((stage.primary("web"), stage.alive()), before);
}

#[test]
fn a_breaker_goes_back_to_what_was_completed_after_three_failures() {
    let (stage, first) = stage(1, Behaviour::crashes(3));
    let before: Vec<_> = stage.alive().into_iter().map(|task| task.arn).collect();
    let completed = stage.primary("web").id;
    stage.update("web", &stage.register("bad:1"));
    let failed = stage.primary("web").id;
    stage.until("it is back", || stage.service("web").task_definition == first);
    let deployments = stage.service("web").deployments;
    assert_eq!((deployments[0].id.as_str(), deployments[0].primary), (completed.as_str(), true));
    assert!(deployments[0].reason.as_deref().is_some_and(|reason| reason.contains("rolling back")), "{deployments:?}");
    let given_up = deployments.iter().find(|one| one.id == failed).expect("is still listed");
    assert_eq!((given_up.state, given_up.failed_tasks), (RolloutState::Failed, 3));
    stage.until_completed("web");
    assert_eq!(stage.service("web").deployments.len(), 1, "the one that failed has disappeared");
    assert_eq!(stage.alive().into_iter().map(|task| task.arn).collect::<Vec<_>>(), before);
    assert!(stage.said("web", "deployment failed: tasks failed to start."));
}

#[test]
fn what_a_breaker_gave_up_may_be_tried_again() {
    let (stage, first) = stage(1, Behaviour::crashes(3));
    let bad = stage.register("bad:1");
    for _ in 0..2 {
        stage.update("web", &bad);
        assert_eq!(stage.service("web").task_definition, bad);
        stage.until("it is back", || stage.service("web").task_definition == first);
        stage.until_completed("web");
    }
    let failed = stage.stopped().iter().filter(|task| task.task_definition == bad).count();
    assert!(failed >= 6, "{failed}");
    assert_eq!(stage.healthy_targets(), 1);
}

#[test]
fn a_breaker_allows_half_of_many_to_fail() {
    let (stage, first) = stage(10, Behaviour::crashes(3));
    stage.update("web", &stage.register("bad:1"));
    stage.until("it is back", || stage.service("web").task_definition == first);
    let failed = stage.service("web").deployments.into_iter().find(|one| !one.primary).expect("is still listed");
    assert!(failed.failed_tasks >= 5, "{failed:?}");
}

#[test]
fn a_breaker_does_not_see_what_crashes_once_it_has_run() {
    let late = Behaviour::serves().ends_after(Duration::from_secs(20), End::Exit(3));
    let (stage, _) = stage(1, Behaviour { healthy_after: Some(Duration::from_secs(60)), ..late });
    let second = stage.register("bad:1");
    stage.update("web", &second);
    stage.seconds(15 * 60);
    assert_eq!((stage.primary("web").state, stage.service("web").task_definition), (RolloutState::InProgress, second));
    assert!(stage.stopped().iter().filter(|task| task.exit_code == Some(3)).count() > 10);
    assert_eq!(stage.healthy_targets(), 1, "the old one serves on");
}

#[test]
fn a_breaker_sees_what_never_gets_healthy_behind_a_load_balancer() {
    let (stage, first) = stage(1, Behaviour::never_healthy());
    stage.update("web", &stage.register("bad:1"));
    stage.until("it is back", || stage.service("web").task_definition == first);
    let reason = "Task failed ELB health checks in";
    stage.until("all have stopped", || stage.alive().len() == 1);
    let stopped = stage.stopped();
    assert!(stopped.iter().all(|task| task.stopped_reason.as_deref().is_some_and(|text| text.starts_with(reason))));
    assert!(stage.said("web", "is unhealthy in (target-group"));
}

#[test]
fn a_first_deployment_has_nothing_to_go_back_to() {
    let stage = Stage::open();
    stage.account.behave(|_| Behaviour::cannot_pull());
    let arn = stage.register("web:1");
    stage.create(NewService { breaker: Breaker::RollsBack, ..stage.new_service("web", &arn) });
    stage.until("it is given up", || stage.primary("web").state == RolloutState::Failed);
    let tasks = stage.account.tasks().len();
    stage.seconds(600);
    assert_eq!(stage.account.tasks().len(), tasks, "nothing is tried any more");
}

#[test]
fn without_a_breaker_failing_starts_are_tried_more_and_more_slowly() {
    let stage = Stage::open();
    stage.account.behave(|_| Behaviour::crashes(1));
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.seconds(600);
    let early = stage.account.tasks().len();
    stage.seconds(1200);
    let late = stage.account.tasks().len() - early;
    assert!(early > 5 && late >= 1 && late < early, "{early} then {late}");
    assert_eq!(stage.primary("web").state, RolloutState::InProgress);
}

#[test]
fn a_task_that_nothing_checks_counts_after_forty_seconds() {
    let stage = Stage::open();
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.until("it runs", || stage.service("web").running == 1);
    assert!((39..=42).contains(&stage.until_completed("web")));
}

#[test]
fn an_update_during_a_rollout_replaces_both() {
    let (stage, _) = stage(2, Behaviour::hangs());
    stage.update("web", &stage.register("bad:1"));
    stage.seconds(20);
    let third = stage.register("web:3");
    stage.update("web", &third);
    assert_eq!(stage.service("web").deployments.len(), 3);
    stage.until_completed("web");
    assert_eq!(stage.service("web").deployments.len(), 1);
    assert!(stage.alive().iter().all(|task| task.task_definition == third));
}
