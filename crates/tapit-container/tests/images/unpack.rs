//! Layers become directories: what is right in them, and what is hostile.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tar::EntryType;

use crate::archives::{Image, Layer, digest, docker_save, image};
use crate::support::{exe, run, store, told};

/// What a container sees of these layers.
fn check(layers: &[Vec<u8>], seen: &str) {
    let shown = run(async { store().unpack(layers).await }).expect("unpacked");
    let lines = |text: &str| text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&shown), lines(seen));
}

/// The layers are refused with this sentence, and leave nothing behind.
fn refused(layers: &[Vec<u8>], sentence: &str) {
    run(async {
        let store = store();
        let before = store.files();
        let error = store.unpack(layers).await.expect_err("refused");
        assert!(error.contains(sentence), "{error}\n{sentence}");
        assert_eq!(store.files(), before);
    });
}

#[test]
fn files_links_and_modes_come_out_as_packed() {
    let layer = Layer::new()
        .dir("bin/")
        .mode(0o4755)
        .owner(1000, 2000)
        .file("bin/su", b"#!")
        .mode(0o640)
        .owner(0, 0)
        .file("./etc/conf", b"x")
        .hard_link("etc/same", "etc/conf")
        .symlink("etc/mtab", "../proc/mounts")
        .raw(EntryType::Fifo, "run/pipe", "", b"")
        .file("/absolute", b"stripped");
    check(
        &[layer.done()],
        "absolute f 640 0:0
         bin d 755 0:0
         bin/su f 4755 1000:2000
         etc d 755 0:0
         etc/conf f 640 0:0
         etc/mtab l 777 0:0 ../proc/mounts
         etc/same f 640 0:0
         run d 755 0:0
         run/pipe p 640 0:0",
    );
}

#[test]
fn times_are_kept_also_of_directories_that_were_filled_later() {
    run(async {
        let store = store();
        let layer = Layer::new().dir("d/").symlink("d/l", "x").file("d/f", b"1").done();
        store.unpack(&[layer]).await.expect("unpacked");
        let root = store.images.load(&imported(&store).await).await.expect("config").layers.remove(0);
        for name in ["d", "d/l", "d/f"] {
            assert_eq!(std::fs::symlink_metadata(root.join(name)).expect(name).mtime(), 1_000_000_000, "{name}");
        }
    });
}

async fn imported(store: &crate::support::Store) -> tapit_model::Digest {
    let list = tapit_engine::Images::list(&store.images).await.expect("list");
    tapit_model::Digest::parse(&list[0].digest).expect("digest")
}

#[test]
fn whiteouts_hide_what_is_below() {
    let base = Layer::new().file("a/one", b"1").file("a/two", b"2").file("b/one", b"1").file("c", b"3").done();
    let top = Layer::new()
        .file("a/.wh.one", b"")
        .file("b/.wh..wh..opq", b"")
        .file("b/new", b"n")
        .file(".wh.c", b"")
        .file(".wh..wh.plnk", b"")
        .done();
    check(
        &[base, top],
        "a d 755 0:0
         a/two f 755 0:0
         b d 755 0:0
         b/new f 755 0:0",
    );
}

#[test]
fn a_directory_made_anew_after_its_whiteout_does_not_show_the_old_one() {
    let base = Layer::new().file("d/old", b"1").file("e/old", b"1").done();
    let before = Layer::new().file(".wh.d", b"").file("d/new", b"2").file("e/new", b"2").file(".wh.e", b"").done();
    check(
        &[base, before],
        "d d 755 0:0
         d/new f 755 0:0
         e d 755 0:0
         e/new f 755 0:0",
    );
}

#[test]
fn an_opaque_root_hides_all_layers_below() {
    let base = Layer::new().file("d/old", b"1").file("gone", b"1").done();
    let top = Layer::new().file(".wh..wh..opq", b"").file("d/new", b"2").done();
    check(
        &[base, top],
        "d d 755 0:0
         d/new f 755 0:0",
    );
}

#[test]
fn a_layer_that_adds_below_a_symlink_of_a_lower_one_keeps_the_symlink() {
    let base = Layer::new().dir("usr/bin/").symlink("bin", "usr/bin").symlink("sbin", "/bin").done();
    let top = Layer::new().file("bin/app", b"1").file("sbin/tool", b"2").done();
    check(
        &[base, top],
        "bin l 777 0:0 usr/bin
         sbin l 777 0:0 /bin
         usr d 755 0:0
         usr/bin d 755 0:0
         usr/bin/app f 755 0:0
         usr/bin/tool f 755 0:0",
    );
}

#[test]
fn parents_that_a_layer_does_not_name_keep_their_owner_and_mode() {
    let base = Layer::new().mode(0o1777).dir("tmp/").mode(0o700).owner(7, 8).dir("home/").done();
    let middle = Layer::new().file("other", b"").done();
    let top = Layer::new().file("tmp/x", b"1").file("home/y", b"2").done();
    check(
        &[base, middle, top],
        "home d 700 7:8
         home/y f 755 0:0
         other f 755 0:0
         tmp d 1777 0:0
         tmp/x f 755 0:0",
    );
}

#[test]
fn later_members_replace_earlier_ones() {
    let layer = Layer::new()
        .file("a", b"1")
        .dir("a/")
        .file("a/in", b"2")
        .dir("b/")
        .file("b/in", b"3")
        .symlink("b", "a")
        .file("c", b"4")
        .file("c", b"5")
        .symlink("d", "a")
        .dir("d/");
    check(
        &[layer.done()],
        "a d 755 0:0
         a/in f 755 0:0
         b l 777 0:0 a
         c f 755 0:0
         d d 755 0:0",
    );
}

#[test]
fn holes_take_no_space() {
    run(async {
        let store = store();
        let mut content = vec![0; 4 << 20];
        content.extend_from_slice(b"end");
        store.unpack(&[Layer::new().file("sparse", &content).done()]).await.expect("unpacked");
        let root = store.images.load(&imported(&store).await).await.expect("config").layers.remove(0);
        assert_eq!(std::fs::read(root.join("sparse")).expect("content"), content);
        let blocks = std::fs::metadata(root.join("sparse")).expect("metadata").blocks();
        assert!(blocks * 512 < 256 * 1024, "{blocks} blocks");
    });
}

#[test]
fn a_layer_that_is_cut_short_is_refused() {
    let whole = Layer::new().file("f", &[7; 9000]).done();
    refused(&[whole[..5000].to_vec()], "it was cut short");
    refused(&[b"this is text, and not a tar".to_vec()], "not a tar archive");
}

#[test]
fn a_layer_of_other_content_than_the_configuration_says_is_refused() {
    run(async {
        let store = store();
        let before = store.files();
        let honest = image(&[Layer::new().file("a", b"1").done()]);
        let swapped = Image { config: honest.config, layers: vec![Layer::new().file("a", b"2").done()] };
        let error = store.import(&docker_save(&[(&swapped, &["app:v1"])]), None).await.expect_err("refused");
        assert!(told(&error).contains("but the image's configuration says"), "{}", told(&error));
        assert_eq!(store.files(), before);
    });
}

#[test]
fn the_helper_ends_when_nobody_waits_for_it() {
    let dir = tempfile::tempdir().expect("directory");
    let path = |name: &str| dir.path().join(name);
    for name in ["layers", "empty", "target"] {
        std::fs::create_dir(path(name)).expect(name);
    }
    let layer = Layer::new().file("f", b"1").done();
    std::fs::write(path("blob"), &layer).expect("blob");
    std::fs::write(path("split"), "").expect("split");
    for keep in ["unpacked", "packed"] {
        let answer = abandoned(keep, &path, &layer);
        assert!(answer.contains("nobody waits"), "{answer}");
        assert_eq!(std::fs::read_dir(path("target")).expect("target").count(), 0);
    }
}

/// What the helper says to an order whose giver has gone.
fn abandoned(keep: &str, path: &dyn Fn(&str) -> PathBuf, layer: &[u8]) -> String {
    let order = serde_json::json!({"layer": {
        "keep": keep,
        "blob": {"file": path("blob"), "offset": 0, "length": null}, "digest": null, "diff_id": digest(layer),
        "target": path("target"), "split": path("split"), "layers": path("layers"), "below": [], "empty": path("empty"),
        "budget": {"bytes": 1 << 20, "entries": 100},
    }});
    let mut child = std::process::Command::new(exe())
        .arg("__unpack")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("helper");
    // Stdin is closed with the end of the statement.
    writeln!(child.stdin.take().expect("stdin"), "{order}").expect("ordered");
    let output = child.wait_with_output().expect("ended");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
