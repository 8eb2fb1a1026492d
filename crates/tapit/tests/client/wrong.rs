//! Command lines that are wrong: exit status 2, no server asked, and an error that says what is right.

use crate::support::User;

#[track_caller]
fn check(cases: &[(&str, &[&str])]) {
    for (line, parts) in cases {
        let run = User::script().run(line);
        assert_eq!(run.status(), 2, "{line}: {}", run.err);
        assert_eq!(run.out, "", "{line}");
        for part in *parts {
            assert!(run.err.contains(part), "{line}: {part:?} is not in {:?}", run.err);
        }
    }
}

#[test]
fn unknown_verbs_and_nouns_are_answered_with_the_nearest_and_the_legal_ones() {
    check(&[
        ("tapit", &["a command is missing", "create", "tapit help"]),
        ("tapit -o json", &["a command is missing"]),
        ("tapit crate process name=x", &["unknown verb \"crate\"", "did you mean create?", "restart"]),
        ("tapit frobnicate", &["unknown verb", "the verbs are"]),
        ("tapit name=x", &["unknown verb"]),
        ("tapit process list", &["the verb comes first: `tapit list processes`"]),
        ("tapit process", &["process is a noun", "verb comes first"]),
        ("tapit processes list", &["the verb comes first: `tapit list processes`"]),
        ("tapit apps", &["apps is a noun", "verb comes first"]),
        ("tapit create", &["create what?", "process, task, app"]),
        ("tapit create name=x", &["create what?"]),
        ("tapit create proces name=x", &["knows no noun \"proces\"", "`tapit create process`"]),
        ("tapit create processes name=x", &["did you mean `tapit create process`?"]),
        ("tapit list process", &["did you mean `tapit list processes`?"]),
        ("tapit list app", &["did you mean `tapit list apps`?"]),
        ("tapit show processes", &["did you mean `tapit show process`?"]),
        ("tapit prune image", &["did you mean `tapit prune images`?"]),
        ("tapit restart app", &["knows no noun \"app\"", "`tapit restart process`"]),
        ("tapit list", &["list what?", "processes, tasks, apps, images"]),
        ("tapit set variables A=b", &["knows no noun \"variables\""]),
        ("tapit lgos", &["unknown verb"]),
        ("tapit attach name=x", &["unknown verb"]),
        ("tapit help nothing", &["no help about \"nothing\"", "the verbs are"]),
        ("tapit help restart app", &["no help about"]),
        ("tapit completion", &["one shell", "fish"]),
        ("tapit completion tcsh", &["no completion for \"tcsh\"", "bash"]),
        ("tapit completion bahs", &["did you mean bash?"]),
    ]);
}

#[test]
fn a_task_needs_a_command_and_is_known_by_its_number() {
    check(&[
        ("tapit create task", &["create task needs a command", "'python manage.py migrate'"]),
        ("tapit create task ''", &["create task needs a command"]),
        ("tapit create task python report.py", &["unexpected word \"report.py\"", "quote it"]),
        ("tapit create task 'report \"x'", &["unclosed double quote"]),
        ("tapit create task report demand=2", &["create task knows no key \"demand\"", "stop_timeout"]),
        ("tapit create task report memory=0", &["memory=0"]),
        ("tapit show task", &["show task needs a number", "`tapit list tasks`"]),
        ("tapit show task id=one", &["id=one is not legal", "list tasks"]),
        ("tapit stop task id=01", &["id=01 is not legal"]),
        ("tapit stop task", &["stop task needs a number"]),
        ("tapit list task", &["did you mean `tapit list tasks`?"]),
        ("tapit delete task id=1", &["delete knows no noun \"task\""]),
        ("tapit logs name=api task=1", &["name=api and task=1 name two things"]),
        ("tapit exec task=x ls", &["task=x is not legal"]),
    ]);
}

#[test]
fn a_diff_needs_an_engine_that_there_is() {
    check(&[
        ("tapit diff app shop", &["needs an engine", "engine=embedded or engine=ecs"]),
        ("tapit diff app shop engine=docker", &["engine=docker is not legal", "engine=embedded or engine=ecs"]),
        ("tapit diff app shop engine=", &["engine= is not legal"]),
        ("tapit diff process name=x engine=ecs", &["knows no noun \"process\"", "`tapit diff app`"]),
        ("tapit diff app shop ecs", &["unexpected word \"ecs\""]),
    ]);
}

#[test]
fn unknown_flags_are_answered_with_the_nearest_and_the_legal_ones() {
    check(&[
        ("tapit list processes --wiat", &["list processes knows no flag --wiat", "--output"]),
        ("tapit restart process name=x --wiat", &["did you mean --wait?", "--dry-run"]),
        ("tapit restart process name=x -x", &["knows no flag -x"]),
        ("tapit restart process name=x --force", &["restart process knows no flag --force"]),
        ("tapit list processes --wait", &["list processes knows no flag --wait"]),
        ("tapit list processes -f", &["knows no flag -f"]),
        ("tapit --colour list processes", &["knows no flag --colour"]),
        ("tapit restart process name=x --wait=yes", &["--wait is a switch"]),
        ("tapit list processes -o yaml", &["-o \"yaml\"", "table or json"]),
        ("tapit list processes --output=", &["table or json"]),
        ("tapit list processes -o", &["-o needs a value", "table|json"]),
        ("tapit list processes -a", &["-a needs a value"]),
        ("tapit list processes -a -o json", &["-a needs a value"]),
        ("tapit list processes -a shop -a other", &["twice", "shop", "other"]),
        ("tapit list processes -a shop app=other", &["-a shop and app=other"]),
        ("tapit show app other -a shop", &["other", "shop", "differ"]),
        ("tapit server --engine docker", &["embedded or ecs"]),
        ("tapit server --ecs-assign-public-ip yes", &["true or false"]),
        ("tapit server --capacity", &["did you mean --capacity-memory?"]),
        ("tapit server shop", &["unexpected word", "takes no words"]),
    ]);
}

#[test]
fn unknown_keys_are_answered_with_the_nearest_and_the_legal_ones() {
    check(&[
        ("tapit create process name=x memroy=1", &["no key \"memroy\"", "did you mean memory?", "spot_count", "name"]),
        ("tapit create process name=x Memory=1", &["no key \"Memory\"", "did you mean memory?"]),
        ("tapit create process name=x colour=red", &["no key \"colour\"", "legal keys are"]),
        ("tapit create process name=x =red", &["no key \"\""]),
        (
            "tapit restart process name=x memory=1",
            &["restart process knows no key \"memory\"", "legal keys are name, app"],
        ),
        ("tapit list processes name=x", &["list processes knows no key \"name\"", "legal keys are app"]),
        ("tapit list apps name=x", &["takes no key"]),
        ("tapit interrupt process name=x coutn=2", &["did you mean count?"]),
        ("tapit set app shop memory=1", &["legal keys are name, image, app"]),
        ("tapit status app=shop", &["takes no key"]),
        ("tapit list processes web", &["unexpected word \"web\"", "key=value"]),
        (
            "tapit create process name=x demand_count 5",
            &["unexpected word \"demand_count\"", "write demand_count=VALUE"],
        ),
        ("tapit create process a b", &["unexpected word \"b\""]),
        ("tapit status now", &["unexpected word", "takes no words"]),
    ]);
}

#[test]
fn wrong_values_are_named_with_the_legal_range() {
    check(&[
        ("tapit create process name=x memory=lots", &["memory=lots is not legal", "0.016 and 1024"]),
        ("tapit create process name=x memory=0", &["memory=0 is not legal"]),
        ("tapit create process name=x memory=-1", &["memory=-1 is not legal"]),
        ("tapit create process name=x cpu=1000", &["cpu=1000 is not legal", "0.01 and 256"]),
        ("tapit create process name=x demand_count=1.5", &["whole number from 0 to 1000"]),
        ("tapit create process name=x demand_count=99999999999", &["whole number from 0 to 1000"]),
        ("tapit create process name=x demand_count=+1", &["is relative"]),
        ("tapit create process name=x spot=many", &["spot=many is not legal"]),
        ("tapit create process name=x demand=1 desired_count=2", &["same key with different values"]),
        ("tapit create process name=x memory=1 memory=2", &["memory=1 and memory=2", "same key"]),
        ("tapit create process name=x name=y", &["name=x and name=y", "same key"]),
        ("tapit create process name=x y", &["unexpected word \"y\""]),
        ("tapit create process name=x disabled=true", &["a key of set, not of create"]),
        ("tapit create process name=x port=70000", &["1 and 65535"]),
        ("tapit create process name=x health_path=up", &["starts with /"]),
        ("tapit create process name=x stop_timeout=soon", &["0 to 3600 seconds"]),
        ("tapit create process name=x image=UPPER", &["not an image reference"]),
        ("tapit create process name=x command=\"a 'b\"", &["unclosed single quote"]),
        ("tapit create process name=Web", &["\"Web\" is not a legal process name"]),
        ("tapit create process name=a_b", &["is not a legal process name"]),
        ("tapit create process name=../x", &["is not a legal process name"]),
        ("tapit create process name=", &["process name is empty"]),
        ("tapit create process memory=1", &["name is missing", "name=NAME"]),
        ("tapit create app", &["name is missing"]),
        ("tapit create app Shop", &["\"Shop\" is not a"]),
        ("tapit create app shop memory=x", &["memory=x"]),
        ("tapit set app shop", &["needs something to change", "image"]),
        ("tapit set app shop image=:v", &["not an image reference"]),
        ("tapit set process name=x", &["needs something to change", "memory, cpu, demand_count"]),
        ("tapit set process", &["needs something to change"]),
        ("tapit set process name=x disabled=maybe", &["true or false"]),
        ("tapit set process name=x disabled=", &["true or false"]),
        ("tapit set process name=x resize=rolling", &["give memory or cpu"]),
        ("tapit set process name=x resize=later memory=1", &["in_place or rolling"]),
        ("tapit list processes -a Shop", &["\"Shop\" is not a"]),
        ("tapit interrupt process name=x count=0", &["count=0", "1 to 1000"]),
        ("tapit interrupt process name=x count=+1", &["count=+1", "1 to 1000"]),
        ("tapit events lines=none", &["lines=none", "1 to 1000"]),
        ("tapit show image", &["name is missing", "tapit list images"]),
        ("tapit delete image nginx --force ref=other", &["same key with different values"]),
        ("tapit import image", &["archive is missing"]),
        ("tapit import image /nonexistent/a.tar", &["cannot read the archive /nonexistent/a.tar"]),
        ("tapit import image /tmp", &["it is a directory"]),
        ("tapit import image - ref=UPPER", &["not an image reference"]),
    ]);
}

#[test]
fn a_deletion_without_a_terminal_needs_force() {
    check(&[
        ("tapit delete process name=x", &["no terminal", "--force"]),
        ("tapit delete process name=x -a shop", &["no terminal", "--force"]),
        ("tapit delete app shop", &["no terminal", "--force"]),
        ("tapit delete app", &["no terminal", "--force"]),
        ("tapit delete image nginx", &["no terminal", "--force"]),
        ("tapit teardown --data-dir /nonexistent/d", &["no terminal", "--force"]),
    ]);
}

#[test]
fn a_wrong_line_points_at_the_help_of_its_command() {
    check(&[("tapit create process name=x memory=x", &["see `tapit help create process`"])]);
}

#[test]
fn wrong_surroundings_are_wrong_lines_too() {
    for (name, value, part) in [
        ("TAPIT_BASEURL", "ftp://host", "unix:///path"),
        ("TAPIT_BASEURL", "unix://relative", "unix:///path"),
        ("TAPIT_BASEURL", "localhost", "unix:///path"),
        ("TAPIT_BASEURL", "https://host/api", "has a path"),
        ("TAPIT_BASEURL", "https://user:word@host", "unix:///path"),
        ("TAPIT_APP", "Not An App", "TAPIT_APP"),
        ("TAPIT_TOKEN", "line\nbreak", "TAPIT_TOKEN"),
    ] {
        let run = User::script().with(name, value).run("tapit list processes");
        assert_eq!(run.status(), 2, "{name}={value}: {}", run.err);
        assert!(run.err.contains(part), "{name}={value}: {}", run.err);
    }
    let exposed = User::script().with("TAPIT_BASEURL", "http://example.com").with("TAPIT_TOKEN", "secret");
    let run = exposed.run("tapit list apps");
    assert_eq!(run.status(), 2);
    assert!(run.err.contains("clear text") && !run.err.contains("secret"), "{}", run.err);
    let run = User::script().with("TAPIT_DATA_DIR", "/d").with("TAPIT_EPHEMERAL", "perhaps").run("tapit server");
    assert_eq!(run.status(), 2);
    assert!(run.err.contains("TAPIT_EPHEMERAL=perhaps"), "{}", run.err);
}
