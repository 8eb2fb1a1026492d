//! Command lines that are right: what they mean.

use tapit_cli::grammar::parse;
use tapit_cli::invocation::{Action, Command, Format, Invocation, Reading};

use crate::support::{User, argv};

fn meaning(line: &str) -> Invocation {
    parse(&argv(line)).unwrap_or_else(|refusal| panic!("{line}: {}", refusal.message))
}

fn text(line: &str) -> String {
    let Invocation { common, action } = meaning(line);
    let mut text = match action {
        Action::Ask(command) => format!("{command:?}"),
        other @ (Action::Help(_)
        | Action::Version
        | Action::Completion(_)
        | Action::Complete { .. }
        | Action::Doctor(_)
        | Action::Server(_)
        | Action::Teardown { .. }) => format!("{other:?}"),
    };
    text = text.replace("AppName(", "(").replace("ProcessName(", "(");
    for (flag, on) in [("wait", common.wait), ("dry_run", common.dry_run), ("force", common.force)] {
        if on {
            text += &format!(" {flag}");
        }
    }
    if let Some(app) = common.app {
        text += &format!(" app={app}");
    }
    text
}

#[track_caller]
fn check(expected: &str, lines: &[&str]) {
    for line in lines {
        assert_eq!(text(line), expected, "{line}");
    }
}

#[test]
fn flags_may_stand_anywhere_and_in_both_forms() {
    check(
        r#"RestartProcess { name: Some(("web")) } wait app=shop"#,
        &[
            "tapit restart process name=web -a shop --wait",
            "tapit -a shop --wait restart process name=web",
            "tapit restart -w --app shop process name=web",
            "tapit restart process --app=shop web -w",
            "tapit -w restart -ashop process web",
            "tapit restart process -wa shop name=web",
            "tapit restart process name=web app=shop -w",
            "tapit restart process name=web app=shop -a shop -w -w",
            "tapit restart process web name=web app=shop -w",
            "tapit restart process name=web web app=shop -w",
            "tapit restart process -w -a shop -- web",
        ],
    );
}

#[test]
fn output_is_chosen_by_its_flag() {
    for (line, format) in [
        ("tapit list apps", None),
        ("tapit list apps -o json", Some(Format::Json)),
        ("tapit -ojson list apps", Some(Format::Json)),
        ("tapit -o=json list apps", Some(Format::Json)),
        ("tapit list --output=table apps", Some(Format::Table)),
    ] {
        assert_eq!(meaning(line).common.format, format, "{line}");
    }
}

#[test]
fn a_value_may_hold_equals_signs_blanks_and_nothing() {
    check(
        r#"SetProcess { name: Some(("w")), words: {"command": "env A=b --flag=c", "image": ""} }"#,
        &["tapit set process name=w command='env A=b --flag=c' image="],
    );
}

#[test]
fn keys_are_sent_as_they_are_typed() {
    check(
        r#"CreateProcess { name: ("api"), words: {"cpu": "500m", "demand": "2", "memory": "512M", "spot": "1"} } dry_run"#,
        &["tapit create process api memory=512M cpu=500m demand=2 spot=1 -n"],
    );
    check(r#"SetProcess { name: None, words: {"spot_count": "-1"} }"#, &["tapit set process spot_count=-1"]);
    check(r#"SetProcess { name: None, words: {"disabled": "off"} }"#, &["tapit set process disabled=off"]);
}

#[test]
fn an_app_is_named_by_its_name_or_by_the_app_flag() {
    check("ShowApp app=shop", &["tapit show app shop", "tapit show app name=shop", "tapit show app -a shop"]);
    check("ShowApp", &["tapit show app"]);
    check(
        r#"CreateApp { name: ("shop"), words: {"image": "a:b"} } app=shop"#,
        &["tapit create app shop image=a:b", "tapit create app name=shop image=a:b", "tapit create app image=a:b shop"],
    );
    check(r#"SetApp { words: {"image": ""} } app=shop"#, &["tapit set app shop image="]);
    check("DeleteApp force app=shop", &["tapit delete app shop --force", "tapit delete app shop -f"]);
}

#[test]
fn image_commands_take_their_name_in_three_forms() {
    let expected = text("tapit show image nginx:latest");
    for line in ["tapit show image nginx", "tapit show image name=nginx", "tapit show image ref=nginx"] {
        assert_eq!(text(line), expected, "{line}");
    }
    check(r#"ImportImage { source: StandardInput, name: None }"#, &["tapit import image -"]);
    check(r#"ImportImage { source: File("a=b.tar"), name: None }"#, &["tapit import image file=a=b.tar"]);
    check("PruneImages dry_run", &["tapit prune images --dry-run"]);
}

#[test]
fn f_follows_events_and_forces_deletions() {
    check("DeleteProcess { name: Some((\"w\")) } force", &["tapit delete process name=w -f"]);
    let Action::Ask(Command::Events { lines, reading, .. }) = meaning("tapit events -f lines=7").action else {
        panic!("events")
    };
    assert_eq!((lines, reading), (7, Reading::Following));
}

#[test]
fn an_interruption_takes_one_instance_unless_it_says_more() {
    check(r#"InterruptProcess { name: Some(("w")), count: 1 }"#, &["tapit interrupt process name=w"]);
    check(r#"InterruptProcess { name: Some(("w")), count: 3 }"#, &["tapit interrupt process w count=3"]);
}

#[test]
fn a_task_is_made_of_a_command_and_known_by_its_number() {
    let words = r#"CreateTask { words: {"command": "a=1 b --x", "memory": "2"} }"#;
    check(words, &["tapit create task memory=2 'a=1 b --x'", "tapit create task 'a=1 b --x' memory=2"]);
    check(
        r#"CreateTask { words: {"command": "b"} } wait"#,
        &["tapit create task b -w", "tapit create task command=b -w"],
    );
    check("ShowTask { id: TaskId(7) }", &["tapit show task id=7", "tapit show task 7"]);
    check("StopTask { id: TaskId(7) } wait", &["tapit stop task 7 --wait"]);
    check("ListTasks", &["tapit list tasks"]);
    let Action::Ask(Command::Logs(logs)) = meaning("tapit logs task=7").action else { panic!("logs") };
    assert_eq!(logs.process.map(|name| name.to_string()).as_deref(), Some("task-7"));
}

#[test]
fn the_server_takes_each_setting_from_its_flag_or_its_variable() {
    use tapit_cli::Ending;
    let typed = User::script().run(
        "tapit server --data-dir /d --api=127.0.0.1:1 --http 127.0.0.1:0 --engine embedded --ephemeral \
         --capacity-memory 2 --spares-memory 0 --log-format json",
    );
    let from_environment = User::script()
        .with("TAPIT_DATA_DIR", "/d")
        .with("TAPIT_API", "127.0.0.1:1")
        .with("TAPIT_HTTP", "127.0.0.1:0")
        .with("TAPIT_ENGINE", "embedded")
        .with("TAPIT_EPHEMERAL", "yes")
        .with("TAPIT_CAPACITY_MEMORY", "2")
        .with("TAPIT_SPARES_MEMORY", "0")
        .with("TAPIT_LOG_FORMAT", "json")
        .run("tapit server");
    assert!(matches!(&typed.ending, Ending::Serve(_, words) if words.ephemeral && words.http.is_some()), "{typed:?}");
    assert_eq!(typed.ending, from_environment.ending);
    let both = User::script()
        .with("TAPIT_DATA_DIR", "/d")
        .with("TAPIT_HTTP", "127.0.0.1:9")
        .run("tapit server --http 127.0.0.1:8");
    assert!(
        matches!(&both.ending, Ending::Serve(_, words) if words.http.as_deref() == Some("127.0.0.1:8")),
        "{both:?}"
    );
}

/// Each setting of ECS, with a value for it.
const ECS: &[(&str, &str)] = &[
    ("ecs-region", "eu-north-1"),
    ("ecs-subnets", "subnet-1,subnet-2"),
    ("ecs-security-groups", "sg-1"),
    ("ecs-listener", "arn:listener"),
    ("ecs-execution-role", "arn:run"),
    ("ecs-task-role", "arn:be"),
    ("ecs-assign-public-ip", "true"),
];

#[test]
fn the_server_and_doctor_take_each_setting_of_ecs_from_its_flag_or_its_variable() {
    let typed: String = ECS.iter().map(|(flag, value)| format!(" --{flag} {value}")).collect();
    let mut user = User::script().with("TAPIT_DATA_DIR", "/").with("TAPIT_ENGINE", "ecs");
    for (flag, value) in ECS {
        user = user.with(&format!("TAPIT_{}", flag.replace('-', "_").to_uppercase()), value);
    }
    for command in ["tapit server", "tapit doctor"] {
        let line = format!("{command} --engine ecs{typed}");
        let typed = User::script().with("TAPIT_DATA_DIR", "/").run(&line).ending;
        assert_eq!(typed, user.run(command).ending, "{command}");
        assert!(ECS.iter().all(|(_, value)| format!("{typed:?}").contains(value)), "{typed:?}");
    }
}

#[test]
fn a_diff_names_the_engine_to_compare_with() {
    let lines =
        ["tapit diff app engine=ecs app=shop", "tapit diff app shop engine=ecs", "tapit diff app name=shop engine=ecs"];
    check("DiffApp { engine: Ecs } app=shop", &lines);
    check("DiffApp { engine: Embedded }", &["tapit diff app engine=embedded"]);
}

#[test]
fn a_teardown_names_the_data_directory_once_it_is_confirmed() {
    use tapit_cli::Ending;
    let forced = User::script().run("tapit teardown --data-dir /d --force");
    assert_eq!(forced.ending, Ending::Teardown("/d".into()));
    let asked = User::script().with("TAPIT_DATA_DIR", "/e").at_terminal().answering("y\n").run("tapit teardown");
    assert_eq!(asked.ending, Ending::Teardown("/e".into()));
    assert!(asked.err.contains("/e"), "{}", asked.err);
    let declined = User::script().at_terminal().answering("\n").run("tapit teardown --data-dir /d");
    assert_eq!(declined.status(), 1);
}
