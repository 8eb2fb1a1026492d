//! What stays and what goes: names, shared layers, leftovers of a crash.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tapit_engine::{AskInUse, EngineError, Forget, Freed, ImageFault, Images, InUse};
use tapit_model::{Digest, ImageRef, ImageView, PruneExtent};

use crate::archives::{Image, Layer, digest, docker_save, gzip, image};
use crate::fake_registry::{FakeRegistry, Reply};
use crate::pull::{prepare, publish, reference};
use crate::support::{Store, run, store};

fn name(text: &str) -> ImageRef {
    ImageRef::parse(text).expect("reference")
}

/// Two images on one base.
async fn two(store: &Store) -> [Digest; 2] {
    let base = Layer::new().file("base", &[1; 1000]).done();
    let top = |name: &str| image(&[base.clone(), Layer::new().file(name, &[2; 500]).done()]);
    let images: [Image; 2] = [top("one"), top("two")];
    let archive = docker_save(&[(&images[0], &["one:v1", "one:latest"]), (&images[1], &["two:v1"])]);
    let views = store.import(&archive, None).await.expect("imported");
    let held = |name: &str| {
        let view = views.iter().find(|view| view.name == name).expect(name);
        Digest::parse(&view.digest).expect("digest")
    };
    [held("one:v1"), held("two:v1")]
}

fn named(text: &str) -> Forget {
    Forget::Name(name(text))
}

/// Nothing but these is in use.
pub fn using(digests: &[&Digest]) -> AskInUse {
    let digests: BTreeSet<Digest> = digests.iter().map(|digest| (*digest).clone()).collect();
    Arc::new(move || InUse { digests: digests.clone(), names: BTreeSet::new() })
}

/// Prunes all that is not in use: bytes and names.
async fn pruned(store: &Store, in_use: &AskInUse) -> (u64, Vec<String>) {
    let would = store.images.would_prune(PruneExtent::Unused, in_use).await.expect("asked");
    let freed = store.images.prune(PruneExtent::Unused, in_use).await.expect("pruned");
    assert_eq!(would, freed, "what was foretold");
    (freed.bytes, freed.images)
}

async fn view(store: &Store, name: &str) -> ImageView {
    let views = store.images.list().await.expect("list");
    views.into_iter().find(|view| view.name == name).unwrap_or_else(|| panic!("no {name}"))
}

async fn names(store: &Store) -> Vec<String> {
    store.images.list().await.expect("list").into_iter().map(|view| view.name).collect()
}

/// Directories of unpacked layers.
fn layers(store: &Store) -> usize {
    store.files().iter().filter(|name| name.starts_with("layers/") && !name.contains('.')).count()
}

#[test]
fn a_forgotten_name_takes_only_what_nothing_else_needs() {
    run(async {
        let store = store();
        let [one, two] = two(&store).await;
        assert_eq!(layers(&store), 3);
        store.images.delete(&named("one:v1"), &using(&[])).await.expect("deleted");
        assert_eq!((names(&store).await.join(" "), layers(&store)), ("one:latest two:v1".to_owned(), 3));
        store.images.load(&one).await.expect("still there under its other name");
        store.images.delete(&named("one"), &using(&[])).await.expect("deleted");
        assert_eq!((names(&store).await.join(" "), layers(&store)), ("two:v1".to_owned(), 2));
        assert!(store.images.load(&one).await.is_err());
        store.images.load(&two).await.expect("its shared layer stayed");
        let error = store.images.delete(&named("one"), &using(&[])).await.expect_err("gone");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::NotFound, .. }), "{error:?}");
    });
}

#[test]
fn an_image_in_use_stays_on_disk_without_its_name() {
    run(async {
        let store = store();
        let [_, two] = two(&store).await;
        store.images.delete(&named("two:v1"), &using(&[&two])).await.expect("deleted");
        assert_eq!(names(&store).await, ["one:latest", "one:v1", "<none>"]);
        let store = store.reopen();
        store.images.load(&two).await.expect("in use");
        assert_eq!(view(&store, "<none>").await.source, "import", "it is known where it came from");
        assert_eq!(pruned(&store, &using(&[&two])).await, (500, vec!["one:latest".to_owned(), "one:v1".to_owned()]));
        assert_eq!(pruned(&store, &using(&[])).await, (1500, vec![two.short().to_owned()]));
        assert_eq!(store.files(), ["names.json"]);
    });
}

#[test]
fn a_name_moves_to_another_image_and_the_old_one_stays_until_pruned() {
    run(async {
        let store = store();
        let import = async |content: &[u8]| {
            let image = image(&[Layer::new().file("f", content).done()]);
            let views = store.import(&docker_save(&[(&image, &["app:v1"])]), None).await.expect("imported");
            Digest::parse(&views[0].digest).expect("digest")
        };
        let old = import(b"1").await;
        let new = import(b"2").await;
        assert_ne!(old, new);
        store.images.load(&old).await.expect("instances may run it");
        assert_eq!(pruned(&store, &using(&[&new])).await, (1, vec![old.short().to_owned()]));
        assert!(store.images.load(&old).await.is_err());
        store.images.load(&new).await.expect("in use");
    });
}

#[test]
fn bytes_are_told_that_images_share_and_that_go_with_one_alone() {
    run(async {
        let store = store();
        let [one, _] = two(&store).await;
        let view_of = async |name| {
            let view = view(&store, name).await;
            (view.size, view.shared, view.unique)
        };
        // Two names of one image share nothing with each other: both go with it.
        assert_eq!(view_of("one:v1").await, (1500, 1000, 500));
        assert_eq!(view_of("one:latest").await, (1500, 1000, 500));
        assert_eq!(view_of("two:v1").await, (1500, 1000, 500));
        assert_eq!(store.images.bytes().await.expect("bytes"), 2000);
        let freed = store.images.delete(&named("one:v1"), &using(&[])).await.expect("deleted");
        assert_eq!(freed, Freed { bytes: 0, images: vec!["one:v1".to_owned()], over: 0 }, "another name keeps it");
        let freed = store.images.delete(&Forget::Digest(one), &using(&[])).await.expect("deleted");
        assert_eq!(freed, Freed { bytes: 500, images: vec!["one:latest".to_owned()], over: 0 });
        assert_eq!(view_of("two:v1").await, (1500, 0, 1500));
    });
}

#[test]
fn an_image_goes_by_its_digest_with_all_of_its_names_or_with_none() {
    run(async {
        let store = store();
        let [one, two] = two(&store).await;
        let freed = store.images.delete(&Forget::Digest(one.clone()), &using(&[&one])).await.expect("deleted");
        assert_eq!((freed.bytes, freed.images.join(" ")), (0, "one:latest one:v1".to_owned()));
        assert_eq!(names(&store).await, ["two:v1", "<none>"]);
        let freed = store.images.delete(&Forget::Digest(one.clone()), &using(&[&two])).await.expect("deleted");
        assert_eq!((freed.bytes, freed.images), (500, vec![one.short().to_owned()]));
        let error = store.images.delete(&Forget::Digest(one), &using(&[])).await.expect_err("gone");
        assert!(error.to_string().contains("look after the images"), "{error:?}");
    });
}

#[test]
fn over_the_budget_the_image_goes_that_was_used_longest_ago_and_no_imported_one() {
    run(async {
        let store = store();
        let built = async |name: &str, bytes: usize| {
            let image = image(&[Layer::new().file(name, &vec![1; bytes]).done()]);
            let file = tempfile::NamedTempFile::new().expect("file");
            std::fs::write(file.path(), docker_save(&[(&image, &[])])).expect("written");
            let name = ImageRef::parse(name).expect("reference");
            let views = store.images.import_built(file.path(), &name).await.expect("imported");
            Digest::parse(&views[0].digest).expect("digest")
        };
        let [_, two] = two(&store).await;
        let (a, b, c) = (built("a:v1", 100).await, built("b:v1", 200).await, built("c:v1", 400).await);
        let within = async |store: &Store, budget, in_use: &AskInUse| {
            let extent = PruneExtent::Budget(budget);
            let would = store.images.would_prune(extent, in_use).await.expect("asked");
            let freed = store.images.prune(extent, in_use).await.expect("pruned");
            assert_eq!(would, freed, "what was foretold");
            (freed.images.join(" "), freed.bytes, freed.over)
        };
        assert_eq!(within(&store, 2700, &using(&[])).await, (String::new(), 0, 0));
        // Starting one is using it.
        store.images.load(&a).await.expect("loaded");
        assert_eq!(within(&store, 2699, &using(&[])).await, ("b:v1".to_owned(), 200, 0));
        // What was in use the last time that somebody looked was used after what was loaded before.
        assert_eq!(within(&store, 2500, &using(&[&c])).await, (String::new(), 0, 0));
        let store = store.reopen();
        assert_eq!(within(&store, 2499, &using(&[])).await, ("a:v1".to_owned(), 100, 0));
        assert_eq!(within(&store, 10, &using(&[&c])).await, (String::new(), 0, 2390));
        assert_eq!(within(&store, 10, &using(&[])).await, ("c:v1".to_owned(), 400, 1990));
        store.images.load(&two).await.expect("an imported one stays");
        assert!(store.images.load(&b).await.is_err());
    });
}

#[test]
fn what_a_failed_pull_left_goes_before_any_image_does_and_stays_while_there_is_room() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        two(&store).await;
        let broken = image(&[Layer::new().file("a", &[3; 1000]).done(), Layer::new().file("b", b"b").done()]);
        let manifest = publish(&registry, &broken, "v1");
        let missing = digest(&gzip(&broken.layers[1]));
        assert!(String::from_utf8_lossy(&manifest).contains(&missing));
        registry.set(&format!("/v2/app/blobs/{missing}"), Reply::Status(404));
        prepare(&store, &reference(&registry, ":v1")).await.expect_err("a layer is missing");
        assert_eq!(
            (store.images.bytes().await.expect("bytes"), layers(&store)),
            (3000, 4),
            "it is there for the next attempt"
        );
        let within = async |budget| {
            let freed = store.images.prune(PruneExtent::Budget(budget), &using(&[])).await.expect("pruned");
            (freed.bytes, freed.images.len(), freed.over)
        };
        assert_eq!(within(3000).await, (0, 0, 0));
        assert_eq!(within(2999).await, (1000, 0, 0));
        assert_eq!((names(&store).await.len(), layers(&store)), (3, 3));
    });
}

/// What a server knows: names that are being made ready, and digests that are pinned.
#[derive(Default)]
struct Wanted {
    preparing: Mutex<BTreeSet<ImageRef>>,
    pinned: Mutex<BTreeSet<Digest>>,
}

impl Wanted {
    fn asked(self: &Arc<Self>) -> AskInUse {
        let wanted = Arc::clone(self);
        Arc::new(move || {
            let names = wanted.preparing.lock().expect("lock").clone();
            let digests = wanted.pinned.lock().expect("lock").clone();
            InUse { digests, names }
        })
    }
}

#[test]
fn an_image_that_was_made_ready_is_there_when_it_is_started_however_much_is_pruned_meanwhile() {
    run(async {
        let store = store();
        let archive = tempfile::NamedTempFile::new().expect("file");
        let image = image(&[Layer::new().file("f", b"content").done()]);
        std::fs::write(archive.path(), docker_save(&[(&image, &["app:v1"])])).expect("written");
        let (wanted, over) = (Arc::new(Wanted::default()), Arc::new(AtomicBool::new(false)));
        let pruning = {
            let (images, asked, over) = (store.images.clone(), wanted.asked(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut gone = 0;
                while !over.load(Ordering::Relaxed) {
                    gone += images.prune(PruneExtent::Unused, &asked).await.expect("pruned").images.len();
                }
                gone
            })
        };
        let mut started = 0;
        for _ in 0..60 {
            store.images.import(archive.path(), None).await.expect("imported");
            wanted.preparing.lock().expect("lock").insert(name("app:v1"));
            // It may have gone before: then it is not made ready, and nobody relies on it.
            if let Ok(prepared) = store.images.prepare(&name("app:v1")).await {
                wanted.pinned.lock().expect("lock").insert(prepared.image.digest.clone());
                wanted.preparing.lock().expect("lock").clear();
                tokio::task::yield_now().await;
                store.images.load(&prepared.image.digest).await.expect("it was made ready");
                started += 1;
                wanted.pinned.lock().expect("lock").clear();
            }
            wanted.preparing.lock().expect("lock").clear();
        }
        over.store(true, Ordering::Relaxed);
        let gone = pruning.await.expect("ended");
        assert!(started > 0 && gone > 0, "both happened: {started} started, {gone} pruned");
    });
}

#[test]
fn images_with_running_instances_stay_though_the_server_has_forgotten_them() {
    run(async {
        let store = store();
        let [one, two] = two(&store).await;
        let running = one.clone();
        store.images.spare_running(Box::new(move || BTreeSet::from([running.clone()])));
        assert_eq!(pruned(&store, &using(&[])).await, (500, vec!["two:v1".to_owned()]));
        let freed = store.images.delete(&Forget::Digest(one.clone()), &using(&[])).await.expect("deleted");
        assert_eq!(freed.bytes, 0);
        store.images.load(&one).await.expect("it runs");
        assert!(store.images.load(&two).await.is_err());
    });
}

#[test]
fn lists_and_prunes_at_the_same_time_wait_for_nobody() {
    run(async {
        let store = store();
        let image = image(&[Layer::new().file("f", b"content").done()]);
        let archive = docker_save(&[(&image, &["app:v1"])]);
        let busy = |images: tapit_container::images::ImageStore| async move {
            for _ in 0..100 {
                images.list().await.expect("list");
                images.bytes().await.expect("bytes");
                images.prune(PruneExtent::Unused, &using(&[])).await.expect("pruned");
            }
        };
        let work = async {
            let tasks: Vec<_> = (0..3).map(|_| tokio::spawn(busy(store.images.clone()))).collect();
            for _ in 0..10 {
                store.import(&archive, None).await.expect("imported");
            }
            for task in tasks {
                task.await.expect("ended");
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), work).await.expect("no lock waits for another");
    });
}

#[test]
fn leftovers_of_a_crash_are_collected_at_the_next_start() {
    run(async {
        let store = store();
        let [one, _] = two(&store).await;
        let before = store.files();
        let unfinished = store.path("layers/0123456789abcdef0123456789ab");
        std::fs::create_dir_all(unfinished.join("deep/inside")).expect("half-unpacked layer");
        std::fs::create_dir_all(store.path("layers/.tmp-x/y")).expect("temporary layer");
        std::fs::write(store.path("spool/.tmp"), "blob").expect("spool");
        std::fs::write(store.path(".tmp-names"), "{").expect("temporary names");
        std::fs::write(store.path("layers/ffffffffffffffffffffffffffff.json"), "{}").expect("orphaned record");
        let store = store.reopen();
        assert_eq!(store.files(), before);
        store.images.load(&one).await.expect("the rest works");
    });
}

#[test]
fn damaged_books_cost_names_but_not_the_start() {
    run(async {
        let store = store();
        let [one, _] = two(&store).await;
        std::fs::write(store.path("names.json"), "{\"trunc").expect("damage");
        let store = store.reopen();
        assert_eq!(names(&store).await, ["<none>", "<none>"]);
        store.images.load(&one).await.expect("images stay");
        std::fs::write(store.path(&format!("images/{}.json", one.hex())), "{}").expect("damage");
        let store = store.reopen();
        assert!(store.images.load(&one).await.is_err(), "a configuration that is not what its name says is not used");
    });
}
