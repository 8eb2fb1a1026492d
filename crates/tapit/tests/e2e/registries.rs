//! Registries that want a login, and ones that do not do what they should, while instances run.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::fake_registry::{FakeRegistry, Reply, Request};
use crate::harness::image::{config, hex};
use crate::harness::views::healthy;
use crate::harness::{Load, SMALL, Server, holds, images, until};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// `ann` with the password `opensesame`.
const ANN: &str = "Basic YW5uOm9wZW5zZXNhbWU=";

/// A layer that no other image has: the tag in a file. It is long enough to break off, and to trickle for minutes.
fn own_layer(tag: &str) -> Vec<u8> {
    let text = tag.repeat(4000);
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "tag", text.as_bytes()).expect("a member");
    tar.into_inner().expect("a tar")
}

/// Puts a web server there, made of the common layer and one of its own. Returns the path of the latter.
fn publish(registry: &FakeRegistry, tag: &str) -> String {
    let layers = [images::layer().to_vec(), own_layer(tag)];
    let mut config = config(&images::web(tag), &hex(&layers[0]));
    config["rootfs"]["diff_ids"] = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    let config = config.to_string();
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len()});
    let layer = |bytes: &Vec<u8>| descriptor("application/vnd.oci.image.layer.v1.tar", bytes);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    layers.iter().for_each(|layer| registry.blob("web", layer));
    registry.blob("web", config.as_bytes());
    registry.manifest("web", tag, manifest.to_string().as_bytes());
    format!("/v2/web/blobs/sha256:{}", hex(&layers[1]))
}

fn only_ann(request: &Request) -> Option<Reply> {
    let asks = vec![("WWW-Authenticate", r#"Basic realm="here""#.to_owned())];
    (request.header("authorization") != ANN).then(|| Reply::Full(401, asks, Vec::new()))
}

/// Waits until a process says why it is blocked.
fn blocked(server: &Server, process: &str, part: &str) -> Value {
    until(30, &format!("blocked by {part:?}"), || {
        let shown = server.show(process);
        holds(shown["blocked"].to_string().contains(part), &shown["blocked"]).map(|()| shown)
    })
}

#[test]
fn an_image_behind_a_login_is_had_as_soon_as_the_login_is_set() {
    let registry = FakeRegistry::start();
    publish(&registry, "v1");
    registry.script(only_ann);
    let (server, host) = (Server::start(), registry.host());
    server.tapit(&format!("create app shop image={host}/web:v1 {SMALL}")).ok();
    let shown = blocked(&server, "default", "wants a login");
    let advice = format!("tapit set registry {host} username=USER password=-");
    assert!(shown["blocked"].to_string().contains(&advice), "{}", shown["blocked"]);

    let typed = format!("echo wrong | tapit set registry {host} username=ann password=-");
    server.shell(&[]).type_line(&typed).ok().says("set username, password of the registry");
    blocked(&server, "default", "refuses the login of");
    server.shell(&[]).type_line(&typed.replace("wrong", "opensesame")).ok();
    until(20, "running", || {
        let shown = server.show("default");
        holds(healthy(&shown).len() == 1, &shown)
    });

    let listed = server.tapit("list registries -o json").ok();
    assert_eq!(listed.json(), json!([{"name": host, "username": "ann", "mirror": [], "plain_http": false}]));
    let shown = server.tapit(&format!("show registry {host} -o table")).ok().says("(set, not shown)");
    for text in [&listed.stdout, &shown.stdout, &server.log()] {
        assert!(!text.contains("opensesame"), "{text}");
    }
    let kept = server.data().join("images/registries.json");
    assert_eq!(std::fs::metadata(&kept).expect("the settings").permissions().mode() & 0o777, 0o600);
}

#[test]
fn registries_are_set_shown_and_forgotten() {
    let server = Server::start();
    assert_eq!(server.tapit("list registries -o json").ok().json(), json!([]));
    server.tapit("show registry ghcr.io").exits(3).says("there is none");
    let set = "set registry Index.Docker.io mirror=a.example,b.example:5000";
    server.tapit(&format!("{set} --dry-run")).ok().says("would set mirror");
    assert_eq!(server.tapit("list registries -o json").ok().json(), json!([]));
    assert_eq!(server.tapit(set).ok().inverse(), "tapit delete registry docker.io --force");
    server.tapit(set).ok().says("nothing to change");
    let plain = server.tapit("set registry docker.io plain_http=yes mirror=").ok();
    let undo = plain.inverse();
    assert_eq!(undo, "tapit set registry docker.io mirror=a.example,b.example:5000 plain_http=false");
    server.shell(&[]).type_line(&undo).ok();
    let shown = server.tapit("show registry docker.io -o json").ok().json();
    assert_eq!(shown["mirror"], json!(["a.example", "b.example:5000"]));
    for (line, part) in [
        ("set registry ghcr.io", "needs something to change"),
        ("set registry username=ann", "registry is missing"),
        ("set registry https://ghcr.io username=ann password=x", "is not a registry"),
        ("set registry ghcr.io username=ann", "needs a password as well"),
        ("set registry ghcr.io username=ann password=-", "no password on the standard input"),
        ("set registry ghcr.io plain_http=perhaps", "true or false"),
        ("set registry ghcr.io pasword=x", "password"),
        ("delete registry docker.io", "add --force"),
    ] {
        server.tapit(line).exits(2).says(part);
    }
    server.tapit("delete registry ghcr.io --force").exits(3).says("there are docker.io");
    server.tapit("delete registry docker.io --dry-run").ok().says("would forget");
    server.tapit("delete registry docker.io --force").ok();
    assert_eq!(server.tapit("list registries -o json").ok().json(), json!([]));
}

#[test]
fn a_mirror_stands_in_for_a_registry_that_is_not_there() {
    let mirror = FakeRegistry::start();
    publish(&mirror, "v1");
    let server = Server::start();
    server.tapit(&format!("set registry nowhere.invalid mirror={}", mirror.host())).ok();
    server.tapit(&format!("create app shop image=nowhere.invalid/web:v1 {SMALL} --wait")).ok();
    assert_eq!(server.show("default")["image"], "nowhere.invalid/web:v1");
}

/// How a registry fails, and what is said about it. The paths are those of the manifest and of a layer.
struct Fault {
    process: &'static str,
    breaking: fn(&FakeRegistry, &str, &str),
    says: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        process: "limited",
        breaking: |registry, manifest, _| registry.set(manifest, Reply::Status(429)),
        says: "429 Too Many Requests",
    },
    Fault {
        process: "troubled",
        breaking: |registry, manifest, _| registry.set(manifest, Reply::Status(503)),
        says: "it answered 503",
    },
    Fault {
        process: "unknown",
        breaking: |registry, manifest, _| registry.set(manifest, Reply::Status(404)),
        says: "check the name and the tag",
    },
    Fault {
        process: "closed",
        breaking: |registry, manifest, _| registry.set(manifest, Reply::Status(403)),
        says: "wants a login",
    },
    Fault {
        process: "page",
        breaking: |registry, manifest, _| registry.set(manifest, Reply::Body(b"<html>".to_vec())),
        says: "a web page",
    },
    Fault {
        process: "expired",
        breaking: |registry, _, layer| registry.set(layer, Reply::Status(401)),
        says: "wants a login",
    },
    Fault {
        process: "lying",
        breaking: |registry, _, layer| registry.set(layer, Reply::Body(vec![0; own_layer("v2").len()])),
        says: "sent other content",
    },
    Fault {
        process: "cut",
        breaking: |registry, _, layer| registry.set(layer, Reply::HalfOf(own_layer("v2"))),
        says: "cannot be reached",
    },
    Fault {
        process: "shorter",
        breaking: |registry, _, layer| registry.set(layer, Reply::Body(vec![0; 10])),
        says: "its manifest says that sha256:",
    },
];

/// Sets a new image and waits for the end of it, which must be the old instances with a reason for the new ones.
fn rolled_back(server: &Server, process: &str, image: &str, says: &str) {
    let before = server.tapit(&format!("show process name={process} -a shop -o json")).ok().json();
    server.tapit(&format!("set process name={process} image={image} -a shop --wait")).exits(1).says(says);
    let shown = server.tapit(&format!("show process name={process} -a shop -o json")).ok().json();
    assert_eq!(shown["status"], "rolled_back", "{process}: {shown}");
    assert!(shown["rollout"]["reason"].to_string().contains(says), "{process}: {}", shown["rollout"]);
    assert_eq!(healthy(&shown), healthy(&before), "{process}: the instances of before");
}

#[test]
fn instances_go_on_whatever_a_registry_does() {
    let server = Server::with_images(&[]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    for Fault { process, .. } in FAULTS {
        server.tapit(&format!("create process name={process} {SMALL}")).ok();
    }
    for Fault { process, .. } in FAULTS {
        until(60, "all healthy", || {
            let shown = server.show(process);
            holds(healthy(&shown).len() == 1, &shown)
        });
    }
    let load = Load::start(server.http(), "shop.localhost");
    std::thread::scope(|scope| {
        for Fault { process, breaking, says } in FAULTS {
            let server = &server;
            scope.spawn(move || {
                let registry = FakeRegistry::start();
                let layer = publish(&registry, "v2");
                breaking(&registry, "/v2/web/manifests/v2", &layer);
                rolled_back(server, process, &format!("{}/web:v2", registry.host()), says);
            });
        }
        let down = FakeRegistry::start().host();
        rolled_back(&server, "default", &format!("{down}/web:v2"), "check its name, and whether it runs");
    });
    load.finish().assert_none_failed("while nine registries failed, each in its own way");
}

#[test]
fn a_registry_that_trickles_holds_up_nobody_else() {
    let (slow, good) = (FakeRegistry::start(), FakeRegistry::start());
    let layer = publish(&slow, "v2");
    slow.set(&layer, Reply::Trickle(own_layer("v2")));
    publish(&good, "v3");
    let server = Server::start();
    server.tapit(&format!("create app slow image={}/web:v2 {SMALL}", slow.host())).ok();
    until(20, "fetching", || {
        let shown = server.tapit("show process name=default -a slow -o json").ok().json();
        holds(shown["blocked"].to_string().contains("is being fetched"), &shown["blocked"])
    });
    server.tapit(&format!("create app quick image={}/web:v3 {SMALL} --wait", good.host())).ok();
    let shown = server.tapit("show process name=default -a slow -o json").ok().json();
    assert!(shown["blocked"].to_string().contains("is being fetched"), "{shown}");
    // Nor does it hold up a change of mind.
    server.tapit(&format!("set app slow image={}/web:v3 --wait", good.host())).ok();
}
