//! What is said when a registry does not do what it should: one sentence for each kind of failure, with what to do.

use std::time::Duration;

use tapit_container::images::Limits;
use tapit_engine::ImageFault;

use crate::archives::{Image, digest, gzip};
use crate::fake_registry::{FakeRegistry, Reply};
use crate::pull::{layers, prepare, publish, reference};
use crate::support::{run, store_with};

/// Patience of fractions of a second.
pub fn hasty() -> Limits {
    Limits {
        stall_timeout: Duration::from_millis(300),
        retry_pause: Duration::from_millis(1),
        pace_floor: 1000,
        pace_window: Duration::from_millis(400),
        longest_rest: Duration::from_secs(1),
        ..Limits::default()
    }
}

/// What is broken, and how.
type Breaking = fn(&FakeRegistry, &Image, &[u8]);

struct Case {
    what: &'static str,
    breaking: Breaking,
    fault: ImageFault,
    /// Each must be said.
    says: &'static [&'static str],
}

const MANIFEST: &str = "/v2/app/manifests/v1";

fn first_layer(image: &Image) -> (String, Vec<u8>) {
    let blob = gzip(&image.layers[0]);
    (format!("/v2/app/blobs/{}", digest(&blob)), blob)
}

fn index(platform: &str) -> Vec<u8> {
    let digest = digest(b"something");
    format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"m","digest":"{digest}","size":3,"platform":{platform}}}]}}"#
    )
    .into_bytes()
}

const CASES: &[Case] = &[
    Case {
        what: "an unknown tag",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Status(404)),
        fault: ImageFault::NotFound,
        says: &["has no v1 of app", "check the name and the tag"],
    },
    Case {
        what: "a registry that wants a login",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Status(401)),
        fault: ImageFault::Denied,
        says: &["wants a login", "tapit set registry 127.0.0.1", "password=-"],
    },
    Case {
        what: "a registry that says why it refuses",
        breaking: |registry, _, _| {
            let body = br#"{"errors":[{"code":"DENIED","message":"the trial is over"}]}"#.to_vec();
            registry.set(MANIFEST, Reply::Full(403, Vec::new(), body));
        },
        fault: ImageFault::Denied,
        says: &["(the trial is over)", "tapit set registry"],
    },
    Case {
        what: "too many requests, and no end in sight",
        breaking: |registry, _, _| {
            let rest = vec![("Retry-After", "3600".to_owned())];
            registry.set(MANIFEST, Reply::Full(429, rest, Vec::new()));
        },
        fault: ImageFault::Unreachable,
        says: &["429", "again in 3600 s", "log in for a higher limit"],
    },
    Case {
        what: "a registry in trouble",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Status(503)),
        fault: ImageFault::Unreachable,
        says: &["503", "try again later"],
    },
    Case {
        what: "a manifest that never comes",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Silence),
        fault: ImageFault::Unreachable,
        says: &["cannot be reached", "timed out"],
    },
    Case {
        what: "a page that wants a login",
        breaking: |registry, _, _| {
            let kind = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
            registry.set(MANIFEST, Reply::Full(200, kind, b"please log in".to_vec()));
        },
        fault: ImageFault::Unreachable,
        says: &["a web page", "proxy"],
    },
    Case {
        what: "a page that does not say that it is one",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Body(b"\n <!DOCTYPE html><html>".to_vec())),
        fault: ImageFault::Unreachable,
        says: &["a web page"],
    },
    Case {
        what: "a manifest that is no JSON",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Body(b"hello".to_vec())),
        fault: ImageFault::Invalid,
        says: &["cannot be read", "push the image again"],
    },
    Case {
        what: "a manifest of the first schema",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Body(br#"{"schemaVersion":1}"#.to_vec())),
        fault: ImageFault::Invalid,
        says: &["schema version 1", "push it again with a newer tool"],
    },
    Case {
        what: "a manifest without end",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Body(vec![b' '; 9 << 20])),
        fault: ImageFault::Invalid,
        says: &["more than 8388608 bytes"],
    },
    Case {
        what: "an index for other machines",
        breaking: |registry, _, _| {
            registry.set(MANIFEST, Reply::Body(index(r#"{"os":"linux","architecture":"s390x"}"#)));
        },
        fault: ImageFault::Invalid,
        says: &["it has nothing for linux/", "made for: linux/s390x", "Build it for linux/"],
    },
    Case {
        what: "redirects without end",
        breaking: |registry, _, _| {
            let again = vec![("Location", MANIFEST.to_owned())];
            registry.set(MANIFEST, Reply::Full(307, again, Vec::new()));
        },
        fault: ImageFault::Unreachable,
        says: &["redirects without end"],
    },
    Case {
        what: "a status that no registry has",
        breaking: |registry, _, _| registry.set(MANIFEST, Reply::Status(418)),
        fault: ImageFault::Unreachable,
        says: &["418", "is it a registry?"],
    },
    Case {
        what: "a layer of other content",
        breaking: |registry, image, _| {
            let (path, mut blob) = first_layer(image);
            let middle = blob.len() / 2;
            blob[middle] ^= 1;
            registry.set(&path, Reply::Body(blob));
        },
        fault: ImageFault::Invalid,
        says: &["sent other content for sha256:", "push the image again"],
    },
    Case {
        what: "a layer that always breaks off",
        breaking: |registry, image, _| {
            let (path, blob) = first_layer(image);
            registry.set(&path, Reply::HalfOf(blob));
        },
        fault: ImageFault::Unreachable,
        says: &["cannot be reached"],
    },
    Case {
        what: "a layer that is longer than the manifest says",
        breaking: |registry, image, _| {
            let (path, blob) = first_layer(image);
            registry.set(&path, Reply::Body([blob, vec![0; 9000]].concat()));
        },
        fault: ImageFault::Invalid,
        says: &["more than the", "bytes of sha256:"],
    },
    Case {
        what: "a layer that is shorter than the manifest says",
        breaking: |registry, image, _| {
            let (path, blob) = first_layer(image);
            registry.set(&path, Reply::Body(blob[1..].to_vec()));
        },
        fault: ImageFault::Invalid,
        says: &["its manifest says that sha256:", "push the image again"],
    },
    Case {
        what: "a layer that is not there",
        breaking: |registry, image, _| registry.set(&first_layer(image).0, Reply::Status(404)),
        fault: ImageFault::Invalid,
        says: &["lacks a part of it, sha256:", "push the image again"],
    },
    Case {
        what: "a layer that trickles",
        breaking: |registry, image, _| {
            let (path, blob) = first_layer(image);
            registry.set(&path, Reply::Trickle(blob));
        },
        fault: ImageFault::Unreachable,
        says: &["it sent only", "in 0.4 s", "set a mirror"],
    },
    Case {
        what: "a manifest that trickles",
        breaking: |registry, _, manifest| registry.set(MANIFEST, Reply::Trickle(manifest.to_vec())),
        fault: ImageFault::Unreachable,
        says: &["it sent only"],
    },
    Case {
        what: "a token service that is not there",
        breaking: |registry, _, _| {
            let challenge = format!(r#"Bearer realm="http://{}/none",service="s""#, registry.host());
            registry.set("/v2/", Reply::Full(401, vec![("WWW-Authenticate", challenge)], Vec::new()));
        },
        fault: ImageFault::Unreachable,
        says: &["its token service answered 404"],
    },
    Case {
        what: "a token service that answers nonsense",
        breaking: |registry, _, _| {
            let challenge = format!(r#"Bearer realm="http://{}/v2/",service="s""#, registry.host());
            registry.script(move |request| match request.path.as_str() {
                "/v2/" => Some(Reply::Full(401, vec![("WWW-Authenticate", challenge.clone())], Vec::new())),
                path if path.starts_with("/v2/?") => Some(Reply::Body(b"<html>".to_vec())),
                _ => None,
            });
        },
        fault: ImageFault::Unreachable,
        says: &["its token service answered nonsense"],
    },
    Case {
        what: "a token service that is no address",
        breaking: |registry, _, _| {
            let challenge = vec![("WWW-Authenticate", r#"Bearer realm="/token""#.to_owned())];
            registry.set("/v2/", Reply::Full(401, challenge, Vec::new()));
        },
        fault: ImageFault::Unreachable,
        says: &["its token service has the address", "which is none"],
    },
];

#[test]
fn every_failure_of_a_registry_has_its_sentence_with_what_to_do() {
    for Case { what, breaking, fault, says } in CASES {
        run(async {
            let (store, registry) = (store_with(hasty()), FakeRegistry::start());
            let image = layers();
            let manifest = publish(&registry, &image, "v1");
            breaking(&registry, &image, &manifest);
            let started = std::time::Instant::now();
            let (found, text) = prepare(&store, &reference(&registry, ":v1")).await.expect_err(what);
            assert_eq!(found, *fault, "{what}: {text}");
            for part in *says {
                assert!(text.contains(part), "{what}: {text:?} does not say {part:?}");
            }
            assert!(!text.contains('\n') && text.len() < 500, "{what}: {text}");
            assert!(started.elapsed() < Duration::from_secs(15), "{what} took {:?}", started.elapsed());
            let left: Vec<_> = store.files().into_iter().filter(|name| name.starts_with("spool/")).collect();
            assert!(left.is_empty(), "{what}: {left:?}");
        });
    }
}

#[test]
fn a_registry_that_is_down_is_said_to_be_so() {
    run(async {
        let registry = FakeRegistry::start();
        let image = reference(&registry, ":v1");
        drop(registry);
        let (fault, text) = prepare(&store_with(hasty()), &image).await.expect_err("down");
        assert_eq!(fault, ImageFault::Unreachable, "{text}");
        assert!(text.contains("refused") && text.contains("check its name, and whether it runs"), "{text}");
    });
}
