//! A program that dies while it pulls and prunes, and a disk that is full: what is left must work, and then go.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tapit_container::images::{ImageStore, Limits};
use tapit_engine::{AskInUse, EngineError, Forget, ImageFault, Images, InUse, TransferWatch};
use tapit_model::{Digest, ImageRef, PruneExtent, Transfer};

use crate::archives::{Image, Layer, docker_save, image};
use crate::fake_registry::FakeRegistry;
use crate::keep::using;
use crate::pull::{publish, reference};
use crate::support::{Store, exe, run, store, told};

const KILLS: u64 = 50;
/// The longest life of the program, and the longest after it began to prune, in microseconds.
const LIFE: u64 = 400_000;
const PRUNE: u64 = 4_000;

/// Where the program under the knife finds its store, its registry and its dice.
const WHERE: &str = "TAPIT_TEST_CRASH";

/// Numbers without an end, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn noise(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    (0..bytes.div_ceil(8)).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect()
}

fn layer(dice: &mut Dice, name: &str, files: usize) -> Vec<u8> {
    let mut layer = Layer::new().dir(name);
    for number in 0..files {
        layer = layer.file(&format!("{name}/{number}"), &noise(dice, 4096));
    }
    layer.file(&format!("{name}/large"), &noise(dice, 400_000)).done()
}

/// Three images: two on one base, one by itself.
fn images(dice: &mut Dice) -> [(&'static str, Image); 3] {
    let base = layer(dice, "base", 60);
    let mut on_base = |name: &str| image(&[base.clone(), layer(dice, name, 30), layer(dice, "top", 5)]);
    [("a", on_base("a")), ("b", on_base("b")), ("c", image(&[layer(dice, "c", 40)]))]
}

/// What a layer's directory holds: every path with its type and mode, and its content.
fn tree(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(here) = open.pop() {
        for entry in std::fs::read_dir(&here).expect("directory") {
            let path = entry.expect("entry").path();
            let about = path.symlink_metadata().expect("metadata");
            let content = if about.is_file() { std::fs::read(&path).expect("content") } else { Vec::new() };
            if about.is_dir() {
                open.push(path.clone());
            }
            let name = path.strip_prefix(directory).expect("below").to_owned();
            all.insert(name, (about.mode(), content));
        }
    }
    all
}

/// Layers by name, as an undisturbed pull makes them.
type Sound = BTreeMap<String, BTreeMap<PathBuf, (u32, Vec<u8>)>>;

async fn sound(registry: &FakeRegistry) -> Sound {
    let store = store();
    for tag in ["a", "b", "c"] {
        pull(&store.images, &reference(registry, &format!(":{tag}"))).await.expect("pulled");
    }
    let ids = store.files().into_iter().filter_map(|name| Some(name.strip_prefix("layers/")?.to_owned()));
    let ids: Vec<String> = ids.filter(|id| !id.contains('.')).collect();
    assert_eq!(ids.len(), 6);
    ids.into_iter().map(|id| (id.clone(), tree(&store.path("layers").join(id)))).collect()
}

async fn pull(images: &ImageStore, name: &ImageRef) -> Result<Digest, EngineError> {
    let watch = TransferWatch::new(Transfer::default());
    images.pull(name, &watch).await.map(|view| Digest::parse(&view.digest).expect("digest"))
}

/// A child that is killed whatever becomes of the test, and what it was at when it was last heard.
struct Victim(Child, char);

impl Victim {
    fn start(place: &Path, registry: &str, seed: u64) -> Self {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "--ignored", "--nocapture", "crash::the_program_under_the_knife"])
            .env(WHERE, format!("{} {registry} {seed}", place.display()))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("it starts"), 'o')
    }

    /// Waits until it begins to prune.
    fn prunes(&mut self) {
        let pipe = self.0.stdout.as_mut().expect("a pipe");
        let mut byte = [0];
        while byte != *b"r" {
            pipe.read_exact(&mut byte).expect("it lives");
        }
        self.1 = 'r';
    }

    /// Kills it and waits until nothing of it runs. Answers what it was at: `o`pening, `p`ulling, p`r`uning.
    fn kill(mut self) -> char {
        self.0.kill().expect("it can be killed");
        let status = self.0.wait().expect("it can be waited for");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it had not ended by itself");
        let deadline = Instant::now() + Duration::from_secs(10);
        while group_lives(self.0.id()) {
            assert!(Instant::now() < deadline, "a helper outlives the server that started it");
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut said = String::new();
        self.0.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
        said.chars().rev().find(|c| "opr".contains(*c)).unwrap_or(self.1)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether any process of the group runs. One that is dead and not yet waited for does not.
fn group_lives(group: u32) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())).any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The state, the parent and the group follow the name, which is in parentheses.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let state = fields.next().unwrap_or("X");
        !matches!(state, "Z" | "X") && fields.nth(1) == Some(group.to_string().as_str())
    })
}

/// Not a test of its own: it is started by the one below, and never ends.
#[test]
#[ignore = "the test of kills starts it"]
fn the_program_under_the_knife() {
    let Ok(place) = std::env::var(WHERE) else { return };
    let words: Vec<&str> = place.split(' ').collect();
    let [place, registry, seed] = words[..] else { panic!("{place:?}") };
    let mut dice = Dice(seed.parse().expect("seed"));
    let say = |word: &str| {
        let mut stdout = std::io::stdout();
        stdout.write_all(word.as_bytes()).and_then(|()| stdout.flush()).expect("the test listens");
    };
    let name = |tag: &str| ImageRef::parse(&format!("{registry}/app:{tag}")).expect("reference");
    run(async {
        say("o");
        let images = ImageStore::open(Path::new(place), exe()).expect("it opens");
        loop {
            say("p");
            let (a, b, c) = (name("a"), name("b"), name("c"));
            match dice.below(3) {
                0 => drop(tokio::join!(pull(&images, &a), pull(&images, &b))),
                1 => drop(tokio::join!(pull(&images, &b), pull(&images, &c), pull(&images, &c))),
                _ => drop(pull(&images, &a).await),
            }
            say("r");
            let in_use: AskInUse = Arc::new(move || InUse { names: [c.clone()].into(), ..InUse::default() });
            match dice.below(3) {
                0 => drop(images.prune(PruneExtent::Unused, &in_use).await),
                1 => drop(images.prune(PruneExtent::Budget(600_000), &in_use).await),
                _ => drop(images.delete(&Forget::Name(a), &in_use).await),
            }
        }
    });
}

/// Nothing is half done.
fn assert_tidy(store: &Store) {
    for name in store.files() {
        assert!(!name.contains(".tmp") && !name.starts_with("spool/") && !name.starts_with("empty/"), "{name}");
    }
}

/// Everything that is listed can be started, and is what it should be.
async fn check(store: &Store, sound: &Sound) -> usize {
    let views = store.images.list().await.expect("list");
    for view in &views {
        let digest = Digest::parse(&view.digest).expect("digest");
        let config = store.images.load(&digest).await.unwrap_or_else(|error| panic!("{}: {}", view.name, told(&error)));
        assert_eq!(config.layers.len(), usize::try_from(view.layers).expect("few"));
    }
    for name in store.files() {
        if let Some(id) = name.strip_prefix("layers/").filter(|id| !id.contains('.')) {
            assert!(tree(&store.path(&name)) == sound[id], "the layer {id} is not what it should be");
        }
    }
    views.len()
}

fn mounts(place: &Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let place = place.display().to_string();
    mounts.lines().filter(|line| line.contains(&place)).count()
}

#[test]
fn a_program_that_is_killed_while_it_pulls_and_prunes_leaves_a_store_that_works() {
    let registry = FakeRegistry::start();
    let mut dice = Dice(0x5eed_1234_abcd_0001);
    for (tag, image) in images(&mut dice) {
        publish(&registry, &image, tag);
    }
    let begun = Instant::now();
    let (mut at, mut held) = (BTreeMap::<char, u32>::new(), 0);
    run(async {
        let sound = sound(&registry).await;
        let mut store = store();
        for round in 0..KILLS {
            let place = store.path("");
            let mut victim = Victim::start(&place, &registry.host(), dice.below(u64::MAX) | 1);
            // Most of its life are pulls, so that every third one is let live until it prunes.
            let life = if round % 3 == 0 {
                victim.prunes();
                PRUNE
            } else {
                LIFE
            };
            // The random moment; nothing waits for it to be right.
            tokio::time::sleep(Duration::from_micros(dice.below(life))).await;
            *at.entry(victim.kill()).or_default() += 1;
            assert_eq!(mounts(&place), 0, "a mount is left");
            store = store.reopen();
            assert_tidy(&store);
            held += check(&store, &sound).await;
        }
        // It is as good as new: whatever was lost can be had again, and all of it goes.
        for tag in ["a", "b", "c"] {
            pull(&store.images, &reference(&registry, &format!(":{tag}"))).await.expect("pulled");
        }
        assert_eq!(check(&store, &sound).await, 3);
        store.images.prune(PruneExtent::Unused, &using(&[])).await.expect("pruned");
        assert_eq!(left(&store), [""; 0]);
    });
    let count = |what| at.get(&what).copied().unwrap_or(0);
    println!(
        "{KILLS} kills: {} while opening, {} in pulls, {} in prunes; {held} images found sound after them; {:.1} s",
        count('o'),
        count('p'),
        count('r'),
        begun.elapsed().as_secs_f64()
    );
    assert!(count('p') > 0 && count('r') > 0, "some were killed in the middle of each");
}

/// What is there besides the books.
fn left(store: &Store) -> Vec<String> {
    store.files().into_iter().filter(|name| name.contains('/')).collect()
}

/// A small file system of its own, which goes with the value.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of(bytes: u64) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let options = format!("size={bytes}");
        mount(Some("tmpfs"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).expect("tmpfs");
        Self(directory)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_disk_that_is_full_is_the_reason_and_nothing_is_left_on_it() {
    let registry = FakeRegistry::start();
    let mut dice = Dice(7);
    let fits = image(&[layer(&mut dice, "small", 5)]);
    let large = image(&[layer(&mut dice, "first", 5), Layer::new().file("large", &noise(&mut dice, 6_000_000)).done()]);
    publish(&registry, &fits, "fits");
    publish(&registry, &large, "large");
    run(async {
        let disk = Disk::of(4_000_000);
        let images = ImageStore::open_with(&disk.0.path().join("images"), exe(), Limits::default()).expect("store");
        let store = Store { dir: tempfile::tempdir().expect("directory"), images };
        let files = || {
            let all = ["layers", "spool", "empty", "images"];
            let entries =
                all.iter().flat_map(|name| std::fs::read_dir(disk.0.path().join("images").join(name)).expect("there"));
            entries.map(|entry| entry.expect("entry").path()).collect::<Vec<_>>()
        };
        let refused = |error: EngineError, how: &str| {
            let text = told(&error);
            assert!(text.contains("No space left on device"), "{how}: {text}");
            text
        };
        let name = reference(&registry, ":large");
        let error = pull(&store.images, &name).await.expect_err("it does not fit");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::Host, .. }), "{error:?}");
        refused(error, "pull");
        assert_eq!(files(), Vec::<PathBuf>::new(), "nothing is left of the pull");
        let archive = docker_save(&[(&large, &["large:v1"])]);
        refused(store.import(&archive, None).await.expect_err("it does not fit"), "import");
        assert_eq!(files(), Vec::<PathBuf>::new(), "nothing is left of the import");

        let digest = pull(&store.images, &reference(&registry, ":fits")).await.expect("this one does");
        store.images.load(&digest).await.expect("and it works");
        refused(pull(&store.images, &name).await.expect_err("still too large"), "pull beside another");
        store.images.load(&digest).await.expect("what was there is untouched");

        // Not a byte is free: what can go goes all the same.
        let mut filler = std::fs::File::create(disk.0.path().join("filler")).expect("filler");
        while filler.write_all(&[0; 4096]).is_ok() {}
        let freed = store.images.prune(PruneExtent::Unused, &using(&[])).await.expect("pruned");
        assert_eq!((freed.images.len(), files()), (1, Vec::new()));
        let again = ImageStore::open_with(&disk.0.path().join("images"), exe(), Limits::default()).expect("it opens");
        assert!(again.list().await.expect("list").is_empty());
    });
}
