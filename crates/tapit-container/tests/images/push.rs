//! Images that go to a registry: what arrives there is what was here, and only what was not there yet is sent.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use tapit_engine::{EngineError, ImageFault, Images};
use tapit_model::{Digest, ImageRef, LayerState, RegistryLogin, RegistryName, RegistrySettings, Transfer};
use tokio::sync::watch;

use crate::archives::{Image, Layer, digest, docker_save, image};
use crate::debian_registry::Registry;
use crate::support::{Store, run, store, told};

/// Three different layers, one of them twice: links of both kinds, modes, owners, a hole, whiteouts, an empty layer.
fn sample() -> Image {
    let base = Layer::new()
        .dir("bin/")
        .mode(0o4755)
        .file("bin/su", &b"setuid ".repeat(5000))
        .mode(0o644)
        .owner(7, 8)
        .file("etc/app.conf", b"a=1\n")
        .hard_link("etc/app.link", "etc/app.conf")
        .symlink("etc/current", "app.conf")
        .dir("old/")
        .file("old/gone", b"x")
        .done();
    let empty = Layer::new().done();
    let top = Layer::new().file("old/.wh.gone", b"").file("etc/app.conf", b"a=2\n").file("old/new", b"").done();
    image(&[base, empty.clone(), top, empty])
}

async fn imported(store: &Store, image: &Image, name: &str) -> ImageRef {
    store.import(&docker_save(&[(image, &[name])]), None).await.expect("imported");
    ImageRef::parse(name).expect("reference")
}

async fn push(store: &Store, image: &ImageRef, to: &ImageRef) -> (Result<Digest, EngineError>, Transfer) {
    let (sender, receiver) = watch::channel(Transfer::default());
    let pushed = store.images.push(image, to, &sender).await;
    (pushed, receiver.borrow().clone())
}

fn states(transfer: &Transfer) -> Vec<LayerState> {
    assert!(transfer.layers.iter().all(|layer| layer.done == layer.total && layer.total > 0), "{transfer:?}");
    transfer.layers.iter().map(|layer| layer.state).collect()
}

fn spooled(store: &Store) -> usize {
    std::fs::read_dir(store.path("spool")).expect("spool").count()
}

#[test]
fn an_image_comes_back_from_a_registry_as_it_went_there() {
    run(async {
        let (registry, here, there) = (Registry::start(), store(), store());
        let sample = sample();
        let name = imported(&here, &sample, "app:v1").await;
        let to = registry.image("team/app:v1");
        let (pushed, transfer) = push(&here, &name, &to).await;
        let pushed = pushed.expect("pushed");
        assert_eq!(states(&transfer), [LayerState::Done; 3]);
        assert_eq!(registry.answered("PUT", "/blobs/uploads/"), 4, "three layers and the configuration");
        assert_eq!(spooled(&here), 0);

        let came = there.images.prepare(&to).await.expect("prepared").image.digest;
        assert_eq!(came.as_str(), digest(&sample.config), "byte for byte the same configuration");
        assert_eq!(there.merged(came.as_str()).await, here.merged(came.as_str()).await);
        let by_digest = ImageRef::parse(&format!("{}/team/app@{pushed}", registry.host)).expect("reference");
        assert_eq!(there.images.prepare(&by_digest).await.expect("prepared").image.digest, came);
    });
}

#[test]
fn other_tools_read_what_was_pushed() {
    run(async {
        let (registry, store) = (Registry::start(), store());
        let sample = sample();
        let name = imported(&store, &sample, "app:v1").await;
        let pushed = push(&store, &name, &registry.image("app:v1")).await.0.expect("pushed");
        let home = tempfile::tempdir().expect("directory");
        let source = format!("docker://{}/app:v1", registry.host);
        let inspected = skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source]);
        assert_eq!(inspected.trim(), pushed.as_str());
        let copy = home.path().join("copy");
        skopeo(&["copy", "--quiet", "--src-tls-verify=false", &source, &format!("dir:{}", copy.display())]);
        let layers: Vec<Vec<u8>> = manifest(&copy)["layers"]
            .as_array()
            .expect("layers")
            .iter()
            .map(|layer| unzipped(&copy, layer["digest"].as_str().expect("digest")))
            .collect();
        assert!(layers == sample.layers, "every layer is the tar that it was");
    });
}

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").args(arguments).output().expect("skopeo is needed: apt-get install skopeo");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn manifest(copy: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(copy.join("manifest.json")).expect("manifest")).expect("JSON")
}

fn unzipped(copy: &Path, digest: &str) -> Vec<u8> {
    let blob = std::fs::File::open(copy.join(digest.trim_start_matches("sha256:"))).expect("blob");
    let mut layer = Vec::new();
    flate2::read::GzDecoder::new(blob).read_to_end(&mut layer).expect("gzip");
    layer
}

#[test]
fn what_the_registry_has_is_not_sent_again_also_after_a_restart() {
    run(async {
        let (registry, mut store) = (Registry::start(), store());
        let name = imported(&store, &sample(), "app:v1").await;
        let to = registry.image("app:v1");
        let first = push(&store, &name, &to).await.0.expect("pushed");
        let sent = registry.answered("P", "/blobs/");
        for restarted in [false, true] {
            if restarted {
                store = store.reopen();
            }
            let (again, transfer) = push(&store, &name, &to).await;
            assert_eq!(again.expect("pushed"), first);
            assert_eq!(states(&transfer), [LayerState::Held; 3]);
            assert_eq!(registry.answered("P", "/blobs/"), sent, "no blob was sent");
        }
    });
}

#[test]
fn a_pulled_image_goes_back_under_another_tag_without_a_blob() {
    run(async {
        let (registry, here, there) = (Registry::start(), store(), store());
        let name = imported(&here, &sample(), "app:v1").await;
        push(&here, &name, &registry.image("app:v1")).await.0.expect("pushed");
        there.images.prepare(&registry.image("app:v1")).await.expect("prepared");
        let sent = registry.answered("P", "/blobs/");
        push(&there, &registry.image("app:v1"), &registry.image("app:v2")).await.0.expect("pushed");
        assert_eq!(registry.answered("P", "/blobs/"), sent, "no blob was sent");
        let there = there.images.prepare(&registry.image("app:v2")).await.expect("prepared").image.digest;
        assert_eq!(there, here.images.prepare(&name).await.expect("held").image.digest);
    });
}

#[test]
fn another_image_on_the_same_base_sends_only_its_own_layer() {
    run(async {
        let (registry, store) = (Registry::start(), store());
        let base = Layer::new().file("base", &b"base".repeat(1000)).done();
        let on_base = |name: &str| image(&[base.clone(), Layer::new().file(name, b"1").done()]);
        let one = imported(&store, &on_base("one"), "one:v1").await;
        let two = imported(&store, &on_base("two"), "two:v1").await;
        push(&store, &one, &registry.image("app:one")).await.0.expect("pushed");
        let sent = registry.answered("PUT", "/blobs/uploads/");
        let (pushed, transfer) = push(&store, &two, &registry.image("app:two")).await;
        pushed.expect("pushed");
        assert_eq!(states(&transfer), [LayerState::Held, LayerState::Done]);
        assert_eq!(registry.answered("PUT", "/blobs/uploads/"), sent + 2, "one layer and the configuration");
    });
}

#[test]
fn what_cannot_be_pushed_is_told_with_the_reason_and_leaves_nothing() {
    run(async {
        let (registry, store) = (Registry::start(), store());
        let name = imported(&store, &sample(), "app:v1").await;
        let fails = async |image: &ImageRef, to: &str| {
            let error = push(&store, image, &ImageRef::parse(to).expect("reference")).await.0.expect_err("refused");
            let EngineError::Image { fault, .. } = &error else { panic!("{error:?}") };
            assert_eq!(spooled(&store), 0);
            (*fault, told(&error))
        };
        let host = registry.host.clone();
        let unknown = ImageRef::parse("other:v1").expect("reference");
        let (fault, text) = fails(&unknown, &format!("{host}/app:v1")).await;
        assert_eq!(fault, ImageFault::NotFound);
        assert!(text.contains("other:v1") && text.contains("no image of this name"), "{text}");

        let pinned = format!("{host}/app@sha256:{}", "0".repeat(64));
        let (fault, text) = fails(&name, &pinned).await;
        assert_eq!(fault, ImageFault::Invalid);
        assert!(text.contains("under a tag"), "{text}");

        drop(registry);
        let (fault, text) = fails(&name, &format!("{host}/app:v1")).await;
        assert_eq!(fault, ImageFault::Unreachable);
        assert!(text.contains(&format!("the registry {host} cannot be reached")), "{text}");
    });
}

/// It lets in only ann, with the password secret.
const LOGIN: &str = "auth:\n  htpasswd:\n    realm: test\n    path: DIR/users\n";
const USERS: &str = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

#[test]
fn a_registry_that_wants_a_login_says_so_and_takes_the_image_once_there_is_one() {
    run(async {
        let (registry, store) = (Registry::start_with(LOGIN), store());
        registry.write("users", USERS);
        let name = imported(&store, &sample(), "app:v1").await;
        let to = registry.image("app:v1");
        let host = RegistryName::parse(&registry.host).expect("a registry");
        let login = |password: &str| {
            let login = RegistryLogin { username: "ann".to_owned(), password: password.to_owned() };
            Some(RegistrySettings { login: Some(login), ..RegistrySettings::default() })
        };
        for settings in [None, login("wrong")] {
            store.images.set_registry(&host, settings).await.expect("set");
            let error = push(&store, &name, &to).await.0.expect_err("refused");
            assert!(matches!(error, EngineError::Image { fault: ImageFault::Denied, .. }), "{error:?}");
            let hint = format!("tapit set registry {host} username=USER password=-");
            assert!(told(&error).contains(&hint), "{}", told(&error));
            assert_eq!((spooled(&store), registry.answered("PUT", "")), (0, 0));
        }
        store.images.set_registry(&host, login("secret")).await.expect("set");
        push(&store, &name, &to).await.0.expect("pushed");
        assert_eq!(registry.answered("PUT", "/manifests/v1"), 1);
    });
}

#[test]
fn a_layer_that_was_changed_on_disk_is_never_sent() {
    run(async {
        let (registry, store) = (Registry::start(), store());
        let name = imported(&store, &sample(), "app:v1").await;
        let layers = store.config(&digest(&sample().config)).await.layers;
        std::fs::write(layers[0].join("etc/app.link"), b"a=9\n").expect("a changed file");
        let error = push(&store, &name, &registry.image("app:v1")).await.0.expect_err("refused");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::Host, .. }), "{error:?}");
        assert_eq!(registry.answered("PUT", "/manifests/"), 0, "{}", told(&error));
        assert_eq!(spooled(&store), 0);
    });
}
