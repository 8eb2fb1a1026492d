//! What fuzzing found in the store, from outside: each once did what it must not.

use std::sync::Arc;

use tapit_container::images::Limits;
use tapit_engine::{AskInUse, Forget, Images, InUse};
use tapit_model::ImageRef;

use crate::archives::Layer;
use crate::support::{run, store, store_with};

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

#[test]
fn a_tree_as_deep_as_paths_go_can_be_removed_again() {
    run(async {
        let store = store();
        store.unpack(&[deep(2000)]).await.expect("unpacked");
        assert!(store.files().iter().any(|name| name.starts_with("layers/")));
        let app = Forget::Name(ImageRef::parse("app:v1").expect("a name"));
        store.images.delete(&app, &(Arc::new(InUse::default) as AskInUse)).await.expect("removed");
        assert_eq!(store.files(), ["names.json"]);
    });
}
