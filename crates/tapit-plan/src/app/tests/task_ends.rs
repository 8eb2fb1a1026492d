//! What becomes of a task: what is ordered for it, how it ends, and how long it is remembered.

use super::planning::lines;
use super::*;
use InstanceState::{Draining, Healthy, Pending, Pulling, Starting, Stopped, Stopping, Unhealthy};
use tapit_model::{Check, Restart, Seconds};

pub(super) const SHOP: &str = "create app shop image=shop:v1";
pub(super) const MIGRATE: &str = "create task migrate";

/// A task that the engine was told to run, and of which it shows these instances.
pub(super) fn ordered(instances: Vec<InstanceObserved>) -> Bench {
    let mut bench = Bench::settled(&[SHOP]);
    bench.run(MIGRATE);
    let plan = bench.plan();
    bench.pin(&plan, &[3000]);
    bench.look("task-1", instances);
    bench
}

pub(super) fn one(state: InstanceState) -> InstanceObserved {
    instance("task-1.1", 1, state)
}

pub(super) fn ended(code: ReasonCode, last_exit: Option<Exit>) -> InstanceObserved {
    InstanceObserved { last_exit, stopped_at: Some(NOW), ..because(one(Stopped), code, "as the engine says") }
}

pub(super) fn signal(number: i32) -> Exit {
    Exit { code: None, signal: Some(number), ..exit(0) }
}

/// What is ordered, fetched and waited for on behalf of tasks.
fn of_tasks(plan: &AppPlan) -> Vec<String> {
    lines(plan).into_iter().filter(|line| line.contains("task-")).collect()
}

/// Once the engine shows the instance as stopped, this is told of the task, and it has this status.
#[track_caller]
fn check(instance: InstanceObserved, told: &str, status: u8) {
    let mut bench = ordered(vec![instance.clone()]);
    let plan = bench.plan();
    let end = bench.world.processes[&key("task-1")].task.as_ref().and_then(|task| task.end.clone()).expect(told);
    let state = end.state().as_str();
    assert_eq!(changes(&plan.changes), format!("process task-1 r4 g1 runs 0, a task {state}\n"));
    assert_eq!(kinds(&plan.events), format!("TaskEnded: {told}\n"));
    assert_eq!(plan.events[0].process, Some(key("task-1").process));
    assert_eq!((end.status(), end.exit, end.started_at), (status, instance.last_exit, instance.started_at), "{told}");
    assert_eq!(end.at, instance.stopped_at.unwrap_or(NOW));
    assert_eq!(bench.world.processes[&key("task-1")].asked_revision(), Revision(2), "nobody asked for that");
}

#[test]
fn an_image_is_fetched_and_then_one_instance_ordered_that_is_never_replaced() {
    let mut bench = Bench::settled(&[SHOP]);
    bench.run(MIGRATE);
    let plan = bench.plan();
    assert_eq!(of_tasks(&plan), ["prepare task-1 g1 shop:v1", "task-1 resolving 1+0: shop:v1 is being looked up"]);
    bench.pin(&plan, &[3000]);
    let plan = bench.plan();
    assert_eq!(of_tasks(&plan), ["task-1 r2 g1 1+0 shop:v1 0.5"]);
    let Presence::Present(formation) = &plan.targets[1].presence else { panic!("present") };
    assert_eq!(formation.restart, Restart::Never);
    assert_eq!(
        (&formation.check, formation.public, formation.port.get()),
        (&Check::Uptime(Seconds(0)), false, 8080),
        "whatever its image exposes"
    );
    assert_eq!(formation.command.as_ref().map(CommandLine::typed), Some("migrate"));
    let Presence::Present(default) = &plan.targets[0].presence else { panic!("present") };
    assert_eq!(default.restart, Restart::Always);
    assert_eq!((plan.changes, plan.look_again), (Vec::new(), None));
}

#[test]
fn a_task_ends_as_its_instance_did() {
    check(ended(ReasonCode::Completed, Some(exit(0))), "task 1 succeeded: its command ended with exit 0", 0);
    check(ended(ReasonCode::Crashed, Some(exit(3))), "task 1 failed: its command ended with exit 3", 3);
    check(ended(ReasonCode::Crashed, Some(signal(9))), "task 1 failed: its command ended with signal 9", 137);
    let oom = ended(ReasonCode::OutOfMemory, Some(Exit { oom: true, ..signal(9) }));
    check(oom, "task 1 failed: as the engine says", 137);
    let never_ran = InstanceObserved { started_at: None, ..ended(ReasonCode::StartFailed, None) };
    check(never_ran, "task 1 failed: as the engine says", 1);
    check(ended(ReasonCode::Unhealthy, Some(signal(15))), "task 1 failed: as the engine says", 143);
    check(ended(ReasonCode::Deleted, None), "task 1 stopped: it was asked to stop", 1);
    check(
        ended(ReasonCode::Surplus, Some(signal(15))),
        "task 1 stopped: it was asked to stop, and ended with signal 15",
        143,
    );
}

#[test]
fn a_lost_instance_ends_its_task() {
    check(ended(ReasonCode::Lost, None), "task 1 failed: as the engine says", 1);
    check(one(Stopped), "task 1 failed: how it ended is not known", 1);
}

#[test]
fn what_has_not_stopped_has_not_ended() {
    for state in [Pending, Pulling, Starting, Healthy, Unhealthy, Draining, Stopping] {
        assert_eq!(ordered(vec![one(state)]).plan().changes, [], "{state:?}");
    }
    assert_eq!(ordered(Vec::new()).plan().changes, [], "not started yet");
}

#[test]
fn an_ended_task_wants_nothing_and_changes_no_more() {
    let mut bench = ordered(vec![ended(ReasonCode::Crashed, Some(exit(3)))]);
    assert_eq!(of_tasks(&bench.plan()), ["task-1 r2 g1 1+0 shop:v1 0.5"]);
    let before = bench.world.clone();
    for instances in [
        vec![ended(ReasonCode::Crashed, Some(exit(3)))],
        vec![ended(ReasonCode::Completed, Some(exit(0)))],
        vec![one(Healthy)],
        Vec::new(),
    ] {
        bench.look("task-1", instances).blocked.push(no_room(1, 0));
        let plan = bench.plan();
        assert_eq!(of_tasks(&plan), ["task-1 r4 g1 0+0 shop:v1 0.5"]);
        assert_eq!((plan.events, plan.look_again), (Vec::new(), None));
    }
    assert_eq!(bench.world, before);
    let admission = bench.ask("stop task id=1").expect("admitted");
    assert_eq!(admission.message, "nothing to change: task 1 of app shop has failed already");
    assert_eq!((admission.changes, admission.revision), (Vec::new(), Revision(2)));
}

#[test]
fn an_image_that_cannot_be_had_ends_the_task() {
    let mut bench = Bench::settled(&[SHOP]);
    bench.run("create task migrate image=tools:v1");
    let image = ImageRef::parse("tools:v1").expect("legal");
    let failed = |for_good, attempts| ImageProgress::Failed { text: "not found".to_owned(), for_good, attempts };
    bench.images.insert(image.clone(), failed(false, 2));
    let plan = bench.plan();
    let waits = "task-1 pulling 1+0: tools:v1 could not be had at attempt 2 and is tried again: not found";
    assert_eq!((of_tasks(&plan), plan.changes), (vec![waits.to_owned()], Vec::new()));
    let mut patient = Bench { world: bench.world.clone(), ..Bench::default() };
    patient.images.insert(image.clone(), failed(false, 3));
    assert_eq!(changes(&patient.plan().changes), "process task-1 r4 g1 runs 0, a task failed\n");
    bench.images.insert(image.clone(), failed(true, 1));
    let plan = bench.plan();
    assert_eq!(changes(&plan.changes), "process task-1 r4 g1 runs 0, a task failed\n");
    assert_eq!(kinds(&plan.events), "TaskEnded: task 1 failed: tools:v1 could not be had: not found\n");
    assert_eq!(of_tasks(&bench.plan()), Vec::<String>::new(), "what has ended waits for nothing");
    bench.images.clear();
    assert_eq!(of_tasks(&bench.plan()), Vec::<String>::new(), "nor is its image fetched after all");
}

#[test]
fn an_image_that_a_task_has_already_is_not_missed_when_others_cannot_have_it() {
    let mut bench = ordered(Vec::new());
    bench.run("restart process name=default");
    let gone = ImageProgress::Failed { text: "not found".to_owned(), for_good: true, attempts: 1 };
    bench.images.insert(ImageRef::parse("shop:v1").expect("legal"), gone);
    let plan = bench.plan();
    assert!(!changes(&plan.changes).contains("task-1"), "{}", changes(&plan.changes));
    assert_eq!(of_tasks(&plan), ["task-1 r2 g1 1+0 shop:v1 0.5"]);
}

#[test]
fn a_task_that_is_stopped_before_it_started_never_runs() {
    let told = "TaskEnded: task 1 stopped: stopped before it had started\n";
    let mut bench = Bench::settled(&[SHOP]);
    bench.run(MIGRATE);
    bench.run("stop task id=1");
    let plan = bench.plan();
    assert_eq!(of_tasks(&plan), Vec::<String>::new(), "not even its image is fetched");
    assert_eq!(changes(&plan.changes), "process task-1 r6 g1 runs 0 disabled, a task stopped\n");
    assert_eq!(kinds(&plan.events), told);
    // An engine that was told to run it counts once it knows better.
    let mut bench = ordered(Vec::new());
    bench.run("stop task id=1");
    let plan = bench.plan();
    assert_eq!((of_tasks(&plan), plan.changes), (vec!["task-1 r4 g1 0+0 shop:v1 0.5".to_owned()], Vec::new()));
    bench.look("task-1", Vec::new());
    assert_eq!(kinds(&bench.plan().events), told);
    let end = bench.world.processes[&key("task-1")].task.as_ref().and_then(|task| task.end.clone()).expect("ended");
    assert_eq!((end.started_at, end.exit, end.status()), (None, None, 1));
}

#[test]
fn a_task_that_is_stopped_while_it_runs_ends_as_its_command_does() {
    for (last, told) in [
        (
            ended(ReasonCode::Surplus, Some(signal(15))),
            "TaskEnded: task 1 stopped: it was asked to stop, and ended with signal 15\n",
        ),
        (
            ended(ReasonCode::Surplus, Some(exit(0))),
            "TaskEnded: task 1 stopped: it was asked to stop, and ended with exit 0\n",
        ),
        // It was done before the word reached it.
        (ended(ReasonCode::Completed, Some(exit(0))), "TaskEnded: task 1 succeeded: its command ended with exit 0\n"),
    ] {
        let mut bench = ordered(vec![one(Healthy)]);
        bench.run("stop task id=1");
        for state in [Healthy, Draining, Stopping] {
            bench.look("task-1", vec![one(state)]);
            let plan = bench.plan();
            assert_eq!((of_tasks(&plan), plan.changes), (vec!["task-1 r4 g1 0+0 shop:v1 0.5".to_owned()], Vec::new()));
        }
        bench.look("task-1", vec![last]);
        assert_eq!(kinds(&bench.plan().events), told);
        assert_eq!(bench.plan().changes, []);
    }
}

/// Runs a task to its end, at this time.
fn run_to_end(bench: &mut Bench, id: u64, at: i64) {
    let name = TaskId(id).process().to_string();
    let instance = instance(&format!("{name}.1"), 1, Stopped);
    let instance = because(instance, ReasonCode::Completed, "as the engine says");
    let stopped_at = Some(Timestamp(NOW.0 + at));
    bench.look(&name, vec![InstanceObserved { stopped_at, last_exit: Some(exit(0)), ..instance }]);
    assert!(kinds(&bench.plan().events).starts_with("TaskEnded: "), "{name}");
}

#[test]
fn the_last_twenty_that_ended_are_remembered() {
    let mut bench = Bench::settled(&[SHOP, MIGRATE, MIGRATE]);
    // The second is the first to end; the first goes on.
    run_to_end(&mut bench, 2, 0);
    for id in 3..=21 {
        bench.run(MIGRATE);
        run_to_end(&mut bench, id, id.cast_signed());
        assert_eq!(bench.plan().changes, [], "{id}");
    }
    run_to_end(&mut bench, 1, 1000);
    let plan = bench.plan();
    assert_eq!(changes(&plan.changes), "process task-2 r6 g1 runs 0 deleting, a task succeeded\n");
    assert_eq!(plan.events, []);
    let plan = bench.plan();
    assert!(of_tasks(&plan).contains(&"task-2 r6 absent".to_owned()), "{:?}", of_tasks(&plan));
    assert_eq!(plan.changes, [], "as long as the engine has not heard of it");
    bench.look("task-2", Vec::new());
    let plan = bench.plan();
    assert_eq!((changes(&plan.changes), kinds(&plan.events)), ("remove process task-2\n".to_owned(), String::new()));
    let ids: Vec<_> = bench.world.tasks_of(&key("default").app).iter().map(|(_, task)| task.id.0).collect();
    assert_eq!(ids, [vec![1], (3..=21).collect()].concat());
    assert!(!bench.world.generations.contains_key(&(key("task-2"), 1)));
    assert!(!bench.world.marks.contains_key(&key("task-2")));
    assert_eq!(bench.plan().changes, []);
}
