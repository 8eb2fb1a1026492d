//! Images that run elsewhere: what a reference stands for is asked without fetching it, and what is held here is sent on
//! with a login that nobody keeps.

use tapit_container::images::{ImageStore, Opening, Platform, RemoteImage};
use tapit_engine::{EngineError, ImageFault, Images};
use tapit_model::{Digest, ImageRef, RegistryLogin, RegistrySettings};

use crate::archives::{GZIP_LAYER, Image, Layer, digest, docker_save, gzip, image, manifest};
use crate::debian_registry::Registry;
use crate::fake_registry::{FakeRegistry, Reply};
use crate::pull::{layers, publish, reference, served};
use crate::registry_faults::hasty;
use crate::registry_login::{basic, set};
use crate::support::{Store, exe, run, store, store_with, told};

async fn resolve(store: &Store, image: &ImageRef) -> Result<RemoteImage, (ImageFault, String)> {
    store.images.resolve(image).await.map_err(fault)
}

fn fault(error: EngineError) -> (ImageFault, String) {
    match &error {
        EngineError::Image { fault, .. } => (*fault, told(&error)),
        other => panic!("{other:?}"),
    }
}

fn login(password: &str) -> RegistrySettings {
    let login = RegistryLogin { username: "ann".to_owned(), password: password.to_owned() };
    RegistrySettings { login: Some(login), ..RegistrySettings::default() }
}

#[test]
fn a_reference_is_looked_up_by_its_manifest_and_configuration_alone() {
    run(async {
        let (store, registry) = (store(), FakeRegistry::start());
        let manifest = publish(&registry, &layers(), "v1");
        let found = resolve(&store, &reference(&registry, ":v1")).await.expect("found");
        assert_eq!(found.manifest.as_str(), digest(&manifest));
        assert_eq!(found.config.as_str(), digest(&layers().config));
        assert_eq!(found.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [8080]);
        assert_eq!(found.platforms, Vec::<String>::new());
        assert_eq!((registry.asked("/manifests/"), registry.asked("/blobs/")), (1, 1), "no layer was asked for");
        assert!(store.images.list().await.expect("listed").is_empty(), "nothing of it is held");
        let by_digest = reference(&registry, &format!("@{}", digest(&manifest)));
        assert_eq!(resolve(&store, &by_digest).await.expect("found"), found);
    });
}

/// An index of the same image for two machines. Returns it, and its manifests.
fn publish_for_two(registry: &FakeRegistry) -> (Vec<u8>, [Vec<u8>; 2]) {
    let base = layers();
    let manifests = ["amd64", "arm64"].map(|architecture| {
        let config = String::from_utf8(base.config.clone()).expect("text");
        let here = format!(r#""architecture":"{}""#, Platform::here().to_string().trim_start_matches("linux/"));
        let config = config.replace(&here, &format!(r#""architecture":"{architecture}""#)).into_bytes();
        let image = Image { config, layers: base.layers.clone() };
        let blobs: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
        registry.blob("app", &image.config);
        let manifest = manifest(&image, &blobs, GZIP_LAYER);
        registry.manifest("app", "untagged", &manifest);
        manifest
    });
    let entry = |(bytes, architecture): (&Vec<u8>, &str)| {
        serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(bytes),
            "size": bytes.len(), "platform": {"os": "linux", "architecture": architecture}})
    };
    let entries: Vec<_> = manifests.iter().zip(["amd64", "arm64"]).map(entry).collect();
    let index = serde_json::to_vec(&serde_json::json!({"schemaVersion": 2, "manifests": entries})).expect("index");
    registry.manifest("app", "v1", &index);
    (index, manifests)
}

#[test]
fn of_an_index_the_manifest_for_the_machines_that_run_it_is_pinned() {
    run(async {
        let registry = FakeRegistry::start();
        let (index, [amd64, arm64]) = publish_for_two(&registry);
        for (platform, expected) in [(Platform::AMD64, amd64), (Platform::ARM64, arm64)] {
            let dir = tempfile::tempdir().expect("directory");
            let opening = Opening { limits: hasty(), platform, ..Opening::default() };
            let images = ImageStore::open_as(&dir.path().join("images"), exe(), opening).expect("store");
            for name in [":v1".to_owned(), format!("@{}", digest(&index))] {
                let found = images.resolve(&reference(&registry, &name)).await.expect("found");
                assert_eq!(found.manifest.as_str(), digest(&expected), "{platform}");
                assert_eq!(found.platforms, ["linux/amd64", "linux/arm64"]);
            }
        }
    });
}

#[test]
fn what_is_wrong_with_a_registry_is_told_as_in_a_pull() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        let (kind, text) = resolve(&store, &reference(&registry, ":none")).await.expect_err("not there");
        assert_eq!(kind, ImageFault::NotFound, "{text}");
        registry.set("/v2/app/manifests/broken", Reply::Body(b"{}".to_vec()));
        let (kind, text) = resolve(&store, &reference(&registry, ":broken")).await.expect_err("no manifest");
        assert_eq!(kind, ImageFault::Invalid, "{text}");
        registry.set(&format!("/v2/app/blobs/{}", digest(&layers().config)), Reply::Body(b"another".to_vec()));
        let (kind, text) = resolve(&store, &reference(&registry, ":v1")).await.expect_err("another configuration");
        assert_ne!(kind, ImageFault::NotFound, "{text}");
        let image = reference(&registry, ":v1");
        drop(registry);
        let (kind, text) = resolve(&store, &image).await.expect_err("nobody there");
        assert_eq!(kind, ImageFault::Unreachable, "{text}");
        assert!(text.contains("cannot be reached"), "{text}");
    });
}

#[test]
fn all_who_ask_at_once_are_given_one_answer() {
    run(async {
        let (store, registry, name) = served();
        let (a, b, c) = tokio::join!(resolve(&store, &name), resolve(&store, &name), resolve(&store, &name));
        let first = a.expect("found");
        assert_eq!((b.expect("found"), c.expect("found")), (first.clone(), first));
        assert_eq!(registry.asked("/manifests/"), 1);
    });
}

#[test]
fn a_login_that_is_given_is_used_once_and_kept_nowhere() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        basic(&registry, "Basic YW5uOnNlY3JldA==");
        let image = reference(&registry, ":v1");
        store.images.resolve_with(&image, &login("secret")).await.expect("found");
        assert!(store.images.registries().await.expect("settings").is_empty());
        assert_eq!(resolve(&store, &image).await.expect_err("nobody is logged in").0, ImageFault::Denied);
        let error = store.images.resolve_with(&image, &login("wrong")).await.map_err(fault).expect_err("refused");
        assert_eq!(error.0, ImageFault::Denied);
        assert!(error.1.contains(r#"refuses the login of "ann" that it was given"#), "{}", error.1);
        assert!(!error.1.contains("tapit set registry") && !error.1.contains("wrong"), "{}", error.1);
        // What is set for the registry is nobody's business then.
        set(&store, &registry, ("ann", "secret")).await;
        store.images.resolve_with(&image, &login("wrong")).await.expect_err("the given one counts");
    });
}

#[test]
fn an_image_is_sent_by_its_configuration_whatever_its_name_means_by_now() {
    run(async {
        let (registry, here) = (Registry::start(), store());
        let (old, new) = (layers(), image(&[Layer::new().file("new", b"").done()]));
        for image in [&old, &new] {
            here.import(&docker_save(&[(image, &["app:v1"])]), None).await.expect("imported");
        }
        let config = Digest::parse(&digest(&old.config)).expect("digest");
        let (to, nobody) = (registry.image("team/app:x"), RegistrySettings::default());
        assert!(here.images.holds(&config), "it has no name any more");
        assert_eq!(here.images.sent(&config, &to, &nobody).await.expect("asked"), None);
        let manifest = here.images.send(&config, &to, &nobody).await.expect("sent");
        assert_eq!(here.images.sent(&config, &to, &nobody).await.expect("asked"), Some(manifest.clone()));
        let other = Digest::parse(&digest(&new.config)).expect("digest");
        assert_eq!(here.images.sent(&other, &to, &nobody).await.expect("asked"), None, "it is another image");
        let found = here.images.resolve(&to).await.expect("found");
        assert_eq!((found.manifest, found.config), (manifest, config));
    });
}

#[test]
fn only_what_came_by_hand_is_used_without_a_question() {
    run(async {
        let (store, _registry, name) = served();
        store.images.prepare(&name).await.expect("pulled");
        assert!(store.images.local(&name).is_none(), "the registry knows better");
        assert!(store.images.held(&name).is_some());
        let imported = ImageRef::parse("mine:v1").expect("reference");
        assert!(store.images.local(&imported).is_none());
        store.import(&docker_save(&[(&layers(), &["mine:v1"])]), None).await.expect("imported");
        let local = store.images.local(&imported).expect("by hand").expect("ready");
        assert_eq!((local.digest.as_str(), local.exposed.len()), (digest(&layers().config).as_str(), 1));
    });
}
