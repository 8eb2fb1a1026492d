use super::*;

#[test]
fn those_that_ended_last_are_remembered() {
    let mut bench = Bench::new(12, 0);
    let ids: Vec<String> = (10..22).map(|number| format!("t{number}")).collect();
    for id in &ids {
        bench.made(id, Demand);
    }
    bench.see();
    bench.wanted().demand = 1;
    // The oldest ends last.
    for id in ids.iter().rev() {
        bench.pass(1);
        bench.scheduler_stops(id);
    }
    let left: Vec<String> = bench.see().instances.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(left, ids[..10]);
    assert_eq!(bench.see().instances.len(), 10, "ECS lists the others still");
}

#[test]
fn a_crash_loop_is_counted_on_though_its_dead_are_forgotten_and_still_listed() {
    let mut bench = Bench::new(1, 0);
    for number in 0..40 {
        bench.made(&format!("t{number}"), Demand);
        bench.see();
        bench.pass(1);
        bench.exits(&format!("t{number}"), 3);
        bench.see();
    }
    let sight = bench.see();
    assert_eq!(sight.instances.len(), 10);
    assert_eq!(sight.instances[9].restarts, 39);
    assert!(sight.failure.is_some_and(|failure| failure.in_a_row == 10));
}

#[test]
fn failures_that_nobody_has_taken_over_are_kept_beyond_the_last_ones() {
    let mut bench = Bench::new(3, 1);
    for id in ["a", "b", "c"] {
        bench.made(id, Demand);
    }
    bench.made("s", Spot);
    bench.see();
    for id in ["a", "s"] {
        bench.exits(id, 3);
    }
    bench.pass(1);
    for number in 10..25 {
        bench.made(&format!("t{number}"), Spot);
        bench.see();
        bench.stops(&format!("t{number}"), "SpotInterruption", "");
        bench.pass(1);
    }
    bench.see();
    bench.made("d", Demand);
    let lines = bench.lines();
    assert!(lines.contains(&"d demand 1 pending restarts=1 (exit 3)".to_owned()), "{lines:?}");
    bench.pass(1);
    bench.made("u", Spot);
    bench.see();
    bench.stops("u", "SpotInterruption", "");
    let lines = bench.lines();
    assert!(!lines.iter().any(|line| line.starts_with("a ")), "its place was taken: {lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("stopped")).count(), 10);
}

#[test]
fn no_more_failures_are_kept_than_there_are_places() {
    let mut bench = Bench::new(30, 0);
    for number in 10..40 {
        bench.made(&format!("t{number}"), Demand);
    }
    bench.see();
    for number in 10..40 {
        bench.exits(&format!("t{number}"), 3);
    }
    assert_eq!(bench.see().instances.len(), 30);
    bench.wanted().demand = 12;
    assert_eq!(bench.see().instances.len(), 12);
    bench.wanted().demand = 0;
    assert_eq!(bench.see().instances.len(), 10);
}

#[test]
fn what_has_not_stopped_is_to_be_described() {
    let mut bench = Bench::new(3, 0);
    for id in ["a", "b", "c"] {
        bench.made(id, Demand);
    }
    bench.see();
    bench.exits("a", 3);
    bench.task("b").desired = DesiredStatus::Stopped;
    bench.look.tasks.remove(2);
    bench.see();
    assert_eq!(bench.memory.to_describe(), [arn("b"), arn("c")]);
}

#[test]
fn one_that_ecs_does_not_know_is_waited_for_and_then_lost() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    let task = bench.look.tasks.remove(0);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
    bench.pass(29);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
    bench.look.tasks.push(task);
    bench.see();
    let task = bench.look.tasks.remove(0);
    bench.pass(29);
    assert_eq!(bench.lines(), ["a demand 1 healthy"], "it was there meanwhile");
    bench.pass(30);
    assert_eq!(bench.lines(), ["a demand 1 stopped: Lost"]);
    assert_eq!(
        bench.see().instances[0].reason.clone().expect("lost").text,
        "ECS does not know it any more: it ended more than an hour ago while nobody looked"
    );
    bench.look.tasks.push(task);
    assert_eq!(bench.lines(), ["a demand 1 healthy"], "it was not lost after all");
    bench.look.tasks.clear();
    bench.see();
    bench.formation = None;
    assert_eq!(bench.lines(), ["a demand 1 stopped: Deleted"]);
}

#[test]
fn the_reason_of_one_that_was_ending_outlives_the_task() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    bench.wanted().generation = 2;
    bench.task("a").desired = DesiredStatus::Stopped;
    bench.see();
    bench.look.tasks.clear();
    bench.see();
    bench.pass(30);
    assert_eq!(bench.lines(), ["a demand 1 stopped: Replaced"]);
}

#[test]
fn a_server_without_records_takes_what_is_there_as_it_is() {
    let mut bench = Bench::new(2, 0);
    bench.made("a", Demand);
    bench.made("b", Demand);
    bench.pass(1);
    bench.exits("a", 3);
    bench.pass(1);
    bench.made("c", Demand);
    assert_eq!(
        bench.lines(),
        ["a demand 1 stopped (exit 3): Crashed", "b demand 1 pending", "c demand 1 pending restarts=1 (exit 3)"]
    );
}
