//! What stays and what goes: names, shared layers, leftovers of a crash.

use tapit_engine::{EngineError, ImageFault, Images};
use tapit_model::{Digest, ImageRef};

use crate::archives::{Image, Layer, docker_save, image};
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
    let digest = |name: &str| {
        let view = views.iter().find(|view| view.name == name).expect(name);
        Digest::parse(&view.digest).expect("digest")
    };
    [digest("one:v1"), digest("two:v1")]
}

async fn names(store: &Store) -> Vec<String> {
    store.images.list().await.expect("list").into_iter().map(|view| view.name).collect()
}

fn layers(store: &Store) -> usize {
    store.files().iter().filter(|name| name.starts_with("layers/") && !name.ends_with(".json")).count()
}

#[test]
fn a_forgotten_name_takes_only_what_nothing_else_needs() {
    run(async {
        let store = store();
        let [one, two] = two(&store).await;
        assert_eq!(layers(&store), 3);
        store.images.delete(&name("one:v1"), &[]).await.expect("deleted");
        assert_eq!((names(&store).await.join(" "), layers(&store)), ("one:latest two:v1".to_owned(), 3));
        store.images.load(&one).await.expect("still there under its other name");
        store.images.delete(&name("one"), &[]).await.expect("deleted");
        assert_eq!((names(&store).await.join(" "), layers(&store)), ("two:v1".to_owned(), 2));
        assert!(store.images.load(&one).await.is_err());
        store.images.load(&two).await.expect("its shared layer stayed");
        let error = store.images.delete(&name("one"), &[]).await.expect_err("gone");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::NotFound, .. }), "{error:?}");
    });
}

#[test]
fn an_image_in_use_stays_on_disk_without_its_name() {
    run(async {
        let store = store();
        let [_, two] = two(&store).await;
        store.images.delete(&name("two:v1"), std::slice::from_ref(&two)).await.expect("deleted");
        assert_eq!(names(&store).await, ["one:latest", "one:v1", "<none>"]);
        let store = store.reopen();
        store.images.load(&two).await.expect("in use");
        let (freed, pruned) = store.images.prune(std::slice::from_ref(&two)).await.expect("pruned");
        assert_eq!((freed, pruned), (500, vec!["one:latest".to_owned(), "one:v1".to_owned()]));
        let (freed, pruned) = store.images.prune(&[]).await.expect("pruned");
        assert_eq!((freed, pruned), (1500, vec![two.short().to_owned()]));
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
        store.images.prune(std::slice::from_ref(&new)).await.expect("pruned");
        assert!(store.images.load(&old).await.is_err());
        store.images.load(&new).await.expect("in use");
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
