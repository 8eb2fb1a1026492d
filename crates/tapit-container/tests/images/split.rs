//! A layer that was unpacked can be written again, byte for byte.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use tapit_engine::{EngineError, Forget, Images};
use tapit_model::{Digest, ImageRef};
use tar::EntryType;

use crate::archives::{Layer, docker_save, image};
use crate::keep::using;
use crate::support::{Store, run, store, told};

/// A sink that can be looked into afterwards.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn written(store: &Store, image: &str, nth: usize) -> Result<Vec<u8>, EngineError> {
    let kept = Kept::default();
    store.images.write_layer(&Digest::parse(image).expect("digest"), nth, kept.clone()).await?;
    let bytes = kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(bytes)
}

fn app() -> Forget {
    Forget::Name(ImageRef::parse("app:v1").expect("name"))
}

async fn import(store: &Store, layers: &[Vec<u8>]) -> String {
    let archive = docker_save(&[(&image(layers), &["app:v1"])]);
    store.import(&archive, None).await.map_err(|error| told(&error)).expect("imported")[0].digest.clone()
}

/// Every layer comes out as it went in.
fn check(layers: &[Vec<u8>]) {
    run(async {
        let store = store();
        let image = import(&store, layers).await;
        for (nth, layer) in layers.iter().enumerate() {
            let again = written(&store, &image, nth).await.map_err(|error| told(&error)).expect("written");
            assert!(again == *layer, "layer {nth} is another: {} bytes, not {}", again.len(), layer.len());
        }
    });
}

#[test]
fn a_layer_of_every_kind_of_member_is_written_again() {
    let long = "n".repeat(200);
    let base = Layer::new()
        .dir("bin/")
        .mode(0o4711)
        .owner(7, 8)
        .file("bin/su", &[3; 70_000])
        .hard_link("bin/sudo", "bin/su")
        .symlink("sbin", "bin")
        .raw(EntryType::Fifo, "pipe", "", b"")
        .raw(EntryType::Char, "dev/mem", "", b"")
        .raw(EntryType::XGlobalHeader, "global", "", b"20 comment=whatever\n")
        .pax(&[("path", long.as_bytes()), ("SCHILY.xattr.user.note", b"a\nb"), ("mtime", b"12.25")])
        .file("short", b"x")
        .file("empty", b"")
        .done();
    let top = Layer::new().file("sbin/through-a-link", b"1").file("bin/.wh.su", b"").file(".wh..wh..opq", b"").done();
    check(&[base, top]);
}

#[test]
fn what_a_later_member_replaces_is_not_lost() {
    let big: Vec<u8> = (0..3_000_000u32).map(|number| ((number * 31) >> 3) as u8).collect();
    let layer = Layer::new()
        .file("a", b"first")
        .file("a", b"second")
        .file("a", b"")
        .file("a", b"third")
        .dir("d/e/")
        .file("d/e/big", &big)
        .hard_link("d/e/link", "d/e/big")
        .file("f", &big)
        .hard_link("f2", "f")
        .file("f", b"other")
        .hard_link("a", "f2")
        .file("a", b"fourth")
        .symlink("d", "a")
        .dir("d/")
        .file("d/e", b"a file where a directory was")
        .dir("d/e/")
        .file("d/e/big", b"again");
    check(&[layer.done()]);
}

#[test]
fn bytes_behind_the_end_of_an_archive_are_written_again() {
    let layer = |tail: &[u8]| [Layer::new().file("f", b"1").done(), tail.to_vec()].concat();
    let whole = Layer::new().file("f", b"1").done();
    let without_end = whole[..1024].to_vec();
    let without_padding = whole[..513].to_vec();
    check(&[layer(b""), layer(&[0; 10_000]), layer(b"and the rest"), without_end, without_padding]);
}

/// A directory with what is hard to pack.
fn tree(at: &Path) {
    fs::create_dir_all(at.join("d/e")).expect("directories");
    fs::write(at.join("d/text"), "text\n".repeat(5000)).expect("file");
    fs::hard_link(at.join("d/text"), at.join("d/e/same")).expect("hard link");
    symlink("../text", at.join("d/e/link")).expect("symlink");
    fs::write(at.join("d").join("n".repeat(150)), "long").expect("file");
    fs::set_permissions(at.join("d/e"), fs::Permissions::from_mode(0o2750)).expect("mode");
    let holes = |name: &str, pieces: &[(u64, &[u8])], size: u64| {
        let file = File::create(at.join(name)).expect("file");
        file.set_len(size).expect("size");
        for (offset, piece) in pieces {
            file.write_all_at(piece, *offset).expect("piece");
        }
    };
    holes("start", &[(0, b"start")], 1 << 20);
    holes("end", &[((1 << 20) - 3, b"end")], 1 << 20);
    holes("nothing", &[], 1 << 30);
    let many: Vec<(u64, &[u8])> = (0..60).map(|number| (number << 16, &b"piece"[..])).collect();
    holes("many", &many, 5 << 20);
}

#[test]
fn what_gnu_tar_packs_is_unpacked_and_written_again_in_every_format() {
    let source = tempfile::tempdir().expect("directory");
    tree(source.path());
    for format in [
        &["--format=gnu", "--sparse"][..],
        &["--format=posix", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=oldgnu", "--sparse", "--exclude=nothing"],
        &["--format=ustar", "--exclude=n*"],
        &["--format=v7", "--exclude=n*"],
        &["--format=posix", "--numeric-owner", "--exclude=nothing"],
    ] {
        let packed = Command::new("tar").args(format).arg("-C").arg(source.path()).args(["-c", "."]).output();
        let packed = packed.expect("tar runs");
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        run(async {
            let store = store();
            let image = import(&store, std::slice::from_ref(&packed.stdout)).await;
            let again = written(&store, &image, 0).await.map_err(|error| told(&error)).expect("written");
            assert!(again == packed.stdout, "{format:?}");
            let layer = store.config(&image).await.layers.remove(0);
            for name in ["start", "end", "nothing", "many", "d/text", "d/e/same"] {
                if !fs::exists(layer.join(name)).expect("looked") {
                    assert!(format.iter().any(|word| word.starts_with("--exclude")), "{name} is missing: {format:?}");
                    continue;
                }
                let same = Command::new("cmp").arg(source.path().join(name)).arg(layer.join(name)).output();
                assert!(same.expect("cmp runs").status.success(), "{name} is another: {format:?}");
            }
        });
    }
}

#[test]
fn a_layer_that_was_changed_on_disk_is_an_error_and_never_another_layer() {
    run(async {
        let store = store();
        let image = import(&store, &[Layer::new().file("f", b"as packed").file("g", b"2").done()]).await;
        let layer = store.config(&image).await.layers.remove(0);
        fs::write(layer.join("f"), "as forged").expect("written");
        let error = told(&written(&store, &image, 0).await.expect_err("refused"));
        assert!(error.contains("it was changed since it was unpacked"), "{error}");
        fs::write(layer.join("f"), "short").expect("written");
        let error = told(&written(&store, &image, 0).await.expect_err("refused"));
        assert!(error.contains("read the layer's file f"), "{error}");
        // Whatever a path is replaced by, nothing outside is read.
        let outside = store.dir.path().join("outside");
        fs::write(&outside, "as packed").expect("written");
        fs::remove_file(layer.join("f")).expect("removed");
        symlink(&outside, layer.join("f")).expect("symlink");
        let error = told(&written(&store, &image, 0).await.expect_err("refused"));
        assert!(error.contains("read the layer's file f"), "{error}");
        fs::remove_file(layer.join("f")).expect("removed");
        nix::unistd::mkfifo(&layer.join("f"), nix::sys::stat::Mode::S_IRUSR).expect("fifo");
        let error = told(&written(&store, &image, 0).await.expect_err("refused"));
        assert!(error.contains("read the layer's file f"), "{error}");
    });
}

#[test]
fn without_what_was_written_down_a_layer_says_how_to_get_it() {
    run(async {
        let store = store();
        let image = import(&store, &[Layer::new().file("f", b"1").done()]).await;
        let splits = |store: &Store| -> Vec<String> {
            store.files().into_iter().filter(|name| name.ends_with(".split")).collect()
        };
        let [split] = &splits(&store)[..] else { panic!("{:?}", store.files()) };
        fs::remove_file(store.path(split)).expect("removed");
        let store = store.reopen();
        assert_eq!(store.merged(&image).await, "f f 755 0:0\n");
        let error = told(&written(&store, &image, 0).await.expect_err("refused"));
        assert!(error.contains("pull or import it again"), "{error}");
        store.images.delete(&app(), &using(&[])).await.expect("deleted");
        import(&store, &[Layer::new().file("f", b"1").done()]).await;
        written(&store, &image, 0).await.map_err(|error| told(&error)).expect("written");
    });
}

#[test]
fn what_was_written_down_goes_with_the_layer_and_leftovers_at_the_start() {
    run(async {
        let store = store();
        let before = store.files();
        let image = import(&store, &[Layer::new().file("f", b"1").done()]).await;
        let layer = store.config(&image).await.layers.remove(0);
        let record = layer.with_extension("json");
        fs::remove_file(record).expect("removed");
        fs::write(store.path("layers/0123456789012345678901234567.split"), "left").expect("written");
        let store = store.reopen();
        let layers: Vec<String> = store.files().into_iter().filter(|name| name.starts_with("layers")).collect();
        assert_eq!(layers, [""; 0]);
        import(&store, &[Layer::new().file("f", b"1").done()]).await;
        store.images.delete(&app(), &using(&[])).await.expect("deleted");
        let left: Vec<String> = store.files().into_iter().filter(|name| name.contains(".split")).collect();
        assert_eq!(left, [""; 0]);
        assert_eq!(before.iter().filter(|name| name.starts_with("layers")).count(), 0);
    });
}
