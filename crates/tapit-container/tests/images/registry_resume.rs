//! Blobs that break off: gone on with where that is possible, fetched anew where it is not, and given up in the end.

use tapit_engine::ImageFault;

use crate::archives::{Image, Layer, digest, gzip, image};
use crate::fake_registry::{FakeRegistry, Reply};
use crate::pull::{prepare, publish, reference};
use crate::registry_faults::hasty;
use crate::support::{run, store_with};

/// An image of one layer, whose blob is of this many bytes about: what it holds cannot be compressed.
fn noisy(bytes: usize) -> (Image, Vec<u8>) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    let content: Vec<u8> = noise.take(bytes).collect();
    let image = image(&[Layer::new().file("noise", &content).done()]);
    let blob = gzip(&image.layers[0]);
    (image, blob)
}

/// Prepares an image whose blob is answered as told. Returns the ranges that were asked for.
fn fetched(blob: &[u8], image: &Image, reply: Reply) -> (Result<String, (ImageFault, String)>, Vec<String>) {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, image, "v1");
        let path = format!("/v2/app/blobs/{}", digest(blob));
        registry.set(&path, reply);
        let prepared = prepare(&store, &reference(&registry, ":v1")).await;
        let ranges = registry.requests(&path).iter().map(|request| request.header("range").to_owned()).collect();
        (prepared.map(|prepared| prepared.image.digest.to_string()), ranges)
    })
}

#[test]
fn a_blob_that_breaks_off_is_gone_on_with() {
    let (image, blob) = noisy(100_000);
    let (prepared, ranges) = fetched(&blob, &image, Reply::Ranged(blob.clone(), 30_000));
    assert_eq!(prepared, Ok(digest(&image.config)));
    assert_eq!(ranges, ["", "bytes=30000-", "bytes=60000-", "bytes=90000-"]);
}

#[test]
fn attempts_that_come_forward_are_many_and_yet_bounded() {
    let (image, blob) = noisy(100_000);
    let (prepared, ranges) = fetched(&blob, &image, Reply::Ranged(blob.clone(), 1000));
    let (fault, text) = prepared.expect_err("given up");
    assert_eq!(fault, ImageFault::Unreachable, "{text}");
    assert!(text.contains("broke off 20 times"), "{text}");
    assert_eq!(ranges.len(), 20);
    let (prepared, ranges) = fetched(&blob, &image, Reply::Ranged(blob.clone(), 0));
    assert_eq!((prepared.expect_err("given up").0, ranges.len()), (ImageFault::Unreachable, 3));
}

/// Answers the first request with half of the blob, and the others as told.
fn after_a_break(
    image: &Image,
    blob: &[u8],
    others: impl Fn(&[u8]) -> Reply,
) -> (Result<String, (ImageFault, String)>, Vec<String>) {
    run(async {
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, image, "v1");
        let path = format!("/v2/app/blobs/{}", digest(blob));
        let (half, rest) = (Reply::HalfOf(blob.to_vec()), others(blob));
        registry.set(&path, Reply::Body(blob.to_vec()));
        let (asked, whole) = (std::sync::atomic::AtomicUsize::new(0), path.clone());
        registry.script(move |request| match request.path == whole {
            true => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Some(half.clone()),
                1 => Some(rest.clone()),
                _ => None,
            },
            false => None,
        });
        let prepared = prepare(&store, &reference(&registry, ":v1")).await;
        let ranges = registry.requests(&path).iter().map(|request| request.header("range").to_owned()).collect();
        (prepared.map(|prepared| prepared.image.digest.to_string()), ranges)
    })
}

fn part(status: u16, range: &str, body: &[u8]) -> Reply {
    Reply::Full(status, vec![("Content-Range", range.to_owned())], body.to_vec())
}

#[test]
fn a_registry_that_cannot_go_on_is_asked_for_all_of_it() {
    let (image, blob) = noisy(100_000);
    let half = blob.len() / 2;
    let from_the_half = format!("bytes={half}-");
    let length = blob.len();
    // All of it, whatever was asked for: taken as it comes.
    let (prepared, ranges) = after_a_break(&image, &blob, |blob| Reply::Body(blob.to_vec()));
    assert_eq!((prepared, ranges), (Ok(digest(&image.config)), vec![String::new(), from_the_half.clone()]));
    for (what, others) in [
        ("another part than was asked for", part(206, &format!("bytes 0-{}/{length}", length - 1), &blob)),
        ("a part that does not say which", Reply::Full(206, Vec::new(), blob[half..].to_vec())),
        (
            "a part that ends early",
            part(206, &format!("bytes {half}-{}/{length}", length - 2), &blob[half..length - 1]),
        ),
        ("a part it does not have", Reply::Status(416)),
        (
            "a part of other content",
            part(206, &format!("bytes {half}-{}/{length}", length - 1), &vec![0; length - half]),
        ),
    ] {
        let (prepared, ranges) = after_a_break(&image, &blob, |_| others.clone());
        assert_eq!(prepared, Ok(digest(&image.config)), "{what}");
        assert_eq!(ranges, ["", &from_the_half, ""], "{what}");
    }
}

#[test]
fn a_part_that_goes_on_too_long_is_refused() {
    let (image, blob) = noisy(100_000);
    let (half, length) = (blob.len() / 2, blob.len());
    let (prepared, _) = after_a_break(&image, &blob, |blob| {
        part(206, &format!("bytes {half}-{}/{length}", length - 1), &[&blob[half..], &[0; 10]].concat())
    });
    let (fault, text) = prepared.expect_err("refused");
    assert_eq!(fault, ImageFault::Invalid, "{text}");
    assert!(text.contains("more than the"), "{text}");
}

#[test]
fn what_a_registry_cannot_do_now_is_asked_for_again() {
    run(async {
        let (image, blob) = noisy(1000);
        let (store, registry) = (store_with(hasty()), FakeRegistry::start());
        publish(&registry, &image, "v1");
        let manifest = "/v2/app/manifests/v1";
        let path = format!("/v2/app/blobs/{}", digest(&blob));
        let refusals = std::sync::Mutex::new(std::collections::HashMap::<String, u32>::new());
        registry.script(move |request| {
            let mut refusals = refusals.lock().expect("refusals");
            let refused = refusals.entry(request.path.clone()).or_default();
            *refused += 1;
            match *refused {
                1 => Some(Reply::Full(429, vec![("Retry-After", "0".to_owned())], Vec::new())),
                2 => Some(Reply::Status(502)),
                _ => None,
            }
        });
        // The front door refuses as well: whoever asks for an image asks again.
        prepare(&store, &reference(&registry, ":v1")).await.expect("prepared");
        assert_eq!((registry.asked(manifest), registry.asked(&path)), (3, 3));
    });
}
