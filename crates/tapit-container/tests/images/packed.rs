//! A store that keeps layers as they came, for images that run elsewhere: no root, nothing unpacked, and every byte there
//! when they are sent on.

use std::path::Path;
use std::process::Command;

use tapit_container::images::{ImageStore, Keep, Limits, Opening};
use tapit_engine::{EngineError, Forget, ImageFault, Images, InUse};
use tapit_model::{Digest, ImageRef, ImageView, RegistrySettings, Transfer};
use tokio::sync::watch;

use crate::archives::{Image, Layer, digest, docker_save, gzip, image, oci_layout, zstd};
use crate::debian_registry::Registry;
use crate::fake_registry::FakeRegistry;
use crate::pull::{layers, publish, reference};
use crate::support::{Store, exe, run, store, told};

fn open(dir: &Path, exe: &Path, limits: Limits) -> ImageStore {
    let opening = Opening { limits, keep: Keep::Packed, ..Opening::default() };
    ImageStore::open_as(&dir.join("images"), exe, opening).expect("store")
}

fn packed() -> Store {
    packed_with(Limits::default())
}

fn packed_with(limits: Limits) -> Store {
    let dir = tempfile::tempdir().expect("directory");
    let images = open(dir.path(), exe(), limits);
    Store { dir, images }
}

/// Files, links, a setuid program, a whiteout, and a layer that stands in it twice.
fn sample() -> Image {
    let base = Layer::new()
        .dir("bin/")
        .mode(0o4755)
        .file("bin/su", &b"setuid ".repeat(50_000))
        .owner(7, 8)
        .hard_link("bin/link", "bin/su")
        .dir("old/")
        .file("old/gone", b"x")
        .done();
    let top = Layer::new().file("old/.wh.gone", b"").symlink("current", "bin").done();
    image(&[base, top.clone(), top])
}

async fn send(images: &ImageStore, config: &str, to: &ImageRef) -> Result<Digest, EngineError> {
    let config = Digest::parse(config).expect("digest");
    images.send(&config, to, &RegistrySettings::default()).await
}

#[test]
fn what_is_held_packed_is_sent_on_byte_for_byte() {
    run(async {
        let sample = sample();
        for pack in [gzip, zstd, |plain: &[u8]| plain.to_vec()] {
            let (registry, here, there) = (Registry::start(), packed(), store());
            let named = serde_json::json!({"org.opencontainers.image.ref.name": "app:v1"});
            let archive = crate::archives::tar_of(&oci_layout(&sample, &named, pack));
            let views = here.import(&archive, None).await.expect("imported");
            assert_eq!(views[0].digest, digest(&sample.config));
            let layers = here.path("layers");
            let is_empty = |entry: std::io::Result<std::fs::DirEntry>| {
                let path = entry.expect("entry").path();
                !path.is_dir() || std::fs::read_dir(path).expect("directory").count() == 0
            };
            assert!(std::fs::read_dir(&layers).expect("layers").all(is_empty), "nothing is unpacked");

            let to = registry.image("app:v1");
            send(&here.images, &views[0].digest, &to).await.expect("sent");
            let came = there.images.prepare(&to).await.expect("prepared").image.digest;
            assert_eq!(came.as_str(), digest(&sample.config));
            let plain = store();
            plain.import(&archive, None).await.expect("imported");
            assert_eq!(there.merged(came.as_str()).await, plain.merged(came.as_str()).await);
        }
    });
}

#[test]
fn what_was_pulled_packed_is_sent_on_too_and_held_over_a_restart() {
    run(async {
        let (from, to, here) = (FakeRegistry::start(), Registry::start(), packed());
        publish(&from, &layers(), "v1");
        let name = reference(&from, ":v1");
        let view = here.images.pull(&name, &watch::channel(Transfer::default()).0).await.expect("pulled");
        let Store { dir, images } = here;
        drop(images);
        let images = open(dir.path(), exe(), Limits::default());
        assert_eq!(
            images.list().await.expect("listed"),
            [ImageView { used_at: list_used(&images).await, ..view.clone() }]
        );
        send(&images, &view.digest, &to.image("app:v1")).await.expect("sent");
        let there = store();
        let came = there.images.prepare(&to.image("app:v1")).await.expect("prepared").image.digest;
        assert_eq!(came.as_str(), view.digest);
    });
}

/// When the only image was used last, which is for people.
async fn list_used(images: &ImageStore) -> String {
    images.list().await.expect("listed").remove(0).used_at
}

#[test]
fn a_layer_that_is_not_what_the_image_says_is_refused_and_leaves_nothing() {
    run(async {
        let store = packed_with(Limits { image_bytes: 4 << 20, ..Limits::default() });
        let before = store.files();
        let good = sample();
        let mut swapped = good.clone();
        swapped.layers[1] = Layer::new().file("evil", b"").done();
        let bomb = image(&[vec![0; 5 << 20]]);
        for (archive, says) in [
            (docker_save(&[(&swapped, &["app:v1"])]), "but the image's configuration says"),
            (docker_save(&[(&bomb, &["app:v1"])]), "more bytes than one image may take"),
            (crate::archives::tar_of(&oci_layout(&bomb, &named(), gzip)), "more bytes than one image may take"),
        ] {
            let error = told(&store.import(&archive, None).await.expect_err("refused"));
            assert!(error.contains(says), "{error}");
            assert_eq!(store.files(), before);
        }
        store.import(&docker_save(&[(&good, &["app:v1"])]), None).await.expect("the right one");
    });
}

fn named() -> serde_json::Value {
    serde_json::json!({"org.opencontainers.image.ref.name": "app:v1"})
}

#[test]
fn containers_are_not_made_from_what_is_packed() {
    run(async {
        let (registry, here) = (FakeRegistry::start(), packed());
        publish(&registry, &layers(), "v1");
        let pulled = reference(&registry, ":v1");
        here.images.prepare(&pulled).await.expect("prepared");
        here.import(&docker_save(&[(&sample(), &["app:v1"])]), None).await.expect("imported");
        // The same directory with an engine that runs containers itself.
        let here = here.reopen();
        let imported = ImageRef::parse("app:v1").expect("reference");
        let error = here.images.prepare(&imported).await.expect_err("it is packed");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::NotFound, .. }), "{error:?}");
        assert!(told(&error).contains("import it again"), "{}", told(&error));
        here.import(&docker_save(&[(&sample(), &["app:v1"])]), None).await.expect("imported again");
        here.images.prepare(&imported).await.expect("prepared");
        let digest = here.images.prepare(&pulled).await.expect("unpacked now").image.digest;
        assert_eq!(here.merged(digest.as_str()).await.lines().count(), 5);
        // And back: what is unpacked can be sent on.
        let Store { dir, images } = here;
        drop(images);
        let images = open(dir.path(), exe(), Limits::default());
        let to = Registry::start();
        send(&images, digest.as_str(), &to.image("app:v1")).await.expect("sent");
    });
}

const WHERE: &str = "TAPIT_TEST_AS_NOBODY";

#[test]
fn everything_but_running_works_without_root() {
    let dir = tempfile::tempdir().expect("directory");
    let shell = |script: &str, words: &[&Path]| {
        let status = Command::new("sh").args(["-ec", script, "sh"]).args(words).status();
        assert!(status.expect("sh").success(), "{script}");
    };
    let me = std::env::current_exe().expect("this program");
    // Copied, because what a user builds need not be there for others.
    shell("cp \"$1\" \"$3/tests\"; cp \"$2\" \"$3/child\"; chmod 755 \"$3\" \"$3\"/*", &[&me, exe(), dir.path()]);
    shell("mkdir \"$1/home\"; chown 65534:65534 \"$1/home\"", &[dir.path()]);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"])
        .arg(dir.path().join("tests"))
        .args(["--exact", "packed::as_nobody", "--nocapture"])
        .env(WHERE, dir.path())
        .current_dir("/")
        .output()
        .expect("setpriv");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("as nobody: done"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The part of the test above that nobody runs.
#[test]
fn as_nobody() {
    let Some(dir) = std::env::var_os(WHERE) else { return };
    let (dir, registry) = (Path::new(&dir), Registry::start());
    run(async {
        let home = dir.join("home");
        let images = open(&home, &dir.join("child"), Limits::default());
        let archive = home.join("archive.tar");
        for archived in [docker_save(&[(&sample(), &["app:v1"])]), gzip(&docker_save(&[(&sample(), &["app:v2"])]))] {
            std::fs::write(&archive, archived).expect("written");
            images.import(&archive, None).await.map_err(|error| told(&error)).expect("imported");
        }
        let config = digest(&sample().config);
        send(&images, &config, &registry.image("app:v1")).await.expect("sent");
        let view =
            images.pull(&registry.image("app:v1"), &watch::channel(Transfer::default()).0).await.expect("pulled");
        assert_eq!(view.digest, config);
        assert_eq!(images.list().await.expect("listed").len(), 3);
        let config = Digest::parse(&config).expect("digest");
        let unused = std::sync::Arc::new(InUse::default);
        images.delete(&Forget::Digest(config), &(unused as _)).await.expect("deleted");
        assert!(images.list().await.expect("listed").is_empty());
        assert_eq!(std::fs::read_dir(home.join("images/layers")).expect("layers").count(), 0);
    });
    println!("as nobody: done");
}
