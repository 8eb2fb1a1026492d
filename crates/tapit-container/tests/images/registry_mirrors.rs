//! Mirrors: asked first, in order, and passed over when they do not do their part.

use tapit_engine::{ImageFault, Images};
use tapit_model::{ImageRef, RegistryName, RegistrySettings};

use crate::archives::{digest, gzip};
use crate::fake_registry::{FakeRegistry, Reply};
use crate::pull::{layers, prepare, publish, reference};
use crate::registry_faults::hasty;
use crate::support::{Store, run, store_with};

async fn mirrored(store: &Store, registry: &FakeRegistry, mirrors: &[&FakeRegistry]) {
    let name = |registry: &FakeRegistry| RegistryName::parse(&registry.host()).expect("a name");
    let mirrors = mirrors.iter().map(|mirror| name(mirror)).collect();
    let settings = RegistrySettings { mirrors, ..RegistrySettings::default() };
    store.images.set_registry(&name(registry), Some(settings)).await.expect("set");
}

#[test]
fn a_mirror_that_has_an_image_is_all_that_is_asked() {
    run(async {
        let (store, registry, mirror) = (store_with(hasty()), FakeRegistry::start(), FakeRegistry::start());
        let image = layers();
        publish(&mirror, &image, "v1");
        mirrored(&store, &registry, &[&mirror]).await;
        let prepared = prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        assert_eq!(prepared.image.digest.as_str(), digest(&image.config));
        assert_eq!((registry.asked("/"), mirror.asked("/blobs/")), (0, 6));
    });
}

#[test]
fn mirrors_that_are_empty_or_down_or_lie_are_passed_over() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        let (empty, down, liar) = (FakeRegistry::start(), FakeRegistry::start(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        publish(&liar, &image, "v1");
        let blob = gzip(&image.layers[0]);
        liar.set(&format!("/v2/app/blobs/{}", digest(&blob)), Reply::Body(vec![0; blob.len()]));
        let gone = RegistryName::parse(&down.host()).expect("a name");
        drop(down);
        let name = |registry: &FakeRegistry| RegistryName::parse(&registry.host()).expect("a name");
        let mirrors = vec![name(&empty), gone, name(&liar)];
        let settings = RegistrySettings { mirrors, ..RegistrySettings::default() };
        store.images.set_registry(&name(&registry), Some(settings)).await.expect("set");
        let prepared = prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        assert_eq!(prepared.image.digest.as_str(), digest(&image.config));
        assert_eq!(store.merged(&digest(&image.config)).await.lines().count(), 5);
        assert_eq!(empty.asked("/manifests/"), 1);
        assert!(registry.asked(&digest(&blob)) == 1, "the blob that the mirror lied about comes from the registry");
    });
}

#[test]
fn a_blob_that_breaks_off_at_a_mirror_is_gone_on_with_at_the_registry() {
    run(async {
        let (store, registry, mirror) = (store_with(hasty()), FakeRegistry::start(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        publish(&mirror, &image, "v1");
        let blob = gzip(&image.layers[0]);
        let path = format!("/v2/app/blobs/{}", digest(&blob));
        mirror.set(&path, Reply::Ranged(blob.clone(), 40));
        registry.set(&path, Reply::Ranged(blob.clone(), usize::MAX));
        mirrored(&store, &registry, &[&mirror]).await;
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        assert_eq!(registry.requests(&path)[0].header("range"), "bytes=40-");
    });
}

#[test]
fn when_nobody_has_it_the_registry_has_the_last_word_and_a_broken_mirror_is_named() {
    run(async {
        let (store, registry, mirror) = (store_with(hasty()), FakeRegistry::start(), FakeRegistry::start());
        mirror.set("/v2/app/manifests/v1", Reply::Status(401));
        mirrored(&store, &registry, &[&mirror]).await;
        let (fault, text) = prepare(&store, &reference(&registry, ":v1")).await.expect_err("nobody has it");
        assert_eq!(fault, ImageFault::NotFound, "{text}");
        assert!(text.contains(&format!("the registry {} has no v1", registry.host())), "{text}");
        assert!(text.contains("of its mirror: ") && text.contains(&mirror.host()), "{text}");
    });
}

#[test]
fn a_mirror_is_logged_in_to_with_its_own_login() {
    run(async {
        let (store, registry, mirror) = (store_with(hasty()), FakeRegistry::start(), FakeRegistry::start());
        publish(&mirror, &layers(), "v1");
        crate::registry_login::basic(&mirror, "Basic bTpt");
        mirrored(&store, &registry, &[&mirror]).await;
        crate::registry_login::set(&store, &mirror, ("m", "m")).await;
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
    });
}

#[test]
fn plain_http_elsewhere_than_on_loopback_needs_permission() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        // This address leads to this host, but does not look like it.
        let host = registry.host().replace("127.0.0.1", "0.0.0.0");
        let image = ImageRef::parse(&format!("{host}/app:v1")).expect("reference");
        let (fault, text) = prepare(&store, &image).await.expect_err("no TLS");
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
        let advice =
            format!("it does not speak TLS; if its network can be trusted: tapit set registry {host} plain_http=true");
        assert!(text.contains(&advice), "{text}");
        assert_eq!(registry.asked("/"), 0);
        let settings = RegistrySettings { plain_http: true, ..RegistrySettings::default() };
        let name = RegistryName::parse(&host).expect("a name");
        store.images.set_registry(&name, Some(settings)).await.expect("set");
        prepare(&store, &image).await.expect("prepared");
    });
}
