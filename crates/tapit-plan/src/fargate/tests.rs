//! The table of sizes against AWS's words for it, and differences as text.

use std::collections::BTreeSet;

use tapit_model::{
    AppName, Change, CpuMillis, Digest, EngineKind, ImageRef, ImageSource, MemoryMib, PinnedImage, Port, ProcessName,
    ProcessPatch, Request, Size, Timestamp, Words, World,
};

use super::{DiffInputs, Fit, TaskSize, diff, faults, fit};
use crate::app::{Grounds, admit};

fn size(cpu_millis: u64, mib: u64) -> Size {
    Size { cpu: CpuMillis::from_millis(cpu_millis), memory: MemoryMib::from_mib(mib) }
}

/// Every legal pair, as AWS's table lists them: units of cpu, and MiB.
fn legal() -> BTreeSet<(u32, u64)> {
    let every = |cpu, from: u64, to: u64, step: usize| (from..=to).step_by(step).map(move |mib| (cpu, mib));
    let mut pairs = BTreeSet::from([(256, 512), (256, 1024), (256, 2048)]);
    pairs.extend(every(512, 1024, 4096, 1024));
    pairs.extend(every(1024, 2048, 8192, 1024));
    pairs.extend(every(2048, 4096, 16_384, 1024));
    pairs.extend(every(4096, 8192, 30_720, 1024));
    pairs.extend(every(8192, 16_384, 61_440, 4096));
    pairs.extend(every(16_384, 32_768, 122_880, 8192));
    pairs
}

/// What can be asked for: in steps that hit every legal pair and miss it on both sides.
fn asked() -> impl Iterator<Item = Size> {
    let cpus = [10, 249, 250, 251, 500, 999, 1000, 1500, 2000, 4000, 4001, 8000, 12_000, 16_000, 16_001, 256_000];
    cpus.into_iter().flat_map(|cpu| (16..=131_072).step_by(16).map(move |mib| size(cpu, mib)))
}

#[test]
fn exactly_the_sizes_of_the_table_fit() {
    let fitting = asked().filter_map(|size| match fit(size) {
        Fit::Exact(TaskSize { cpu_units, memory_mib }) => Some((cpu_units, memory_mib)),
        Fit::Nearest { .. } => None,
    });
    assert_eq!(fitting.collect::<BTreeSet<_>>(), legal());
}

#[test]
fn the_nearest_sizes_are_legal_and_nothing_legal_lies_between() {
    let sizes: Vec<Size> = legal().into_iter().map(|(cpu, mib)| size(u64::from(cpu) * 1000 / 1024, mib)).collect();
    let within = |a: Size, b: Size| a.cpu <= b.cpu && a.memory <= b.memory;
    for asked in asked() {
        let Fit::Nearest { larger, smaller } = fit(asked) else { continue };
        assert_eq!(larger.is_some(), sizes.iter().any(|legal| within(asked, *legal)), "{asked:?}");
        assert_eq!(smaller.is_some(), sizes.iter().any(|legal| within(*legal, asked)), "{asked:?}");
        for near in larger.into_iter().chain(smaller) {
            assert!(sizes.contains(&near), "{asked:?}: {near:?}");
        }
        let between = |legal: &&Size| match (larger, smaller) {
            (Some(larger), _) if within(asked, **legal) => !within(larger, **legal),
            (_, Some(smaller)) if within(**legal, asked) => **legal != smaller && within(smaller, **legal),
            (Some(_) | None, Some(_) | None) => false,
        };
        assert_eq!(sizes.iter().find(between), None, "{asked:?}: {larger:?} {smaller:?}");
    }
}

#[test]
fn what_is_too_large_or_too_small_is_told_the_one_size_that_is_near() {
    let check = |cpu, mib, end: &str| {
        let text = super::size::fault(size(cpu, mib)).expect("illegal");
        assert!(text.ends_with(&format!("is no size that Fargate has; {end}")), "{text}");
    };
    check(10, 16, "the nearest is cpu=0.25 memory=0.5");
    check(64_000, 1 << 20, "the nearest is cpu=16 memory=120");
    check(256_000, 16, "the sizes go from cpu=0.25 memory=0.5 to cpu=16 memory=120");
    assert_eq!(super::size::fault(size(16_000, 122_880)), None);
}

#[test]
fn the_default_configuration_can_run() {
    assert_eq!(faults(&tapit_model::ProcessSpec::default()), Vec::<String>::new());
}

/// A world after these lines of words, each a process of the app `shop`; images are pinned, with these ports exposed.
fn world(lines: &[&str], exposed: &[u16]) -> World {
    let mut world = World::default();
    let app = AppName::parse("shop").expect("legal");
    let image = ImageRef::parse("shop:v1").ok();
    let mut requests = vec![Request::CreateApp { app: app.clone(), image, patch: ProcessPatch::default() }];
    for line in lines {
        let mut words: Words = line.split(' ').filter_map(|word| word.split_once('=')).map(owned).collect();
        let process = ProcessName::parse(&words.remove("name").expect("a name")).expect("legal");
        let patch = ProcessPatch::parse(&words, true).expect("legal");
        requests.push(Request::CreateProcess { app: app.clone(), process, patch });
    }
    for request in requests {
        let grounds = Grounds { world: &world, observed: &[], engine: EngineKind::Embedded, now: Timestamp(0) };
        let admission = admit(&grounds, &request).expect("admitted");
        admission.changes.iter().for_each(|change| world.apply(change));
    }
    let exposed: Vec<Port> = exposed.iter().filter_map(|port| Port::new(*port)).collect();
    let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal");
    for mut generation in world.generations.clone().into_values() {
        if let ImageSource::Named(reference) = generation.template.image.clone() {
            let image = PinnedImage { reference, digest: digest.clone(), exposed: exposed.clone() };
            generation.template.image = ImageSource::Pinned(image);
        }
        world.apply(&Change::PutGeneration(generation));
    }
    world
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// `process what: here -> there`, one per line.
fn text(world: &World, here: EngineKind, there: EngineKind) -> String {
    let app = AppName::parse("shop").expect("legal");
    let local = BTreeSet::from([ImageRef::parse("held:v1").expect("legal")]);
    let mut rows = diff(&DiffInputs { world, app: &app, local: &local, here, there });
    let inside = rows.extract_if(.., |row| row.what == "exec, top").count();
    assert_eq!(inside, if here == there { 0 } else { world.processes.len() }, "{rows:?}");
    assert!(rows.iter().all(|row| !row.note.is_empty()), "{rows:?}");
    rows.iter().map(|row| format!("{} {}: {} -> {}\n", row.process, row.what, row.here, row.there)).collect()
}

/// How `default` and one more process differ on ECS; `default` is the same in most tests.
#[track_caller]
fn check(line: &str, exposed: &[u16], expected: &[&str]) {
    let world = world(&[line], exposed);
    let told = text(&world, EngineKind::Embedded, EngineKind::Ecs);
    let told: Vec<_> = told.lines().filter(|told| !told.starts_with("default ")).collect();
    assert_eq!(told, expected, "{line}");
}

#[test]
fn a_public_process_is_checked_and_reached_through_a_load_balancer() {
    let expected = "default resize: in place, or rolling -> rolling\n\
                    default health: tcp on 3000 -> http / on 3000, any answer\n\
                    default address: the server's own router -> a load balancer\n\
                    default names: http://default:3000 -> none\n";
    assert_eq!(text(&world(&[], &[3000]), EngineKind::Embedded, EngineKind::Ecs), expected);
}

#[test]
fn the_other_way_round_the_columns_change_places() {
    let told = text(&world(&["name=work memory=0.1"], &[]), EngineKind::Ecs, EngineKind::Embedded);
    assert!(told.contains("work size: cpu=0.25 memory=0.5 -> cpu=0.25 memory=0.0996\n"), "{told}");
    assert!(told.contains("default resize: rolling -> in place, or rolling\n"), "{told}");
}

#[test]
fn an_engine_does_not_differ_from_itself() {
    let world = world(&["name=work memory=0.1 userns=false"], &[]);
    for kind in EngineKind::ALL {
        assert_eq!(text(&world, kind, kind), "");
    }
}

#[test]
fn a_worker_is_replaced_more_slowly_there() {
    let expected = ["work resize: in place, or rolling -> rolling", "work rollout: has run for 2s -> has run for 40s"];
    check("name=work port=none command=work", &[], &expected);
    check("name=work command=work", &[], &expected);
    check("name=work port=none command=work min_healthy_time=40s", &[], &expected[..1]);
}

#[test]
fn a_process_within_the_app_is_neither_asked_nor_named_there() {
    let expected = [
        "api resize: in place, or rolling -> rolling",
        "api health: http /up on 9000 -> has run for 5s",
        "api rollout: http /up on 9000 -> has run for 40s",
        "api names: http://api:9000 -> none",
    ];
    check("name=api port=9000 health_path=/up min_healthy_time=5s", &[], &expected);
}

#[test]
fn a_long_drain_of_a_public_process_ends_with_the_notice() {
    let world = world(&["name=default port=80 health_path=/up drain_timeout=300s"], &[]);
    let told = text(&world, EngineKind::Embedded, EngineKind::Ecs);
    assert!(told.contains("default drain_timeout: 300s -> below 120s\n"), "{told}");
    assert!(!told.contains("default health"), "a load balancer asks for the same path: {told}");
}

#[test]
fn everything_that_a_task_cannot_have_is_told_with_what_it_can() {
    let expected = [
        "work size: cpu=0.3 memory=0.75 -> cpu=0.5 memory=1",
        "work resize: in place, or rolling -> rolling",
        "work spot_count: memory that this machine has to spare -> Fargate Spot",
        "work image: held:v1, as it is held -> pushed to the app's repository in ECR first",
        "work rollout: has run for 2s -> has run for 40s",
        "work stop_timeout: 600s -> 120s",
        "work userns: false -> true",
        "work cap_add: NET_ADMIN,SYS_PTRACE -> SYS_PTRACE",
    ];
    let line = "name=work image=held:v1 memory=0.75 cpu=0.3 spot=2 port=none stop_timeout=600s userns=false \
                cap_add=NET_ADMIN,SYS_PTRACE";
    check(line, &[], &expected);
}

#[test]
fn a_size_beyond_the_table_has_no_counterpart() {
    let told = text(&world(&["name=work memory=500"], &[]), EngineKind::Embedded, EngineKind::Ecs);
    assert!(told.contains("work size: cpu=0.25 memory=500 -> none\n"), "{told}");
}
