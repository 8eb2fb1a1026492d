use super::*;

/// `a` fails after so many seconds of health, and `b` comes after it.
fn replaced(seconds: i64) -> Bench {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    bench.pass(seconds);
    bench.exits("a", 3);
    bench.see();
    bench.made("b", Demand);
    bench
}

#[test]
fn a_new_task_takes_the_place_of_the_one_that_failed() {
    let mut bench = replaced(1);
    assert_eq!(bench.lines(), ["a demand 1 stopped (exit 3): Crashed", "b demand 1 pending restarts=1 (exit 3)"]);
    bench.pass(1);
    bench.exits("b", 4);
    bench.made("c", Demand);
    assert_eq!(
        bench.lines()[1..],
        ["b demand 1 stopped restarts=1 (exit 4): Crashed", "c demand 1 pending restarts=2 (exit 4)"]
    );
}

#[test]
fn a_replacement_may_be_dated_by_the_second() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    bench.pass(1);
    bench.exits("a", 3);
    let whole = bench.ecs_now();
    let ended = Some(Timestamp(whole.0 + 400));
    (bench.task("a").stopping_at, bench.task("a").stopped_at) = (ended, ended);
    bench.made("b", Demand);
    assert_eq!(bench.lines()[1], "b demand 1 pending restarts=1 (exit 3)");
}

#[test]
fn a_minute_of_health_forgives_the_failures_before() {
    for (seconds, restarts) in [(59, 2), (60, 1)] {
        let mut bench = replaced(1);
        bench.runs("b");
        bench.see();
        bench.pass(2);
        bench.see();
        bench.pass(seconds);
        bench.exits("b", 3);
        bench.see();
        bench.made("c", Demand);
        assert_eq!(bench.lines()[2], format!("c demand 1 pending restarts={restarts} (exit 3)"));
    }
}

#[test]
fn neighbours_and_newcomers_take_no_place_that_nobody_left() {
    let mut bench = Bench::new(3, 1);
    for id in ["a", "b", "c"] {
        bench.made(id, Demand);
    }
    bench.pass(1);
    bench.exits("a", 3);
    bench.made("d", Demand);
    bench.made("e", Demand);
    bench.made("s", Spot);
    assert_eq!(
        bench.lines(),
        [
            "a demand 1 stopped (exit 3): Crashed",
            "b demand 1 pending",
            "c demand 1 pending",
            "d demand 1 pending restarts=1 (exit 3)",
            "e demand 1 pending",
            "s spot 1 pending",
        ]
    );
}

#[test]
fn the_oldest_place_is_taken_first() {
    let mut bench = Bench::new(2, 0);
    bench.made("a", Demand);
    bench.made("b", Demand);
    bench.pass(1);
    bench.exits("b", 2);
    bench.exits("a", 1);
    bench.pass(1);
    bench.made("x", Demand);
    bench.pass(1);
    bench.made("y", Demand);
    assert_eq!(
        bench.lines()[2..],
        ["x demand 1 pending restarts=1 (exit 1)", "y demand 1 pending restarts=1 (exit 2)"]
    );
}

#[test]
fn what_happens_within_one_tick_of_the_clock_of_ecs_makes_no_circle() {
    let mut bench = Bench::new(2, 0);
    bench.made("a", Demand);
    bench.made("b", Demand);
    bench.exits("a", 1);
    bench.exits("b", 2);
    assert_eq!(bench.lines(), ["a demand 1 stopped (exit 1): Crashed", "b demand 1 stopped (exit 2): Crashed"]);
}

#[test]
fn a_new_generation_begins_without_failures() {
    let mut bench = replaced(1);
    bench.wanted().generation = 2;
    bench.task("b").task_definition = definition_arn(2);
    assert_eq!(bench.lines()[1], "b demand 2 pending");
}

#[test]
fn an_ordered_stop_or_a_reclaim_leaves_no_place_to_take() {
    let mut bench = Bench::new(0, 1);
    bench.healthy(&["a"], Spot);
    bench.stops("a", "SpotInterruption", "Your Spot Task was interrupted.");
    bench.made("b", Spot);
    assert_eq!(bench.lines(), ["a spot 1 stopped: Reclaimed", "b spot 1 pending"]);
}

#[test]
fn a_place_is_taken_also_where_its_end_is_told_late() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    bench.pass(1);
    let running = bench.task("a").clone();
    bench.exits("a", 3);
    let ended = std::mem::replace(bench.task("a"), running);
    bench.made("b", Demand);
    assert_eq!(bench.lines(), ["a demand 1 healthy", "b demand 1 pending"]);
    *bench.task("a") = ended.clone();
    bench.task("a").exit_code = None;
    bench.task("a").status = TaskStatus::Deprovisioning;
    assert_eq!(bench.lines(), ["a demand 1 stopping: Crashed", "b demand 1 pending restarts=1"]);
    *bench.task("a") = ended;
    assert_eq!(bench.lines(), ["a demand 1 stopped (exit 3): Crashed", "b demand 1 pending restarts=1 (exit 3)"]);
}

#[test]
fn within_one_second_of_ecs_the_order_of_what_was_seen_tells_who_replaced_whom() {
    let mut bench = Bench::new(2, 0);
    bench.made("a", Demand);
    bench.see();
    bench.made("b", Demand);
    bench.within_the_second();
    bench.see();
    bench.exits("a", 3);
    bench.within_the_second();
    bench.see();
    bench.made("c", Demand);
    bench.within_the_second();
    assert_eq!(
        bench.lines(),
        ["a demand 1 stopped (exit 3): Crashed", "b demand 1 pending", "c demand 1 pending restarts=1 (exit 3)"]
    );
}
