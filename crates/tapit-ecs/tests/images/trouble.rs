//! What AWS and its registry refuse is told, costs nothing but time, and is gone on with.

use std::sync::{Arc, Mutex};

use tapit_ecs::api::{ApiFault, Operation};
use tapit_engine::ImageFault;

use crate::account::{Account, PASSWORD, Server, app, fault, install, run, sample};
use crate::archives::{GZIP_LAYER, digest, gzip, manifest};
use crate::carried::own_registry;
use crate::fake_registry::{FakeRegistry, Reply};

#[test]
fn a_failed_call_to_aws_is_told_and_the_next_attempt_sends_the_image() {
    run(async {
        let registry = own_registry();
        let account = Account::with_registry(&registry.host);
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        for (operation, failing, passes, says) in [
            (Operation::GetAuthorizationToken, ApiFault::Throttled, true, "a login for the account's registry"),
            (Operation::GetAuthorizationToken, ApiFault::Denied, false, "a login for the account's registry"),
            (Operation::CreateRepository, ApiFault::Unavailable, true, "make the repository tapit-"),
            (Operation::CreateRepository, ApiFault::Denied, false, "make the repository tapit-"),
        ] {
            account.fail(operation, failing);
            let error = server.location(&image, "shop").await.expect_err("told to fail");
            assert_eq!(error.passes(), passes, "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(registry.answered("PUT", ""), 0, "nothing was sent");
        }
        server.location(&image, "shop").await.expect("located");
        assert_eq!(registry.answered("PUT", "/manifests/"), 1);
    });
}

/// The account's registry, with the sample in the app's repository and a password that changes.
fn changing(password: &Arc<Mutex<&'static str>>) -> FakeRegistry {
    let registry = FakeRegistry::start();
    let blobs: Vec<Vec<u8>> = sample().layers.iter().map(|layer| gzip(layer)).collect();
    let tag = digest(&sample().config).trim_start_matches("sha256:").to_owned();
    for name in ["shop", "blog"] {
        registry.manifest(&install().repository(&app(name)), &tag, &manifest(&sample(), &blobs, GZIP_LAYER));
    }
    let password = password.clone();
    registry.script(move |request| {
        let expected = match *password.lock().expect("password") {
            PASSWORD => "Basic YW5uOnNlY3JldA==",
            _ => "Basic YW5uOm90aGVy",
        };
        let challenge = vec![("WWW-Authenticate", r#"Basic realm="x""#.to_owned())];
        (request.header("authorization") != expected).then(|| Reply::Full(401, challenge, Vec::new()))
    });
    registry
}

#[test]
fn a_login_that_has_ended_is_replaced_once() {
    run(async {
        let password = Arc::new(Mutex::new(PASSWORD));
        let registry = changing(&password);
        let account = Account::with_registry(&registry.host());
        let server = Server::start(&account);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        server.location(&image, "shop").await.expect("located");
        assert_eq!(account.called(), [Operation::GetAuthorizationToken]);

        *password.lock().expect("password") = "other";
        account.set_password("other");
        server.location(&image, "blog").await.expect("located");
        assert_eq!(account.called(), [Operation::GetAuthorizationToken], "another one");

        // Credentials that may not use the registry get a login all the same.
        *password.lock().expect("password") = PASSWORD;
        server.images.forget_app(&app("shop"));
        let error = server.location(&image, "shop").await.expect_err("refused");
        assert!(!error.passes());
        let (kind, text) = fault(&error.into());
        assert_eq!(kind, ImageFault::Denied);
        assert!(text.contains("refuses the login") && !text.contains("tapit set registry"), "{text}");
        assert_eq!(account.called(), [Operation::GetAuthorizationToken]);
    });
}

#[test]
fn a_registry_that_is_away_is_worth_another_attempt() {
    run(async {
        let registry = FakeRegistry::start();
        let account = Account::with_registry(&registry.host());
        let server = Server::start(&account);
        drop(registry);
        server.import(&sample(), "shop:v1").await;
        let image = server.prepare("shop:v1").await;
        let error = server.location(&image, "shop").await.expect_err("nobody there");
        assert!(error.passes());
        assert_eq!(fault(&error.into()).0, ImageFault::Unreachable);
    });
}
