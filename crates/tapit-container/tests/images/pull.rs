//! Preparing images from a registry that works, and from ones that do not.

use std::time::Duration;

use tapit_container::images::{Limits, Prepared};
use tapit_engine::{EngineError, ImageFault};
use tapit_model::ImageRef;

use crate::archives::{GZIP_LAYER, Image, Layer, digest, gzip, image, manifest};
use crate::fake_registry::{FakeRegistry, Reply};
use crate::support::{Store, run, store, store_with, told};

pub fn layers() -> Image {
    let layer = |name: &str| Layer::new().file(name, name.as_bytes()).done();
    image(&["a", "b", "c", "d", "e"].map(layer))
}

/// Puts an image into the registry. Returns its manifest.
pub fn publish(registry: &FakeRegistry, image: &Image, tag: &str) -> Vec<u8> {
    let blobs: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
    blobs.iter().chain([&image.config]).for_each(|blob| registry.blob("app", blob));
    let manifest = manifest(image, &blobs, GZIP_LAYER);
    registry.manifest("app", tag, &manifest);
    manifest
}

pub fn reference(registry: &FakeRegistry, rest: &str) -> ImageRef {
    ImageRef::parse(&format!("{}/app{rest}", registry.host())).expect("reference")
}

/// A store, a registry that has an image of five layers, and what it is called there.
pub fn served() -> (Store, FakeRegistry, ImageRef) {
    let (store, registry) = (store(), FakeRegistry::start());
    publish(&registry, &layers(), "v1");
    let name = reference(&registry, ":v1");
    (store, registry, name)
}

/// Puts an image in as `v1`, and one with a layer more on top of it as `v2`.
pub fn publish_two(registry: &FakeRegistry) {
    let one = layers();
    let mut all = one.layers.clone();
    all.push(Layer::new().file("more", b"").done());
    publish(registry, &one, "v1");
    publish(registry, &image(&all), "v2");
}

pub async fn prepare(store: &Store, image: &ImageRef) -> Result<Prepared, (ImageFault, String)> {
    store.images.prepare(image).await.map_err(|error| match &error {
        EngineError::Image { fault, .. } => (*fault, told(&error)),
        other => panic!("{other:?}"),
    })
}

#[test]
fn an_image_is_pulled_once_and_an_unchanged_tag_costs_one_question() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        let name = reference(&registry, ":v1");
        let prepared = prepare(&store, &name).await.expect("prepared");
        assert_eq!(prepared.image.digest.as_str(), digest(&image.config));
        assert_eq!((prepared.image.reference.clone(), prepared.warning.clone()), (name.clone(), None));
        let seen = store.merged(prepared.image.digest.as_str()).await;
        assert_eq!(seen, "a f 755 0:0\nb f 755 0:0\nc f 755 0:0\nd f 755 0:0\ne f 755 0:0\n");
        assert_eq!(registry.asked("/blobs/"), 6);
        assert_eq!(prepare(&store, &name).await.expect("prepared"), prepared);
        assert_eq!((registry.asked("/blobs/"), registry.asked("/manifests/")), (6, 2));
        assert!(store.files().iter().all(|name| !name.starts_with("spool")));
    });
}

#[test]
fn two_callers_for_one_image_share_the_work() {
    run(async {
        let (store, registry, name) = served();
        let (one, two) = tokio::join!(prepare(&store, &name), prepare(&store, &name));
        assert_eq!(one.expect("prepared"), two.expect("prepared"));
        assert_eq!((registry.asked("/blobs/"), registry.asked("/manifests/")), (6, 1));
    });
}

#[test]
fn two_images_on_one_base_fetch_its_layers_once() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        publish_two(&registry);
        let names = [reference(&registry, ":v1"), reference(&registry, ":v2")];
        let (a, b) = tokio::join!(prepare(&store, &names[0]), prepare(&store, &names[1]));
        assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
        // Six layers and two configurations.
        assert_eq!(registry.asked("/blobs/"), 8);
    });
}

#[test]
fn a_caller_that_goes_away_does_not_end_the_work_for_others() {
    run(async {
        let (store, _registry, name) = served();
        let gone = tokio::spawn({
            let (images, name) = (store.images.clone(), name.clone());
            async move { images.prepare(&name).await.is_ok() }
        });
        tokio::task::yield_now().await;
        gone.abort();
        prepare(&store, &name).await.expect("prepared");
    });
}

#[test]
fn a_tag_that_moved_is_pulled_anew() {
    run(async {
        let (store, registry, name) = served();
        let old = prepare(&store, &name).await.expect("prepared").image.digest;
        let moved = image(&[Layer::new().file("new", b"").done()]);
        publish(&registry, &moved, "v1");
        let new = prepare(&store, &name).await.expect("prepared").image.digest;
        assert_eq!(new.as_str(), digest(&moved.config));
        store.images.load(&old).await.expect("instances may run it still");
    });
}

#[test]
fn a_digest_is_asked_for_once_and_for_ever() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let manifest = publish(&registry, &layers(), "v1");
        let name = reference(&registry, &format!("@{}", digest(&manifest)));
        let one = prepare(&store, &name).await.expect("prepared");
        drop(registry);
        let two = prepare(&store, &name).await.expect("prepared");
        assert_eq!((&one.image, &two.warning), (&two.image, &None));
    });
}

#[test]
fn a_copy_held_here_is_used_with_a_warning_when_the_registry_is_down() {
    run(async {
        let limits = Limits { retry_pause: Duration::from_millis(1), ..Limits::default() };
        let (store, registry) = (store_with(limits), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        let (held, other) = (reference(&registry, ":v1"), reference(&registry, ":v2"));
        let fresh = prepare(&store, &held).await.expect("prepared");
        registry.set(&format!("/v2/app/manifests/{}", "v1"), Reply::Status(429));
        let limited = prepare(&store, &held).await.expect("prepared");
        assert!(limited.warning.expect("warning").contains("429"));
        drop(registry);
        let stale = prepare(&store, &held).await.expect("prepared");
        assert_eq!(stale.image, fresh.image);
        let warning = stale.warning.expect("warning");
        assert!(warning.contains("cannot be reached") && warning.contains("is held here is used"), "{warning}");
        let (fault, text) = prepare(&store, &other).await.expect_err("no copy");
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
    });
}

#[test]
fn an_unknown_tag_is_named() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        let (fault, text) = prepare(&store, &reference(&registry, ":v9")).await.expect_err("unknown");
        assert_eq!(fault, ImageFault::NotFound);
        assert!(text.contains("has no v9 of app"), "{text}");
        registry.set("/v2/app/manifests/v8", Reply::Status(401));
        let (fault, text) = prepare(&store, &reference(&registry, ":v8")).await.expect_err("denied");
        assert_eq!(fault, ImageFault::Denied, "{text}");
    });
}

/// A registry whose first layer or manifest is answered as told.
fn broken(part: &str, reply: impl FnOnce(&[u8]) -> Reply) -> (ImageFault, String) {
    run(async {
        let limits = Limits {
            stall_timeout: Duration::from_millis(300),
            retry_pause: Duration::from_millis(1),
            ..Limits::default()
        };
        let (store, registry) = (store_with(limits), FakeRegistry::start());
        let image = layers();
        let manifest = publish(&registry, &image, "v1");
        let blob = gzip(&image.layers[0]);
        let (path, bytes) = match part {
            "layer" => (format!("/v2/app/blobs/{}", digest(&blob)), blob),
            "config" => (format!("/v2/app/blobs/{}", digest(&image.config)), image.config.clone()),
            _ => ("/v2/app/manifests/v1".to_owned(), manifest),
        };
        registry.set(&path, reply(&bytes));
        let before = store.files();
        let refused = prepare(&store, &reference(&registry, ":v1")).await.expect_err("refused");
        assert_eq!(
            store.files().iter().filter(|name| !name.starts_with("layers/")).collect::<Vec<_>>(),
            before.iter().collect::<Vec<_>>()
        );
        refused
    })
}

#[test]
fn a_blob_of_other_content_is_refused() {
    let evil = gzip(&Layer::new().file("evil", b"").done());
    for part in ["layer", "config"] {
        let (fault, text) = broken(part, |honest| {
            let mut bytes = honest.to_vec();
            let length = bytes.len();
            bytes[length / 2] ^= 1;
            Reply::Body(bytes)
        });
        assert_eq!(fault, ImageFault::Invalid, "{text}");
        assert!(text.contains("other content"), "{text}");
    }
    let (fault, text) = broken("layer", |_| Reply::Body([evil, vec![0; 9000]].concat()));
    assert_eq!(fault, ImageFault::Invalid, "{text}");
}

#[test]
fn a_registry_that_breaks_off_or_stalls_is_unreachable_after_a_few_attempts() {
    for part in ["layer", "manifest"] {
        let (fault, text) = broken(part, |honest| Reply::HalfOf(honest.to_vec()));
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
        let (fault, text) = broken(part, |_| Reply::Silence);
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
        let (fault, text) = broken(part, |_| Reply::Status(503));
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
        assert!(text.contains("503"), "{text}");
    }
}

#[test]
fn a_digest_reference_is_not_satisfied_by_another_manifest() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let manifest = publish(&registry, &layers(), "v1");
        let wanted = digest(b"something else");
        registry.set(&format!("/v2/app/manifests/{wanted}"), Reply::Body(manifest));
        let (fault, text) = prepare(&store, &reference(&registry, &format!("@{wanted}"))).await.expect_err("refused");
        assert_eq!(fault, ImageFault::Invalid, "{text}");
    });
}

#[test]
fn a_name_that_does_not_resolve_fails_fast() {
    run(async {
        let image = ImageRef::parse("registry.invalid/app:v1").expect("reference");
        let started = std::time::Instant::now();
        let (fault, text) = prepare(&store(), &image).await.expect_err("unreachable");
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
        assert!(started.elapsed() < Duration::from_secs(20));
    });
}
