//! What ECS cannot fetch comes to the app's repository from here, once.

use tapit_container::images::ImageStore;
use tapit_ecs::api::{Operation, Request};
use tapit_engine::{Forget, InUse};
use tapit_model::Digest;

use crate::account::{Account, PASSWORD, Server, USER, app, fault, install, reference, run, sample};
use crate::archives::{Layer, digest, image};
use crate::debian_registry::Registry;
use crate::fake_registry::FakeRegistry;
use crate::fetched::publish;

/// It lets in only ann, with the password secret.
const LOGIN: &str = "auth:\n  htpasswd:\n    realm: test\n    path: DIR/users\n";
const USERS: &str = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// The account's registry, which wants a login.
pub fn own_registry() -> Registry {
    let registry = Registry::start_with(LOGIN);
    registry.write("users", USERS);
    registry
}

/// What the registry has at a location, as the digest of its configuration.
async fn found_at(location: &str) -> String {
    let dir = tempfile::tempdir().expect("directory");
    let images = ImageStore::open(dir.path(), std::path::Path::new("/nowhere")).expect("store");
    let login = tapit_model::RegistryLogin { username: USER.to_owned(), password: PASSWORD.to_owned() };
    let login = tapit_model::RegistrySettings { login: Some(login), ..Default::default() };
    let found = images.resolve_with(&reference(location), &login).await.expect("there");
    assert!(location.ends_with(found.manifest.as_str()));
    found.config.as_str().to_owned()
}

#[test]
fn an_imported_image_is_sent_to_the_repository_of_the_app() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        assert_eq!(image.digest.as_str(), digest(&sample().config));
        assert_eq!(image.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [8080]);
        assert_eq!(account.called(), [], "nothing is asked before it is to run");

        let location = server.location(&image, "shop").await.expect("located");
        let repository = install().repository(&app("shop"));
        assert!(location.starts_with(&format!("{}/{repository}@sha256:", registry.host)), "{location}");
        assert_eq!(found_at(&location).await, digest(&sample().config));
        let made = Request::CreateRepository { name: repository, tags: install().app_tags(&app("shop")) };
        assert_eq!(account.requests(), [Request::RegistryLogin, made]);
        assert!(server.images.images().registries().await.expect("settings").is_empty(), "the login is not kept");
    });
}

#[test]
fn an_image_is_sent_once_to_each_app_also_over_a_restart() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let mut server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        let first = server.location(&image, "shop").await.expect("located");
        let (sent, asked) = (registry.answered("PUT", "/manifests/"), registry.answered("", ""));
        account.called();
        assert_eq!(server.location(&image, "shop").await.expect("located"), first);
        assert_eq!((account.called(), registry.answered("", "")), (vec![], asked), "nobody is asked at all");

        server = server.restart();
        assert_eq!(server.location(&image, "shop").await.expect("located"), first);
        assert_eq!(account.called(), [Operation::GetAuthorizationToken], "the repository is known by what is in it");
        assert_eq!((sent, registry.answered("PUT", "/manifests/")), (1, 1));

        let second = server.location(&image, "blog").await.expect("located");
        assert_ne!(first, second);
        assert_eq!(account.called(), [Operation::CreateRepository], "with the login that is good still");
        assert_eq!(registry.answered("PUT", "/manifests/"), 2);
    });
}

#[test]
fn processes_that_start_together_send_their_image_once() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        let all = tokio::join!(
            server.location(&image, "shop"),
            server.location(&image, "shop"),
            server.location(&image, "shop")
        );
        let first = all.0.expect("located");
        assert_eq!((all.1.expect("located"), all.2.expect("located")), (first.clone(), first));
        assert_eq!(account.called(), [Operation::GetAuthorizationToken, Operation::CreateRepository]);
        assert_eq!(registry.answered("PUT", "/manifests/"), 1);
    });
}

#[test]
fn the_image_that_was_pinned_is_sent_when_its_name_has_moved_on() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let old = server.prepare("shop:v1").await;
        let newer = image(&[Layer::new().file("newer", b"").done()]);
        server.import(&newer, "shop:v1").await;
        let new = server.prepare("shop:v1").await;
        for (pinned, image) in [(&old, &sample()), (&new, &newer)] {
            let location = server.location(pinned, "shop").await.expect("located");
            assert_eq!(found_at(&location).await, digest(&image.config));
        }
    });
}

#[test]
fn what_was_sent_runs_on_when_it_is_deleted_here() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let mut server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        let location = server.location(&image, "shop").await.expect("located");
        let config = Digest::parse(&digest(&sample().config)).expect("digest");
        let unused = std::sync::Arc::new(InUse::default);
        server.images.images().delete(&Forget::Digest(config), &(unused as _)).await.expect("deleted");
        server = server.restart();
        assert_eq!(server.location(&image, "shop").await.expect("located"), location);

        // Of an app that has it not yet, there is nothing to send.
        account.called();
        let error = server.location(&image, "blog").await.expect_err("it is gone");
        assert!(!error.passes());
        let (kind, text) = fault(&error.into());
        assert_eq!(kind, tapit_engine::ImageFault::NotFound);
        assert!(text.contains("import or build it again"), "{text}");
        assert_eq!(account.called(), [], "no repository is made for it");
    });
}

#[test]
fn an_app_that_is_made_again_gets_its_images_again() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        server.location(&image, "shop").await.expect("located");
        let asked = registry.answered("GET", "/manifests/");
        server.images.forget_app(&app("blog"));
        server.location(&image, "shop").await.expect("located");
        assert_eq!(registry.answered("GET", "/manifests/"), asked, "that was another app");
        server.images.forget_app(&app("shop"));
        server.location(&image, "shop").await.expect("located");
        assert!(registry.answered("GET", "/manifests/") > asked, "it is looked for");
    });
}

#[test]
fn what_only_this_host_can_fetch_is_fetched_here_and_sent() {
    run(async {
        let (elsewhere, registry) = (FakeRegistry::start(), own_registry());
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        publish(&elsewhere, &sample(), "v1");
        let image = server.prepare(&format!("{}/app:v1", elsewhere.host())).await;
        assert_eq!(image.digest.as_str(), digest(&sample().config));
        let location = server.location(&image, "shop").await.expect("located");
        assert!(location.starts_with(&registry.host), "{location}");
        assert_eq!(found_at(&location).await, digest(&sample().config));
    });
}
