//! `create`, `set`, `restart` and `delete`: what they change, say and refuse.

use super::*;
use tapit_model::Assign;

/// After the lines, with every rollout done, the last line makes these changes.
fn check(lines: &[&str], last: &str, expected: &[&str]) {
    let bench = Bench::settled(lines);
    let admission = bench.ask(last).expect(last);
    let expected: String = expected.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(changes(&admission.changes), expected, "{last}");
    assert_eq!(admission.changes.is_empty(), admission.message.starts_with("nothing to change"), "{last}");
}

const SHOP: &[&str] = &["create app shop image=shop:v1"];
const API: &[&str] = &["create app shop image=shop:v1", "create process name=api demand=3"];

#[test]
fn creating_an_app_makes_its_public_process() {
    let expected = [
        "app shop image shop:v1",
        "process default r2 g1 runs 0 unconfigured",
        "generation 1 shop:v1 0.5/0.25",
        "rollout #1 Create 0>1 running",
    ];
    check(&[], "create app shop image=shop:v1", &expected);
    let admission = Bench::default().ask("create app shop memory=2 demand=3").expect("admitted");
    assert_eq!(
        admission.message,
        "create app shop and its process default with memory=2 cpu=0.25 demand_count=3 spot_count=0"
    );
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop delete app"));
    assert_eq!(admission.revision, Revision(2));
    assert!(changes(&admission.changes).contains("process default r2 g1 runs 0\n"), "it was configured with words");
    assert!(admission.notes[0].starts_with("no image known yet: name one with"), "{:?}", admission.notes);
}

#[test]
fn creating_a_process_starts_its_first_rollout() {
    check(
        SHOP,
        "create process name=api memory=2 image=a:b",
        &["process api r2 g1 runs 0", "generation 1 a:b 2/0.25", "rollout #2 Create 0>1 running"],
    );
    let admission = Bench::settled(SHOP).ask("create process name=w command='python worker.py' spot=2").expect("ok");
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop delete process name=w"));
    assert_eq!(
        admission.message,
        "create process w of app shop with memory=0.5 cpu=0.25 demand_count=1 spot_count=2 command='python worker.py'"
    );
}

#[test]
fn the_first_create_of_default_configures_it() {
    let bench = Bench::settled(SHOP);
    let same = bench.ask("create process name=default").expect("admitted");
    assert_eq!(changes(&same.changes), "process default r2 g1 runs 1\n");
    assert!(same.message.contains("nothing differs, no rollout"), "{}", same.message);
    let counts = bench.ask("create process name=default demand=3").expect("admitted");
    assert_eq!(changes(&counts.changes), "process default r4 g1 runs 1\n");
    assert_eq!(counts.inverse.as_deref(), Some("tapit -a shop set process name=default demand_count=1"));
    check(
        SHOP,
        "create process name=default command=serve",
        &["process default r4 g2 runs 1", "generation 2 shop:v1 0.5/0.25", "rollout #2 Update 1>2 running"],
    );
}

#[test]
fn what_exists_already_is_refused_and_unchanged() {
    let mut bench = Bench::settled(API);
    bench.run("create process name=default");
    assert!(bench.refusal("create process name=default").starts_with("Conflict: process default of app shop exists"));
    let text = bench.refusal("create process name=api");
    assert!(text.contains("`tapit -a shop set process name=api key=value ...`"), "{text}");
    assert!(bench.refusal("create app shop").starts_with("Conflict: app shop exists already"));
}

#[test]
fn unknown_names_list_the_known_ones_and_the_nearest() {
    let bench = Bench::settled(API);
    for line in ["set process name=apy demand=1", "restart process name=apy", "delete process name=apy"] {
        let text = bench.refusal(line);
        let expected = "NotFound: app shop has no process apy; did you mean api? its processes are api, default";
        assert_eq!(text, expected, "{line}");
    }
    for line in ["-a shoop create process name=x", "-a shoop set app image=a", "-a shoop delete app"] {
        let expected = "NotFound: there is no app shoop; did you mean shop? the apps are shop";
        assert_eq!(bench.refusal(line), expected, "{line}");
    }
    assert!(Bench::default().refusal("delete app").contains("make one with `tapit create app shop`"));
}

#[test]
fn a_count_changes_nothing_but_the_count() {
    check(API, "set process name=api demand=5", &["process api r4 g1 runs 1"]);
    check(API, "set process name=api spot=+2", &["process api r4 g1 runs 1"]);
    let admission = Bench::settled(API).ask("set process name=api demand_count=+2 spot=1").expect("admitted");
    let undo = "tapit -a shop set process name=api demand_count=3 spot_count=0";
    assert_eq!(admission.inverse.as_deref(), Some(undo));
    assert_eq!(
        admission.message,
        "set demand_count=5 spot_count=1 of process api of app shop: only missing or surplus instances start or stop"
    );
}

#[test]
fn a_value_already_present_changes_nothing() {
    for line in ["set process name=api demand=3", "set process name=api demand=+0 memory=512M", "set app image=shop:v1"]
    {
        check(API, line, &[]);
    }
    check(API, "set process name=api memory=0.5 resize=rolling", &[]);
}

#[test]
fn setting_nothing_is_a_usage_error() {
    let bench = Bench::settled(API);
    assert!(bench.refusal("set process name=api").starts_with("Usage: nothing to set; give key=value with one of mem"));
    assert!(bench.refusal("set process name=api resize=rolling").starts_with("Usage: resize says how"));
    assert!(bench.refusal("set app").starts_with("Usage: nothing to set; give image="));
    assert!(bench.refusal("set process name=api demand=-4").starts_with("Usage: demand_count=-4"));
}

#[test]
fn sizes_and_time_outs_are_changed_in_place() {
    for (line, size) in [
        ("set process name=api memory=2", "2/0.25"),
        ("set process name=api cpu=1 demand=4", "0.5/1"),
        ("set process name=api stop_timeout=5", "0.5/0.25"),
        ("set process name=api health_timeout=5 min_healthy_time=1", "0.5/0.25"),
    ] {
        let generation = format!("generation 1 shop:v1 pinned {size}");
        check(API, line, &["process api r4 g1 runs 1", &generation]);
    }
}

#[test]
fn what_containers_are_made_from_needs_a_rollout() {
    for keys in
        ["command=x", "port=9000", "port=none", "health_path=/up", "memory=2 command=x", "userns=no", "cap_add=net_raw"]
    {
        let bench = Bench::settled(API);
        let admission = bench.ask(&format!("set process name=api {keys}")).expect(keys);
        let text = changes(&admission.changes);
        assert!(text.starts_with("process api r4 g2 runs 1\ngeneration 2 shop:v1 "), "{keys}: {text}");
        assert!(text.ends_with("rollout #3 Update 1>2 running\n"), "{keys}: {text}");
    }
    check(
        API,
        "set process name=api memory=2 resize=rolling",
        &["process api r4 g2 runs 1", "generation 2 shop:v1 2/0.25", "rollout #3 Resize 1>2 running"],
    );
}

#[test]
fn each_loosening_of_confinement_is_told_once_and_undone_by_its_inverse() {
    let mut bench = Bench::settled(API);
    let admission = bench.run("set process name=api userns=false cap_add=NET_RAW,NET_ADMIN");
    let told = |events: &[tapit_model::Event]| {
        let all = kinds(events);
        all.lines().filter(|line| line.starts_with("ConfinementLoosened")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&admission.events),
        [
            "ConfinementLoosened: process api runs without a user namespace: root inside is root on this machine",
            "ConfinementLoosened: process api is given NET_ADMIN beyond the default",
            "ConfinementLoosened: process api is given NET_RAW beyond the default",
        ]
    );
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop set process name=api userns=true cap_add="));
    bench.settle();
    let less = bench.run("set process name=api cap_add=NET_ADMIN");
    assert_eq!(told(&less.events), Vec::<String>::new());
    let back = "tapit -a shop set process name=api cap_add=NET_ADMIN,NET_RAW";
    assert_eq!(less.inverse.as_deref(), Some(back));
    let created = bench.run("create process name=vpn cap_add=CAP_NET_ADMIN");
    assert_eq!(told(&created.events).len(), 1);
}

#[test]
fn an_image_named_as_it_is_in_use_needs_no_rollout() {
    check(API, "set process name=api image=shop:v1", &["process api r4 g1 runs 1"]);
}

#[test]
fn the_apps_image_moves_only_the_processes_that_use_it() {
    let lines = ["create app shop image=shop:v1", "create process name=own image=own:v1", "create process name=api"];
    check(
        &lines,
        "set app image=shop:v2",
        &[
            "app shop image shop:v2",
            "process api r4 g2 runs 1",
            "generation 2 shop:v2 0.5/0.25",
            "rollout #4 Update 1>2 running",
            "process default r4 g2 runs 1 unconfigured",
            "generation 2 shop:v2 0.5/0.25",
            "rollout #5 Update 1>2 running",
        ],
    );
    let admission = Bench::settled(&lines).ask("set app image=shop:v2").expect("admitted");
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop set app image=shop:v1"));
    check(&lines, "set app image=", &["app shop image none"]);
}

#[test]
fn the_first_image_of_an_app_starts_what_waited_for_it() {
    check(
        &["create app shop"],
        "set app image=shop:v1",
        &[
            "app shop image shop:v1",
            "process default r4 g2 runs 0 unconfigured",
            "generation 2 shop:v1 0.5/0.25",
            "rollout #2 Create 0>2 running",
            "remove generation 1",
        ],
    );
}

#[test]
fn a_set_during_a_rollout_supersedes_it() {
    let mut bench = Bench::settled(API);
    bench.run("set process name=api command=x");
    let admission = bench.ask("set process name=api command=y").expect("admitted");
    assert_eq!(
        changes(&admission.changes),
        "process api r6 g3 runs 1\ngeneration 3 shop:v1 0.5/0.25\nrollout #4 Update 1>3 running\nremove generation 2\n"
    );
    assert_eq!(
        kinds(&admission.events),
        "ProcessChanged: set command=y\nRolloutSuperseded: the rollout of api to generation 2 was superseded\n\
         RolloutStarted: update rollout from generation 1 to generation 3\n"
    );
    assert_eq!(admission.notes, ["the rollout of api to generation 2 was superseded"]);
    let counts = bench.ask("set process name=api demand=4").expect("admitted");
    assert_eq!(changes(&counts.changes), "process api r6 g2 runs 1\n", "a count goes along with the rollout");
}

#[test]
fn a_restart_resolves_the_image_anew() {
    check(
        API,
        "restart process name=api",
        &["process api r4 g2 runs 1", "generation 2 shop:v1 0.5/0.25", "rollout #3 Restart 1>2 running"],
    );
    let mut bench = Bench::settled(API);
    assert!(bench.run("restart process name=api").message.contains("replaces 3 of its instances"));
    assert_eq!(bench.world.processes[&key("api")].restarted_at, Some(NOW));
    check(
        &[API[0], API[1], "set process name=api demand=0"],
        "restart process name=api",
        &["process api r6 g2 runs 1", "generation 2 shop:v1 0.5/0.25", "rollout #3 Restart 1>2 running"],
    );
}

#[test]
fn the_inverse_is_a_line_that_a_shell_reads_back() {
    let bench = Bench::settled(API);
    let admission = bench.ask("set process name=api command=x port=none memory=2 resize=rolling").expect("admitted");
    let expected = "tapit -a shop set process name=api memory=0.5 command= port= resize=rolling";
    assert_eq!(admission.inverse.as_deref(), Some(expected));
    let mut bench = Bench::settled(API);
    bench.run("set process name=api memory=0.0625 command=\"echo \\\"it's fine\\\"\"");
    let admission = bench.ask("set process name=api memory=1 command=").expect("admitted");
    let expected = r#"tapit -a shop set process name=api memory=0.0625 command='echo "it'\''s fine"'"#;
    assert_eq!(admission.inverse.as_deref(), Some(expected));
}

/// The image of a patch is the app's where an app is created.
#[test]
fn an_image_among_the_words_of_create_app_is_the_apps() {
    let image = ImageRef::parse("shop:v1").expect("legal");
    let patch = ProcessPatch { image: Some(Assign::To(image.clone())), ..ProcessPatch::default() };
    let app = AppName::parse("shop").expect("legal");
    let request = Request::CreateApp { app: app.clone(), image: None, patch };
    let grounds = Grounds { world: &World::default(), observed: &[], engine: EngineKind::Embedded, now: NOW };
    let admission = admit(&grounds, &request).expect("admitted");
    let mut world = World::default();
    admission.changes.iter().for_each(|change| world.apply(change));
    assert_eq!(world.apps[&app].image, Some(image));
    assert_eq!(world.processes[&key("default")].spec.image, None);
    assert!(!world.processes[&key("default")].configured);
}
