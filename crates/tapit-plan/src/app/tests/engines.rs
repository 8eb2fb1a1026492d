//! Admission on ECS: what Fargate cannot run is refused before anything changes, and what it cannot change is rolled out.

use super::*;

/// A world on ECS after these lines, with every rollout done.
fn on_ecs(lines: &[&str]) -> Bench {
    let mut bench = Bench { engine: EngineKind::Ecs, ..Bench::default() };
    for line in lines {
        bench.run(line);
        bench.settle();
    }
    bench
}

/// The last line is refused on ECS with a text that holds these parts, and admitted on the embedded engine.
#[track_caller]
fn refused(last: &str, parts: &[&str]) {
    let mut bench = on_ecs(API);
    let text = bench.refusal(last);
    assert!(text.starts_with("Usage: "), "{text}");
    for part in parts {
        assert!(text.contains(part), "{last}: {part:?} is not in {text:?}");
    }
    bench.engine = EngineKind::Embedded;
    assert!(bench.ask(last).is_ok(), "{last}");
}

const API: &[&str] = &["create app shop image=shop:v1", "create process name=api demand=3"];

#[test]
fn a_size_that_fargate_does_not_have_is_refused_with_the_nearest_ones() {
    let quarter =
        "0.25 vCPU with 4 GB is no size that Fargate has; the nearest are cpu=0.5 memory=4, cpu=0.25 memory=2";
    refused("set process name=api memory=4", &[quarter]);
    refused("create process name=work memory=4", &[quarter]);
    refused("create process name=default memory=4", &[quarter]);
    assert!(on_ecs(&[]).refusal("create app shop memory=4").contains(quarter));
    refused(
        "set process name=api cpu=4",
        &["4 vCPU with 0.5 GB", "the nearest are cpu=4 memory=8, cpu=0.25 memory=0.5"],
    );
    refused("create process name=work memory=0.1 cpu=0.1", &["the nearest is cpu=0.25 memory=0.5"]);
}

#[test]
fn the_pair_that_results_is_what_counts() {
    let bench = on_ecs(&["create app shop image=shop:v1", "create process name=api memory=4 cpu=1"]);
    assert!(bench.ask("set process name=api cpu=0.5").is_ok());
    assert!(bench.refusal("set process name=api cpu=0.25").contains("0.25 vCPU with 4 GB"));
    assert!(bench.ask("set process name=api cpu=0.25 memory=2").is_ok());
}

#[test]
fn a_new_size_is_rolled_out_and_in_place_is_refused() {
    let bench = on_ecs(API);
    let admission = bench.ask("set process name=api memory=1").expect("admitted");
    let expected = "process api r4 g2 runs 1\ngeneration 2 shop:v1 1/0.25\nrollout #3 Resize 1>2 running\n";
    assert_eq!(changes(&admission.changes), expected);
    assert!(admission.message.ends_with("a rolling rollout replaces every instance"), "{}", admission.message);
    let rolling = bench.ask("set process name=api memory=1 resize=rolling").expect("admitted");
    assert_eq!(changes(&rolling.changes), expected);
    refused("set process name=api memory=1 resize=in_place", &["not possible on ECS", "leave resize out"]);
}

#[test]
fn the_first_create_of_default_rolls_a_new_size_out_as_well() {
    let admission = on_ecs(&["create app shop image=shop:v1"]).ask("create process name=default memory=1").expect("ok");
    assert!(changes(&admission.changes).contains("Resize 1>2"), "{}", changes(&admission.changes));
}

#[test]
fn a_count_changes_nothing_but_the_count_and_its_undo_says_no_more() {
    let admission = on_ecs(API).ask("set process name=api demand=5").expect("admitted");
    assert_eq!(changes(&admission.changes), "process api r4 g1 runs 1\n");
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop set process name=api demand_count=3"));
}

#[test]
fn a_new_time_to_stop_needs_new_tasks_and_other_times_do_not() {
    let bench = on_ecs(API);
    let stop = bench.ask("set process name=api stop_timeout=60s").expect("admitted");
    assert!(changes(&stop.changes).contains("rollout #3 Update 1>2"), "{}", changes(&stop.changes));
    let health = bench.ask("set process name=api health_timeout=90s drain_timeout=10s").expect("admitted");
    assert_eq!(changes(&health.changes), "process api r4 g1 runs 1\ngeneration 1 shop:v1 pinned 0.5/0.25\n");
}

#[test]
fn a_process_that_was_resized_asleep_wakes_up_with_a_new_generation() {
    let mut bench = on_ecs(API);
    bench.run("set process name=api disabled=true");
    bench.run("set process name=api memory=1");
    let admission = bench.ask("set process name=api disabled=false").expect("admitted");
    assert!(changes(&admission.changes).contains("rollout #3 Enable 1>2"), "{}", changes(&admission.changes));
    let asleep = on_ecs(&[API[0], API[1], "set process name=api disabled=true"]);
    let admission = asleep.ask("set process name=api disabled=false").expect("admitted");
    assert!(changes(&admission.changes).contains("Enable 1>1"), "{}", changes(&admission.changes));
}

#[test]
fn what_a_task_cannot_be_given_is_refused_with_the_reason() {
    refused("set process name=api stop_timeout=121s", &["stop_timeout=121s", "give 2 to 120 seconds"]);
    refused("set process name=api stop_timeout=1s", &["stop_timeout=1s", "give 2 to 120 seconds"]);
    refused("create process name=work userns=false", &["userns=false is not possible on Fargate"]);
    refused("set process name=api cap_add=NET_ADMIN,SYS_PTRACE", &["cap_add=NET_ADMIN is not", "SYS_PTRACE alone"]);
    refused("set process name=api memory=4 stop_timeout=500s", &["4 GB", "; stop_timeout=500s"]);
    let bench = on_ecs(API);
    for line in ["cap_add=SYS_PTRACE", "stop_timeout=120s", "stop_timeout=2s", "demand=1000", "userns=true"] {
        assert!(bench.ask(&format!("create process name=work {line}")).is_ok(), "{line}");
    }
}

#[test]
fn what_cannot_run_there_can_be_switched_off_but_neither_restarted_nor_updated() {
    let mut bench = on_ecs(&[]);
    bench.engine = EngineKind::Embedded;
    for line in ["create app shop image=shop:v1", "create process name=api memory=4"] {
        bench.run(line);
        bench.settle();
    }
    bench.engine = EngineKind::Ecs;
    for line in ["restart process name=api", "set app image=shop:v2", "set process name=api demand=2"] {
        assert!(bench.refusal(line).contains("0.25 vCPU with 4 GB"), "{line}");
    }
    assert!(bench.refusal("set process name=api disabled=true stop_timeout=500s").contains("stop_timeout=500s"));
    bench.run("set process name=api disabled=true");
    bench.settle();
    assert!(bench.ask("set app image=shop:v2").is_ok(), "what is switched off keeps nobody from anything");
    assert!(bench.refusal("set process name=api disabled=false").contains("4 GB"));
    assert!(bench.ask("set process name=api disabled=false memory=2").is_ok());
}
