//! Layers become directories: what is right in them, and what is hostile.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tapit_container::images::Limits;
use tar::EntryType;

use crate::archives::{Image, Layer, Pack, digest, docker_save, gzip, image, oci_layout, tar_of, zstd};
use crate::support::{exe, run, store, store_with, told};

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
fn device_nodes_are_left_out() {
    let layer =
        Layer::new().raw(EntryType::Char, "dev/mem", "", b"").raw(EntryType::Block, "sda", "", b"").file("f", b"");
    check(&[layer.done()], "f f 755 0:0");
}

#[test]
fn overlay_marks_in_an_archive_mean_nothing() {
    let base = Layer::new().file("d/old", b"1").done();
    let marks: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.note", b"kept"),
    ];
    let top = Layer::new().pax(&marks).dir("d/").file("d/new", b"2").done();
    check(
        &[base, top],
        "d d 755 0:0
         d/new f 755 0:0
         d/old f 755 0:0",
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
fn names_need_not_be_utf8_nor_short() {
    run(async {
        let store = store();
        let long = "x".repeat(255);
        let layer = Layer::new().pax(&[("path", format!("d/{long}").as_bytes())]).file("short", b"1");
        let layer = layer.pax(&[("path", b"d/\xff\xfe")]).file("short", b"2").done();
        let seen = store.unpack(&[layer]).await.expect("unpacked");
        assert!(seen.contains(&long), "{seen}");
        assert_eq!(seen.lines().count(), 3);
    });
}

/// A directory on the host that a hostile layer aims at.
fn victim() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("directory");
    std::fs::write(dir.path().join("secret"), "untouched").expect("secret");
    let path = dir.path().to_str().expect("path").to_owned();
    (dir, path)
}

fn untouched(victim: &tempfile::TempDir) {
    let names: Vec<PathBuf> = std::fs::read_dir(victim).expect("victim").map(|e| e.expect("entry").path()).collect();
    assert_eq!(names, [victim.path().join("secret")]);
    assert_eq!(std::fs::read_to_string(&names[0]).expect("secret"), "untouched");
}

#[test]
fn writing_through_a_symlink_stays_inside() {
    let (victim, path) = victim();
    let inside = path.trim_start_matches('/');
    let up = format!("{}{inside}", "../".repeat(20));
    let layer = Layer::new().symlink("abs", &path).symlink("rel", &up).file("abs/new", b"1").file("rel/secret", b"2");
    let seen = run(async { store().unpack(&[layer.done()]).await }).expect("unpacked");
    assert!(seen.contains(&format!("{inside}/new f")) && seen.contains(&format!("{inside}/secret f")), "{seen}");
    untouched(&victim);
    let lower = Layer::new().symlink("abs", &path).done();
    let whiteouts = Layer::new().file("abs/.wh.secret", b"").file("abs/.wh..wh..opq", b"").file("abs/x", b"").done();
    run(async { store().unpack(&[lower, whiteouts]).await }).expect("unpacked");
    untouched(&victim);
}

#[test]
fn a_final_symlink_is_replaced_and_not_followed() {
    let (victim, path) = victim();
    let secret = format!("{path}/secret");
    let layer =
        Layer::new().symlink("f", &secret).file("f", b"mine").symlink("d", &path).dir("d/").file("d/x", b"").done();
    check(
        &[layer],
        "d d 755 0:0
         d/x f 755 0:0
         f f 755 0:0",
    );
    untouched(&victim);
}

#[test]
fn hostile_paths_are_refused() {
    let (victim, path) = victim();
    let secret = format!("{path}/secret");
    refused(&[Layer::new().file("../../etc/evil", b"").done()], "leads upwards");
    refused(&[Layer::new().file("a/../../b", b"").done()], "leads upwards");
    refused(&[Layer::new().hard_link("x", "../../etc/passwd").done()], "leads upwards");
    refused(&[Layer::new().hard_link("x", &secret).done()], "is no file of this layer");
    refused(&[Layer::new().symlink("l", &path).hard_link("x", "l/secret").done()], "is no file of this layer");
    refused(&[Layer::new().file("a/.wh...", b"").done()], "a whiteout of no name");
    refused(&[Layer::new().symlink("./", "/etc").done()], "its root is not a directory");
    refused(&[Layer::new().file("f", b"").file("f/x", b"").done()], "is not a directory");
    refused(&[Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", b"").done()], "too many symlinks");
    refused(&[Layer::new().pax(&[("path", &[b'x'; 300])]).file("x", b"").done()], "more than 255 bytes");
    refused(&[Layer::new().pax(&[("path", "d/".repeat(3000).as_bytes())]).file("x", b"").done()], "too long");
    refused(&[Layer::new().owner(u64::from(u32::MAX), 0).file("x", b"").done()], "does not exist");
    refused(&[Layer::new().pax(&[("uid", b"4294967296")]).file("x", b"").done()], "does not exist");
    untouched(&victim);
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
fn bombs_are_stopped_at_the_budget() {
    let limits = Limits { image_bytes: 1 << 20, image_entries: 100, ..Limits::default() };
    let bomb = |layer: &[u8], pack: Pack| {
        let image = image(&[layer.to_vec()]);
        tar_of(&oci_layout(&image, &serde_json::json!({"io.containerd.image.name": "bomb:v1"}), pack))
    };
    let packers: [Pack; 2] = [gzip, zstd];
    let sparse = {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_path("holes").expect("path");
        header.set_size(0);
        header.set_mode(0o644);
        header.as_gnu_mut().expect("gnu").set_real_size(100 << 30);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&[0; 1024]);
        bytes
    };
    let many = (0..200).fold(Layer::new(), |layer, number| layer.file(&format!("f{number}"), b"")).done();
    let tail = [Layer::new().file("f", b"").done(), vec![0; 4 << 20]].concat();
    for (layer, sentence) in [
        (Layer::new().file("zeros", &vec![0; 8 << 20]).done(), "more bytes than one image may take"),
        (tail, "more bytes than one image may take"),
        (sparse, "more bytes than one image may take"),
        (many, "more than 100 entries"),
    ] {
        run(async {
            for pack in packers {
                let store = store_with(limits.clone());
                let before = store.files();
                let error = told(&store.import(&bomb(&layer, pack), None).await.expect_err("refused"));
                assert!(error.contains(sentence), "{error}");
                assert_eq!(store.files(), before);
            }
        });
    }
}

#[test]
fn the_budget_is_for_all_layers_of_an_image_together() {
    let limits = Limits { image_bytes: 1 << 20, ..Limits::default() };
    run(async {
        let store = store_with(limits);
        let layer = |name: &str| Layer::new().file(name, &[1; 600 << 10]).done();
        let error = store.unpack(&[layer("a"), layer("b")]).await.expect_err("refused");
        assert!(error.contains("more bytes than one image may take"), "{error}");
    });
}

#[test]
fn as_many_layers_as_overlayfs_takes_are_stacked() {
    run(async {
        let store = store();
        let layers: Vec<_> = (0..127).map(|number| Layer::new().file(&format!("d/{number}"), b"").done()).collect();
        let archive = docker_save(&[(&image(&layers), &["deep:v1"])]);
        let views = store.import(&archive, None).await.expect("imported");
        assert_eq!(views[0].layers, 127);
        let config = store.config(&views[0].digest).await;
        assert_eq!(config.layers.len(), 127);
        let names: usize = config.layers.iter().map(|path| path.file_name().expect("name").len() + 1).sum();
        assert!(names < 3800, "{names} bytes of layer names do not fit in the options of a mount");
        assert_eq!(digest(&image(&layers).config), views[0].digest);
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
    let order = serde_json::json!({"layer": {
        "blob": {"file": path("blob"), "offset": 0, "length": null}, "digest": null, "diff_id": digest(&layer),
        "target": path("target"), "layers": path("layers"), "below": [], "empty": path("empty"),
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
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("nobody waits"), "{answer}");
    assert_eq!(std::fs::read_dir(path("target")).expect("target").count(), 0);
}
