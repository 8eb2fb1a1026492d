//! An image is built from a Dockerfile, runs, goes to a registry and comes back, as somebody types it.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::{SMALL, Server, cli, images, until};
use crate::registry::Registry;

/// Where buildah keeps what it has; it would otherwise be the host's. No step of the Dockerfile is run in a container of
/// its own, which not every host of these tests would allow.
fn builder(server: &Server) -> Vec<(&'static str, String)> {
    let home = server.home();
    let storage = home.join("storage.conf");
    let (root, run) = (home.join("storage"), home.join("storage-run"));
    let text = format!("[storage]\ndriver = \"vfs\"\ngraphroot = {root:?}\nrunroot = {run:?}\n");
    std::fs::write(&storage, text).expect("the builder's settings");
    vec![
        ("CONTAINERS_STORAGE_CONF", storage.display().to_string()),
        ("BUILDAH_ISOLATION", "chroot".to_owned()),
        ("TMPDIR", home.display().to_string()),
    ]
}

/// A directory with a Dockerfile for the web server of the tests.
fn source(server: &Server) {
    let source = server.home().join("src");
    std::fs::create_dir_all(source.join("root")).expect("a directory");
    let mut layer = tar::Archive::new(images::layer());
    layer.unpack(source.join("root")).expect("the files of the test images");
    let text = "FROM scratch AS base\nCOPY root /\nFROM base\nARG GREETING=none\nENV PATH=/bin GREETING=$GREETING\n\
                RUN echo \"$GREETING\" > /greeting && rm /bin/npm\nEXPOSE 8080\nUSER nobody\nCMD [\"/bin/web\"]\n";
    std::fs::write(source.join("Dockerfile"), text).expect("a Dockerfile");
}

#[test]
fn a_built_image_runs_is_pushed_and_comes_back_the_same() {
    let server = Server::start();
    source(&server);
    let builder = builder(&server);
    let environment: Vec<(&str, &str)> = builder.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let shell = server.shell(&environment);
    let built =
        shell.type_line("tapit image build src docker_tag=v1 build_arg=GREETING=hello -a shop builder=buildah").ok();
    built.says("built shop:v1 with buildah");
    let image = server.tapit("show image shop:v1 -o json").ok().json();
    assert_eq!((&image["source"], &image["user"]), (&json!("build"), &json!("nobody")));
    assert_eq!(image["exposed_ports"], json!([8080]));

    server.tapit(&format!("create app shop image=shop:v1 {SMALL} --wait")).ok();
    assert_eq!(server.get("shop.localhost", "/").status, 200);
    server.tapit("exec name=default 'cat /greeting'").ok().says("hello");
    server.tapit("exec name=default 'ls /bin/npm'").exits(1);

    // The app's image gives the next one its name, and the registry gives back what it got.
    let registry = Registry::start(server.home());
    let there = format!("{}/team/shop:v1", registry.address);
    server.tapit(&format!("image push to={there}")).ok().says("pushed shop:v1 as").says("sha256:");
    server.tapit(&format!("set app shop image={there} --wait")).ok();
    assert_eq!(server.show("default")["image_digest"], image["digest"]);
    server.tapit("delete image shop:v1 --force").ok();
    server.tapit(&format!("push image {there} to={}/team/shop:again", registry.address)).ok();
    shell.type_line("tapit image build src docker_tag=v2 --dry-run").ok().says("/team/shop:v2 would be imported");
}

#[test]
fn a_registry_that_is_gone_is_told_with_its_reason_and_the_image_stays() {
    let server = Server::with_images(&[]);
    let mut registry = Registry::start(server.home());
    let there = format!("{}/web:v1", registry.address);
    registry.end();
    server.tapit(&format!("image push web:v1 to={there}")).exits(1).says("cannot be reached").says(&registry.address);
    server.tapit("image push nothing:v1").exits(3).says("nothing:v1");
    server.tapit("show image web:v1").ok();
}

#[test]
fn a_build_that_is_interrupted_leaves_no_file_and_no_program() {
    let server = Server::start();
    source(&server);
    let (bin, temporary) = (server.home().join("bin"), server.home().join("temporary"));
    for directory in [&bin, &temporary] {
        std::fs::create_dir(directory).expect("a directory");
    }
    // Written by a shell: a file that this program, or a child of another test, has open for writing cannot be run.
    let script =
        "printf '#!/bin/sh\\necho $$ > \"$0.pid\"\\nexec /bin/sleep 1000\\n' > bin/buildah && chmod 755 bin/buildah";
    server.shell(&[]).type_line(script).ok();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tapit"))
        .args(["image", "build", "ref=x:v1", "src"])
        .current_dir(server.home())
        .env("PATH", &bin)
        .env("TMPDIR", &temporary)
        .env("TAPIT_DATA_DIR", server.data())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let pid = until(20, "the builder runs", || {
        let text = std::fs::read_to_string(bin.join("buildah.pid")).map_err(|error| error.to_string())?;
        text.trim().parse::<i32>().map_err(|error| error.to_string())
    });
    let told = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(told, nix::sys::signal::Signal::SIGTERM).expect("the program can be signalled");
    let status = cli::wait(&mut child, Duration::from_secs(20));
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    assert_eq!(status.and_then(|status| status.code()), Some(143));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the builder has ended");
    assert_eq!(std::fs::read_dir(&temporary).expect("a directory").count(), 0);
    assert_eq!(server.tapit("list images -o json").ok().json(), json!([]));
}
