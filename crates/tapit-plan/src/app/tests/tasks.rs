//! `create task` and `stop task`: what they change, say and refuse, and what other requests do to tasks.

use super::*;
use tapit_model::{Assign, Process};

const SHOP: &[&str] = &["create app shop image=shop:v1"];
const MIGRATE: &str = "create task 'python manage.py migrate'";

/// The last line makes these changes after the lines.
#[track_caller]
fn check(bench: &Bench, last: &str, expected: &[&str]) {
    let expected: String = expected.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(changes(&bench.ask(last).expect(last).changes), expected, "{last}");
}

#[test]
fn a_task_is_one_process_with_one_generation_and_no_rollout() {
    let bench = Bench::settled(SHOP);
    check(&bench, MIGRATE, &["process task-1 r2 g1 runs 0, a task", "generation 1 shop:v1 0.5/0.25"]);
    let admission = bench.ask(MIGRATE).expect("admitted");
    assert_eq!(admission.message, "create task 1 of app shop: python manage.py migrate");
    assert_eq!(admission.inverse.as_deref(), Some("tapit -a shop stop task id=1"));
    assert_eq!((admission.revision, admission.notes), (Revision(2), Vec::new()));
    let told = kinds(&admission.events);
    assert_eq!(told, "TaskCreated: created with memory=0.5 cpu=0.25 to run python manage.py migrate\n");
    assert_eq!(admission.events[0].process.as_ref().map(ProcessName::as_str), Some("task-1"));
}

#[test]
fn a_task_takes_the_keys_that_mean_something_to_a_command() {
    let mut bench = Bench::settled(SHOP);
    let line =
        "create task 'sh -c \"a | b\"' image=tools:v2 memory=2 cpu=1 stop_timeout=5 userns=false cap_add=NET_RAW";
    let admission = bench.run(line);
    assert_eq!(
        changes(&admission.changes),
        "process task-1 r2 g1 runs 0, a task\ngeneration 1 tools:v2 2/1\n",
        "the image is its own"
    );
    let told = kinds(&admission.events);
    let loosened: Vec<_> = told.lines().filter(|line| line.starts_with("ConfinementLoosened")).collect();
    let expected = [
        "ConfinementLoosened: process task-1 runs without a user namespace: root inside is root on this machine",
        "ConfinementLoosened: process task-1 is given NET_RAW beyond the default",
    ];
    assert_eq!(loosened, expected);
    let template = &bench.world.generations[&(key("task-1"), 1)].template;
    assert_eq!(template.lifecycle.stop_timeout.0, 5);
    assert_eq!(
        template.command.as_ref().map(CommandLine::argv),
        Some(["sh", "-c", "a | b"].map(str::to_owned).as_slice())
    );
}

#[test]
fn keys_of_what_serves_are_refused() {
    let bench = Bench::settled(SHOP);
    let expected = "Usage: a task runs once and serves nobody: the keys that it takes are memory, cpu, image, stop_timeout, \
                    userns, cap_add";
    for word in [
        "demand=2",
        "spot=1",
        "spot_fallback=5m",
        "port=9000",
        "port=none",
        "health_path=/up",
        "health_timeout=5",
        "min_healthy_time=1",
        "drain_timeout=5",
    ] {
        assert_eq!(bench.refusal(&format!("create task migrate {word}")), expected, "{word}");
    }
    // `ProcessPatch::parse` lets nobody disable what is created, but not every request comes from there.
    let command = CommandLine::parse("migrate").map(Assign::To).ok();
    let patch = ProcessPatch { command, disabled: Some(true), ..ProcessPatch::default() };
    let request = Request::CreateTask { app: AppName::parse("shop").expect("legal"), patch };
    let grounds = Grounds { world: &bench.world, observed: &[], engine: EngineKind::Embedded, now: NOW };
    assert!(admit(&grounds, &request).is_err());
}

#[test]
fn a_task_needs_a_command_and_an_image() {
    let bench = Bench::settled(SHOP);
    for line in ["create task", "create task memory=2", "create task command="] {
        let expected = "Usage: a task needs its command, as in `tapit -a shop create task 'python manage.py migrate'`";
        assert_eq!(bench.refusal(line), expected, "{line}");
    }
    let bare = Bench::settled(&["create app shop"]);
    let text = bare.refusal("create task migrate");
    assert!(
        text.starts_with("Conflict: app shop has no image that a task could run in; give image=NAME:TAG"),
        "{text}"
    );
    assert!(text.ends_with("`tapit -a shop set app image=NAME:TAG`"), "{text}");
    assert!(bare.ask("create task migrate image=tools:v1").is_ok());
}

#[test]
fn an_app_that_goes_or_is_unknown_gets_no_task() {
    let mut bench = Bench::settled(SHOP);
    let unknown = "NotFound: there is no app shoop; did you mean shop? the apps are shop";
    assert_eq!(bench.refusal("-a shoop create task migrate"), unknown);
    assert_eq!(bench.refusal("-a shoop stop task id=1"), unknown);
    bench.run("delete app");
    let going = "Conflict: app shop is being deleted; try again when it is gone";
    assert_eq!(bench.refusal("create task migrate"), going);
}

#[test]
fn what_fargate_does_not_have_is_refused_on_ecs() {
    let mut bench = Bench::settled(SHOP);
    bench.engine = EngineKind::Ecs;
    for (words, part) in [
        ("memory=4", "the nearest are cpu=0.5 memory=4, cpu=0.25 memory=2"),
        ("stop_timeout=121s", "give 2 to 120 seconds"),
        ("userns=false", "userns=false is not possible on Fargate"),
        ("cap_add=NET_ADMIN", "SYS_PTRACE alone"),
    ] {
        let text = bench.refusal(&format!("create task migrate {words}"));
        assert!(text.starts_with("Usage: ") && text.contains(part), "{words}: {text}");
    }
    assert!(bench.ask("create task migrate memory=4 cpu=1").is_ok());
}

#[test]
fn no_number_is_given_twice() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1", "-a blog create app image=blog:v1"]);
    for (line, id) in [("create task a", 1), ("-a blog create task b", 2), ("create task c", 3)] {
        assert!(bench.run(line).message.starts_with(&format!("create task {id} of app ")), "{line}");
    }
    bench.run("delete app");
    bench.observed.clear();
    bench.plan();
    bench.plan();
    assert!(!bench.world.apps.contains_key(&key("default").app));
    bench.run(SHOP[0]);
    assert_eq!(bench.run("create task d").message, "create task 4 of app shop: d");
}

#[test]
fn names_that_processes_had_before_there_were_tasks_are_stepped_over() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1", "create process name=api"]);
    for (name, gone) in [("task-1", false), ("task-2", true)] {
        let old = Process { key: key(name), ..bench.world.processes[&key("api")].clone() };
        bench.world.apply(&Change::PutProcess(old));
        if gone {
            bench.world.apply(&Change::RemoveProcess(key(name)));
        }
    }
    assert_eq!(bench.run("create task migrate").message, "create task 3 of app shop: migrate");
    assert!(bench.ask("set process name=task-1 demand=2").is_ok(), "it is a process as any other");
}

#[test]
fn names_of_tasks_are_kept_for_them() {
    let bench = Bench::settled(SHOP);
    let expected = "Usage: names like task-3 are kept for one-off tasks; give the process another one, or see `tapit -a shop \
                    show task id=3`";
    assert_eq!(bench.refusal("create process name=task-3"), expected);
    for name in ["task", "task-x", "task-03", "mytask-3"] {
        assert!(bench.ask(&format!("create process name={name}")).is_ok(), "{name}");
    }
}

#[test]
fn a_task_stays_as_it_was_made() {
    let bench = Bench::settled(&[SHOP[0], MIGRATE]);
    for line in [
        "set process name=task-1 memory=2",
        "set process name=task-1",
        "restart process name=task-1",
        "delete process name=task-1",
    ] {
        let expected = "Conflict: task-1 is a one-off task, which stays as it was made; `tapit -a shop show task id=1` shows \
                        it, `tapit -a shop stop task id=1` ends it";
        assert_eq!(bench.refusal(line), expected, "{line}");
    }
    let expected = "NotFound: app shop has no process task-2; its processes are default";
    assert_eq!(bench.refusal("restart process name=task-2"), expected, "a task is none of its processes");
}

#[test]
fn a_new_image_of_the_app_leaves_its_tasks_alone() {
    let bench = Bench::settled(&[SHOP[0], MIGRATE]);
    check(
        &bench,
        "set app image=shop:v2",
        &[
            "app shop image shop:v2",
            "process default r4 g2 runs 1 unconfigured",
            "generation 2 shop:v2 0.5/0.25",
            "rollout #2 Update 1>2 running",
        ],
    );
    check(&bench, "set app image=", &["app shop image none"]);
}

#[test]
fn an_app_takes_its_tasks_along() {
    let mut bench = Bench::settled(&[SHOP[0], MIGRATE]);
    let admission = bench.run("delete app");
    assert_eq!(
        changes(&admission.changes),
        "app shop image shop:v1 deleting\nprocess default r4 g1 runs 1 unconfigured deleting\n\
         process task-1 r4 g1 runs 0 deleting, a task\n"
    );
    let message = "delete app shop with 1 processes: 2 live instances drain and stop, then it is gone";
    assert_eq!(admission.message, message);
    let told = "AppDeleted: app shop is being deleted\nProcessDeleted: process default is being deleted\n";
    assert_eq!(kinds(&admission.events), told);
    check(&bench, "stop task id=1", &[]);
    bench.look("default", Vec::new());
    bench.look("task-1", vec![instance("task-1.1", 1, InstanceState::Stopping)]);
    assert_eq!(changes(&bench.plan().changes), "remove process default\n");
    assert_eq!(bench.plan().changes, [], "the app stays as long as its task");
    bench.look("task-1", vec![instance("task-1.1", 1, InstanceState::Stopped)]);
    let plan = bench.plan();
    assert_eq!((changes(&plan.changes), kinds(&plan.events)), ("remove process task-1\n".to_owned(), String::new()));
    assert_eq!(changes(&bench.plan().changes), "remove app shop\n");
    assert!(bench.world.generations.is_empty());
    assert!(!bench.world.marks.contains_key(&key("task-1")) && bench.world.marks.contains_key(&key("default")));
}

#[test]
fn stopping_a_task_orders_it_to_run_nothing() {
    let mut bench = Bench::settled(&[SHOP[0], MIGRATE]);
    let admission = bench.run("stop task id=1");
    assert_eq!(changes(&admission.changes), "process task-1 r4 g1 runs 0 disabled, a task\n");
    let message = "stop task 1 of app shop: it gets SIGTERM, and SIGKILL when it does not end in time";
    assert_eq!(admission.message, message);
    assert_eq!(kinds(&admission.events), "TaskStopping: asked to stop\n");
    assert_eq!((admission.inverse, admission.notes, admission.revision), (None, Vec::new(), Revision(4)));
    let again = bench.ask("stop task id=1").expect("admitted");
    assert_eq!((again.changes, again.events, again.revision), (Vec::new(), Vec::new(), Revision(4)));
    assert_eq!(again.message, "nothing to change: task 1 of app shop is stopping already");
}

#[test]
fn an_unknown_task_is_told_with_those_that_are_remembered() {
    let mut bench = Bench::settled(&[SHOP[0], "-a blog create app image=blog:v1"]);
    let none = "NotFound: app shop has no task 7; it remembers none; make one with `tapit -a shop create task 'CMD'`";
    assert_eq!(bench.refusal("stop task id=7"), none);
    for line in ["create task a", "-a blog create task b", "create task c"] {
        bench.run(line);
    }
    assert_eq!(bench.refusal("stop task id=7"), "NotFound: app shop has no task 7; it remembers 1, 3");
    assert_eq!(bench.refusal("stop task id=2"), "NotFound: app shop has no task 2; it remembers 1, 3", "it is blog's");
}
