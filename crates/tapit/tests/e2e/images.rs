//! Images held by the server.

use serde_json::{Value, json};

use crate::harness::{SMALL, Server, holds, images, until};
use crate::registry::Registry;

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

/// A web image that has nothing in common with others but what it does.
fn publish(registry: &Registry, version: &str) -> String {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(100_000);
    layer.append_data(&mut header, version, &vec![b'x'; 100_000][..]).expect("a file");
    registry.push_layers(&[&layer.into_inner().expect("a layer"), images::layer()], &images::web(version), version);
    format!("{}/web:{version}", registry.address)
}

#[test]
fn an_image_is_pulled_with_a_line_for_each_layer_and_the_second_time_with_nothing_to_fetch() {
    let server = Server::start();
    let registry = Registry::start(server.home());
    let image = publish(&registry, "v1");
    let pulled = server.tapit(&format!("pull image {image}")).ok().says("pulled").says("in 2 layers");
    assert_eq!(pulled.stderr.matches(" done, ").count(), 2, "{pulled}");
    let view = pulled.json();
    assert_eq!((&view["name"], &view["source"], &view["used_by"]), (&json!(image), &json!("pull"), &json!([])));
    assert_eq!(view["size"], view["unique"]);
    server.tapit(&format!("pull image {image}")).ok().says("all 2 layers are there already");

    // By the beginning of its digest, once it has no name too.
    let digest = view["digest"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
    assert_eq!(server.tapit(&format!("show image {} -o json", &digest[..12])).ok().json()["name"], image.as_str());
    let dry = server.tapit(&format!("delete image {} --dry-run", &digest[..12])).ok();
    dry.says("would delete image").says("which frees");
    server
        .tapit(&format!("delete image {} --force", &digest[..12]))
        .ok()
        .says(&format!("deleted image {image}, freed"));
    assert_eq!(names(&server), [""; 0]);

    let table = server.tapit(&format!("pull image {image} -o table")).ok().stdout;
    let heads: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(heads, ["NAME", "DIGEST", "SIZE", "SHARED", "SOURCE", "AGE", "USED", "BY"]);
}

#[test]
fn a_pull_that_fails_says_why_and_exits_so() {
    let server = Server::start();
    let mut registry = Registry::start(server.home());
    server.tapit("pull image UPPER").exits(2).says("not an image reference");
    server.tapit("pull image").exits(2).says("name is missing");
    server.tapit(&format!("pull image {}/nothing:v1", registry.address)).exits(3).says("nothing:v1");
    server.tapit("pull image web:v1 --dry-run").ok().says("would be pulled from docker.io");
    registry.end();
    server.tapit(&format!("pull image {}/web:v1", registry.address)).exits(1).says(&registry.address);
    assert_eq!(names(&server), [""; 0]);
}

#[test]
fn over_their_disk_unused_images_go_by_themselves_and_nothing_in_use_does() {
    // Less than any image takes.
    let server = Server::with(&["--images-disk", "0.0001"]);
    let registry = Registry::start(server.home());
    let [one, two, three] = ["v1", "v2", "v3"].map(|version| publish(&registry, version));
    server.tapit(&format!("create app shop image={one} {SMALL} --wait")).ok();
    server.tapit(&format!("pull image {two}")).ok();
    assert_eq!(names(&server), [one.clone(), two.clone()], "whoever pulled it is about to use it");
    server.tapit(&format!("pull image {three}")).ok();
    assert_eq!(names(&server), [one.clone(), three.clone()], "used longest ago");

    server.tapit(&format!("set app shop image={three} --wait")).ok();
    server.tapit(&format!("pull image {two}")).ok();
    assert_eq!(names(&server), [two, three], "the new version runs, so nothing needs the old one");
    assert_eq!(server.get("shop.localhost", "/").status, 200);
    server.tapit("restart process name=default --wait").ok();

    // What nobody but its user can bring again stays, and it is told that there is too much.
    server.tapit(&format!("import image {}", images::archive().display())).ok();
    assert!(names(&server).contains(&"web:v1".to_owned()));
    let status = server.tapit("status -o json").ok().json();
    assert!(status["images_bytes"].as_u64().expect("bytes") > 100_000, "{status}");
    assert_eq!(status["images_disk"], json!(0.0001));
    assert!(status["warnings"].to_string().contains("--images-disk"), "{status}");
    server.tapit("prune images").ok().says("freed");
    assert!(server.log().contains("removed unused images"), "{}", server.log());
}

#[test]
fn an_image_in_use_goes_neither_by_name_nor_by_digest_and_a_second_name_of_it_does() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    let digest = server.show("default")["image_digest"].as_str().expect("a digest").to_owned();
    server.tapit(&format!("delete image {digest} --force")).exits(4).says("shop/default");
    server.tapit("delete image web:v1 --force").exits(4).says("shop/default");
    let again = server.home().join("again.tar");
    let image = crate::harness::image::Image { name: "again:v1", config: images::web("1") };
    crate::harness::image::archive(&again, images::layer(), &[image]).expect("an archive");
    server.tapit(&format!("import image {}", again.display())).ok();
    server.tapit("delete image again:v1 --force").ok().says("the image stays as web:v1");
    server.tapit("delete image web:v1 --force").exits(4);

    // The app itself names an image for processes to come.
    server.tapit("delete process name=default --force --wait").ok();
    server.tapit("prune images").ok();
    assert_eq!(names(&server), ["web:v1"]);
    server.tapit("delete image web:v1 --force").exits(4).says("used by shop");
    server.tapit("delete app shop --force --wait").ok();
    server.tapit("prune images --dry-run").ok().says("would delete web:v1");
    server.tapit("prune images").ok().says("deleted web:v1, freed");
}

#[test]
fn an_instance_of_a_superseded_version_keeps_its_image_for_as_long_as_it_lives() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    // The next version never listens, and does not go when it is asked to.
    let deaf = "/bin/sh -c 'trap : TERM; echo up; while true; do sleep 1; done'";
    server.tapit(&format!("set process name=default image=worker:v1 stop_timeout=20 \"command={deaf}\"")).ok();
    until(30, "the second version is tried", || {
        let log = server.tapit("logs name=default").ok();
        holds(log.stdout.contains("up"), log)
    });
    // Nothing that is wanted knows of it any more.
    server.tapit("set process name=default image=web:v2 command=").ok();
    let of = |shown: &Value, generation: u64| {
        let all = shown["instances"].as_array().cloned().unwrap_or_default();
        all.iter().any(|one| one["generation"] == generation && one["state"] != "stopped")
    };
    until(30, "the third version is tried", || holds(of(&server.show("default"), 3), server.show("default")));
    server.tapit("prune images").ok();
    let held = names(&server);
    let shown = server.show("default");
    assert!(of(&shown, 2), "it takes its time to go: {shown}");
    assert!(held.contains(&"worker:v1".to_owned()), "an instance of it lives: {held:?}");
    assert!(held.contains(&"web:v1".to_owned()) && held.contains(&"web:v2".to_owned()), "{held:?}");
    until(60, "the instance has ended and its image is unused", || {
        server.tapit("prune images").ok();
        let held = names(&server);
        // The app itself names the first one.
        holds(held == ["web:v1", "web:v2"], format!("{held:?}"))
    });
    assert_eq!(server.get("shop.localhost", "/").status, 200);
}
