//! What `--wait` is told.

use super::super::progress::{Seen, Subject, progress};
use super::*;
use InstanceState::{Draining, Healthy, Starting};

const LINES: &[&str] = &["create app shop image=shop:v1", "create process name=api demand=2 image=api:v1"];

/// After the line, with its image pinned and the engine showing these instances, the wait is told this.
fn check(line: &str, instances: Vec<InstanceObserved>, expected: &str) {
    let (mut bench, revision) = after(line);
    bench.look("api", instances);
    bench.plan();
    assert_eq!(bench.progress("api", revision), expected, "{line}");
}

fn after(line: &str) -> (Bench, Revision) {
    let mut bench = Bench::settled(LINES);
    let revision = bench.run(line).revision;
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    (bench, revision)
}

fn healthy(generation: u64, count: u64) -> Vec<InstanceObserved> {
    (0..count).map(|n| instance(&format!("api.{}", 10 * generation + n), generation, Healthy)).collect()
}

#[test]
fn a_rollout_is_done_when_it_succeeded() {
    let line = "set process name=api command=x";
    check(line, healthy(1, 2), "going: 0/2 healthy, 2 old running");
    let mixed = [healthy(2, 2), vec![instance("api.1", 1, Draining)]].concat();
    check(line, mixed, "going: 2/2 healthy, 1 draining");
    check(line, healthy(2, 2), "ok: 2/2 healthy");
}

#[test]
fn a_scale_is_done_when_the_counts_are_there_and_no_surplus_is_left() {
    let line = "set process name=api demand=3";
    check(line, healthy(1, 2), "going: 2/3 healthy");
    check(line, healthy(1, 3), "ok: 3/3 healthy");
    check("set process name=api demand=1", healthy(1, 2), "going: 2/1 healthy");
    let leaving = [healthy(1, 1), vec![instance("api.2", 1, Draining)]].concat();
    check("set process name=api demand=1", leaving, "going: 1/1 healthy, 1 draining");
    check("set process name=api demand=0", Vec::new(), "ok: no instance runs, as asked");
    check("set process name=api disabled=true", healthy(1, 1), "going: 1/0 healthy");
}

#[test]
fn a_resize_is_done_when_it_has_reached_every_instance() {
    let line = "set process name=api memory=2";
    let size = Size { memory: MemoryMib::from_mib(2048), cpu: CpuMillis::from_millis(250) };
    let bigger = |count| healthy(1, count).into_iter().map(|i| InstanceObserved { size, ..i }).collect::<Vec<_>>();
    check(line, healthy(1, 2), "going: 2/2 healthy, 2 to resize");
    check(line, bigger(2), "ok: 2/2 healthy");
}

#[test]
fn a_plan_from_before_the_change_does_not_end_the_wait() {
    let mut bench = Bench::settled(&["create app shop"]);
    bench.run("create process name=api");
    bench.plan();
    let revision = bench.run("set process name=api image=api:v1").revision;
    assert_eq!(bench.progress("api", revision), "going: 0/1 healthy");
    let failed = ImageProgress::Failed { text: "not found".to_owned(), for_good: true, attempts: 1 };
    bench.images.insert(ImageRef::parse("api:v1").expect("legal"), failed);
    bench.plan();
    assert_eq!(bench.progress("api", revision), "failed: failed: api:v1 could not be had: not found");
    let revision = bench.run("restart process name=api").revision;
    assert_eq!(bench.progress("api", revision), "going: 0/1 healthy");
}

#[test]
fn nothing_is_done_before_the_engine_holds_the_target() {
    let (mut bench, revision) = after("set process name=api demand=1");
    bench.look("api", healthy(1, 1)).revision = Revision(2);
    assert_eq!(bench.progress("api", revision), "going: 1/1 healthy");
}

#[test]
fn a_rollback_is_a_failure_and_a_count_set_after_it_is_not() {
    let (mut bench, revision) = after("set process name=api command=x");
    bench.look("api", healthy(1, 2)).failure = Some(failure(2, 3));
    bench.plan();
    let expected =
        "failed: rolled back: generation 2 failed 3 times in a row, last default.9 (exit 1): the program ended";
    assert_eq!(bench.progress("api", revision), expected);
    bench.settle();
    let revision = bench.run("set process name=api demand=1").revision;
    bench.look("api", healthy(1, 1));
    assert_eq!(bench.progress("api", revision), "ok: 1/1 healthy");
}

#[test]
fn a_process_that_keeps_failing_without_a_rollout_is_given_up() {
    let (mut bench, revision) = after("set process name=api demand=3");
    bench.look("api", healthy(1, 2)).failure = Some(failure(1, 2));
    assert_eq!(bench.progress("api", revision), "going: 2/3 healthy");
    bench.look("api", healthy(1, 2)).failure = Some(failure(1, 3));
    let expected = "failed: generation 1 failed 3 times in a row, last default.9 (exit 1): the program ended";
    assert_eq!(bench.progress("api", revision), expected);
}

#[test]
fn without_an_image_there_is_nothing_to_wait_for() {
    let mut bench = Bench::settled(&["create app shop"]);
    let revision = bench.run("create process name=api").revision;
    assert!(bench.progress("api", revision).starts_with("going"), "not planned yet");
    bench.plan();
    let expected = "failed: no_image: no image known yet; name one with `tapit -a shop set app image=NAME:TAG`";
    assert_eq!(bench.progress("api", revision), expected);
    let revision = bench.run("set process name=api demand=0").revision;
    bench.plan();
    assert_eq!(bench.progress("api", revision), "ok: no instance runs, as asked");
}

#[test]
fn no_room_for_demand_ends_the_wait_once_nothing_is_in_motion() {
    let (mut bench, revision) = after("set process name=api demand=3");
    bench.look("api", healthy(1, 2)).blocked.push(no_room(1, 0));
    bench.plan();
    let expected = "failed: 2/3 healthy; capacity: 512 MB more are needed";
    assert_eq!(bench.progress("api", revision), expected);
    bench.look("default", vec![spot("default.9", 1, Draining)]);
    assert_eq!(bench.progress("api", revision), "going: 2/3 healthy", "a spot instance makes room");
    bench.look("default", Vec::new());
    bench.look("api", [healthy(1, 1), vec![instance("api.2", 1, Starting)]].concat()).blocked.push(no_room(1, 0));
    assert_eq!(bench.progress("api", revision), "going: 1/3 healthy");
}

#[test]
fn no_room_for_spot_is_no_failure() {
    let (mut bench, revision) = after("set process name=api spot=2");
    bench.look("api", healthy(1, 2));
    assert_eq!(bench.progress("api", revision), "going: 2/2 healthy, 0/2 spot healthy");
    bench.look("api", healthy(1, 2)).blocked.push(no_room(0, 2));
    assert_eq!(bench.progress("api", revision), "ok: 2/2 healthy, 0/2 spot healthy");
}

#[test]
fn a_newer_change_is_judged_in_place_of_the_one_asked_about() {
    let (mut bench, revision) = after("set process name=api command=x");
    bench.run("set process name=api demand=1");
    bench.look("api", healthy(2, 1));
    bench.plan();
    let expected = "ok: superseded by a newer change, which is judged here: 1/1 healthy";
    assert_eq!(bench.progress("api", revision), expected);
}

#[test]
fn what_is_deleted_is_done_when_it_is_gone() {
    let (mut bench, revision) = after("delete process name=api");
    assert_eq!(bench.progress("api", revision), "going: 2 instances left");
    bench.settle();
    assert_eq!(bench.progress("api", revision), "ok: process api is gone");
}

#[test]
fn an_app_is_done_when_all_its_processes_are() {
    let mut bench = Bench::settled(LINES);
    let app = AppName::parse("shop").expect("legal");
    let ask = |bench: &Bench| {
        let seen = Seen { world: &bench.world, observed: &bench.observed, blocked: &bench.blocked };
        words(&progress(&seen, Subject::App(&app), Revision(0)))
    };
    assert_eq!(ask(&bench), "ok: api: 2/2 healthy; default: 1/1 healthy");
    bench.run("set app image=shop:v2");
    assert_eq!(ask(&bench), "going: api: 2/2 healthy; default: 0/1 healthy, 1 old running");
    let failed = ImageProgress::Failed { text: "not found".to_owned(), for_good: true, attempts: 1 };
    bench.images.insert(ImageRef::parse("shop:v2").expect("legal"), failed);
    bench.plan();
    assert_eq!(ask(&bench), "failed: api: 2/2 healthy; default: rolled back: shop:v2 could not be had: not found");
    bench.run("delete app");
    assert_eq!(ask(&bench), "going: api: 2 instances left; default: 1 instances left");
    bench.settle();
    assert_eq!(ask(&bench), "ok: app shop is gone");
}
