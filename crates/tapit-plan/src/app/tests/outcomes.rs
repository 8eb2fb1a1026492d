//! How rollouts end.

use super::*;
use InstanceState::{Draining, Healthy, Pending, Starting, Stopped, Unhealthy};

const LINES: &[&str] = &["create app shop image=shop:v1", "create process name=default demand=2 spot=1"];

/// Generation 2, pinned and ordered; the engine shows these instances of generations 1 and 2.
fn rolling(line: &str, instances: Vec<InstanceObserved>) -> Bench {
    let mut bench = Bench::settled(LINES);
    bench.run(line);
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("default", instances);
    bench
}

fn check(line: &str, instances: Vec<InstanceObserved>, expected: &str) {
    let mut bench = rolling(line, instances);
    bench.plan();
    assert_eq!(bench.rollout("default"), expected, "{line}");
}

const UPDATE: &str = "set process name=default command=x";

#[test]
fn a_rollout_succeeds_when_all_new_are_healthy_and_no_old_is_left() {
    let new = || vec![instance("default.3", 2, Healthy), instance("default.4", 2, Healthy)];
    let with = |more: InstanceObserved| [new(), vec![more]].concat();
    check(UPDATE, new(), "Update 1>2 succeeded");
    check(UPDATE, with(instance("default.1", 1, Stopped)), "Update 1>2 succeeded");
    check(UPDATE, with(instance("default.1", 1, Draining)), "Update 1>2 running");
    check(UPDATE, vec![instance("default.3", 2, Healthy), instance("default.4", 2, Starting)], "Update 1>2 running");
}

#[test]
fn spot_holds_a_rollout_up_only_while_it_tries() {
    let with =
        |more: InstanceObserved| vec![instance("default.3", 2, Healthy), instance("default.4", 2, Healthy), more];
    check(UPDATE, with(spot("default.5", 2, Starting)), "Update 1>2 running");
    check(UPDATE, with(spot("default.5", 2, Unhealthy)), "Update 1>2 running");
    check(UPDATE, with(spot("default.5", 2, Pending)), "Update 1>2 succeeded");
    check(UPDATE, with(spot("default.5", 2, Healthy)), "Update 1>2 succeeded");
}

#[test]
fn spot_alone_must_prove_itself_unless_there_is_no_room() {
    let line = "set process name=default command=x demand=0";
    check(line, Vec::new(), "Update 1>2 running");
    check(line, vec![spot("default.5", 2, Healthy)], "Update 1>2 succeeded");
    let mut bench = rolling(line, Vec::new());
    bench.look("default", Vec::new()).blocked.push(no_room(0, 1));
    bench.plan();
    assert_eq!(bench.rollout("default"), "Update 1>2 succeeded");
}

#[test]
fn with_nothing_wanted_a_rollout_succeeds_once_the_old_are_gone() {
    let line = "set process name=default command=x demand=0 spot=0";
    check(line, Vec::new(), "Update 1>2 succeeded");
    check(line, vec![instance("default.1", 1, Draining)], "Update 1>2 running");
}

#[test]
fn success_leaves_one_generation() {
    let mut bench = rolling(UPDATE, vec![instance("default.3", 2, Healthy), instance("default.4", 2, Healthy)]);
    let plan = bench.plan();
    assert_eq!(
        changes(&plan.changes),
        "process default r6 g2 runs 2\nrollout #2 Update 1>2 succeeded\nremove generation 1\n"
    );
    assert_eq!(kinds(&plan.events), "RolloutSucceeded: generation 2 runs\n");
    assert_eq!(bench.plan().changes, []);
}

#[test]
fn what_is_said_of_an_older_target_decides_nothing() {
    let mut bench = rolling(UPDATE, Vec::new());
    let old = bench.look("default", vec![instance("default.3", 2, Healthy), instance("default.4", 2, Healthy)]);
    (old.revision, old.failure) = (Revision(5), Some(failure(2, 7)));
    assert_eq!(bench.plan().changes, []);
}

#[test]
fn three_failures_in_a_row_roll_back_to_what_served() {
    let mut bench = rolling(UPDATE, Vec::new());
    bench.look("default", Vec::new()).failure = Some(failure(2, 2));
    assert_eq!(bench.plan().changes, []);
    bench.look("default", Vec::new()).failure = Some(failure(1, 9));
    assert_eq!(bench.plan().changes, [], "that is the old generation's");
    bench.look("default", Vec::new()).failure = Some(failure(2, 3));
    let plan = bench.plan();
    let reason = "generation 2 failed 3 times in a row, last default.9 (exit 1): the program ended";
    assert_eq!(changes(&plan.changes), "process default r7 g2 runs 1 rolled back\nrollout #2 Update 1>2 rolled_back\n");
    assert_eq!(kinds(&plan.events), format!("RolloutRolledBack: {reason}; generation 1 goes on\n"));
    assert_eq!(bench.rollout("default"), format!("Update 1>2 rolled_back ({reason})"));
    assert_eq!(bench.world.rollouts[&key("default")].last_exit, Some(exit(1)));
    let Presence::Present(formation) = &bench.plan().targets[0].presence else { panic!("present") };
    assert_eq!((formation.generation, formation.demand), (1, 2));
}

#[test]
fn a_passed_deadline_rolls_back_at_once() {
    let mut bench = rolling(UPDATE, Vec::new());
    bench.look("default", Vec::new()).failure = Some(Failure { deadline_passed: true, ..failure(2, 1) });
    bench.plan();
    let expected = "Update 1>2 rolled_back (default.9 of generation 2 did not get healthy in time: the program ended)";
    assert_eq!(bench.rollout("default"), expected);
}

#[test]
fn a_first_generation_fails_and_may_still_succeed() {
    let mut bench = Bench::default();
    bench.run("create app shop image=shop:v1");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("default", Vec::new()).failure = Some(failure(1, 3));
    let plan = bench.plan();
    assert_eq!(changes(&plan.changes), "rollout #1 Create 0>1 failed\n");
    assert!(kinds(&plan.events).ends_with("there is no other generation to go back to, attempts go on\n"));
    assert_eq!(bench.plan().changes, [], "told once");
    bench.look("default", vec![instance("default.4", 1, Healthy)]);
    bench.plan();
    assert_eq!(bench.rollout("default"), "Create 0>1 succeeded");
    assert_eq!(bench.world.processes[&key("default")].running_generation, 1);
}

#[test]
fn enabling_a_generation_that_fails_now_has_nothing_to_go_back_to() {
    let mut bench = Bench::settled(LINES);
    bench.run("set process name=default disabled=true");
    bench.settle();
    bench.run("set process name=default disabled=false");
    bench.look("default", Vec::new()).failure = Some(failure(1, 3));
    bench.plan();
    assert!(bench.rollout("default").starts_with("Enable 1>1 failed"), "{}", bench.rollout("default"));
}

#[test]
fn an_image_that_is_not_there_fails_the_first_rollout() {
    let mut bench = Bench::default();
    bench.run("create app shop image=shop:v1");
    let image = ImageRef::parse("shop:v1").expect("legal");
    let failed = ImageProgress::Failed { text: "not found".to_owned(), for_good: true, attempts: 1 };
    bench.images.insert(image.clone(), failed);
    bench.plan();
    assert_eq!(bench.rollout("default"), "Create 0>1 failed (shop:v1 could not be had: not found)");
    bench.images.remove(&image);
    bench.settle();
    assert_eq!(bench.rollout("default"), "Create 0>1 succeeded", "it was imported later");
}

#[test]
fn no_room_for_demand_does_not_fail_a_rollout() {
    let mut bench = rolling(UPDATE, Vec::new());
    bench.look("default", vec![instance("default.1", 1, Healthy)]).blocked.push(no_room(2, 0));
    assert_eq!(bench.plan().changes, []);
}

#[test]
fn a_pin_for_a_generation_that_is_gone_is_no_pin() {
    let mut bench = Bench::settled(LINES);
    bench.run(UPDATE);
    let plan = bench.plan();
    bench.run("set process name=default command=y");
    let before = bench.world.clone();
    assert_eq!(bench.pin(&plan, &[]), []);
    assert_eq!(bench.world, before);
}
