//! What is sent, what is printed, which exit status it ends with.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use tapit_cli::Ending;
use tapit_cli::output::Screen;
use tapit_container::doctor::{Check, State};

use crate::server::{Server, app, event, outcome, process, process_with, refusal};
use crate::support::User;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_list_is_an_array_for_programs_and_a_table_for_people() {
    let blocked = r#"[{"code":"no_image","text":"no image is known","since":"2026-01-01T00:00:00.000Z"}]"#;
    let processes = format!("[{},{}]", process("api", "running"), process_with("worker", "pending", blocked));
    let script = [("GET /v1/apps/shop/processes", 200, processes.as_str())];
    let run = Server::answering(&script).user().run("tapit list processes -a shop");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert_eq!(json(&run.out)[1]["name"], "worker");
    let run = Server::answering(&script).user().at_terminal().run("tapit list processes -a shop");
    assert_eq!(
        run.out,
        "NAME    STATUS             DEMAND  SPOT  MEMORY  CPU   IMAGE         COMMAND\n\
         api     running            2/3     1/2   0.5     0.25  myapp/api:v1  python 'my worker.py'\n\
         worker  pending: no image  2/3     1/2   0.5     0.25  myapp/api:v1  python 'my worker.py'\n"
    );
    let run = Server::answering(&script).user().at_terminal().run("tapit list processes -a shop -o json");
    assert_eq!(json(&run.out)[0]["demand_count"], 3);
}

#[test]
fn an_empty_list_is_an_empty_array() {
    let server = Server::answering(&[("GET /v1/apps", 200, "[]")]);
    assert_eq!(server.user().run("tapit list apps").out, "[]\n");
}

#[test]
fn a_process_is_shown_as_a_page_that_cannot_drive_the_terminal() {
    let blocked = r#"[{"code":"capacity","text":"1 GB is free, 2 are needed","since":"2026-01-01T00:00:00.000Z"}]"#;
    let process = process_with("api", "rolled_back", blocked);
    let server = Server::answering(&[("GET /v1/apps/shop/processes/api", 200, &process)]);
    let run = server.user().at_terminal().run("tapit show process name=api -a shop");
    for part in [
        "name:           api\n",
        "status:         rolled_back: capacity\n",
        "demand_count:   3 (2 running, 1 pending)\n",
        "health:         http /up within 60 s\n",
        "generation:     4 (running: 3)\n",
        "reason:       3 instances in a row crashed\n",
        "last_exit:    exit code 1 at 2026-01-01T00:00:59Z\n",
        "  | Traceback\n  | boom\u{fffd}[31m\n",
        "10 sent, 9 ok, 0 failed, 1 retried",
        "1 GB is free, 2 are needed",
        "api.1     demand  healthy  3           10.0.0.2  12.3 MB  1.2 %",
        "reclaimed; killed by signal 9 (out of memory) at 2026-01-01T00:00:59Z",
        "event number 5",
    ] {
        assert!(run.out.contains(part), "{part:?} is not in\n{}", run.out);
    }
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn what_runs_on_demand_instead_of_spot_is_told_with_the_spot_instances() {
    let stood_in = |running: &str| {
        let counts = format!(r#""spot_fallback":300,"fallback":2,"running":{{"demand":{running},"spot":0}}"#);
        let usual = r#""spot_fallback":null,"fallback":0,"running":{"demand":2,"spot":1}"#;
        process("api", "running").replace(usual, &counts)
    };
    for (running, row, demand, spot) in [
        ("5", "3/3     0/2 (+2 on demand) ", "3 (3 running)", "2 (0 running, 1 pending) (+2 on demand)"),
        ("4", "3/3     0/2 (+1 of 2 on demand) ", "3 (3 running)", "2 (0 running, 1 pending) (+1 of 2 on demand)"),
        ("2", "2/3     0/2 (+0 of 2 on demand) ", "3 (2 running, 1 pending)", "2 (0 running, 1 pending) (+0 of 2"),
    ] {
        let page = stood_in(running);
        let list = format!("[{page}]");
        let server = Server::answering(&[("GET /v1/apps/shop/processes", 200, list.as_str())]);
        let run = server.user().at_terminal().run("tapit list processes -a shop");
        assert!(run.out.contains(row), "{row:?} is not in\n{}", run.out);
        let server = Server::answering(&[("GET /v1/apps/shop/processes/api", 200, page.as_str())]);
        let run = server.user().at_terminal().run("tapit show process name=api -a shop");
        for part in [
            format!("demand_count:   {demand}\n"),
            format!("spot_count:     {spot}"),
            "spot_fallback:  after 5m\n".to_owned(),
        ] {
            assert!(run.out.contains(&part), "{part:?} is not in\n{}", run.out);
        }
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let processes = format!("[{}]", process("api", "running"));
    let mut user = User::script();
    user.terminals.output = true;
    for (no_color, coloured) in [("", true), ("1", false)] {
        let server = Server::answering(&[("GET /v1/apps/shop/processes", 200, &processes)]);
        let user = user.clone().with("NO_COLOR", no_color).with("TAPIT_BASEURL", &server.url());
        assert_eq!(user.run("tapit list processes -a shop").out.contains('\u{1b}'), coloured);
    }
}

#[test]
fn a_change_sends_the_words_as_typed_and_prints_the_view_and_the_talk_apart() {
    let answer = outcome("process web: 3 instances wanted, was 2", Some(&process("web", "updating")));
    let server = Server::answering(&[("PATCH /v1/apps/shop/processes/web", 200, &answer)]);
    let run = server.user().run("tapit set process name=web desired_count=3 command= -a shop");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert_eq!(json(&run.out)["name"], "web");
    assert_eq!(
        run.err,
        "process web: 3 instances wanted, was 2\nnote: a note\nundo: tapit set process name=web demand_count=2\n"
    );
    let seen = &server.seen()[0];
    assert_eq!(json(&seen.text()), serde_json::json!({"desired_count": "3", "command": ""}));
    assert!(seen.headers.contains(&"content-type: application/json".to_owned()), "{seen:?}");
}

#[test]
fn a_creation_sends_the_name_among_the_words() {
    let answer = outcome("created", Some(&process("api", "pending")));
    let server = Server::answering(&[("POST /v1/apps/shop/processes", 200, &answer)]);
    let run = server.user().at_terminal().run("tapit create process name=api memory=512M -a shop");
    assert!(run.out.starts_with("NAME  STATUS"), "{}", run.out);
    assert_eq!(json(&server.seen()[0].text()), serde_json::json!({"name": "api", "memory": "512M"}));
    let answer = format!(
        r#"{{"message":"created","changed":true,"dry_run":false,"inverse":null,"notes":[],"revision":1,"app":{},"process":null}}"#,
        app("shop")
    );
    let server = Server::answering(&[("POST /v1/apps", 201, &answer)]);
    let run = server.user().run("tapit create app shop image=a:b demand=2");
    assert_eq!(json(&run.out)["url"], "http://shop.localhost:8080");
    assert_eq!(json(&server.seen()[0].text()), serde_json::json!({"name": "shop", "image": "a:b", "demand": "2"}));
}

#[test]
fn every_change_knows_its_path_and_passes_a_dry_run_on() {
    let answer = outcome("would", None).replace("\"dry_run\":false", "\"dry_run\":true");
    for (line, request) in [
        ("tapit create app shop -n", "POST /v1/apps?dry_run=true"),
        ("tapit set app shop image=a -n", "PATCH /v1/apps/shop?dry_run=true"),
        ("tapit delete app shop -n", "DELETE /v1/apps/shop?dry_run=true"),
        ("tapit create process name=w -n -a shop", "POST /v1/apps/shop/processes?dry_run=true"),
        ("tapit set process name=w cpu=1 -n -w -a shop", "PATCH /v1/apps/shop/processes/w?dry_run=true"),
        ("tapit restart process name=w --dry-run -a shop", "POST /v1/apps/shop/processes/w/restart?dry_run=true"),
        ("tapit delete process name=w --dry-run -a shop", "DELETE /v1/apps/shop/processes/w?dry_run=true"),
        ("tapit interrupt process name=w -n -a shop", "POST /v1/apps/shop/processes/w/interrupt?dry_run=true"),
        ("tapit delete image my/a:v1 -n", "DELETE /v1/image?ref=my%2Fa%3Av1&dry_run=true"),
        ("tapit prune images -n", "POST /v1/images/prune?dry_run=true"),
    ] {
        let server = Server::answering(&[(request, 200, &answer)]);
        let run = server.user().run(line);
        assert_eq!(run.status(), 0, "{line}: {}", run.err);
        assert!(run.err.contains("nothing was changed") && !run.err.contains("undo"), "{line}: {}", run.err);
    }
}

#[test]
fn a_refusal_ends_with_the_exit_status_of_its_code() {
    for (code, http, status) in [
        ("failed", 500, 1),
        ("usage", 400, 2),
        ("not_found", 404, 3),
        ("conflict", 409, 4),
        ("denied", 403, 5),
        ("unavailable", 503, 6),
    ] {
        let server = Server::answering(&[("GET /v1/apps", http, &refusal(code, "because"))]);
        let run = server.user().run("tapit list apps");
        assert_eq!((run.status(), run.err.as_str(), run.out.as_str()), (status, "tapit: because\n", ""));
    }
}

#[test]
fn answers_that_are_not_the_servers_own_still_end_well() {
    for (http, body, status, part) in [
        (200, "<html>", 1, "not what this version of tapit expects"),
        (502, "<html>bad gateway</html>", 6, "status 502: <html>bad gateway"),
        (401, "", 5, "status 401"),
        (404, "no such page", 3, "no such page"),
        (0, "", 6, "was lost"),
    ] {
        let server = Server::answering(&[("GET /v1/apps", http, body)]);
        let run = server.user().run("tapit list apps");
        assert_eq!(run.status(), status, "{http} {}", run.err);
        assert!(run.err.contains(part), "{http}: {}", run.err);
    }
}

#[test]
fn a_missing_process_name_is_answered_with_the_names_there_are() {
    let processes = format!("[{},{}]", process("api", "running"), process("web", "running"));
    for line in ["restart", "show", "delete", "interrupt", "set"] {
        let server = Server::answering(&[("GET /v1/apps/shop/processes", 200, &processes)]);
        let words = if line == "set" { " cpu=1" } else { "" };
        let run = server.user().run(&format!("tapit {line} process{words} -a shop"));
        assert_eq!(run.status(), 2, "{line}: {}", run.err);
        assert!(run.err.contains("api, web"), "{line}: {}", run.err);
    }
    assert_eq!(User::script().run("tapit restart process -a shop").status(), 2, "also without a server");
}

#[test]
fn set_may_leave_out_the_name_of_the_only_process() {
    let processes = format!("[{}]", process("web", "running"));
    let answer = outcome("done", Some(&process("web", "running")));
    let server = Server::answering(&[
        ("GET /v1/apps/shop/processes", 200, &processes),
        ("PATCH /v1/apps/shop/processes/web", 200, &answer),
    ]);
    assert_eq!(server.user().run("tapit set process cpu=1 -a shop").status(), 0);
}

#[test]
fn a_deletion_asks_on_a_terminal_and_takes_only_yes() {
    let answer = outcome("deleted", None);
    for (reply, status) in [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("yesterday\n", 1)] {
        let server = Server::answering(&[("DELETE /v1/apps/shop/processes/default", 200, &answer)]);
        let run = server.user().at_terminal().answering(reply).run("tapit delete process name=default -a shop");
        assert_eq!(run.status(), status, "{reply:?}: {}", run.err);
        assert!(run.err.contains("the public process"), "{}", run.err);
        assert_eq!(server.seen().len(), usize::from(status == 0), "{reply:?}");
    }
    let server = Server::answering(&[("DELETE /v1/apps/shop", 200, &answer)]);
    assert_eq!(server.user().run("tapit delete app shop --force").status(), 0);
}

#[test]
fn the_token_is_sent_as_a_credential() {
    let server = Server::answering(&[("GET /v1/apps", 200, "[]")]);
    assert_eq!(server.user().with("TAPIT_TOKEN", "t0ken").run("tapit list apps").status(), 0);
    assert!(server.seen()[0].headers.contains(&"authorization: Bearer t0ken".to_owned()));
}

#[test]
fn an_archive_is_sent_whole_and_what_it_held_is_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("image.tar");
    let archive: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &archive).expect("a file");
    let image = r#"[{"name":"my/a:v1","digest":"sha256:0123456789abcdef","size":12000000,"shared":3000000,"unique":9000000,"layers":2,
        "source":"import","created_at":"2026-01-01T00:00:00.000Z","used_at":"2026-01-01T00:00:00.000Z","used_by":["shop/web"],"entrypoint":[],"command":["sh"],"exposed_ports":[80],
        "user":"","working_dir":"/"}]"#;
    let server = Server::answering(&[("POST /v1/images?ref=my%2Fa%3Av1", 200, image)]);
    let run = server.user().at_terminal().run(&format!("tapit import image {} ref=my/a:v1", path.display()));
    assert_eq!(run.status(), 0, "{}", run.err);
    assert!(run.err.contains("imported my/a:v1"), "{}", run.err);
    assert!(run.out.contains("my/a:v1  0123456789ab  12.0 MB  3.0 MB  import"), "{}", run.out);
    let seen = &server.seen()[0];
    assert!(seen.headers.contains(&format!("content-length: {}", archive.len())), "{:?}", seen.headers);
    assert_eq!(seen.body, archive);
    let dry = User::script().run(&format!("tapit import image {} --dry-run", path.display()));
    assert_eq!((dry.status(), dry.out.as_str()), (0, ""), "{}", dry.err);
}

#[test]
fn an_archive_may_come_through_a_pipe() {
    let server = Server::answering(&[("POST /v1/images", 200, "[]")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tapit"))
        .args(["import", "image", "-"])
        .env("TAPIT_BASEURL", server.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let archive = vec![7; 300_000];
    child.stdin.take().expect("a pipe").write_all(&archive).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(output.stdout, b"[]\n");
    assert_eq!(server.seen()[0].body, archive);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let apps = format!("[{}]", vec![app("shop"); 2000].join(","));
    let server = Server::answering(&[("GET /v1/apps", 200, &apps)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tapit"))
        .args(["list", "apps"])
        .env("TAPIT_BASEURL", server.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("read");
    assert!(child.wait().expect("it ends").success(), "{err}");
    assert_eq!(err, "");
}

#[test]
fn events_are_printed_oldest_first_and_followed_from_the_last() {
    let script = format!("[{},{}]", event(3, "web", "blocked"), event(2, "web", "instance_starting"));
    let server = Server::answering(&[("GET /v1/events?app=shop&process=web&limit=2", 200, &script)]);
    let run = server.user().run("tapit events name=web lines=2 -a shop");
    assert_eq!(json(&run.out)[0]["id"], 2, "{}", run.out);
    let more = format!("[{}]", event(4, "web", "unblocked"));
    let server = Server::answering(&[
        ("GET /v1/events?limit=50", 200, &script),
        ("GET /v1/events?after=3&limit=1000", 200, &more),
        ("GET /v1/events?after=4&limit=1000", 0, ""),
    ]);
    let run = server.user().run("tapit events -f");
    assert_eq!(run.status(), 6);
    let ids: Vec<_> = run.out.lines().map(|line| json(line)["id"].clone()).collect();
    assert_eq!(ids, [2, 3, 4]);
}

#[test]
fn the_status_of_the_server_is_a_page() {
    let status = r#"{"version":"0.1.0","engine":"embedded","api":"unix:///s","http":"127.0.0.1:8080","data_dir":"/d",
        "started_at":"2026-01-01T00:00:00.000Z","pid":7,"apps":1,"processes":2,"instances":3,"capacity_memory":8.0,
        "used_memory":1.5,"images_bytes":3200000000,"images_disk":20.0,"server_memory_bytes":20000000,"warnings":["no memory controller"]}"#;
    let server = Server::answering(&[("GET /v1/status", 200, status)]);
    let run = server.user().at_terminal().run("tapit status");
    assert!(run.out.contains("memory:         1.5 of 8 GB taken\n"), "{}", run.out);
    assert!(run.out.contains("images:         3.2 GB of 20 GB taken\n"), "{}", run.out);
    assert!(run.out.contains("warning:        no memory controller\n"), "{}", run.out);
}

#[test]
fn differences_are_a_table_for_people_and_an_array_for_programs() {
    let rows = r#"[{"process":"work","what":"stop_timeout","here":"300s","there":"120s","note":"it takes no more"}]"#;
    let server = Server::answering(&[("GET /v1/apps/shop/diff?engine=ecs", 200, rows)]);
    let run = server.user().at_terminal().run("tapit diff app shop engine=ecs");
    assert_eq!(run.status(), 0, "{}", run.err);
    let lines: Vec<Vec<&str>> = run.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["PROCESS", "WHAT", "HERE", "THERE", "NOTE"]);
    assert_eq!(lines[1][..4], ["work", "stop_timeout", "300s", "120s"]);
    let server = Server::answering(&[("GET /v1/apps/shop/diff?engine=embedded", 200, "[]")]);
    assert_eq!(json(&server.user().run("tapit diff app shop engine=embedded").out), serde_json::json!([]));
}

/// What `doctor` prints and ends with on a terminal, for an engine whose one check came to this.
fn examined(line: &str, state: State) -> (u8, String) {
    let user = User::script().at_terminal().with("TAPIT_DATA_DIR", "/");
    let Ending::Doctor(wanted) = user.run(line).ending else { panic!("{line} examines nothing") };
    let check = Check { feature: "ecs:CreateService", state, detail: "asked".to_owned(), advice: String::new() };
    let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), [].as_slice());
    let mut screen = Screen::new(&mut out, &mut err, &mut input, user.terminals, &user.surroundings);
    let status = tapit_cli::doctor(&[check], wanted, &user.surroundings, &mut screen);
    drop(screen);
    (status, String::from_utf8([out, err].concat()).expect("text"))
}

#[test]
fn doctor_says_of_the_engine_that_it_examined_whether_it_can_run() {
    let (status, text) = examined("tapit doctor --engine ecs", State::Ok);
    assert!(status == 0 && text.contains("ecs:CreateService") && text.contains("Apps can run on ECS"), "{text}");
    let (status, text) = examined("tapit doctor --engine ecs", State::Missing);
    assert!(status == 1 && text.contains("apps cannot run on ECS with these credentials"), "{text}");
    let (status, text) = examined("tapit doctor", State::Ok);
    assert!(status == 0 && text.contains("Containers can run here"), "{text}");
}
