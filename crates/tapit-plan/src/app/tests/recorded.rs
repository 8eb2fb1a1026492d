//! Disabling, deleting and rollbacks: states in which a request is only recorded, refused, or taken anew.

use super::*;

const API: &[&str] = &["create app shop image=shop:v1", "create process name=api demand=3"];

fn check(bench: &Bench, line: &str, expected: &str) {
    assert_eq!(changes(&bench.ask(line).expect(line).changes), expected, "{line}");
}

#[test]
fn disabling_keeps_the_generation_and_the_counts() {
    let mut bench = Bench::settled(API);
    let admission = bench.run("set process name=api disabled=yes");
    assert_eq!(changes(&admission.changes), "process api r4 g1 runs 1 disabled\n");
    assert_eq!(kinds(&admission.events), "ProcessDisabled: set disabled=true\n");
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop set process name=api disabled=false"));
    assert_eq!(bench.world.processes[&key("api")].spec.demand, 3);
    check(&bench, "set process name=api disabled=true", "");
}

#[test]
fn disabling_supersedes_a_rollout() {
    let mut bench = Bench::settled(API);
    bench.run("set process name=api command=x");
    let admission = bench.run("set process name=api disabled=true");
    assert_eq!(changes(&admission.changes), "rollout #3 Update 1>2 superseded\nprocess api r6 g2 runs 1 disabled\n");
    check(
        &bench,
        "set process name=api disabled=false",
        "process api r8 g3 runs 1\ngeneration 3 shop:v1 0.5/0.25\nrollout #4 Enable 1>3 running\nremove generation 2\n",
    );
}

#[test]
fn a_disabled_process_refuses_a_restart_and_records_the_rest() {
    let mut bench = Bench::settled(API);
    bench.run("set process name=api disabled=true");
    let text = bench.refusal("restart process name=api");
    assert!(text.starts_with("Conflict: process api of app shop is disabled"), "{text}");
    assert!(text.contains("set process name=api disabled=false`"), "{text}");
    check(&bench, "set process name=api command=x memory=2", "process api r6 g1 runs 1 disabled\n");
    let deploy = bench.run("set app image=shop:v2");
    assert!(!changes(&deploy.changes).contains("process api"), "only recorded");
    assert_eq!(deploy.notes, ["process api is disabled: it takes the image when it is enabled"]);
    check(
        &bench,
        "set process name=api disabled=false",
        "process api r6 g2 runs 1\ngeneration 2 shop:v2 0.5/0.25\nrollout #4 Enable 1>2 running\n",
    );
}

#[test]
fn enabling_without_a_difference_takes_up_the_same_generation() {
    let mut bench = Bench::settled(API);
    bench.run("set process name=api disabled=true");
    bench.run("set process name=api memory=2 demand=1");
    let admission = bench.run("set process name=api disabled=false");
    assert_eq!(
        changes(&admission.changes),
        "process api r8 g1 runs 1\ngeneration 1 shop:v1 pinned 2/0.25\nrollout #3 Enable 1>1 running\n"
    );
    assert_eq!(admission.events[0].kind, tapit_model::EventKind::ProcessEnabled);
    bench.settle();
    assert_eq!(bench.rollout("api"), "Enable 1>1 succeeded");
}

#[test]
fn deleting_marks_the_row_and_a_second_time_changes_nothing() {
    let mut bench = Bench::settled(API);
    let admission = bench.run("delete process name=api");
    assert_eq!(changes(&admission.changes), "process api r4 g1 runs 1 deleting\n");
    assert_eq!(admission.message, "delete process api of app shop: 3 live instances drain and stop, then it is gone");
    assert_eq!(admission.inverse, None);
    check(&bench, "delete process name=api", "");
    for line in ["create process name=api", "set process name=api demand=1", "restart process name=api"] {
        let expected = "Conflict: process api of app shop is being deleted; try again when it is gone";
        assert_eq!(bench.refusal(line), expected, "{line}");
    }
}

#[test]
fn deleting_the_public_process_says_so() {
    let mut bench = Bench::settled(API);
    let admission = bench.run("delete process name=default");
    assert!(admission.message.starts_with("delete process default of app shop, its public process"));
    assert!(admission.notes[0].contains("no HTTP request from outside to app shop is answered any more"));
    bench.settle();
    assert!(!bench.world.processes.contains_key(&key("default")));
    check(
        &bench,
        "create process name=default",
        "process default r6 g2 runs 0\ngeneration 2 shop:v1 0.5/0.25\nrollout #3 Create 0>2 running\n",
    );
}

#[test]
fn deleting_an_app_deletes_its_processes() {
    let mut bench = Bench::settled(API);
    bench.run("set process name=api command=x");
    let admission = bench.run("delete app");
    assert_eq!(
        changes(&admission.changes),
        "app shop image shop:v1 deleting\nrollout #3 Update 1>2 superseded\nprocess api r6 g2 runs 1 deleting\n\
         process default r4 g1 runs 1 unconfigured deleting\n"
    );
    check(&bench, "delete app", "");
    for line in ["create app shop", "create process name=x", "set app image=a:b"] {
        assert_eq!(bench.refusal(line), "Conflict: app shop is being deleted; try again when it is gone", "{line}");
    }
    bench.settle();
    assert!(bench.world.apps.is_empty() && bench.world.processes.is_empty() && bench.world.generations.is_empty());
}

/// `api` with generation 2 rolled back to 1.
fn rolled_back() -> Bench {
    let mut bench = Bench::settled(API);
    bench.run("set process name=api command=broken");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("api", Vec::new()).failure = Some(failure(2, 3));
    bench.plan();
    assert!(bench.world.processes[&key("api")].rolled_back);
    bench.settle();
    bench
}

#[test]
fn a_count_applies_to_the_generation_that_serves_after_a_rollback() {
    check(&rolled_back(), "set process name=api demand=4", "process api r7 g2 runs 1 rolled back\n");
}

#[test]
fn after_a_rollback_any_new_configuration_is_a_new_attempt() {
    let bench = rolled_back();
    for (keys, kind) in [("command=good", "Update"), ("memory=2", "Resize"), ("health_timeout=90", "Update")] {
        let text = changes(&bench.ask(&format!("set process name=api {keys}")).expect(keys).changes);
        assert!(text.starts_with("process api r7 g3 runs 1\ngeneration 3 shop:v1 "), "{keys}: {text}");
        assert!(text.ends_with(&format!("rollout #4 {kind} 1>3 running\nremove generation 2\n")), "{keys}: {text}");
    }
    let same = bench.ask("set process name=api command=broken").expect("admitted");
    assert_eq!(same.changes, []);
    assert!(same.notes[0].contains("`tapit -a shop restart process name=api` tries it again"), "{:?}", same.notes);
    assert!(
        bench.progress("api", same.revision).starts_with("failed: rolled back"),
        "the same words, the same outcome"
    );
}

#[test]
fn a_first_generation_that_failed_is_not_changed_in_place() {
    let mut bench = Bench::settled(&["create app shop"]);
    bench.run("create process name=api image=a:b");
    let plan = bench.plan();
    bench.pin(&plan, &[]);
    bench.look("api", Vec::new()).failure = Some(failure(1, 3));
    bench.plan();
    assert!(bench.rollout("api").starts_with("Create 0>1 failed"));
    let text = changes(&bench.ask("set process name=api memory=2").expect("admitted").changes);
    assert!(text.contains("rollout #3 Resize 0>2 running"), "{text}");
    check(&bench, "set process name=api demand=2", "process api r4 g1 runs 0\n");
}

#[test]
fn a_generation_in_a_crash_loop_is_not_judged_again_by_its_old_failures() {
    let mut bench = Bench::settled(API);
    bench.look("api", Vec::new()).failure = Some(failure(1, 4));
    let text = changes(&bench.ask("set process name=api memory=2").expect("admitted").changes);
    assert!(text.contains("rollout #3 Resize 1>2 running"), "{text}");
    let healthy = instance("api.1", 1, InstanceState::Healthy);
    bench.look("api", vec![healthy]).failure = Some(failure(1, 4));
    let in_place = "process api r4 g1 runs 1\ngeneration 1 shop:v1 pinned 2/0.25\n";
    check(&bench, "set process name=api memory=2", in_place);
    bench.run("set process name=api disabled=true");
    bench.look("api", Vec::new()).failure = Some(failure(1, 1));
    let text = changes(&bench.ask("set process name=api disabled=false").expect("admitted").changes);
    assert!(text.contains("rollout #3 Enable 1>2 running"), "{text}");
}
