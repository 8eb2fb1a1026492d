//! The one-word state of a process.

use super::super::status;
use super::*;
use InstanceState::{Healthy, Starting, Unhealthy};

fn check(bench: &Bench, expected: &str) {
    let key = key("default");
    let observed = bench.observed.iter().find(|seen| seen.key == key);
    let status = status(&bench.world.processes[&key], bench.world.rollouts.get(&key), observed);
    assert_eq!(status.as_str(), expected, "{}", bench.rollout("default"));
}

fn shop(words: &str) -> Bench {
    Bench::settled(&["create app shop image=shop:v1", &format!("create process name=default {words}")])
}

#[test]
fn what_the_user_decided_comes_first() {
    let mut bench = shop("demand=2");
    check(&bench, "running");
    bench.run("set process name=default demand=0");
    check(&bench, "scaled_to_zero");
    bench.run("set process name=default disabled=true");
    check(&bench, "disabled");
}

#[test]
fn a_new_process_is_pending_until_something_is_healthy() {
    let mut bench = Bench::default();
    bench.run("create app shop demand=2");
    bench.plan();
    check(&bench, "pending");
    bench.look("default", vec![instance("default.1", 1, Starting)]);
    check(&bench, "pending");
    bench.look("default", vec![instance("default.1", 1, Healthy), instance("default.2", 1, Starting)]);
    check(&bench, "updating");
}

#[test]
fn a_rollout_is_named_by_its_kind() {
    for (line, expected) in [
        ("set process name=default command=x", "updating"),
        ("set process name=default memory=2 resize=rolling", "updating"),
        ("restart process name=default", "restarting"),
        ("set process name=default memory=2", "running"),
    ] {
        let mut bench = shop("");
        bench.run(line);
        check(&bench, expected);
    }
}

#[test]
fn a_rollback_shows_until_the_next_attempt() {
    let mut bench = shop("");
    bench.run("set process name=default command=x");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("default", Vec::new()).failure = Some(failure(2, 3));
    bench.plan();
    bench.settle();
    check(&bench, "rolled_back");
    bench.run("restart process name=default");
    check(&bench, "restarting");
}

#[test]
fn a_failed_first_rollout_is_degraded() {
    let mut bench = Bench::default();
    bench.run("create app shop image=shop:v1");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("default", Vec::new()).failure = Some(failure(1, 3));
    bench.plan();
    check(&bench, "degraded");
}

#[test]
fn a_first_rollout_whose_image_cannot_be_had_is_pending() {
    let mut bench = Bench::default();
    bench.run("create app shop image=shop:v1");
    let image = bench.plan().prepare[0].image.clone();
    let text = "there is no such image".to_owned();
    bench.images.insert(image, ImageProgress::Failed { text, for_good: true, attempts: 1 });
    bench.plan();
    assert!(bench.rollout("default").contains("failed"), "{}", bench.rollout("default"));
    check(&bench, "pending");
    assert_eq!(bench.plan().blocked[&key("default")][0].code, BlockedCode::ImageUnavailable);
}

#[test]
fn fewer_healthy_demand_instances_than_wanted_is_degraded() {
    let mut bench = shop("demand=2");
    bench.look("default", vec![instance("default.1", 1, Healthy), instance("default.2", 1, Unhealthy)]);
    check(&bench, "degraded");
    bench.look("default", Vec::new()).failure = Some(failure(1, 1));
    check(&bench, "degraded");
}

#[test]
fn nothing_healthy_yet_is_pending_when_nothing_broke() {
    let mut bench = shop("demand=2");
    bench.look("default", vec![instance("default.1", 1, Starting)]);
    check(&bench, "pending");
    bench.look("default", Vec::new()).blocked.push(no_room(2, 0));
    check(&bench, "pending");
}

#[test]
fn missing_spot_alone_leaves_a_process_running() {
    let mut bench = shop("demand=1 spot=2");
    bench.look("default", vec![instance("default.1", 1, Healthy)]);
    check(&bench, "running");
    let mut bench = shop("demand=0 spot=2");
    check(&bench, "running");
    bench.look("default", Vec::new());
    check(&bench, "pending");
}
