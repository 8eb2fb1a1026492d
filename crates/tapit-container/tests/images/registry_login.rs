//! Logins: passwords and tokens, set here or left by Docker, renewed when they are over, and never sent elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tapit_container::images::{Docker, ImageStore, Opening};
use tapit_engine::{ImageFault, Images, TransferWatch};
use tapit_model::{ImageRef, RegistryLogin, RegistryName, RegistrySettings};

use crate::archives::{Layer, digest, docker_save, gzip, image};
use crate::fake_registry::{FakeRegistry, Reply, Request};
use crate::pull::{layers, prepare, publish, reference};
use crate::registry_faults::hasty;
use crate::support::{Store, exe, run, store_with, told};

/// `ann` with the password `secret`.
const ANN: &str = "Basic YW5uOnNlY3JldA==";

pub async fn set(store: &Store, registry: &FakeRegistry, (username, password): (&str, &str)) {
    let login = RegistryLogin { username: username.to_owned(), password: password.to_owned() };
    let settings = RegistrySettings { login: Some(login), ..RegistrySettings::default() };
    let name = RegistryName::parse(&registry.host()).expect("a name");
    store.images.set_registry(&name, Some(settings)).await.expect("set");
}

fn challenge(text: String) -> Option<Reply> {
    Some(Reply::Full(401, vec![("WWW-Authenticate", text)], Vec::new()))
}

/// A registry that lets nobody in without this header.
pub fn basic(registry: &FakeRegistry, expected: &'static str) {
    registry.script(move |request| match request.header("authorization") {
        given if given == expected => None,
        _ => challenge(r#"Basic realm="Registry""#.to_owned()),
    });
}

/// A registry with a token service, which gives tokens to those that `knows` knows. A token is its number and is good
/// for so many requests.
fn tokens(registry: &FakeRegistry, good_for: usize, knows: impl Fn(&Request) -> bool + Send + Sync + 'static) {
    tokens_before(registry, good_for, knows, |_| None);
}

/// The same, with an answer to those that have a token.
fn tokens_before(
    registry: &FakeRegistry,
    good_for: usize,
    knows: impl Fn(&Request) -> bool + Send + Sync + 'static,
    answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) {
    let asks = format!(r#"Bearer realm="http://{}/token",service="the registry""#, registry.host());
    let (given, used) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    registry.script(move |request| {
        if request.path.starts_with("/token") {
            if !knows(request) {
                return Some(Reply::Full(401, Vec::new(), br#"{"details":"incorrect username or password"}"#.to_vec()));
            }
            used.store(0, Ordering::SeqCst);
            let token = given.fetch_add(1, Ordering::SeqCst) + 1;
            return Some(Reply::Body(format!(r#"{{"token":"t{token}","expires_in":300}}"#).into_bytes()));
        }
        let valid = format!("Bearer t{}", given.load(Ordering::SeqCst));
        if request.header("authorization") == valid && used.fetch_add(1, Ordering::SeqCst) < good_for {
            return answer(request);
        }
        challenge(asks.clone())
    });
}

#[test]
fn a_password_is_sent_to_a_registry_that_asks_for_one() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        basic(&registry, ANN);
        let image = reference(&registry, ":v1");
        let (fault, text) = prepare(&store, &image).await.expect_err("no login");
        assert_eq!(fault, ImageFault::Denied, "{text}");
        assert!(text.contains("wants a login"), "{text}");
        set(&store, &registry, ("ann", "wrong")).await;
        let (fault, text) = prepare(&store, &image).await.expect_err("a wrong login");
        assert_eq!(fault, ImageFault::Denied, "{text}");
        assert!(
            text.contains(r#"refuses the login of "ann" from `tapit set registry`"#) && !text.contains("wrong"),
            "{text}"
        );
        set(&store, &registry, ("ann", "secret")).await;
        prepare(&store, &image).await.expect("prepared");
        // Asked once what it wants to see, it is shown that from then on.
        let refused =
            registry.requests("/v2/").iter().filter(|request| request.header("authorization").is_empty()).count();
        assert_eq!(refused, 3, "one for each login");
    });
}

#[test]
fn a_token_is_got_for_the_repository_and_serves_all_blobs() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        tokens(&registry, usize::MAX, |_| true);
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        let asked = registry.requests("/token");
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].path, "/token?scope=repository%3Aapp%3Apull&service=the+registry");
        assert_eq!(asked[0].header("authorization"), "", "nobody is logged in");
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        assert_eq!(registry.asked("/token"), 1, "and the next image");
    });
}

#[test]
fn a_token_that_is_over_is_renewed_in_the_middle_of_a_pull() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        tokens(&registry, 3, |request| request.header("authorization") == ANN);
        set(&store, &registry, ("ann", "secret")).await;
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        let renewed = registry.asked("/token");
        assert!((2..=6).contains(&renewed), "{renewed}");
    });
}

#[test]
fn a_token_that_is_over_is_renewed_in_the_middle_of_a_push() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        let one = image(&[Layer::new().file("a", b"1").done()]);
        let archive = docker_save(&[(&one, &["app:v1"])]);
        store.import(&archive, None).await.expect("imported");
        let taken = |request: &Request| match request.method.as_str() {
            "POST" => Some(Reply::Full(202, vec![("Location", "/v2/app/upload?x=1".to_owned())], Vec::new())),
            "PUT" => Some(Reply::Status(201)),
            _ => None,
        };
        // Too few for a blob and what comes before it, so that what is sent is refused now and then.
        tokens_before(&registry, 2, |request| request.header("authorization") == ANN, taken);
        let name = ImageRef::parse("app:v1").expect("reference");
        let push = async || store.images.push(&name, &reference(&registry, ":v1"), &TransferWatch::default()).await;
        let denied = push().await.expect_err("no login");
        assert!(told(&denied).contains("wants a login to be pushed to"), "{}", told(&denied));
        set(&store, &registry, ("ann", "secret")).await;
        push().await.expect("pushed");
        let scope = "scope=repository%3Aapp%3Apull%2Cpush";
        assert!(registry.requests("/token").iter().all(|request| request.path.contains(scope)));
        let sent = registry.requests("/v2/app/upload?x=1&digest=sha256%3A");
        assert!(sent.len() == 4 && sent.iter().all(|request| !request.body.is_empty()), "both blobs twice: {sent:?}");
        assert_eq!(registry.requests("/v2/app/manifests/v1").len(), 2);
    });
}

#[test]
fn a_login_that_the_token_service_refuses_is_named() {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &layers(), "v1");
        tokens(&registry, usize::MAX, |_| false);
        let (fault, text) = prepare(&store, &reference(&registry, ":v1")).await.expect_err("no login");
        assert!(fault == ImageFault::Denied && text.contains("wants a login"), "{text}");
        set(&store, &registry, ("ann", "secret")).await;
        let (fault, text) = prepare(&store, &reference(&registry, ":v1")).await.expect_err("refused");
        assert!(fault == ImageFault::Denied && text.contains(r#"refuses the login of "ann""#), "{text}");
    });
}

#[test]
fn a_login_is_not_sent_to_where_a_blob_is_redirected() {
    run(async {
        let (store, registry, elsewhere) = (store_with(hasty()), FakeRegistry::start(), FakeRegistry::start());
        let image = layers();
        publish(&registry, &image, "v1");
        publish(&elsewhere, &image, "v1");
        let blob = gzip(&image.layers[0]);
        let path = format!("/v2/app/blobs/{}", digest(&blob));
        let (moved, there) = (path.clone(), format!("http://{}{path}", elsewhere.host()));
        registry.script(move |request| match (request.header("authorization"), request.path == moved) {
            (ANN, true) => Some(Reply::Full(307, vec![("Location", there.clone())], Vec::new())),
            (ANN, false) => None,
            _ => challenge("Basic realm=x".to_owned()),
        });
        set(&store, &registry, ("ann", "secret")).await;
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        let asked = elsewhere.requests(&path);
        assert_eq!(asked.len(), 1);
        assert!(
            ["authorization", "referer", "cookie"].iter().all(|name| asked[0].header(name).is_empty()),
            "{asked:?}"
        );
    });
}

/// A store beside a Docker with this `config.json` and this credential helper.
fn beside(config: &str, helper: &str) -> Store {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("config.json");
    std::fs::write(&file, config).expect("config");
    write_program(&dir.path().join("docker-credential-keys"), helper);
    let docker = Docker { file: Some(file), path: Some(format!("{}:/usr/bin:/bin", dir.path().display()).into()) };
    let images = ImageStore::open_as(
        &dir.path().join("images"),
        exe(),
        Opening { limits: hasty(), docker, ..Opening::default() },
    )
    .expect("store");
    Store { dir, images }
}

/// Written by another process: what this one has open for writing could not be run when another test forks just then.
fn write_program(path: &Path, script: &str) {
    let text = format!("#!/bin/sh\n{script}\n");
    let status =
        std::process::Command::new("sh").args(["-c", "printf %s \"$1\" > \"$2\"", "sh", &text]).arg(path).status();
    assert!(status.expect("sh").success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
}

#[test]
fn the_login_that_docker_left_is_used() {
    run(async {
        let registry = FakeRegistry::start();
        publish(&registry, &layers(), "v1");
        basic(&registry, ANN);
        let host = registry.host();
        let image = reference(&registry, ":v1");
        let helper = r#"printf '{"Username":"ann","Secret":"secret"}'"#;
        for config in [
            format!(r#"{{"auths":{{"{host}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#),
            format!(r#"{{"auths":{{"{host}":{{}}}},"credsStore":"keys"}}"#),
            format!(r#"{{"credHelpers":{{"{host}":"keys"}}}}"#),
        ] {
            prepare(&beside(&config, helper), &image).await.unwrap_or_else(|error| panic!("{config}: {error:?}"));
        }
        let store = beside(&format!(r#"{{"credHelpers":{{"{host}":"keys"}}}}"#), "echo 'no such key'; exit 1");
        let (fault, text) = prepare(&store, &image).await.expect_err("a helper that fails");
        assert!(fault == ImageFault::Denied && text.contains("docker-credential-keys failed: no such key"), "{text}");
        // What is set here goes before.
        set(&store, &registry, ("ann", "secret")).await;
        prepare(&store, &image).await.expect("prepared");
        let (_, text) = prepare(&beside("{", ""), &image).await.expect_err("a broken file");
        assert!(text.contains("config.json cannot be read"), "{text}");
    });
}

#[test]
fn an_identity_token_is_exchanged_at_the_token_service() {
    run(async {
        let registry = FakeRegistry::start();
        publish(&registry, &layers(), "v1");
        tokens(&registry, usize::MAX, |request| {
            request.method == "POST"
                && request
                    .body
                    .starts_with(b"scope=repository%3Aapp%3Apull&service=the+registry&grant_type=refresh_token")
                && request.body.ends_with(b"&refresh_token=a%2Fb")
        });
        let store = beside(
            &format!(r#"{{"credHelpers":{{"{}":"keys"}}}}"#, registry.host()),
            r#"printf '{"Username":"<token>","Secret":"a/b"}'"#,
        );
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
    });
}

#[test]
fn a_public_image_needs_no_helper() {
    run(async {
        let registry = FakeRegistry::start();
        publish(&registry, &layers(), "v1");
        prepare(&beside(r#"{"credsStore":"missing"}"#, ""), &reference(&registry, ":v1")).await.expect("prepared");
    });
}
