//! Images that mean harm: each is refused with a sentence, or becomes exactly the tree that it describes, and nothing
//! outside of the store changes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use tapit_engine::{Forget, Images};
use tapit_model::ImageRef;
use tar::EntryType;

use crate::archives::{Layer, docker_save, image};
use crate::keep::using;
use crate::support::{Store, run, store, told};

/// Longer than any hostile image takes; reached only when a bound is missing.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A directory on the host that hostile images aim at.
pub struct Canary {
    dir: tempfile::TempDir,
    before: Vec<String>,
}

impl Canary {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        fs::write(dir.path().join("secret"), "untouched").expect("secret");
        fs::create_dir(dir.path().join("sub")).expect("directory");
        fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o600)).expect("mode");
        let before = Self::look(dir.path());
        Self { dir, before }
    }

    pub fn path(&self) -> &str {
        self.dir.path().to_str().expect("path")
    }

    /// The time of the last change of anything at all is part of it, so that nothing goes unseen.
    fn look(at: &Path) -> Vec<String> {
        let names = fs::read_dir(at).expect("listed").map(|entry| entry.expect("entry").path());
        let mut seen: Vec<String> = names
            .chain([at.to_owned()])
            .map(|path| {
                let it = fs::symlink_metadata(&path).expect("looked at");
                let kind = (it.mode(), it.uid(), it.gid(), it.size(), it.nlink());
                format!("{} {kind:?} {}.{}", path.display(), it.ctime(), it.ctime_nsec())
            })
            .collect();
        seen.push(fs::read_to_string(at.join("secret")).expect("secret"));
        seen.sort();
        seen
    }

    pub fn check(&self, case: &str) {
        assert_eq!(Self::look(self.dir.path()), self.before, "{case}: the host was changed");
    }
}

/// What must become of an image.
enum Outcome {
    Refused(&'static str),
    /// As `find` sees it: path, type, mode, owner, target of a symlink.
    Tree(Vec<String>),
}

struct Case {
    name: &'static str,
    layers: Vec<Vec<u8>>,
    outcome: Outcome,
}

fn refused(name: &'static str, layer: Layer, sentence: &'static str) -> Case {
    Case { name, layers: vec![layer.done()], outcome: Outcome::Refused(sentence) }
}

fn tree(name: &'static str, layers: Vec<Layer>, lines: &[&str]) -> Case {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Case { name, layers: layers.into_iter().map(Layer::done).collect(), outcome: Outcome::Tree(lines) }
}

fn check(cases: Vec<Case>, canary: &Canary) {
    for Case { name, layers, outcome } in cases {
        let begun = Instant::now();
        run(async {
            let store = store();
            let before = store.files();
            match (outcome, store.unpack(&layers).await) {
                (Outcome::Refused(sentence), Err(error)) => {
                    assert!(error.contains(sentence), "{name}: {error}\n{sentence}");
                    assert!(!error.contains('\n') && error.len() < 3000, "{name}: {error}");
                    assert_eq!(store.files(), before, "{name}: something is left");
                }
                (Outcome::Tree(lines), Ok(seen)) => assert_eq!(seen.lines().collect::<Vec<_>>(), lines, "{name}"),
                (Outcome::Refused(_), Ok(seen)) => panic!("{name}: was unpacked:\n{seen}"),
                (Outcome::Tree(_), Err(error)) => panic!("{name}: {error}"),
            }
        });
        canary.check(name);
        assert!(begun.elapsed() < PATIENCE, "{name}: took {:?}", begun.elapsed());
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(canary.path()), "{mounts}");
}

#[test]
fn names_that_lead_out() {
    let canary = Canary::new();
    let path = canary.path();
    let secret = format!("{path}/secret");
    let inside = path.trim_start_matches('/');
    let climbing = format!("{}{inside}", "../".repeat(20));
    let cases = vec![
        refused("a name that climbs", Layer::new().file("../../etc/evil", b""), "leads upwards"),
        refused("a name that climbs in its middle", Layer::new().file("a/../../b", b""), "leads upwards"),
        refused("a hard link upwards", Layer::new().hard_link("x", "../../etc/passwd"), "leads upwards"),
        refused("a hard link to the host", Layer::new().hard_link("x", &secret), "is no file of this layer"),
        refused(
            "a hard link through a symlink to the host",
            Layer::new().symlink("l", path).hard_link("x", "l/secret"),
            "is no file of this layer",
        ),
        refused("a whiteout of the parent", Layer::new().file("a/.wh...", b""), "a whiteout of no name"),
        refused("a whiteout of the directory itself", Layer::new().file("a/.wh..", b""), "a whiteout of no name"),
        refused("a whiteout of nothing", Layer::new().file("a/.wh.", b""), "a whiteout of no name"),
        refused("the root as a symlink", Layer::new().symlink("./", "/etc"), "its root is not a directory"),
        refused("the root as a file", Layer::new().file(".", b"x"), "its root is not a directory"),
        refused("the root as a hard link", Layer::new().file("f", b"").hard_link("/", "f"), "its root is not"),
        refused("an entry below a file", Layer::new().file("f", b"").file("f/x", b""), "is not a directory"),
        refused(
            "symlinks in a circle",
            Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", b""),
            "too many symlinks",
        ),
        tree(
            "absolute names are of the image's root",
            vec![Layer::new().file(&secret[..], b"mine").file("//f", b"")],
            &{
                let mut lines = vec!["f f 755 0:0".to_owned()];
                let mut above = String::new();
                for name in format!("{inside}/secret").split('/') {
                    above = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
                    lines.push(format!("{above} {} 755 0:0", if name == "secret" { 'f' } else { 'd' }));
                }
                lines.sort();
                lines
            }
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ),
        tree(
            "a symlink to the host is replaced and not followed",
            vec![Layer::new().symlink("f", &secret).file("f", b"mine").symlink("d", path).dir("d/").file("d/x", b"")],
            &["d d 755 0:0", "d/x f 755 0:0", "f f 755 0:0"],
        ),
        tree(
            "hard links to a symlink link the symlink",
            vec![Layer::new().symlink("l", &secret).hard_link("m", "l")],
            &[&format!("l l 777 0:0 {secret}"), &format!("m l 777 0:0 {secret}")],
        ),
    ];
    check(cases, &canary);
    run(async {
        let through = [path, &climbing];
        for target in through {
            let store = store();
            let lower = Layer::new().symlink("out", target).done();
            let upper = Layer::new()
                .file("out/new", b"1")
                .file("out/secret", b"2")
                .file("out/.wh.sub", b"")
                .file("out/.wh..wh..opq", b"");
            for layers in [
                vec![lower.clone(), upper.done()],
                vec![Layer::new().symlink("out", target).file("out/new", b"1").done()],
            ] {
                let seen = store.unpack(&layers).await.expect("unpacked");
                assert!(seen.contains(&format!("{inside}/new f")), "{seen}");
            }
        }
    });
    canary.check("writing through symlinks");
}

#[test]
fn names_of_any_bytes_and_lengths() {
    let long = |length: usize| "x".repeat(length);
    let named = |path: &[u8]| Layer::new().pax(&[("path", path)]).file("short", b"1");
    let canary = Canary::new();
    let cases = vec![
        refused("a name of 256 bytes", named(long(256).as_bytes()), "more than 255 bytes"),
        refused("a path of 6,000 bytes", named("d/".repeat(3000).as_bytes()), "too long"),
        refused("a name with a NUL", named(b"a\0b"), "holds a NUL byte"),
        refused("a symlink to nowhere", Layer::new().symlink("l", ""), "has no usable target"),
        refused(
            "a symlink's target with a NUL",
            Layer::new().pax(&[("linkpath", b"a\0b")]).symlink("l", "x"),
            "no usable",
        ),
        refused(
            "a symlink's target of 5,000 bytes",
            Layer::new().pax(&[("linkpath", long(5000).as_bytes())]).symlink("l", "x"),
            "has no usable target",
        ),
        tree("a name of 255 bytes", vec![named(long(255).as_bytes())], &[&format!("{} f 755 0:0", long(255))]),
        tree("an extended name of no bytes says nothing", vec![named(b"")], &["short f 755 0:0"]),
        tree("an odd name", vec![named("a b\u{1b}[2J\u{202e}".as_bytes())], &["a b\u{1b}[2J\u{202e} f 755 0:0"]),
    ];
    check(cases, &canary);
    run(async {
        let store = store();
        let seen = store.unpack(&[named(b"d/\xff\xfe").done()]).await.expect("unpacked");
        assert_eq!(seen, "d d 755 0:0\nd/\u{fffd}\u{fffd} f 755 0:0\n");
    });
}

#[test]
fn a_directory_as_deep_as_paths_go_comes_and_goes() {
    run(async {
        let store = store();
        let deep = "d/".repeat(2000);
        let layer = Layer::new().pax(&[("path", deep.as_bytes())]).dir("d/");
        // Replaced while it is unpacked, and then unpacked for good.
        let layer = layer.file("d", b"").dir("d/").pax(&[("path", deep.as_bytes())]).dir("d/");
        let seen = store.unpack(&[Layer::new().file("x", b"").done(), layer.done()]).await.expect("unpacked");
        assert_eq!(seen.lines().count(), 2001);
        let name = Forget::Name(ImageRef::parse("app:v1").expect("name"));
        store.images.delete(&name, &using(&[])).await.expect("deleted");
        let left: Vec<String> = store.files().into_iter().filter(|name| name.starts_with("layers")).collect();
        assert_eq!(left, [""; 0]);
    });
}

#[test]
fn owners_and_sizes_that_lie() {
    let canary = Canary::new();
    let sized = |records: &[(&str, &[u8])]| Layer::new().pax(records).file("f", &[7; 1000]);
    let owned = |records: &[(&str, &[u8])]| Layer::new().pax(records).file("f", b"");
    let mut cases = vec![
        refused("an owner that is nobody", Layer::new().owner(u64::from(u32::MAX), 0).file("f", b""), "does not exist"),
        refused("a user that overflows to root", owned(&[("uid", b"4294967296")]), "does not exist"),
        refused("a group that overflows to root", owned(&[("gid", b"4294967296")]), "does not exist"),
        refused("a user below zero", owned(&[("uid", b"-1")]), "is not a number"),
        refused("a user beyond all numbers", owned(&[("uid", b"99999999999999999999999")]), "is not a number"),
        refused("a size beyond the archive", sized(&[("size", b"1000000")]), "it was cut short"),
        refused("a size of all that there is", sized(&[("size", b"18446744073709551615")]), "overflows"),
        refused("a size that is short", sized(&[("size", b"100")]), "wrong checksum"),
        refused("a size below zero", sized(&[("size", b"-5")]), "is not a number"),
        refused("a size that is a word", sized(&[("size", b"many")]), "is not a number"),
        tree(
            "the size of a directory counts for nothing",
            vec![Layer::new().pax(&[("size", b"512")]).dir("d/").file("f", b"")],
            &["d d 755 0:0", "f f 755 0:0"],
        ),
    ];
    for (name, header) in [
        ("a record longer than its header", &b"99 path=a\n"[..]),
        ("a record of no length", b"0 \n"),
        ("a record that ends elsewhere", b"10 path=abcdef\n"),
        ("a record without a value", b"9 pathab\n"),
    ] {
        let layer = Layer::new().raw(EntryType::XHeader, "pax", "", header).file("f", b"");
        cases.push(refused(name, layer, "malformed"));
    }
    let many = (0..20).fold(Layer::new(), |layer, _| layer.pax(&[("path", b"x")]));
    cases.push(refused("extended headers without end", many.file("f", b""), "more than 8 extended headers"));
    let huge = vec![b'x'; 2 << 20];
    cases.push(refused("an extended header of 2 MiB", sized(&[("path", &huge)]), "at most 1048576 are allowed"));
    cases.push(refused("an unknown kind", Layer::new().raw(EntryType::new(b'Z'), "f", "", b""), "unknown type 'Z'"));
    let mut behind = Layer::new().file("f", b"").done();
    behind.drain(1024..);
    behind.extend_from_slice(&Layer::new().file("hidden", b"").done());
    cases.push(Case {
        name: "members behind an empty block",
        layers: vec![behind],
        outcome: Outcome::Refused("goes on behind its end"),
    });
    check(cases, &canary);
}

#[test]
fn sparse_files_that_lie() {
    let canary = Canary::new();
    let mapped = |map: &[u8], size: &[u8]| {
        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"0"),
            ("GNU.sparse.minor", b"1"),
            ("GNU.sparse.size", size),
            ("GNU.sparse.map", map),
        ];
        Layer::new().pax(&records).file("f", &[7; 1024])
    };
    let inside = |content: &[u8], size: &[u8]| {
        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"named"),
            ("GNU.sparse.realsize", size),
        ];
        let mut block = content.to_vec();
        block.resize(512, 0);
        block.extend_from_slice(&[7; 1024]);
        Layer::new().pax(&records).file("f", &block)
    };
    let cases = vec![
        refused("a map beyond the file", mapped(b"0,512,9000,512", b"4096"), "map of a sparse file is malformed"),
        refused("a map that goes back", mapped(b"2048,512,0,512", b"4096"), "map of a sparse file is malformed"),
        refused("a map of more than there is", mapped(b"0,4096", b"8192"), "map of a sparse file is malformed"),
        refused("a map of less than there is", mapped(b"0,512", b"8192"), "map of a sparse file is malformed"),
        refused("a map that overflows", mapped(b"18446744073709551615,1024", b"8192"), "map of a sparse file"),
        refused("half a map", mapped(b"0,512,1024", b"8192"), "map of a sparse file is malformed"),
        refused("100 GB of hole", mapped(b"0,1024", b"107374182400"), "more bytes than one image may take"),
        refused("100 GB of hole, map in the content", inside(b"1\n0\n1024\n", b"107374182400"), "more bytes than one"),
        refused(
            "a map in the content without end",
            inside(b"99999\n0\n", b"4096"),
            "map of a sparse file is malformed",
        ),
        refused("a map in the content of words", inside(b"one\n", b"4096"), "map of a sparse file is malformed"),
        refused("a sparse file of no size", mapped(b"0,1024", b""), "states no size"),
        refused(
            "a sparse file of an unknown form",
            Layer::new().pax(&[("GNU.sparse.major", b"7"), ("GNU.sparse.minor", b"0")]).file("f", b""),
            "in an unknown form",
        ),
        tree("holes as they should be", vec![mapped(b"0,512,4096,512", b"1000000")], &["f f 755 0:0"]),
        tree("the map in the content", vec![inside(b"2\n0\n512\n4096\n512\n", b"1000000")], &["named f 755 0:0"]),
    ];
    check(cases, &canary);
}

#[test]
fn what_a_layer_must_not_bring() {
    let canary = Canary::new();
    let marks: [(&str, &[u8]); 7] = [
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.metacopy", b""),
        ("SCHILY.xattr.trusted.overlay.origin", b"x"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.note", b"kept"),
        ("SCHILY.xattr.security.selinux", b"label"),
    ];
    let base = || Layer::new().file("d/old", b"1");
    let cases = vec![
        tree(
            "device nodes are left out",
            vec![
                Layer::new()
                    .raw(EntryType::Char, "dev/mem", "", b"")
                    .raw(EntryType::Block, "sda", "", b"")
                    .file("f", b""),
            ],
            &["f f 755 0:0"],
        ),
        tree(
            "setuid and setgid stay what they are",
            vec![Layer::new().mode(0o6755).owner(12, 34).file("su", b"").mode(0o1777).dir("tmp/")],
            &["su f 6755 12:34", "tmp d 1777 12:34"],
        ),
        tree(
            "overlayfs' marks mean nothing",
            vec![base(), Layer::new().pax(&marks).dir("d/").file("d/new", b"2")],
            &["d d 755 0:0", "d/new f 755 0:0", "d/old f 755 0:0"],
        ),
        tree(
            "whiteouts in overlayfs' own form are devices",
            vec![base(), Layer::new().raw(EntryType::Char, "d/old", "", b"")],
            &["d d 755 0:0", "d/old f 755 0:0"],
        ),
        tree(
            "an opaque mark on a symlink is of where it leads",
            vec![
                Layer::new().file("real/old", b"").symlink("l", "real"),
                Layer::new().file("l/.wh..wh..opq", b"").file("l/new", b""),
            ],
            &["l l 777 0:0 real", "real d 755 0:0", "real/new f 755 0:0"],
        ),
    ];
    check(cases, &canary);
    run(async {
        let store = store();
        let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.security.capability", &capability)];
        let marked = Layer::new().pax(&records).file("ping", b"").pax(&marks).file("marked", b"").done();
        let layers = [marked, Layer::new().hard_link("copy", "ping").done()];
        let image = imported(&store, &layers).await;
        let paths = store.config(&image).await.layers;
        assert_eq!(
            attributes(&paths[0].join("ping")),
            ["security.capability=0x0100000200200000000000000000000000000000"]
        );
        assert_eq!(attributes(&paths[0].join("marked")), ["user.note=0x6b657074"]);
        // What a hard link copies from a lower layer keeps it, too.
        assert_eq!(attributes(&paths[1].join("copy")), attributes(&paths[0].join("ping")));
    });
}

async fn imported(store: &Store, layers: &[Vec<u8>]) -> String {
    let archive = docker_save(&[(&image(layers), &["app:v1"])]);
    store.import(&archive, None).await.map_err(|error| told(&error)).expect("imported")[0].digest.clone()
}

/// The extended attributes of a file, as Debian's attr shows them.
fn attributes(path: &Path) -> Vec<String> {
    let mut command = std::process::Command::new("getfattr");
    command.args(["-m", "-", "-d", "-e", "hex", "--absolute-names"]).arg(path);
    let shown = command.output().expect("getfattr of Debian's attr");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    text.lines().filter(|line| line.contains('=')).map(str::to_owned).collect()
}

#[test]
fn members_that_come_twice_and_in_odd_orders() {
    let canary = Canary::new();
    let cases = vec![
        tree(
            "the last of several members counts",
            vec![
                Layer::new()
                    .mode(0o600)
                    .file("f", b"1")
                    .mode(0o644)
                    .file("f", b"22")
                    .mode(0o700)
                    .dir("d/")
                    .mode(0o755)
                    .dir("d"),
            ],
            &["d d 755 0:0", "f f 644 0:0"],
        ),
        tree(
            "a file becomes a directory and a file again",
            vec![
                Layer::new()
                    .file("a", b"1")
                    .dir("a/")
                    .file("a/x", b"")
                    .file("a", b"2")
                    .symlink("b", "a")
                    .dir("b/")
                    .symlink("b", "c"),
            ],
            &["a f 755 0:0", "b l 777 0:0 c"],
        ),
        tree(
            "the same over layers",
            vec![
                Layer::new().file("a", b"").file("b/x", b""),
                Layer::new().file("a/x", b"").file(".wh.a", b"").file("b", b""),
                Layer::new().file("a", b"").file("b/y", b""),
            ]
            .into_iter()
            .enumerate()
            .map(|(nth, layer)| {
                if nth == 1 {
                    Layer::new().file(".wh.a", b"").file("a/x", b"").file("b", b"")
                } else if nth == 2 {
                    Layer::new().file("a", b"").file(".wh.b", b"").dir("b/").file("b/y", b"")
                } else {
                    layer
                }
            })
            .collect(),
            &["a f 755 0:0", "b d 755 0:0", "b/y f 755 0:0"],
        ),
        tree(
            "a hard link to a member of a lower layer",
            vec![
                Layer::new().mode(0o4750).owner(5, 6).file("bin/tool", b"tool").symlink("bin/link", "tool"),
                Layer::new()
                    .hard_link("bin/same", "bin/tool")
                    .hard_link("other/deep", "bin/tool")
                    .hard_link("l", "bin/link"),
            ],
            &[
                "bin d 755 0:0",
                "bin/link l 777 5:6 tool",
                "bin/same f 4750 5:6",
                "bin/tool f 4750 5:6",
                "l l 777 5:6 tool",
                "other d 755 0:0",
                "other/deep f 4750 5:6",
            ],
        ),
        tree(
            "a hard link through a symlink of a lower layer",
            vec![
                Layer::new().file("usr/bin/tool", b"").symlink("bin", "usr/bin"),
                Layer::new().hard_link("usr/bin/same", "bin/tool"),
            ],
            &[
                "bin l 777 0:0 usr/bin",
                "usr d 755 0:0",
                "usr/bin d 755 0:0",
                "usr/bin/same f 755 0:0",
                "usr/bin/tool f 755 0:0",
            ],
        ),
        refused("a hard link to itself", Layer::new().hard_link("f", "f"), "is no file of this layer"),
        refused("a hard link to a directory", Layer::new().dir("d/").hard_link("f", "d"), "is no file of this layer"),
        refused("a hard link to the root", Layer::new().hard_link("f", "/"), "is no file of this layer"),
        Case {
            name: "a hard link to what is hidden",
            layers: vec![
                Layer::new().file("d/f", b"").done(),
                Layer::new().file("d/.wh..wh..opq", b"").hard_link("x", "d/f").done(),
            ],
            outcome: Outcome::Refused("is no file of this layer"),
        },
        Case {
            name: "a hard link to what has a whiteout",
            layers: vec![
                Layer::new().file("f", b"").done(),
                Layer::new().file(".wh.f", b"").hard_link("x", "f").done(),
            ],
            outcome: Outcome::Refused("is no file of this layer"),
        },
        tree(
            "a whiteout of something of the same layer",
            vec![
                Layer::new().file("f", b"lower").file("d/lower", b""),
                Layer::new().file("f", b"upper").file(".wh.f", b"").file("d/upper", b"").file(".wh.d", b""),
            ],
            &["d d 755 0:0", "d/upper f 755 0:0", "f f 755 0:0"],
        ),
        tree(
            "an opaque mark behind the entries",
            vec![
                Layer::new().file("d/lower", b"").file("d/e/lower", b""),
                Layer::new().file("d/upper", b"").file("d/e/upper", b"").file("d/.wh..wh..opq", b""),
            ],
            &["d d 755 0:0", "d/e d 755 0:0", "d/e/upper f 755 0:0", "d/upper f 755 0:0"],
        ),
        tree(
            "a whiteout of nothing",
            vec![Layer::new().file("f", b""), Layer::new().file(".wh.g", b"").file("n/.wh.x", b"")],
            &["f f 755 0:0", "n d 755 0:0"],
        ),
        tree(
            "links where containers are mounted on stay links",
            vec![
                Layer::new()
                    .symlink("dev", canary.path())
                    .symlink("proc", canary.path())
                    .symlink("etc/passwd", canary.path())
                    .symlink("etc/resolv.conf", "../../../secret"),
            ],
            &[
                &format!("dev l 777 0:0 {}", canary.path()),
                "etc d 755 0:0",
                &format!("etc/passwd l 777 0:0 {}", canary.path()),
                "etc/resolv.conf l 777 0:0 ../../../secret",
                &format!("proc l 777 0:0 {}", canary.path()),
            ],
        ),
    ];
    check(cases, &canary);
}
