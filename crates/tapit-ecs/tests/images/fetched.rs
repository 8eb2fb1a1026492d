//! What ECS fetches by itself is only looked up here, and pinned.

use tapit_ecs::api::Operation;
use tapit_engine::{ImageFault, TransferWatch};

use crate::account::{Account, Server, fault, reference, run, sample};
use crate::archives::{GZIP_LAYER, Image, digest, gzip, manifest};
use crate::carried::own_registry;
use crate::fake_registry::FakeRegistry;

/// Puts an image into the registry. Returns its manifest.
pub fn publish(registry: &FakeRegistry, image: &Image, tag: &str) -> Vec<u8> {
    let blobs: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
    blobs.iter().chain([&image.config]).for_each(|blob| registry.blob("app", blob));
    let manifest = manifest(image, &blobs, GZIP_LAYER);
    registry.manifest("app", tag, &manifest);
    manifest
}

#[test]
fn an_image_that_ecs_can_fetch_is_pinned_to_its_manifest_and_not_fetched_here() {
    run(async {
        // The account's own registry stands for all that ECS reaches: others on this host it does not.
        let registry = FakeRegistry::start();
        let manifest = publish(&registry, &sample(), "v1");
        let account = Account::with_registry(&registry.host());
        let server = Server::start(&account);
        let image = server.prepare(&format!("{}/app:v1", registry.host())).await;
        assert_eq!(image.digest.as_str(), digest(&manifest));
        assert_eq!(image.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [8080]);
        assert_eq!((registry.asked("/manifests/"), registry.asked("/blobs/")), (1, 1));
        assert!(server.images.images().list().await.expect("listed").is_empty());
        account.called();
        let location = server.location(&image, "shop").await.expect("located");
        assert_eq!(location, format!("{}/app@{}", registry.host(), digest(&manifest)));
        assert_eq!(account.called(), [], "that is known without asking");
        // Also when the tag has moved on and the server was started again.
        assert_eq!(server.restart().location(&image, "shop").await.expect("located"), location);
    });
}

#[test]
fn the_registry_of_the_account_is_asked_as_the_account() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let imported = server.prepare("shop:v1").await;
        let location = server.location(&imported, "shop").await.expect("located");
        // What was sent there by hand is an image like any other.
        let tag = format!("{}:{}", location.split_once('@').expect("a digest").0, imported.digest.hex());
        let image = server.prepare(&tag).await;
        assert_eq!(server.location(&image, "shop").await.expect("located"), location);
        assert_eq!(
            account.called(),
            [Operation::GetAuthorizationToken, Operation::CreateRepository],
            "one login serves all"
        );
    });
}

#[test]
fn without_its_registry_an_image_cannot_be_pinned_unless_a_copy_is_here() {
    run(async {
        let registry = FakeRegistry::start();
        publish(&registry, &sample(), "v1");
        let account = Account::with_registry(&registry.host());
        let server = Server::start(&account);
        let (known, unknown) = (format!("{}/app:v1", registry.host()), format!("{}/app:v2", registry.host()));
        let transfer: TransferWatch = tokio::sync::watch::channel(Default::default()).0;
        server.images.images().pull(&reference(&known), &transfer).await.expect("pulled");
        let (kind, text) = fault(&server.images.prepare(&reference(&unknown)).await.expect_err("not there"));
        assert_eq!(kind, ImageFault::NotFound, "{text}");
        drop(registry);

        let (kind, text) = fault(&server.images.prepare(&reference(&unknown)).await.expect_err("nobody there"));
        assert_eq!(kind, ImageFault::Unreachable, "{text}");
        assert!(text.contains("cannot be reached") && text.contains("pinned"), "{text}");
        let prepared = server.images.prepare(&reference(&known)).await.expect("the copy");
        assert_eq!(prepared.image.digest.as_str(), digest(&sample().config), "it is carried over");
        let warning = prepared.warning.expect("a warning");
        assert!(warning.contains("the copy that is held here is used"), "{warning}");
    });
}
