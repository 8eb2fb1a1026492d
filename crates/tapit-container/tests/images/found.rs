//! What fuzzing found in the store, from outside: each once did what it must not.

use tapit_container::images::Limits;

use crate::archives::Layer;
use crate::support::{run, store_with};

/// A path through so many directories.
fn deep(depth: usize) -> Vec<u8> {
    Layer::new().pax(&[("path", format!("{}f", "d/".repeat(depth)).as_bytes())]).file("short", b"1").done()
}

#[test]
fn directories_that_a_path_leads_through_count_as_entries() {
    run(async {
        let store = store_with(Limits { image_entries: 100, ..Limits::default() });
        let before = store.files();
        let error = store.unpack(&[deep(100)]).await.expect_err("refused");
        assert!(error.contains("more entries than one image may have"), "{error}");
        assert_eq!(store.files(), before);
        store.unpack(&[deep(98)]).await.expect("unpacked");
    });
}
