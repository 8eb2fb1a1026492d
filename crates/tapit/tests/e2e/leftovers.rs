//! Nothing stays behind, and servers do not meet.

use crate::harness::views::healthy;
use crate::harness::{SMALL, Server, leaks};

#[test]
fn an_ephemeral_server_removes_everything_when_it_ends() {
    let mut server = Server::with_images(&["--ephemeral"]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 spot=1 --wait")).ok();
    assert_eq!(server.get("shop.localhost", "/").status, 200);
    assert!(leaks::found(server.tag(), server.data()).len() > 3, "there is something to remove");
    assert!(server.sigterm().success());
    server.expect_nothing_left();
}

#[test]
fn a_teardown_removes_everything_of_a_running_and_of_a_killed_server() {
    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 --wait")).ok();
    server.teardown();

    let mut server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 --wait")).ok();
    server.kill9();
    server.teardown();
    server.tapit(&format!("teardown --data-dir {} --force", server.data().display())).exits(3);
}

#[test]
fn a_teardown_asks_first_and_without_a_terminal_it_needs_force() {
    let server = Server::start();
    server.tapit(&format!("teardown --data-dir {}", server.data().display())).exits(2).says("--force");
    server.tapit("status").ok();
}

#[test]
fn two_servers_on_one_machine_do_not_touch_each_other() {
    let mut one = Server::with_images(&[]);
    let two = Server::with_images(&[]);
    for server in [&one, &two] {
        server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    }
    let before = healthy(&two.show("default"));
    one.teardown();
    assert_eq!(healthy(&two.show("default")), before);
    assert_eq!(two.get("shop.localhost", "/").status, 200);
    two.tapit("set process demand=3 --wait").ok();
}

#[test]
fn a_second_server_on_one_data_dir_refuses() {
    let server = Server::start();
    let line = format!("server --data-dir {} --http 127.0.0.1:0", server.data().display());
    let refused = server.tapit(&line).exits(4);
    assert!(refused.stderr.contains(&server.pid().to_string()), "it says which one runs\n{refused}");
    assert_eq!(refused.stdout, "", "it is not ready");
    server.tapit("status").ok();
}

#[test]
fn deleting_an_app_leaves_no_container() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    server.tapit(&format!("create process name=worker {SMALL} image=worker:v1 --wait")).ok();
    assert_eq!(leaks::containers(server.tag()), 3);
    server.tapit("delete app shop --force --wait").ok();
    assert_eq!(server.tapit("list apps -o json").ok().json(), serde_json::json!([]));
    assert_eq!(leaks::containers(server.tag()), 0);
    server.tapit("create app shop image=web:v1 memory=0.03 --wait").ok();
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}
