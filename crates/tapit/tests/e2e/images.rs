//! Images held by the server.

use serde_json::{Value, json};

use crate::harness::{SMALL, Server, images};

fn names(server: &Server) -> Vec<String> {
    let all = server.tapit("list images -o json").ok().json();
    let all = all.as_array().expect("an array").iter().filter_map(|one| one["name"].as_str().map(str::to_owned));
    let mut all: Vec<String> = all.collect();
    all.sort();
    all
}

#[test]
fn images_are_listed_shown_deleted_and_pruned_but_not_while_they_are_used() {
    let server = Server::with_images(&[]);
    assert_eq!(names(&server).len(), 7, "all images of one archive");
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();

    let shown = server.tapit("show image web:v1 -o json").ok().json();
    assert_eq!((&shown["source"], &shown["exposed_ports"]), (&json!("import"), &json!([8080])));
    assert_eq!((&shown["command"], &shown["used_by"]), (&json!(["/bin/web"]), &json!(["shop/default"])));
    server.tapit("delete image web:v1 --force").exits(4).says("shop/default");
    server.tapit("delete image web:v2 --force").ok();
    server.tapit("show image web:v2").exits(3).says("web:v2");

    server.tapit("prune images").ok();
    assert_eq!(names(&server), ["web:v1"]);
    server.tapit("restart process name=default --wait").ok();
}

#[test]
fn an_archive_comes_through_a_pipe_and_under_another_name() {
    let server = Server::start();
    let one = server.home().join("one.tar");
    let image = crate::harness::image::Image { name: "web:v1", config: images::web("1") };
    crate::harness::image::archive(&one, images::layer(), &[image]).expect("an archive");
    let line = format!("cat {} | tapit import image - ref=mine/web:v9", one.display());
    server.shell(&[]).type_line(&line).ok();
    assert_eq!(names(&server), ["mine/web:v9"]);
}

#[test]
fn an_archive_that_is_none_is_refused_and_nothing_stays() {
    let server = Server::start();
    let broken = server.home().join("broken.tar");
    let mut bytes = std::fs::read(images::archive()).expect("the archive");
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&broken, bytes).expect("a file");
    let refused = server.tapit(&format!("import image {}", broken.display()));
    assert!([1, 2].contains(&refused.code), "{refused}");
    assert_eq!(names(&server), [""; 0]);
    server.tapit(&format!("import image {}", images::archive().display())).ok();
    server.tapit("create app shop image=web:v1 memory=0.03 --wait").ok();
    assert_eq!(server.show("default")["status"], Value::from("running"));
}
