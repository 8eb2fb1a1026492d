//! Pulls that somebody asked for: who shares them, how far they are, and what they do not ask for twice.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tapit_engine::{EngineError, ImageFault, Images};
use tapit_model::{ImageRef, ImageView, LayerState, Transfer};
use tokio::sync::watch;

use crate::archives::{Image, Layer, digest, gzip, image};
use crate::fake_registry::{FakeRegistry, Reply};
use crate::pull::{layers, prepare, publish, publish_two, reference, served};
use crate::support::{Store, run, store};

/// Longer than any of it takes; what waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn pull(store: &Store, name: &ImageRef) -> (Result<ImageView, ImageFault>, Transfer) {
    let (transfer, seen) = watch::channel(Transfer::default());
    let pulled = store.images.pull(name, &transfer).await.map_err(|error| match error {
        EngineError::Image { fault, .. } => fault,
        other => panic!("{other:?}"),
    });
    (pulled, seen.borrow().clone())
}

/// What a transfer of these layers ends with.
fn ended(image: &Image, state: LayerState) -> Transfer {
    let layer = |plain: &Vec<u8>| {
        let blob = gzip(plain);
        let total = blob.len() as u64;
        tapit_model::LayerTransfer { layer: digest(&blob)[7..19].to_owned(), state, done: total, total }
    };
    Transfer { layers: image.layers.iter().map(layer).collect() }
}

/// Holds requests for blobs back until it is opened, and counts those that wait.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl Gate {
    fn before(registry: &FakeRegistry) -> Self {
        let gate = Self::default();
        let held = gate.clone();
        registry.script(move |request| {
            if request.path.contains("/blobs/") {
                held.pass();
            }
            None
        });
        gate
    }

    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("gate");
        state.0 += 1;
        changed.notify_all();
        let (mut state, _) = changed.wait_timeout_while(state, PATIENCE, |state| !state.1).expect("gate");
        state.0 -= 1;
    }

    /// Waits until so many requests wait. Answers whether they came in time.
    async fn waiting(&self, count: usize, patience: Duration) -> bool {
        let gate = self.0.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let (state, changed) = &*gate;
            let state = state.lock().expect("gate");
            changed.wait_timeout_while(state, patience, |state| state.0 < count).expect("gate").0.0 >= count
        });
        waiting.await.expect("waited")
    }

    fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().expect("gate").1 = true;
        changed.notify_all();
    }
}

#[test]
fn a_pull_tells_all_layers_and_reaches_all_of_their_bytes() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        // Of more than one piece, so that it is seen on its way.
        let noise: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let image = image(&[Layer::new().file("small", b"").done(), Layer::new().file("large", &noise).done()]);
        publish(&registry, &image, "v1");
        let (transfer, mut seen) = watch::channel(Transfer::default());
        let watching = tokio::spawn(async move {
            let mut all = Vec::new();
            while seen.changed().await.is_ok() {
                all.push(seen.borrow_and_update().clone());
            }
            all
        });
        store.images.pull(&reference(&registry, ":v1"), &transfer).await.expect("pulled");
        drop(transfer);
        let all = watching.await.expect("watched");
        let end = ended(&image, LayerState::Done);
        assert_eq!(all.last(), Some(&end));
        for told in &all {
            assert_eq!(told.layers.len(), 2);
            for (layer, last) in told.layers.iter().zip(&end.layers) {
                assert_eq!((&layer.layer, layer.total), (&last.layer, last.total));
                assert!(layer.done <= layer.total, "{layer:?}");
            }
        }
    });
}

#[test]
fn a_second_pull_asks_what_the_tag_means_and_for_no_blob() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        let name = reference(&registry, ":v1");
        let (first, told) = pull(&store, &name).await;
        assert_eq!(
            (&first.as_ref().expect("pulled").digest, told),
            (&digest(&image.config), ended(&image, LayerState::Done))
        );
        let (second, told) = pull(&store, &name).await;
        assert_eq!((second.expect("pulled").digest, told), (digest(&image.config), ended(&image, LayerState::Held)));
        assert_eq!((registry.asked("/blobs/"), registry.asked("/manifests/")), (6, 2));
    });
}

#[test]
fn a_pull_and_a_preparation_at_a_time_are_one_and_both_pullers_see_how_far_it_is() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        let name = reference(&registry, ":v1");
        let (prepared, one, two) = tokio::join!(prepare(&store, &name), pull(&store, &name), pull(&store, &name));
        let wanted = digest(&image.config);
        assert_eq!(prepared.expect("prepared").image.digest.as_str(), wanted);
        for (view, told) in [one, two] {
            assert_eq!((view.expect("pulled").digest, told), (wanted.clone(), ended(&image, LayerState::Done)));
        }
        assert_eq!((registry.asked("/blobs/"), registry.asked("/manifests/")), (6, 1));
    });
}

#[test]
fn a_held_copy_is_an_answer_for_a_preparation_but_not_for_a_pull_that_it_shares() {
    run(async {
        let (store, registry, name) = served();
        pull(&store, &name).await.0.expect("pulled");
        drop(registry);
        let (prepared, (pulled, _)) = tokio::join!(prepare(&store, &name), pull(&store, &name));
        assert!(prepared.expect("prepared").warning.is_some());
        assert_eq!(pulled.map(|view| view.name), Err(ImageFault::Unreachable));
    });
}

#[test]
fn images_that_share_layers_fetch_each_of_them_once_even_at_the_same_time() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        publish_two(&registry);
        let gate = Gate::before(&registry);
        let (name, other) = (reference(&registry, ":v1"), reference(&registry, ":v2"));
        let opening = async {
            // Both configurations: no layer is asked for before both pulls are underway.
            let met = gate.waiting(2, PATIENCE).await;
            gate.open();
            met
        };
        let (met, (a, told), (b, told_of_b)) = tokio::join!(opening, pull(&store, &name), pull(&store, &other));
        assert!(met && a.is_ok() && b.is_ok(), "{met} {a:?} {b:?}");
        // Six layers and two configurations.
        assert_eq!(registry.asked("/blobs/"), 8);
        for layer in told.layers.iter().chain(&told_of_b.layers) {
            let is_over = matches!(layer.state, LayerState::Done | LayerState::Held);
            assert!(is_over && layer.done == layer.total, "{layer:?}");
        }
    });
}

#[test]
fn a_puller_that_goes_away_leaves_the_work_to_those_who_join_it() {
    run(async {
        let (store, registry, name) = served();
        let gate = Gate::before(&registry);
        let gone = tokio::spawn({
            let (images, name) = (store.images.clone(), name.clone());
            async move { images.pull(&name, &watch::channel(Transfer::default()).0).await.is_ok() }
        });
        assert!(gate.waiting(1, PATIENCE).await);
        gone.abort();
        assert!(gone.await.expect_err("aborted").is_cancelled());
        let joined = tokio::spawn({
            let (images, name) = (store.images.clone(), name.clone());
            async move { images.prepare(&name).await.is_ok() }
        });
        gate.open();
        assert!(joined.await.expect("joined"));
        assert_eq!(registry.asked("/manifests/"), 1);
    });
}

#[test]
fn no_more_than_three_blobs_are_on_their_way_at_once() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        let config = digest(&layers().config);
        let gate = Gate::default();
        let held = gate.clone();
        registry.script(move |request| {
            if request.path.contains("/blobs/") && !request.path.ends_with(&config) {
                held.pass();
            }
            None
        });
        let looking = async {
            let three = gate.waiting(3, PATIENCE).await;
            // A fourth would come at once, like the others.
            let four = gate.waiting(4, Duration::from_millis(300)).await;
            gate.open();
            (three, four)
        };
        let name = reference(&registry, ":v1");
        let ((three, four), (pulled, _)) = tokio::join!(looking, pull(&store, &name));
        assert!(pulled.is_ok(), "{pulled:?}");
        assert_eq!((three, four), (true, false));
    });
}

#[test]
fn layers_of_a_failed_pull_are_not_fetched_again_but_have_no_record_until_an_image_has_them() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        let name = reference(&registry, ":v1");
        let last = format!("/v2/app/blobs/{}", digest(&gzip(&image.layers[4])));
        registry.set(&last, Reply::Status(404));
        assert_eq!(pull(&store, &name).await.0.map(|view| view.name), Err(ImageFault::Invalid));
        let records = |store: &Store| store.files().iter().filter(|name| is_record(name)).count();
        assert_eq!(records(&store), 0, "{:?}", store.files());
        let first = format!("/blobs/{}", digest(&gzip(&image.layers[0])));
        assert_eq!(registry.asked(&first), 1);
        registry.set(&last, Reply::Body(gzip(&image.layers[4])));
        let (pulled, told) = pull(&store, &name).await;
        assert!(pulled.is_ok(), "{pulled:?}");
        assert_eq!(told.layers[0].state, LayerState::Held);
        assert_eq!((registry.asked(&first), records(&store)), (1, 5));
        // What a crash leaves of layers without a record goes when the store opens.
        let record = store.files().into_iter().find(|name| is_record(name)).expect("a record");
        std::fs::remove_file(store.path(&record)).expect("removed");
        let store = store.reopen();
        assert!(!store.files().contains(&record.replace(".json", "")), "{:?}", store.files());
        assert!(pull(&store, &name).await.0.is_ok());
        assert_eq!(records(&store), 5);
    });
}

fn is_record(name: &str) -> bool {
    name.starts_with("layers/") && name.ends_with(".json")
}
