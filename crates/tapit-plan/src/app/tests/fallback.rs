//! Stand-ins on demand for spot instances that cannot be had.

use super::super::status;
use super::*;
use InstanceState::{Draining, Healthy, Starting};

const MINUTE: u64 = 60;

/// `work` with one demand and three spot instances, all of which run at minute 0.
fn worker(words: &str) -> Bench {
    let line = format!("create process name=work image=work:v1 demand=1 spot=3 {words}");
    let mut bench = Bench::settled(&["create app shop image=shop:v1", &line]);
    assert_eq!(at(&mut bench, 0, 3), "1+3");
    bench
}

/// The engine runs what is ordered, but for spot instances, of which it has so many. What is ordered after that, what is told
/// about it, and in how many seconds the planner wants to look again.
fn at(bench: &mut Bench, seconds: u64, spots: u64) -> String {
    show(bench, spots);
    look(bench, seconds)
}

/// The engine shows what is ordered in the generation that it is told to run.
fn show(bench: &mut Bench, spots: u64) {
    let process = &bench.world.processes[&key("work")];
    let generation = if process.rolled_back { process.running_generation } else { process.generation };
    let demand = u64::from(process.wanted(InstanceKind::Demand));
    let name = |kind: u64, n: u64| format!("work.{}", 100 * generation + 50 * kind + n);
    let mut instances: Vec<_> = (0..demand).map(|n| instance(&name(0, n), generation, Healthy)).collect();
    instances.extend((0..spots).map(|n| spot(&name(1, n), generation, Healthy)));
    bench.look("work", instances);
}

/// Plans until nothing changes any more; the engine acts on each new target at once.
fn look(bench: &mut Bench, seconds: u64) -> String {
    bench.moment = moment(seconds);
    let mut told = String::new();
    for _ in 0..5 {
        let plan = bench.plan();
        told += &kinds(&plan.events);
        if plan.changes.is_empty() {
            let again = plan.look_again.map(|at| format!(", again +{}s", at.since(bench.moment) / 1000));
            let lines = told.lines().map(|line| format!("; {line}")).collect::<String>();
            return format!("{}{}{lines}", order(&plan), again.unwrap_or_default());
        }
        let revision = bench.world.processes[&key("work")].revision;
        bench.observed.iter_mut().filter(|seen| seen.key == key("work")).for_each(|seen| seen.revision = revision);
    }
    panic!("the plan keeps changing: {told}");
}

fn moment(seconds: u64) -> Moment {
    Moment(1_000_000 + 1000 * seconds)
}

fn order(plan: &AppPlan) -> String {
    let of_work = plan.targets.iter().find(|target| target.key == key("work"));
    match of_work.map(|target| &target.presence) {
        Some(Presence::Present(formation)) => format!("{}+{}", formation.demand, formation.spot),
        Some(Presence::Absent(_)) => "absent".to_owned(),
        None => "none".to_owned(),
    }
}

#[test]
fn what_has_been_missing_for_long_enough_runs_on_demand_and_is_paid_back() {
    let mut bench = worker("spot_fallback=5m");
    assert_eq!(at(&mut bench, 10, 1), "1+3, again +300s");
    assert_eq!(at(&mut bench, 309, 1), "1+3, again +1s");
    let started = "FallbackStarted: spot has been missing for 5m: 2 instances run on demand instead";
    assert_eq!(at(&mut bench, 310, 1), format!("3+3; {started}"));
    assert_eq!(at(&mut bench, 4000, 1), "3+3", "the engine goes on trying, and nothing else happens");
    assert_eq!(at(&mut bench, 5000, 2), "3+3, again +30s");
    assert_eq!(at(&mut bench, 5029, 2), "3+3, again +1s");
    let back = "FallbackPaidBack: spot is back for 1 instance: 1 instance on demand in place of spot stays";
    assert_eq!(at(&mut bench, 5030, 2), format!("2+3; {back}"));
    assert_eq!(at(&mut bench, 5100, 3), "2+3, again +30s");
    let back = "FallbackPaidBack: spot is back for 1 instance: none is left on demand in place of spot";
    assert_eq!(at(&mut bench, 5130, 3), format!("1+3; {back}"));
    assert_eq!(bench.world.processes[&key("work")].fallback.stand_ins, 0);
}

#[test]
fn without_the_key_nobody_stands_in() {
    let mut bench = worker("");
    assert_eq!(at(&mut bench, 10, 0), "1+3");
    assert_eq!(at(&mut bench, 100_000, 0), "1+3");
}

#[test]
fn each_missing_instance_has_a_time_of_its_own() {
    let mut bench = worker("spot_fallback=5m");
    at(&mut bench, 0, 2);
    assert_eq!(at(&mut bench, 4 * MINUTE, 1), "1+3, again +60s");
    let started = |n: &str| format!("FallbackStarted: spot has been missing for 5m: {n} on demand instead");
    assert_eq!(at(&mut bench, 5 * MINUTE, 1), format!("2+3, again +240s; {}", started("1 instance runs")));
    assert_eq!(at(&mut bench, 9 * MINUTE, 1), format!("3+3; {}", started("2 instances run")));
}

#[test]
fn one_that_comes_back_in_time_ends_the_count() {
    let mut bench = worker("spot_fallback=5m");
    at(&mut bench, 0, 2);
    assert_eq!(at(&mut bench, 299, 3), "1+3");
    assert_eq!(at(&mut bench, 301, 2), "1+3, again +300s");
}

#[test]
fn spot_that_comes_and_goes_does_not_make_stand_ins_come_and_go() {
    let mut bench = worker("spot_fallback=1m");
    at(&mut bench, 0, 2);
    assert!(at(&mut bench, 60, 2).starts_with("2+3"));
    for round in 0..5 {
        let begun = 100 + 50 * round;
        assert_eq!(at(&mut bench, begun, 3), "2+3, again +30s");
        assert_eq!(at(&mut bench, begun + 29, 2), "2+3", "back for too short a time");
    }
    assert_eq!(at(&mut bench, 900, 3), "2+3, again +30s");
    assert!(at(&mut bench, 930, 3).starts_with("1+3;"));
    assert_eq!(at(&mut bench, 930, 2), "1+3, again +60s", "lost in the same moment: it is missed anew");
}

#[test]
fn a_look_at_an_older_target_says_nothing() {
    let mut bench = worker("spot_fallback=1m");
    at(&mut bench, 0, 2);
    show(&mut bench, 2);
    bench.observed.iter_mut().for_each(|seen| seen.revision = Revision(0));
    bench.moment = moment(90);
    let plan = bench.plan();
    assert_eq!((order(&plan).as_str(), plan.changes), ("1+3", Vec::new()));
    bench.observed.clear();
    assert_eq!(bench.plan().changes, [], "what was not seen is not missing");
}

#[test]
fn what_is_replaced_in_a_rollout_is_not_missing() {
    let mut bench = worker("spot_fallback=10s");
    bench.run("restart process name=work");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    let old = |n: u64| spot(&format!("work.{n}"), 1, Draining);
    bench.look("work", vec![instance("work.90", 2, Healthy), old(1), old(2), spot("work.91", 2, Starting)]);
    assert_eq!(look(&mut bench, 100), "1+3");
    assert_eq!(look(&mut bench, 200), "1+3");
    assert_eq!(bench.rollout("work"), "Restart 1>2 running");
    assert_eq!(at(&mut bench, 300, 3), "1+3; RolloutSucceeded: generation 2 runs");
    assert_eq!(bench.world.processes[&key("work")].fallback, tapit_model::Fallback::default());
}

#[test]
fn a_shortage_from_before_a_rollout_goes_on_counting_in_it_and_after_it() {
    for seconds_of_the_rollout in [20, 100] {
        let mut bench = worker("spot_fallback=1m");
        assert_eq!(at(&mut bench, 0, 2), "1+3, again +60s");
        bench.run("restart process name=work");
        let plan = bench.plan();
        bench.pin(&plan, &[]);
        // New ones come on top of old ones, so that for a while none seems to be missing.
        let surge = vec![
            instance("work.90", 2, Healthy),
            spot("work.51", 1, Healthy),
            spot("work.52", 1, Healthy),
            spot("work.91", 2, Healthy),
        ];
        bench.look("work", surge);
        assert_eq!(look(&mut bench, 10), "1+3, again +50s");
        let rest = vec![
            instance("work.90", 2, Healthy),
            spot("work.52", 1, Draining),
            spot("work.91", 2, Healthy),
            spot("work.92", 2, Healthy),
        ];
        bench.look("work", rest);
        let started = "FallbackStarted: spot has been missing for 1m: 1 instance runs on demand instead";
        if seconds_of_the_rollout < 60 {
            assert_eq!(at(&mut bench, 20, 2), "1+3, again +40s; RolloutSucceeded: generation 2 runs");
            assert_eq!(at(&mut bench, 60, 2), format!("2+3; {started}"));
        } else {
            assert_eq!(look(&mut bench, 60), format!("2+3; {started}"));
            assert_eq!(at(&mut bench, 100, 2), "2+3; RolloutSucceeded: generation 2 runs");
        }
    }
}

#[test]
fn one_that_comes_back_in_a_rollout_is_not_stood_in_for() {
    let mut bench = worker("spot_fallback=1m");
    at(&mut bench, 0, 2);
    bench.run("restart process name=work");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    let new: Vec<_> = (0..3).map(|n| spot(&format!("work.9{n}"), 2, Healthy)).collect();
    bench.look("work", [new, vec![instance("work.80", 1, Draining)]].concat());
    assert_eq!(look(&mut bench, 100), "1+3");
    assert_eq!(at(&mut bench, 110, 3), "1+3; RolloutSucceeded: generation 2 runs");
    assert_eq!(at(&mut bench, 120, 2), "1+3, again +60s");
}

#[test]
fn nothing_is_paid_back_while_a_rollout_runs() {
    let mut bench = worker("spot_fallback=1m");
    at(&mut bench, 0, 2);
    at(&mut bench, 60, 2);
    assert_eq!(at(&mut bench, 100, 3), "2+3, again +30s");
    bench.run("restart process name=work");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    let all = |count: u64| (0..count).map(|n| spot(&format!("work.5{n}"), 1, Healthy)).collect::<Vec<_>>();
    bench.look("work", [vec![instance("work.90", 2, Healthy), instance("work.91", 2, Starting)], all(3)].concat());
    assert!(look(&mut bench, 200).starts_with("2+3"), "{}", bench.rollout("work"));
    let told = at(&mut bench, 210, 3);
    assert!(told.starts_with("1+3; RolloutSucceeded: generation 2 runs; FallbackPaidBack"), "{told}");
}

#[test]
fn nobody_stands_in_for_a_program_that_fails() {
    let failing = |instances: Vec<InstanceObserved>, blocked: Vec<Blocked>| {
        let mut bench = worker("spot_fallback=1m");
        at(&mut bench, 0, 1);
        let seen = bench.look("work", instances);
        (seen.failure, seen.blocked) = (Some(failure(1, 3)), blocked);
        look(&mut bench, 100)
    };
    assert_eq!(failing(vec![instance("work.9", 1, Starting)], Vec::new()), "1+3");
    let told = failing(vec![instance("work.9", 1, Healthy)], Vec::new());
    assert!(told.starts_with("3+3, again +60s;"), "others of its kind do well: {told}");
    let told = failing(Vec::new(), vec![no_room(0, 3)]);
    assert!(told.starts_with("3+3, again +60s;"), "it cannot even be tried: {told}");
}

#[test]
fn who_wants_fewer_spot_instances_has_fewer_stand_ins_at_once() {
    let stood_in = || {
        let mut bench = worker("spot_fallback=1m");
        at(&mut bench, 0, 1);
        assert!(at(&mut bench, 60, 1).starts_with("3+3;"));
        bench
    };
    for (line, expected) in [
        ("spot_count=2", "2+2"),
        ("spot_count=1", "1+1"),
        ("spot_count=0", "1+0"),
        ("disabled=true", "0+0"),
        ("spot_fallback=none", "1+3"),
        ("spot_count=4", "3+4"),
        ("demand_count=4", "6+3"),
        ("spot_fallback=1h", "3+3"),
    ] {
        let mut bench = stood_in();
        bench.run(&format!("set process name=work {line}"));
        let plan = bench.plan();
        assert_eq!(order(&plan), expected, "{line}");
        assert!(!bench.rollout("work").contains("running"), "{line} is no rollout");
    }
}

#[test]
fn the_key_and_stand_ins_never_cost_a_rollout_and_each_target_is_newer() {
    let mut bench = worker("");
    let before = bench.world.processes[&key("work")].revision;
    let admission = bench.run("set process name=work spot_fallback=5m");
    assert_eq!(changes(&admission.changes), "process work r4 g1 runs 1\n");
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop set process name=work spot_fallback=none"));
    assert_eq!(kinds(&admission.events), "ProcessChanged: set spot_fallback=300s\n");
    at(&mut bench, 0, 1);
    assert!(at(&mut bench, 300, 1).starts_with("3+3;"));
    let process = &bench.world.processes[&key("work")];
    assert_eq!((before.0, process.revision.0, process.asked_revision().0), (2, 6, 4));
    let admission = bench.run("set process name=work spot_fallback=none");
    assert_eq!(changes(&admission.changes), "process work r8 g1 runs 1\n");
    assert_eq!(admission.revision, Revision(8));
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop set process name=work spot_fallback=300s"));
}

#[test]
fn a_wait_ends_well_whoever_runs_and_whenever_stand_ins_come() {
    let mut bench = worker("spot_fallback=1m");
    let revision = bench.run("set process name=work demand=2").revision;
    show(&mut bench, 1);
    bench.observed.iter_mut().for_each(|seen| seen.blocked = vec![no_room(0, 2)]);
    look(&mut bench, 10);
    assert_eq!(bench.progress("work", revision), "ok: 2/2 healthy, 1/3 spot healthy");
    assert!(look(&mut bench, 70).starts_with("4+3;"));
    assert_eq!(bench.progress("work", revision), "going: 2/4 healthy, 2 of them for spot, 1/3 spot healthy");
    bench.observed.iter_mut().for_each(|seen| seen.blocked = vec![no_room(2, 2)]);
    let expected = "ok: 2/4 healthy, 2 of them for spot, 1/3 spot healthy";
    assert_eq!(bench.progress("work", revision), expected, "no room for them is no failure");
    show(&mut bench, 1);
    bench.observed.iter_mut().for_each(|seen| seen.blocked = vec![no_room(0, 2)]);
    let expected = "ok: 4/4 healthy, 2 of them for spot, 1/3 spot healthy";
    assert_eq!(bench.progress("work", revision), expected, "and it is no newer change");
}

#[test]
fn a_rollback_stays_the_outcome_when_stand_ins_come_after_it() {
    let mut bench = worker("spot_fallback=1m");
    let revision = bench.run("set process name=work command=broken").revision;
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    show(&mut bench, 0);
    bench.look("work", vec![instance("work.1", 1, Healthy)]).failure = Some(failure(2, 3));
    bench.plan();
    let reason = "generation 2 failed 3 times in a row, last default.9 (exit 1): the program ended";
    assert_eq!(bench.progress("work", revision), format!("failed: rolled back: {reason}"));
    at(&mut bench, 100, 0);
    assert!(at(&mut bench, 160, 0).starts_with("4+3;"));
    assert_eq!(bench.progress("work", revision), format!("failed: rolled back: {reason}"));
    let again = bench.run("set process name=work command=broken").revision;
    assert_eq!(again, revision, "nothing to change: the question is for the change that failed");

    let revision = bench.run("set process name=work demand=2").revision;
    at(&mut bench, 200, 3);
    at(&mut bench, 230, 3);
    show(&mut bench, 3);
    assert_eq!(bench.progress("work", revision), "ok: 2/2 healthy, 3/3 spot healthy", "no failure of this change");
}

#[test]
fn spot_alone_is_proved_by_what_stands_in_for_it() {
    let line = "create process name=work image=work:v1 demand=0 spot=2 spot_fallback=1m";
    let mut bench = Bench::settled(&["create app shop image=shop:v1", line]);
    at(&mut bench, 0, 0);
    assert!(at(&mut bench, 60, 0).starts_with("2+2;"));
    bench.run("restart process name=work");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    show(&mut bench, 0);
    bench.plan();
    assert_eq!(bench.rollout("work"), "Restart 1>2 succeeded");
    let (process, rollout) = (&bench.world.processes[&key("work")], bench.world.rollouts.get(&key("work")));
    let seen = bench.observed.iter().find(|seen| seen.key == key("work"));
    assert_eq!(status(process, rollout, seen).as_str(), "running");
}

#[test]
fn a_rollout_waits_for_stand_ins_but_not_for_room_that_they_lack() {
    let mut bench = worker("spot_fallback=1m");
    at(&mut bench, 0, 1);
    at(&mut bench, 60, 1);
    bench.run("restart process name=work");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("work", vec![instance("work.90", 2, Healthy), spot("work.91", 2, Healthy)]);
    bench.plan();
    assert_eq!(bench.rollout("work"), "Restart 1>2 running");
    bench.observed.iter_mut().for_each(|seen| seen.blocked = vec![no_room(2, 2)]);
    bench.plan();
    assert_eq!(bench.rollout("work"), "Restart 1>2 succeeded");
}

#[test]
fn after_a_reboot_a_shortage_counts_from_the_first_look() {
    let mut bench = worker("spot_fallback=5m");
    at(&mut bench, 0, 1);
    show(&mut bench, 1);
    bench.moment = Moment(5_000);
    bench.plan();
    assert_eq!(bench.plan().look_again, Some(Moment(305_000)));
}

#[test]
fn stand_ins_never_make_more_than_the_largest_count() {
    let line = "create process name=work image=work:v1 demand=999 spot=3 spot_fallback=1m";
    let mut bench = Bench::settled(&["create app shop image=shop:v1", line]);
    at(&mut bench, 0, 0);
    assert!(at(&mut bench, 60, 0).starts_with("1000+3;"));
    bench.run("set process name=work demand=1000");
    assert_eq!(at(&mut bench, 61, 0), "1000+3");
    bench.run("set process name=work demand=997");
    assert!(at(&mut bench, 62, 0).starts_with("1000+3"));
}
