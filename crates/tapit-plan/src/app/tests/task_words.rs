//! What is shown of a task while it runs and when it has ended, and what of it shows in its app.

use super::super::progress::{Seen, Subject};
use super::super::task_state;
use super::task_ends::{MIGRATE, SHOP, ended, one, ordered, signal};
use super::*;
use InstanceState::{Draining, Healthy, Pending, Pulling, Starting, Stopped, Stopping, Unhealthy};
use tapit_model::Process;

#[test]
fn the_state_of_a_task_is_that_of_its_instance() {
    let mut bench = ordered(Vec::new());
    let state = |bench: &Bench| {
        let row = &bench.world.processes[&key("task-1")];
        let seen = bench.observed.iter().find(|seen| seen.key == row.key);
        task_state(row, row.task.as_ref().expect("a task"), seen).as_str()
    };
    assert_eq!(state(&bench), "pending");
    for (seen, expected) in [
        (Pending, "pending"),
        (Pulling, "pending"),
        (Starting, "pending"),
        (Healthy, "running"),
        (Unhealthy, "running"),
        (Draining, "stopping"),
        (Stopping, "stopping"),
        // Its end is not recorded yet.
        (Stopped, "running"),
    ] {
        bench.look("task-1", vec![one(seen)]);
        assert_eq!(state(&bench), expected, "{seen:?}");
    }
    bench.run("stop task id=1");
    bench.look("task-1", vec![one(Healthy)]);
    assert_eq!(state(&bench), "stopping");
    bench.look("task-1", vec![ended(ReasonCode::Surplus, Some(signal(15)))]);
    bench.plan();
    assert_eq!(state(&bench), "stopped");
}

#[test]
fn a_wait_for_a_task_is_told_what_it_does_and_how_it_ended() {
    let mut bench = Bench::settled(&[SHOP]);
    let revision = bench.run(MIGRATE).revision;
    assert_eq!(bench.progress("task-1", revision), "going: task 1 is pending");
    let plan = bench.plan();
    assert_eq!(bench.progress("task-1", revision), "going: task 1 is pending: shop:v1 is being looked up");
    bench.pin(&plan, &[]);
    bench.look("task-1", Vec::new()).blocked.push(no_room(1, 0));
    bench.plan();
    assert_eq!(bench.progress("task-1", revision), "going: task 1 is pending: 512 MB more are needed");
    bench.look("task-1", vec![one(Healthy)]);
    bench.plan();
    assert_eq!(bench.progress("task-1", revision), "going: task 1 is running");
    let mut other = ordered(vec![one(Healthy)]);
    let stop = other.run("stop task id=1").revision;
    assert_eq!(other.progress("task-1", stop), "going: task 1 is stopping");
    for (last, expected) in [
        (ended(ReasonCode::Completed, Some(exit(0))), "ok: task 1 succeeded: its command ended with exit 0"),
        (ended(ReasonCode::Crashed, Some(exit(3))), "failed: task 1 failed: its command ended with exit 3"),
        (
            ended(ReasonCode::Surplus, Some(exit(0))),
            "failed: task 1 stopped: it was asked to stop, and ended with exit 0",
        ),
    ] {
        let mut bench = ordered(vec![last]);
        bench.plan();
        assert_eq!(bench.progress("task-1", revision), expected);
    }
}

#[test]
fn a_task_that_went_with_its_app_has_not_succeeded() {
    let mut bench = ordered(vec![one(Healthy)]);
    let revision = bench.world.processes[&key("task-1")].revision;
    bench.run("delete app");
    assert_eq!(bench.progress("task-1", revision), "going: task 1 is stopping");
    bench.observed.clear();
    bench.plan();
    assert_eq!(bench.progress("task-1", revision), "failed: task 1 is gone; how it ended is not known any more");
}

#[test]
fn tasks_are_none_of_the_apps_processes() {
    let mut bench = ordered(vec![ended(ReasonCode::Crashed, Some(exit(3)))]);
    bench.plan();
    bench.run("create task report");
    let app = AppName::parse("shop").expect("legal");
    let seen = Seen { world: &bench.world, observed: &bench.observed, blocked: &bench.blocked };
    let told = words(&progress(&seen, Subject::App(&app), Revision(0)));
    assert_eq!(told, "ok: default: 1/1 healthy", "neither one that failed nor one that waits");
    let names = |rows: Vec<&Process>| rows.iter().map(|row| row.key.process.to_string()).collect::<Vec<_>>();
    assert_eq!(names(bench.world.processes_of(&app).collect()), ["default"]);
    assert_eq!(names(bench.world.tasks_of(&app).into_iter().map(|(row, _)| row).collect()), ["task-1", "task-2"]);
    assert_eq!(bench.world.everything_of(&app).count(), 3);
}

#[test]
fn an_app_that_goes_tells_of_the_tasks_that_it_waits_for() {
    let mut bench = ordered(vec![one(Healthy)]);
    bench.run("delete app");
    bench.look("default", Vec::new());
    bench.plan();
    let app = AppName::parse("shop").expect("legal");
    let seen = Seen { world: &bench.world, observed: &bench.observed, blocked: &bench.blocked };
    assert_eq!(words(&progress(&seen, Subject::App(&app), Revision(0))), "going: 1 one-off tasks left");
}
