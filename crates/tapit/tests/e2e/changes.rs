//! Changes of a process: what each costs, and how it is undone.

use serde_json::{Value, json};

use crate::harness::views::{healthy, instances, present};
use crate::harness::{SMALL, Server, holds, leaks, until};

fn shop(words: &str) -> Server {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} {words} --wait")).ok();
    server
}

#[test]
fn a_disabled_process_has_no_instances_and_comes_back_as_it_was() {
    let server = shop("demand=2");
    let image = server.show("default")["image_digest"].clone();
    server.tapit("set process disabled=true --wait").ok();
    let shown = server.show("default");
    assert_eq!((&shown["status"], &shown["demand_count"]), (&Value::from("disabled"), &Value::from(2)));
    assert!(present(&shown).is_empty(), "{shown:#}");
    assert_eq!(server.get("shop.localhost", "/").status, 503);
    server.tapit("restart process name=default").exits(4).says("disabled=false");
    server.tapit("set process disabled=false --wait").ok();
    let shown = server.show("default");
    assert_eq!((&shown["status"], healthy(&shown).len()), (&Value::from("running"), 2));
    assert_eq!(shown["image_digest"], image);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn memory_and_cpu_reach_running_instances_in_place() {
    let server = shop("demand=2");
    let before = healthy(&server.show("default"));
    server.tapit("set process memory=64M cpu=0.2 --wait").ok();
    let shown = server.show("default");
    assert_eq!(healthy(&shown), before, "the same instances");
    assert_eq!((&shown["memory"], &shown["cpu"]), (&json!(0.0625), &json!(0.2)), "sizes are in GB and vCPU");
    server.tapit("set process memory=0.05 resize=rolling --wait").ok();
    assert!(healthy(&server.show("default")).is_disjoint(&before), "replaced on request");
}

#[test]
fn a_value_that_is_there_already_changes_nothing() {
    let server = shop("demand=2");
    let before = server.show("default");
    server.tapit("set process demand_count=2 memory=0.03 command= image= --wait").ok().says("nothing to change");
    let after = server.show("default");
    assert_eq!((healthy(&after), &after["generation"]), (healthy(&before), &before["generation"]));
}

#[test]
fn a_command_replaces_the_images_own_until_it_is_cleared() {
    let server = shop("");
    let before = healthy(&server.show("default"));
    server.tapit(r#"set process command="npm start" --wait"#).ok();
    let shown = server.show("default");
    assert_eq!(shown["command"], json!(["npm", "start"]));
    assert!(healthy(&shown).is_disjoint(&before), "a command needs new instances");
    server.tapit("set process command= --wait").ok();
    let shown = server.show("default");
    assert_eq!(shown["command"], json!([]));
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn several_keys_are_one_rollout() {
    let server = shop("demand=2");
    let before = server.show("default");
    server.tapit("set process image=web:v2 command='/bin/web' demand=3 stop_timeout=5s --wait").ok();
    let after = server.show("default");
    let number = |view: &Value| view["generation"].as_u64();
    assert_eq!(number(&after), number(&before).map(|n| n + 1));
    assert_eq!((healthy(&after).len(), &after["image"]), (3, &Value::from("web:v2")));
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let server = shop("demand=2");
    let before = server.show("default");
    for line in [
        "set process demand=5 --dry-run",
        "set process image=web:v2 --dry-run",
        "restart process name=default --dry-run",
        "create process name=api --dry-run",
        "delete process name=default --dry-run",
        "delete app shop --dry-run",
        "create app other --dry-run",
        "prune images --dry-run",
    ] {
        server.tapit(line).ok().says("nothing was changed");
    }
    let after = server.show("default");
    assert_eq!((present(&after), &after["generation"]), (present(&before), &before["generation"]));
    assert_eq!(server.tapit("list processes -o json").ok().json().as_array().map(Vec::len), Some(1));
    assert_eq!(server.tapit("list apps -o json").ok().json().as_array().map(Vec::len), Some(1));
    server.tapit("show image web:v2").ok();
}

#[test]
fn the_inverse_that_a_command_prints_undoes_it_when_typed() {
    let server = shop("demand=2");
    let settings = |shown: &Value| {
        ["memory", "cpu", "demand_count", "spot_count", "command", "image", "disabled", "health"]
            .map(|key| shown[key].clone())
    };
    let before = server.show("default");
    for line in [
        "set process demand=3 spot=1",
        "set process memory=64M cpu=500m",
        r#"set process command="sh -c 'exec /bin/web'" port=8080"#,
        "set process image=web:v2",
        "set process disabled=true",
        "set app image=web:v2",
    ] {
        let inverse = server.tapit(&format!("{line} --wait")).ok().inverse();
        assert_ne!(settings(&server.show("default")), settings(&before), "{line}");
        server.shell(&[]).type_line(&format!("{inverse} --wait")).ok();
        assert_eq!(settings(&server.show("default")), settings(&before), "{line}, undone by {inverse}");
    }
    let inverse = server.tapit("create process name=extra memory=0.03 --wait").ok().inverse();
    server.shell(&[]).type_line(&format!("{inverse} --force --wait")).ok();
    server.tapit("show process name=extra").exits(3);
}

#[test]
fn a_process_without_an_image_waits_for_one_and_then_runs() {
    let server = Server::start();
    server.tapit("create app shop memory=0.03").ok().says("no image");
    let shown = until(10, "waiting for an image", || {
        let shown = server.show("default");
        holds(shown["blocked"][0]["code"] == "no_image", format!("{shown:#}")).map(|()| shown)
    });
    assert_eq!(shown["status"], "pending");
    let archive = crate::harness::images::archive().display();
    server.tapit(&format!("import image {archive}")).ok();
    server.tapit("set app image=web:v1 --wait").ok();
    let shown = server.show("default");
    assert_eq!((&shown["status"], healthy(&shown).len()), (&Value::from("running"), 1));
}

#[test]
fn an_image_that_is_not_there_yet_is_waited_for_until_it_is_imported() {
    let server = Server::start();
    // No registry answers at this address, so only an import brings it.
    server.tapit("create app shop image=127.0.0.1:1/web:v1 memory=0.03").ok();
    until(30, "waiting for the image", || {
        let shown = server.show("default");
        holds(shown["blocked"][0]["code"] == "image_unavailable", format!("{shown:#}"))
    });
    let one = server.home().join("one.tar");
    let image = crate::harness::image::Image { name: "web:v1", config: crate::harness::images::web("1") };
    crate::harness::image::archive(&one, crate::harness::images::layer(), &[image]).expect("an archive");
    server.tapit(&format!("import image {} ref=127.0.0.1:1/web:v1", one.display())).ok();
    until(30, "running", || {
        let shown = server.show("default");
        holds(shown["status"] == "running", format!("{shown:#}"))
    });
}

#[test]
fn a_newer_set_takes_over_from_a_rollout_in_progress() {
    let server = shop("demand=3");
    server.tapit("set process image=web:deaf").ok();
    server.tapit("set process image=web:v2 --wait").ok();
    let shown = server.show("default");
    assert_eq!((&shown["status"], &shown["image"]), (&Value::from("running"), &Value::from("web:v2")));
    assert_eq!(healthy(&shown).len(), 3);
    let generation = &shown["generation"];
    assert!(instances(&shown, &["healthy"]).all(|one| one["generation"] == *generation), "{shown:#}");
}

#[test]
fn instances_are_given_what_they_should_know_of_themselves() {
    let server = shop("port=9000");
    server.tapit("create app other image=web:v1 demand=0").ok();
    let env = server.get("shop.localhost", "/env").body;
    for line in
        ["PORT=9000", "TAPIT_APP=shop", "TAPIT_PROCESS=default", "TAPIT_INSTANCE_KIND=demand", "TAPIT_VERSION=v1"]
    {
        assert!(env.lines().any(|seen| seen == line), "{line} in\n{env}");
    }
    let id = healthy(&server.shell(&[]).type_line("tapit -a shop show process name=default -o json").ok().json());
    let id = id.iter().next().expect("an instance");
    assert!(env.contains(&format!("TAPIT_INSTANCE={id}\n")), "{env}");
    let unknown = server.get("nobody.localhost", "/");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("nobody.localhost"), "{}", unknown.body);
}

#[test]
fn a_limit_below_what_is_in_use_replaces_the_instance() {
    let server = Server::with_images(&[]);
    server.tapit("create app shop image=web:v1 memory=256M cpu=0.2 --wait").ok();
    let before = healthy(&server.show("default"));
    assert_eq!(server.get("shop.localhost", "/leak?mb=100").status, 200);
    server.tapit("set process memory=32M --wait").ok();
    let shown = until(30, "replaced by one that fits", || {
        let shown = server.show("default");
        let now = healthy(&shown);
        holds(now.len() == 1 && now != before && present(&shown) == now, format!("{shown:#}")).map(|()| shown)
    });
    assert_eq!(shown["status"], "running");
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}

#[test]
fn a_command_replaces_the_images_cmd_and_keeps_its_entrypoint() {
    let server = Server::with_images(&[]);
    let archive = server.home().join("entry.tar");
    let config = json!({"Entrypoint": ["/bin/busybox"], "Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"]});
    let image = crate::harness::image::Image { name: "entry:v1", config };
    crate::harness::image::archive(&archive, crate::harness::images::layer(), &[image]).expect("an archive");
    server.tapit(&format!("import image {}", archive.display())).ok();
    server.tapit("create app shop image=entry:v1 demand=0").ok();
    server.tapit(&format!("create process name=own {SMALL} --wait")).ok();
    server.tapit(&format!("create process name=other {SMALL} command='sleep 2000000' --wait")).ok();
    let shell = "sleep 3000000 && true";
    server.tapit(&format!("create process name=shell {SMALL} image=worker:v1 command='{shell}' --wait")).ok();
    let runs = |process: &str| {
        let id = healthy(&server.show(process)).into_iter().next().expect("an instance");
        leaks::commands(server.tag(), &format!("shop.{id}"))
    };
    for (process, command) in [
        ("own", "/bin/busybox sleep 1000000"),
        ("other", "/bin/busybox sleep 2000000"),
        ("shell", "/bin/sh -c sleep 3000000 && true"),
    ] {
        let seen = runs(process);
        assert!(seen.iter().any(|line| line == command), "{command} among {seen:?}");
    }
}
