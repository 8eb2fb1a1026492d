//! Targets: what is ordered now, what is fetched, and what stands in meanwhile.

use super::*;

/// Plans once and compares the orders, the images to fetch and the obstacles.
fn check(bench: &mut Bench, expected: &[&str]) {
    let plan = bench.plan();
    assert_eq!(lines(&plan), expected);
}

pub(super) fn lines(plan: &AppPlan) -> Vec<String> {
    let order = |target: &ProcessTarget| {
        let name = &target.key.process;
        match &target.presence {
            Presence::Absent(_) => format!("{name} r{} absent", target.revision.0),
            Presence::Present(f) => format!(
                "{name} r{} g{} {}+{} {} {}",
                target.revision.0, f.generation, f.demand, f.spot, f.image.reference, f.size.memory
            ),
        }
    };
    let prepare = plan.prepare.iter().map(|p| format!("prepare {} g{} {}", p.key.process, p.generation, p.image));
    let blocked = plan.blocked.iter().flat_map(|(key, list)| {
        list.iter().map(|b| format!("{} {} {}+{}: {}", key.process, b.code.as_str(), b.demand, b.spot, b.text))
    });
    plan.targets.iter().map(order).chain(prepare).chain(blocked).collect()
}

#[test]
fn a_process_without_an_image_waits_for_one() {
    let mut bench = Bench::default();
    bench.run("create app shop demand=2 spot=1");
    check(
        &mut bench,
        &["default no_image 2+1: no image known yet; name one with `tapit -a shop set app image=NAME:TAG`"],
    );
    assert_eq!(bench.rollout("default"), "Create 0>1 running");
}

#[test]
fn a_named_image_is_fetched_pinned_and_then_ordered() {
    let mut bench = Bench::default();
    bench.run("create app shop image=shop:v1");
    let plan = bench.plan();
    assert_eq!(lines(&plan), ["prepare default g1 shop:v1", "default resolving 1+0: shop:v1 is being looked up"]);
    bench.images.insert(plan.prepare[0].image.clone(), ImageProgress::Asked);
    check(&mut bench, &["default resolving 1+0: shop:v1 is being looked up"]);
    bench.images.insert(plan.prepare[0].image.clone(), ImageProgress::Preparing);
    check(&mut bench, &["default pulling 1+0: shop:v1 is being fetched"]);
    assert_eq!(kinds(&bench.pin(&plan, &[3000])), "ImagePinned: generation 1 runs shop:v1 as aaaaaaaaaaaa\n");
    check(&mut bench, &["default r2 g1 1+0 shop:v1 0.5"]);
    assert_eq!(bench.pin(&plan, &[3000]), [], "it is pinned already");
}

#[test]
fn a_public_process_that_listens_nowhere_waits_for_no_route() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1", "set process name=default port=none"]);
    let plan = bench.plan();
    let Presence::Present(formation) = &plan.targets[0].presence else { panic!("present") };
    assert!(!formation.public);
}

#[test]
fn the_formation_says_all_that_an_engine_must_know() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1 command='serve it' stop_timeout=5"]);
    let plan = bench.plan();
    let Presence::Present(formation) = &plan.targets[0].presence else { panic!("present") };
    assert_eq!((formation.port.get(), formation.public, formation.version.as_str()), (3000, true, "v1"));
    assert_eq!(formation.command.as_ref().map(CommandLine::typed), Some("serve it"));
    assert_eq!(formation.lifecycle.stop_timeout.0, 5);
}

#[test]
fn an_image_by_digest_has_the_digest_as_its_version() {
    let image = format!("shop@{}", digest('b'));
    let mut bench = Bench::settled(&[&format!("create app shop image={image}")]);
    let plan = bench.plan();
    let Presence::Present(formation) = &plan.targets[0].presence else { panic!("present") };
    assert_eq!(formation.version, "aaaaaaaaaaaa");
}

#[test]
fn what_serves_goes_on_with_the_new_counts_while_an_image_is_fetched() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1", "create process name=default demand=2"]);
    bench.run("set process name=default image=shop:v2 demand=5");
    let plan = bench.plan();
    assert_eq!(
        lines(&plan),
        [
            "default r5 g1 5+0 shop:v1 0.5",
            "prepare default g2 shop:v2",
            "default resolving 5+0: shop:v2 is being looked up",
        ]
    );
    bench.pin(&plan, &[]);
    check(&mut bench, &["default r6 g2 5+0 shop:v2 0.5"]);
}

#[test]
fn every_target_has_a_revision_of_its_own() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    let mut orders: Vec<ProcessTarget> = Vec::new();
    let lines = [
        "set process name=default image=shop:v2",
        "set process name=default demand=4",
        "set process name=default disabled=true",
        "set process name=default disabled=false",
        "restart process name=default",
        "set process name=default memory=2",
        "delete process name=default",
    ];
    for line in lines {
        bench.run(line);
        for _ in 0..3 {
            let plan = bench.plan();
            for target in &plan.targets {
                let last = orders.last();
                if last != Some(target) {
                    assert!(last.is_none_or(|last| last.revision < target.revision), "{line}: {last:?} {target:?}");
                    orders.push(target.clone());
                }
            }
            // Each image arrives one line late.
            let late = bench.plan();
            bench.obey(&plan.targets);
            if line.contains("false") || line.contains("restart") {
                bench.pin(&late, &[]);
            }
        }
    }
    assert!(orders.len() > lines.len(), "{orders:?}");
}

#[test]
fn an_image_that_cannot_be_had_is_tried_again_until_there_is_no_hope() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    bench.run("set app image=shop:v2");
    let image = ImageRef::parse("shop:v2").expect("legal");
    let failed = |for_good, attempts| ImageProgress::Failed { text: "no route".to_owned(), for_good, attempts };
    bench.images.insert(image.clone(), failed(false, 2));
    check(
        &mut bench,
        &[
            "default r3 g1 1+0 shop:v1 0.5",
            "default pulling 1+0: shop:v2 could not be had at attempt 2 and is tried again: no route",
        ],
    );
    assert_eq!(bench.rollout("default"), "Update 1>2 running");
    bench.images.insert(image, failed(false, 3));
    bench.plan();
    assert_eq!(bench.rollout("default"), "Update 1>2 rolled_back (shop:v2 could not be had: no route)");
    check(&mut bench, &["default r5 g1 1+0 shop:v1 0.5"]);
}

#[test]
fn a_disabled_process_is_ordered_to_run_nothing() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    bench.run("set process name=default disabled=true image=shop:v2");
    check(&mut bench, &["default r4 g1 0+0 shop:v1 0.5"]);
    let mut fresh = Bench::default();
    fresh.run("create app shop image=shop:v1");
    fresh.run("set process name=default disabled=true");
    check(&mut fresh, &[]);
}

#[test]
fn a_deleted_process_is_ordered_away_until_nothing_is_left() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    bench.run("delete process name=default");
    check(&mut bench, &["default r4 absent"]);
    let stale = bench.look("default", Vec::new());
    stale.revision = Revision(2);
    check(&mut bench, &["default r4 absent"]);
    bench.look("default", vec![instance("default.1", 1, InstanceState::Stopping)]);
    check(&mut bench, &["default r4 absent"]);
    bench.look("default", vec![instance("default.1", 1, InstanceState::Stopped)]);
    let plan = bench.plan();
    assert_eq!(changes(&plan.changes), "remove process default\n");
    assert_eq!(kinds(&plan.events), "ProcessDeleted: process default is gone\n");
}

#[test]
fn the_app_goes_after_its_processes() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    bench.run("delete app");
    bench.observed.clear();
    let plan = bench.plan();
    assert_eq!(lines(&plan), ["default r4 absent"]);
    assert_eq!(changes(&plan.changes), "remove process default\n");
    let plan = bench.plan();
    assert_eq!(changes(&plan.changes), "remove app shop\n");
    assert_eq!(plan.route.map(|route| route.closed), Some(Some("app shop is being deleted".to_owned())));
    assert_eq!(bench.plan(), AppPlan::default());
}

#[test]
fn what_the_engine_waits_for_is_told_too() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    bench.look("default", Vec::new()).blocked.push(no_room(1, 0));
    check(&mut bench, &["default r2 g1 1+0 shop:v1 0.5", "default capacity 1+0: 512 MB more are needed"]);
}
