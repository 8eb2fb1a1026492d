//! What a container sees of an image is what other tools make of it: the merged tree against that of skopeo and umoci.
//!
//! The image is of files that every Debian has installed, with all that makes unpacking hard on top. Debian's umoci,
//! skopeo and attr are needed. `scripts/compare-trees` does the same for any image of a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sha2::Digest as _;

use crate::archives::{Layer, docker_save, image_with};
use crate::support::{run, store, told};

/// What `command` writes to stdout.
fn output(command: &mut Command) -> Vec<u8> {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A layer of what Debian packages have installed here, links of the merged `/usr` included.
fn packages(names: &[&str]) -> Vec<u8> {
    let listed = output(Command::new("dpkg-query").arg("--listfiles").args(names));
    let listed = String::from_utf8(listed).expect("names of Debian's files");
    // Listed once each: packages share directories.
    let paths: BTreeSet<String> =
        listed.lines().filter(|path| fs::symlink_metadata(path).is_ok()).map(|path| format!(".{path}\n")).collect();
    let mut tar = Command::new("tar")
        .args(["--create", "--format=gnu", "--numeric-owner", "--no-recursion", "-C", "/", "-T", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar runs");
    let mut stdin = tar.stdin.take().expect("stdin");
    // From a thread, or both would wait for each other.
    let feeding = std::thread::spawn(move || stdin.write_all(paths.into_iter().collect::<String>().as_bytes()));
    let packed = tar.wait_with_output().expect("tar ends");
    feeding.join().expect("fed").expect("fed");
    assert!(packed.status.success());
    packed.stdout
}

/// A layer of what is hard to pack and to unpack, as GNU tar writes it.
fn oddities() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("directory");
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("odd/deep/er")).expect("directories");
    fs::write(at("odd/cap"), "capable").expect("file");
    let capability = "0x0100000200200000000000000000000000000000";
    output(Command::new("setfattr").args(["-n", "security.capability", "-v", capability]).arg(at("odd/cap")));
    output(Command::new("setfattr").args(["-n", "user.note", "-v", "0x610a62"]).arg(at("odd/deep")));
    let holes = File::create(at("odd/holes")).expect("file");
    holes.set_len(8 << 20).expect("size");
    holes.write_all_at(b"in the middle", 5 << 20).expect("written");
    fs::write(at("odd").join(OsString::from_vec(b"bytes\xff\xfe".to_vec())), "1").expect("file");
    fs::write(at("odd").join("n".repeat(255)), "2").expect("file");
    fs::hard_link(at("odd/cap"), at("odd/deep/er/cap")).expect("hard link");
    symlink("../../../../..", at("odd/deep/er/up")).expect("symlink");
    nix::unistd::mkfifo(&at("odd/fifo"), nix::sys::stat::Mode::S_IRUSR).expect("fifo");
    fs::write(at("odd/su"), "3").expect("file");
    fs::set_permissions(at("odd/su"), fs::Permissions::from_mode(0o6711)).expect("mode");
    fs::set_permissions(at("odd/deep"), fs::Permissions::from_mode(0o3771)).expect("mode");
    let tar = ["--create", "--format=posix", "--sparse", "--xattrs", "--xattrs-include=*", "--owner=1000", "--group=7"];
    output(Command::new("tar").args(tar).arg("-C").arg(dir.path()).arg("odd"))
}

fn layers() -> Vec<Vec<u8>> {
    let change = Layer::new()
        .file("usr/bin/.wh.bash", b"")
        .file("etc/skel/.wh..wh..opq", b"")
        .file("etc/skel/new", b"new")
        .file("bin/tool", b"through a link of a lower layer")
        .hard_link("usr/bin/tool-too", "usr/bin/tool")
        .hard_link("etc/passwd.link", "usr/bin/tar")
        .symlink("usr/share/base-files", "elsewhere")
        .file("etc/.wh.update-motd.d", b"")
        .dir("etc/update-motd.d/")
        .file("etc/update-motd.d/only", b"")
        .owner(1000, 1001)
        .mode(0o640)
        .file("etc/bash.bashrc", b"replaced")
        .done();
    let again =
        Layer::new().file("usr/bin/bash", b"back").dir("usr/share/base-files/").file("usr/share/base-files/x", b"");
    vec![
        packages(&["base-files", "base-passwd", "bash", "tar"]),
        change,
        packages(&["dpkg", "perl-base", "busybox-static"]),
        again.done(),
        oddities(),
    ]
}

/// All that can be said of what is at each path.
type Tree = BTreeMap<PathBuf, String>;

/// Describes everything below a directory, without following links.
fn describe(root: &Path) -> Tree {
    let attributes = attributes(root);
    let mut tree = Tree::new();
    let mut groups: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let here = root.join(&path);
        let it = fs::symlink_metadata(&here).expect("looked at");
        if it.is_dir() {
            todo.extend(fs::read_dir(&here).expect("listed").map(|entry| path.join(entry.expect("entry").file_name())));
        } else if it.nlink() > 1 {
            groups.entry((it.dev(), it.ino())).or_default().push(path.clone());
        }
        let xattrs = attributes.get(&here).cloned().unwrap_or_default().join(" ");
        let time = format!("{}.{:09}", it.mtime(), it.mtime_nsec());
        let what = content(&here, &it);
        tree.insert(path, format!("{what} mode {:o} owner {}:{} time {time} {xattrs}", it.mode(), it.uid(), it.gid()));
    }
    for mut group in groups.into_values() {
        group.sort();
        let shown =
            format!(" linked {}", group.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" "));
        for path in group {
            tree.entry(path).and_modify(|text| text.push_str(&shown));
        }
    }
    tree
}

fn content(path: &Path, it: &fs::Metadata) -> String {
    let kind = it.file_type();
    if kind.is_symlink() {
        return format!("link to {:?}", fs::read_link(path).expect("link"));
    }
    if !kind.is_file() {
        return if kind.is_dir() {
            "directory"
        } else if kind.is_fifo() {
            "fifo"
        } else {
            "other"
        }
        .to_owned();
    }
    let (mut hash, mut piece, mut file) = (sha2::Sha256::new(), vec![0; 1 << 16], File::open(path).expect("opened"));
    loop {
        match file.read(&mut piece).expect("read") {
            0 => break,
            got => hash.update(&piece[..got]),
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("file of {} bytes {hex}", it.len())
}

/// Extended attributes by path. What getfattr cannot print it writes in octal.
fn attributes(root: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let shown =
        output(Command::new("getfattr").args(["-R", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names"]).arg(root));
    let mut all: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut path = PathBuf::new();
    for line in shown.split(|byte| *byte == b'\n') {
        match line.strip_prefix(b"# file: ") {
            Some(name) => path = PathBuf::from(std::ffi::OsStr::from_bytes(name)),
            None if line.is_empty() => {}
            None => all.entry(path.clone()).or_default().push(String::from_utf8_lossy(line).into_owned()),
        }
    }
    all
}

/// The layers merged as the engine mounts them, in a mount namespace that ends with its thread.
fn merged(layers: Vec<PathBuf>) -> Tree {
    let describing = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).expect("private");
        let target = tempfile::tempdir().expect("directory");
        let lower: Vec<&str> = layers.iter().rev().map(|path| path.to_str().expect("path")).collect();
        let options = format!("lowerdir={}", lower.join(":"));
        mount(Some("overlay"), target.path(), Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str()))
            .expect("merged");
        let tree = describe(target.path());
        nix::mount::umount(target.path()).expect("unmounted");
        tree
    });
    describing.join().expect("described")
}

fn differences(ours: &Tree, theirs: &Tree) -> Vec<String> {
    let paths: BTreeSet<&PathBuf> = ours.keys().chain(theirs.keys()).collect();
    let differing = paths.into_iter().filter(|path| ours.get(*path) != theirs.get(*path));
    let shown = |tree: &Tree, path: &PathBuf| tree.get(path).map_or("nothing", String::as_str).to_owned();
    differing
        .map(|path| format!("{}\n  ours   {}\n  theirs {}", path.display(), shown(ours, path), shown(theirs, path)))
        .collect()
}

#[test]
fn an_image_becomes_the_tree_that_skopeo_and_umoci_make_of_it() {
    let layers = layers();
    let archive = docker_save(&[(&image_with(&layers, "{}"), &["app:v1"])]);
    let dir = tempfile::tempdir().expect("directory");
    let at = |name: &str| dir.path().join(name);
    fs::write(at("image.tar"), &archive).expect("written");
    let from = format!("docker-archive:{}", at("image.tar").display());
    output(
        Command::new("skopeo")
            .args(["--insecure-policy", "copy", &from])
            .arg(format!("oci:{}:v1", at("oci").display())),
    );
    output(
        Command::new("umoci").args(["unpack", "--image"]).arg(format!("{}:v1", at("oci").display())).arg(at("bundle")),
    );
    let theirs = describe(&at("bundle/rootfs"));
    let ours = run(async {
        let store = store();
        let views = store.import(&archive, None).await.map_err(|error| told(&error)).expect("imported");
        let layers = store.config(&views[0].digest).await.layers;
        merged(layers)
    });
    assert!(theirs.len() > 1_000, "{} entries are too few to say anything", theirs.len());
    let differences = differences(&ours, &theirs);
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), theirs.len(), differences.join("\n"));
}
