//! Wrong commands: each ends with its status, names the value and the way out, and changes nothing.

use serde_json::Value;

use crate::harness::{SMALL, Server};

/// The line, its exit status, and what it must say: the value that is wrong and what is right.
type Wrong = (&'static str, i32, &'static [&'static str]);

/// Lines that are wrong whatever there is.
const SPELLING: &[Wrong] = &[
    ("", 2, &["verb"]),
    ("frobnicate process", 2, &["frobnicate", "verbs are"]),
    ("process list", 2, &["verb comes first"]),
    ("lst processes", 2, &["lst", "did you mean list"]),
    ("create", 2, &["create what?"]),
    ("create proces name=x", 2, &["proces", "did you mean"]),
    ("list process", 2, &["process", "list processes"]),
    ("create process", 2, &["name"]),
    ("create process name=", 2, &["name"]),
    ("create process name=UPPER", 2, &["UPPER", "lower-case"]),
    ("create process name=a_b", 2, &["a_b", "hyphens"]),
    ("create process name=-a", 2, &["-a", "both ends"]),
    ("create process name=a-", 2, &["a-", "both ends"]),
    ("create process name=a.b", 2, &["a.b", "lower-case"]),
    ("create process name='a b'", 2, &["a b", "lower-case"]),
    ("create process name=../../etc", 2, &["../../etc", "lower-case"]),
    ("create process name='a;reboot'", 2, &["a;reboot", "lower-case"]),
    ("create process name=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 2, &["64", "63"]),
    ("create process name=x name=y", 2, &["x", "y"]),
    ("create process name=x memory=abc", 2, &["memory=abc", "0.016"]),
    ("create process name=x memory=0", 2, &["memory=0", "1024"]),
    ("create process name=x memory=-1", 2, &["memory=-1", "1024"]),
    ("create process name=x memory=2000", 2, &["memory=2000", "1024"]),
    ("create process name=x memory=1e3", 2, &["memory=1e3", "512M"]),
    ("create process name=x memory=512B", 2, &["memory=512B", "512M"]),
    ("create process name=x memory=NaN", 2, &["memory=NaN", "0.016"]),
    ("create process name=x cpu=0", 2, &["cpu=0", "0.01"]),
    ("create process name=x cpu=1000", 2, &["cpu=1000", "256"]),
    ("create process name=x cpu=fast", 2, &["cpu=fast", "500m"]),
    ("create process name=x demand_count=-1", 2, &["demand_count=-1", "0 to 1000"]),
    ("create process name=x demand_count=1.5", 2, &["demand_count=1.5", "whole number"]),
    ("create process name=x demand_count=1001", 2, &["demand_count=1001", "1000"]),
    ("create process name=x demand_count=99999999999999999999", 2, &["99999999999999999999", "1000"]),
    ("create process name=x demand_count=many", 2, &["demand_count=many", "whole number"]),
    ("create process name=x spot_count=+1", 2, &["spot_count=+1", "relative"]),
    ("create process name=x demand=1 desired_count=2", 2, &["demand=1", "desired_count=2", "same key"]),
    ("create process name=x memroy=1", 2, &["memroy", "did you mean memory?"]),
    ("create process name=x colour=red", 2, &["colour", "legal keys are", "spot_count"]),
    ("create process name=x disabled=true", 2, &["disabled", "set"]),
    ("create process name=x port=0", 2, &["port=0", "65535"]),
    ("create process name=x port=65536", 2, &["port=65536", "65535"]),
    ("create process name=x port=http", 2, &["port=http", "65535"]),
    ("create process name=x health_path=healthz", 2, &["health_path=healthz", "starts with /"]),
    ("create process name=x health_timeout=0", 2, &["health_timeout=0", "1 to 3600"]),
    ("create process name=x userns=perhaps", 2, &["userns=perhaps", "true or false"]),
    ("create process name=x cap_add=NET_ADMN", 2, &["did you mean NET_ADMIN?", "SYS_TIME"]),
    ("create process name=x stop_timeout=99999", 2, &["stop_timeout=99999", "3600"]),
    ("create process name=x drain_timeout=-1", 2, &["drain_timeout=-1", "0 to 3600"]),
    ("create process name=x command=\"'unclosed\"", 2, &["unclosed", "quote"]),
    ("create process name=x image=UPPER/Case", 2, &["UPPER/Case"]),
    ("create process name=x image='a b'", 2, &["a b"]),
    ("create process name=x image=http://x/y", 2, &["http://x/y"]),
    ("create app UPPER", 2, &["UPPER", "lower-case"]),
    ("create app", 2, &["name"]),
    ("list processes -o xml", 2, &["xml", "table", "json"]),
    ("list processes --nonsense", 2, &["--nonsense", "flags are"]),
    ("list processes --wiat", 2, &["--wiat"]),
    ("list processes -a", 2, &["-a"]),
    ("list processes extra", 2, &["extra"]),
    ("import image", 2, &["FILE"]),
    ("import image /nowhere/x.tar", 2, &["/nowhere/x.tar"]),
    ("import image /", 2, &["directory"]),
    ("import image /etc/hostname", 2, &["archive"]),
    ("show image nope:v1", 3, &["nope:v1", "web:v1"]),
    ("delete image web:v2", 2, &["--force"]),
    ("events lines=abc", 2, &["lines=abc", "whole number"]),
    ("help nonsense", 2, &["nonsense"]),
    ("completion tcsh", 2, &["tcsh", "bash"]),
    ("server --engine docker", 2, &["docker", "embedded"]),
    ("server --http nonsense", 2, &["nonsense", "HOST:PORT"]),
    ("server --capacity-memory lots", 2, &["lots"]),
    ("teardown", 2, &["--force"]),
    ("teardown --data-dir /nowhere --force", 3, &["/nowhere", "nothing was removed"]),
];

/// Lines that are wrong about the app `shop`, which has the processes `default` and `worker` and the disabled `asleep`.
const ABOUT_SHOP: &[Wrong] = &[
    ("set process", 2, &["something to change", "demand_count"]),
    ("set process memory=1", 2, &["default", "worker"]),
    ("set process name=default", 2, &["memory"]),
    ("set process name=default disabled=maybe", 2, &["disabled=maybe", "true or false"]),
    ("set process name=default resize=rolling", 2, &["resize", "memory"]),
    ("set process name=default resize=sideways memory=1", 2, &["sideways", "in_place"]),
    ("set process name=default demand_count=-99", 2, &["-99", "0 to 1000"]),
    ("set process name=default demand_count=+1000", 2, &["+1000", "0 to 1000"]),
    ("set process name=default memory=1 memory=2", 2, &["memory=1", "memory=2"]),
    ("set process name=nope memory=1", 3, &["nope", "default"]),
    ("set process name=defalt memory=1", 3, &["defalt", "did you mean default?"]),
    ("restart process", 2, &["default", "worker"]),
    ("restart process name=nope", 3, &["nope", "worker"]),
    ("restart process name=asleep", 4, &["asleep", "disabled=false"]),
    ("show process name=nope", 3, &["nope", "worker"]),
    ("delete process", 2, &["default", "worker"]),
    ("delete process name=worker", 2, &["--force"]),
    ("delete process name=nope --force", 3, &["nope", "worker"]),
    ("delete app", 2, &["--force"]),
    ("create app shop", 4, &["shop", "exists already"]),
    ("create process name=worker", 4, &["worker", "exists already", "set process name=worker"]),
    ("create process name=default", 4, &["default", "exists already"]),
    ("interrupt process name=worker", 4, &["worker", "spot"]),
    ("interrupt process name=worker count=0", 2, &["count=0", "1"]),
    ("set app image=UPPER", 2, &["UPPER"]),
    ("set app", 2, &["image"]),
    ("delete image web:v1 --force", 4, &["web:v1", "shop/default"]),
];

/// What there is, without what changes by itself.
fn everything(server: &Server) -> Value {
    let list = |line: &str| server.tapit(line).ok().json();
    let mut processes = list("-a shop list processes -o json");
    for process in processes.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        process.retain(|key, _| !matches!(key.as_str(), "instances" | "blocked" | "running" | "pending" | "rollout"));
    }
    serde_json::json!([
        list("list apps -o json"),
        processes,
        list("-a other list processes -o json"),
        list("list images -o json")
    ])
}

#[test]
fn wrong_commands_name_the_value_and_the_way_out_and_change_nothing() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server.tapit("create app other demand=0").ok();
    server.tapit(&format!("-a shop create process name=worker image=worker:v1 {SMALL} --wait")).ok();
    server.tapit(&format!("-a shop create process name=asleep image=worker:v1 {SMALL} demand_count=0")).ok();
    server.tapit("-a shop set process name=asleep disabled=true --wait").ok();
    let before = everything(&server);

    let in_shop = |(line, code, parts): &Wrong| (format!("-a shop {line}"), *code, *parts);
    let spelling = SPELLING.iter().map(|(line, code, parts)| match *line {
        // Those about a process must say which app they mean; the rest know none.
        line if line.contains("process") && !line.starts_with("process") => (format!("-a shop {line}"), *code, *parts),
        line => (line.to_owned(), *code, *parts),
    });
    let mut complaints = Vec::new();
    for (line, code, parts) in spelling.chain(ABOUT_SHOP.iter().map(in_shop)) {
        let answer = server.tapit(&line);
        let missing: Vec<&&str> = parts.iter().filter(|part| !answer.stderr.contains(**part)).collect();
        if answer.code != code || !missing.is_empty() || !answer.stdout.is_empty() {
            complaints.push(format!("wanted exit {code} and {missing:?}:\n{answer}"));
        }
    }
    let count = SPELLING.len() + ABOUT_SHOP.len();
    assert!(complaints.is_empty(), "{} of {count}\n{}", complaints.len(), complaints.join("\n\n"));
    assert_eq!(everything(&server), before, "nothing was changed");
}

#[test]
fn an_app_must_be_named_when_there_are_several() {
    let server = Server::start();
    server.tapit("list processes").exits(2).says("create app");
    server.tapit("create app shop demand=0").ok();
    server.tapit("list processes").ok();
    server.tapit("create app other demand=0").ok();
    server.tapit("list processes").exits(2).says("shop").says("other");
    server.tapit("-a nope list processes").exits(3).says("nope").says("shop");
    server.tapit("list processes app=shop").ok();
    server.shell(&[("TAPIT_APP", "shop")]).type_line("tapit list processes").ok();
    std::fs::write(server.home().join(".tapit.toml"), "app = \"other\"\n").expect("a file");
    let found = server.tapit("list processes -o json").ok().json();
    assert_eq!(found[0]["app"], "other");
}
