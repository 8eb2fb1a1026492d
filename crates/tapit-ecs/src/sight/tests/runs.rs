//! The one instance of a process that runs once.

use tapit_model::{InstanceState, Restart};

use super::*;
use crate::record::Made;

/// One that runs once, and whose task is `a`.
fn bench() -> Bench {
    let mut bench = Bench::new(1, 0);
    let wanted = bench.wanted();
    (wanted.restart, wanted.check) = (Restart::Never, Check::Uptime(Seconds(0)));
    bench.run = Some(Run::Task { arn: arn("a"), stop: Made::No });
    bench
}

fn made<'a>(bench: &'a mut Bench, id: &str) -> &'a mut Task {
    let group = names::group(&bench.key.process);
    let task = bench.made(id, Demand);
    task.group = group;
    task
}

fn text(bench: &mut Bench) -> String {
    bench.see().instances[0].reason.clone().map(|reason| reason.text).unwrap_or_default()
}

#[test]
fn its_task_is_its_instance_and_another_ones_is_not() {
    let mut bench = bench();
    made(&mut bench, "b");
    made(&mut bench, "a");
    bench.runs("a");
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
}

#[test]
fn it_tells_how_it_ended_and_that_is_no_failure_of_a_generation() {
    for (code, stop, line, words) in [
        (Some(0), "EssentialContainerExited", "a demand 1 stopped (exit 0): Completed", "completed"),
        (Some(3), "EssentialContainerExited", "a demand 1 stopped (exit 3): Crashed", "crashed: exit 3"),
        (None, "TaskFailedToStart", "a demand 1 stopped: StartFailed", "the image could not be pulled"),
    ] {
        let mut bench = bench();
        made(&mut bench, "a");
        bench.runs("a");
        bench.see();
        bench.stops("a", stop, "CannotPullContainerError");
        bench.task("a").exit_code = code;
        assert_eq!(bench.lines(), [line]);
        let text = text(&mut bench);
        assert!(text.starts_with(words), "{text}");
        let sight = bench.see();
        assert_eq!((sight.failure, sight.blocked), (None, Vec::new()));
        // ECS forgets it after an hour, and we do not.
        bench.look.tasks.clear();
        bench.pass(3 * 3600);
        assert_eq!(bench.lines(), [line]);
    }
}

#[test]
fn one_that_was_told_to_stop_was_asked_to() {
    let mut bench = bench();
    made(&mut bench, "a");
    bench.runs("a");
    bench.see();
    bench.wanted().demand = 0;
    bench.task("a").desired = DesiredStatus::Stopped;
    assert_eq!(bench.lines(), ["a demand 1 stopping: Surplus"]);
    bench.stops("a", "UserInitiated", "not wanted any more");
    assert_eq!(bench.lines(), ["a demand 1 stopped: Surplus"]);
    assert_eq!(text(&mut bench), "it was asked to stop");
}

#[test]
fn one_whose_machine_was_taken_away_is_not_said_to_start_again() {
    let mut bench = bench();
    made(&mut bench, "a");
    bench.runs("a");
    bench.stops("a", "EssentialContainerExited", "ECS is performing maintenance on the underlying infrastructure");
    assert_eq!(bench.lines(), ["a demand 1 stopped: Reclaimed"]);
    assert!(text(&mut bench).contains("it is not run again"));
}

#[test]
fn one_that_nobody_has_seen_is_waited_for_and_then_lost() {
    let mut bench = bench();
    assert_eq!(bench.lines(), ["a demand 1 pending"]);
    bench.pass(299);
    assert_eq!(bench.lines(), ["a demand 1 pending"]);
    bench.pass(1);
    assert_eq!(bench.lines(), ["a demand 1 stopped: Lost"]);
    // It was only not shown for a while.
    made(&mut bench, "a");
    bench.runs("a");
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
}

#[test]
fn one_of_which_nobody_can_tell_whether_it_ran_is_lost_at_once() {
    let mut bench = bench();
    bench.run = Some(Run::Unknown { id: "token".to_owned() });
    assert_eq!(bench.lines(), ["token demand 1 stopped: Lost"]);
    let instance = bench.see().instances.remove(0);
    assert_eq!((instance.state, instance.started_at), (InstanceState::Stopped, None));
    assert!(instance.reason.is_some_and(|reason| reason.text.contains("nobody can tell")));
}

#[test]
fn nothing_is_seen_of_one_that_was_only_asked_for() {
    let mut bench = bench();
    bench.run = Some(Run::Sought);
    made(&mut bench, "a");
    assert_eq!(bench.lines(), Vec::<String>::new());
}
