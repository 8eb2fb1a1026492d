use super::*;

fn failure(bench: &mut Bench) -> String {
    let Some(failure) = bench.see().failure else { return "none".to_owned() };
    let late = if failure.deadline_passed { " late" } else { "" };
    let exit = failure.exit.map(|exit| format!(" ({})", exit.describe())).unwrap_or_default();
    format!(
        "{} of {}: {}{late}{exit} {:?}",
        failure.in_a_row, failure.generation, failure.instance, failure.reason.code
    )
}

fn crash(bench: &mut Bench, id: &str) {
    bench.made(id, Demand);
    bench.runs(id);
    bench.see();
    bench.pass(1);
    bench.exits(id, 3);
}

#[test]
fn failures_of_the_wanted_generation_are_counted() {
    let mut bench = Bench::new(1, 0);
    crash(&mut bench, "a");
    assert_eq!(failure(&mut bench), "1 of 1: a (exit 3) Crashed");
    crash(&mut bench, "b");
    crash(&mut bench, "c");
    assert_eq!(failure(&mut bench), "3 of 1: c (exit 3) Crashed");
    bench.wanted().generation = 2;
    assert_eq!(failure(&mut bench), "none");
    bench.formation = None;
    assert_eq!(failure(&mut bench), "none");
}

#[test]
fn a_healthy_instance_disproves_the_failures_before_it_and_not_those_after() {
    let mut bench = Bench::new(2, 0);
    crash(&mut bench, "a");
    bench.healthy(&["b"], Demand);
    assert_eq!(failure(&mut bench), "none");
    crash(&mut bench, "c");
    assert_eq!(failure(&mut bench), "1 of 1: c (exit 3) Crashed");
}

#[test]
fn what_happened_between_two_looks_is_read_in_favour_of_the_generation() {
    let mut bench = Bench::public(2, 0);
    bench.made("a", Demand);
    bench.made("b", Demand);
    bench.see();
    bench.runs("b");
    bench.target("b", TargetState::Healthy, None);
    bench.exits("a", 3);
    assert_eq!(failure(&mut bench), "none");
}

#[test]
fn ordered_ends_reclaims_and_what_nobody_saw_are_no_failures() {
    let mut bench = Bench::new(2, 2);
    for (id, kind) in [("a", Demand), ("b", Spot), ("c", Demand)] {
        bench.made(id, kind);
    }
    bench.see();
    bench.scheduler_stops("a");
    bench.stops("b", "SpotInterruption", "");
    bench.look.tasks.retain(|task| task.arn != arn("c"));
    bench.see();
    bench.pass(31);
    assert_eq!(bench.lines()[2], "c demand 1 stopped: Lost");
    assert_eq!(failure(&mut bench), "none");
}

#[test]
fn a_deployment_that_ecs_gave_up_counts_as_failed_often_enough() {
    let mut bench = Bench::new(1, 0);
    bench.given_up.push(definition_arn(2));
    assert_eq!(failure(&mut bench), "none", "another generation is wanted");
    bench.wanted().generation = 2;
    assert_eq!(failure(&mut bench), "3 of 2: unknown StartFailed");
    bench.made("a", Demand).task_definition = definition_arn(2);
    bench.see();
    bench.exits("a", 3);
    assert_eq!(failure(&mut bench), "3 of 2: a (exit 3) Crashed");
}

#[test]
fn one_that_runs_without_getting_healthy_is_late_after_its_time() {
    let mut bench = Bench::public(1, 0);
    bench.made("a", Demand);
    bench.see();
    bench.pass(300);
    bench.runs("a");
    bench.target("a", TargetState::Unhealthy, Some("Target.FailedHealthChecks"));
    bench.see();
    bench.pass(60);
    assert_eq!(failure(&mut bench), "none", "its time runs from when it did");
    bench.pass(1);
    assert_eq!(failure(&mut bench), "1 of 1: a late Unhealthy");
    assert_eq!(
        bench.see().failure.expect("just seen").reason.text,
        "did not get healthy within 60 s: not healthy yet: the load balancer cannot connect to port 8080, or it hangs up"
    );
    bench.target("a", TargetState::Healthy, None);
    assert_eq!(failure(&mut bench), "none");
}

#[test]
fn one_that_ecs_stopped_before_it_was_healthy_was_late_and_one_that_had_been_was_not() {
    for (state, told) in
        [(TargetState::Unhealthy, "1 of 1: a late Unhealthy"), (TargetState::Healthy, "1 of 1: a Unhealthy")]
    {
        let mut bench = Bench::public(1, 0);
        bench.made("a", Demand);
        bench.runs("a");
        bench.target("a", state, None);
        bench.see();
        bench.stops("a", "ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group x)");
        assert_eq!(failure(&mut bench), told);
    }
}

#[test]
fn a_demand_task_that_never_runs_is_late_in_the_end_and_a_spot_task_waits() {
    let mut bench = Bench::new(1, 1);
    bench.made("a", Demand);
    bench.made("s", Spot);
    bench.see();
    bench.pass(660);
    assert_eq!(failure(&mut bench), "none");
    bench.pass(1);
    assert_eq!(failure(&mut bench), "1 of 1: a late Unhealthy");
    bench.look.tasks.remove(0);
    bench.pass(100_000);
    bench.see();
    bench.pass(31);
    assert_eq!(failure(&mut bench), "none");
}
