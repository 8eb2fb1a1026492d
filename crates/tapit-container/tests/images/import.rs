//! Archives: both forms, their names, and files that are none.

use std::collections::BTreeMap;

use serde_json::json;
use tapit_engine::{EngineError, Images};
use tapit_model::ImageView;

use crate::archives::{
    Image, Layer, Pack, digest, docker_save, gzip, image, image_with, manifest, oci_layout, sha256, tar_of, zstd,
};
use crate::support::{run, store, told};

fn small(name: &str) -> Image {
    image(&[Layer::new().file(name, b"1").done()])
}

#[test]
fn a_docker_archive_is_imported_under_its_name() {
    run(async {
        let store = store();
        let image = small("a");
        let views = store.import(&docker_save(&[(&image, &["myapp/api:v1"])]), None).await.expect("imported");
        let view = &views[0];
        assert_eq!((view.name.as_str(), view.source.as_str(), view.layers), ("myapp/api:v1", "import", 1));
        assert_eq!(view.digest, digest(&image.config));
        assert_eq!((view.exposed_ports.as_slice(), view.user.as_str()), (&[8080][..], "app"));
        assert_eq!(view.command, ["/bin/app"]);
        // When it was used last is another question than what it is.
        let timeless = |mut views: Vec<ImageView>| {
            views.iter_mut().for_each(|view| view.used_at.clear());
            views
        };
        assert_eq!(timeless(store.images.list().await.expect("list")), timeless(views.clone()));
        let again = store.reopen();
        assert_eq!(timeless(again.images.list().await.expect("list")), timeless(views.clone()));
        assert_eq!(again.merged(&view.digest).await, "a f 755 0:0\n");
    });
}

#[test]
fn compressed_archives_are_read_too() {
    run(async {
        let store = store();
        let archive = docker_save(&[(&small("a"), &["app:v1"])]);
        for packed in [gzip(&archive), zstd(&archive)] {
            let views = store.import(&packed, None).await.expect("imported");
            assert_eq!(store.merged(&views[0].digest).await, "a f 755 0:0\n");
        }
        assert!(store.files().iter().all(|name| !name.starts_with("spool")), "{:?}", store.files());
    });
}

#[test]
fn an_oci_layout_is_imported_whatever_its_compression() {
    run(async {
        let name =
            json!({"io.containerd.image.name": "docker.io/library/app:v2", "org.opencontainers.image.ref.name": "v2"});
        let packers: [Pack; 3] = [gzip, zstd, <[u8]>::to_vec];
        for pack in packers {
            let store = store();
            let archive = tar_of(&oci_layout(&small("b"), &name, pack));
            let views = store.import(&archive, None).await.expect("imported");
            assert_eq!(views[0].name, "app:v2");
            assert_eq!(store.merged(&views[0].digest).await, "b f 755 0:0\n");
        }
    });
}

#[test]
fn an_archive_in_both_forms_with_shared_layers_and_links_is_read() {
    run(async {
        let store = store();
        let base = Layer::new().file("base", b"1").done();
        let one = image(&[base.clone(), Layer::new().file("one", b"1").done()]);
        let two = image(&[base.clone(), Layer::new().file("two", b"2").done()]);
        let mut members = oci_layout(&one, &json!({}), |bytes| bytes.to_vec());
        for layer in &two.layers {
            members.insert(format!("blobs/sha256/{}", sha256(layer)), layer.clone());
        }
        members.insert(format!("blobs/sha256/{}", sha256(&two.config)), two.config.clone());
        let entry = |image: &Image, name: &str, layers: &[String]| {
            let config = format!("blobs/sha256/{}", sha256(&image.config));
            json!({"Config": config, "RepoTags": [name], "Layers": layers})
        };
        let blob = |layer: &[u8]| format!("blobs/sha256/{}", sha256(layer));
        let linked = vec!["old/layer.tar".to_owned(), blob(&two.layers[1])];
        let manifest = json!([
            entry(&one, "one:v1", &one.layers.iter().map(|l| blob(l)).collect::<Vec<_>>()),
            entry(&two, "two:v1", &linked)
        ]);
        members.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).expect("manifest"));
        let layer = members.iter().fold(Layer::new(), |layer, (name, content)| layer.file(name, content));
        let archive = layer.symlink("old/layer.tar", &format!("../{}", blob(&base))).done();
        let views = store.import(&archive, None).await.expect("imported");
        let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["one:v1", "two:v1"]);
        assert_eq!(store.merged(&views[1].digest).await, "base f 755 0:0\ntwo f 755 0:0\n");
        let layers = store.files().iter().filter(|name| name.starts_with("layers/") && !name.contains('.')).count();
        assert_eq!(layers, 3, "{:?}", store.files());
    });
}

#[test]
fn a_layout_for_several_platforms_gives_the_one_for_this_host() {
    run(async {
        let store = store();
        let mine = small("mine");
        let other = image_with(&[Layer::new().file("other", b"").done()], "{}");
        let foreign = String::from_utf8(other.config.clone()).expect("text").replace("linux", "plan9");
        let other = Image { config: foreign.into_bytes(), layers: other.layers };
        let mut members = oci_layout(&mine, &json!({}), gzip);
        let manifests =
            [&mine, &other].map(|image| manifest(image, &[gzip(&image.layers[0])], crate::archives::GZIP_LAYER));
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let entry = |bytes: &[u8], os: &str| {
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(bytes),
                "size": bytes.len(), "platform": {"os": os, "architecture": architecture}})
        };
        let inner =
            json!({"schemaVersion": 2, "manifests": [entry(&manifests[1], "plan9"), entry(&manifests[0], "linux")]});
        let inner = serde_json::to_vec(&inner).expect("index");
        let outer = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest(&inner), "size": inner.len()}]});
        members.insert(format!("blobs/sha256/{}", sha256(&inner)), inner);
        members.insert("index.json".to_owned(), serde_json::to_vec(&outer).expect("index"));
        let views = store.import(&tar_of(&members), Some("multi:v1")).await.expect("imported");
        assert_eq!(store.merged(&views[0].digest).await, "mine f 755 0:0\n");
    });
}

#[test]
fn a_given_name_replaces_the_archives_own() {
    run(async {
        let store = store();
        let views = store.import(&docker_save(&[(&small("a"), &["old:v1"])]), Some("new:v2")).await.expect("imported");
        assert_eq!(views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["new:v2"]);
        let views = store.import(&docker_save(&[(&small("a"), &["x:1", "y:2"])]), None).await.expect("imported");
        assert_eq!(views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["x:1", "y:2"]);
    });
}

#[test]
fn an_imported_image_is_used_as_it_is_without_asking_a_registry() {
    run(async {
        let store = store();
        let image = small("a");
        store.import(&docker_save(&[(&image, &["127.0.0.1:1/app:v1"])]), None).await.expect("imported");
        let reference = tapit_model::ImageRef::parse("127.0.0.1:1/app:v1").expect("reference");
        let prepared = store.images.prepare(&reference).await.expect("prepared");
        assert_eq!(prepared.image.digest.as_str(), digest(&image.config));
        assert_eq!(prepared.image.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [8080]);
        assert_eq!(prepared.warning, None);
    });
}

#[test]
fn a_wrong_file_is_refused_in_one_sentence_and_changes_nothing() {
    let image = small("a");
    let layout = |annotations| oci_layout(&image, &annotations, gzip);
    let with = |name: &str, content: &[u8]| {
        let mut members = layout(json!({}));
        members.insert(name.to_owned(), content.to_vec());
        tar_of(&members)
    };
    let manifest_blob = layout(json!({}))
        .into_iter()
        .find(|(_, content)| {
            content.starts_with(b"{\"config\":{\"digest\"") || content.windows(8).any(|w| w == b"\"layers\"")
        })
        .expect("manifest")
        .0;
    let layer_blob = format!("blobs/sha256/{}", sha256(&gzip(&image.layers[0])));
    let whole = docker_save(&[(&image, &["app:v1"])]);
    let two = docker_save(&[(&image, &["a:1"]), (&small("b"), &["b:1"])]);
    let foreign = String::from_utf8(image.config.clone()).expect("text").replace("\"linux\"", "\"windows\"");
    let foreign = Image { config: foreign.into_bytes(), layers: image.layers.clone() };
    let xz = b"\xfd7zXZ\x00 and so on".to_vec();
    let members: BTreeMap<String, Vec<u8>> = [("hello".to_owned(), b"x".to_vec())].into();
    for (archive, name, sentence) in [
        (b"hello, world".to_vec(), None, "this is not a tar archive"),
        (Vec::new(), None, "the archive is empty"),
        (xz, None, "compressed with xz"),
        (whole[..whole.len() / 3].to_vec(), None, "it was cut short"),
        (gzip(&whole)[..200].to_vec(), None, "cannot be imported"),
        (tar_of(&members), None, "neither manifest.json"),
        (docker_save(&[(&image, &[])]), None, "give it a name with ref=NAME:TAG"),
        (tar_of(&layout(json!({"org.opencontainers.image.ref.name": "v1"}))), None, "give it a name with ref=NAME:TAG"),
        (two, Some("c:1"), "holds 2 images, so they cannot all be named c:1"),
        (docker_save(&[(&image, &["UPPER:v1"])]), None, "\"UPPER:v1\""),
        (docker_save(&[]), None, "holds no images"),
        (docker_save(&[(&foreign, &["w:1"])]), None, "it is for windows/"),
        (with(&manifest_blob, b"{}"), Some("x:1"), "does not have the digest that it is named after"),
        (with(&layer_blob, &gzip(b"other")), Some("x:1"), "its content has the digest"),
        (with("index.json", b"{"), Some("x:1"), "cannot be read"),
    ] {
        run(async {
            let store = store();
            let before = store.files();
            let error = store.import(&archive, name).await.expect_err(sentence);
            assert!(matches!(error, EngineError::Archive { .. }), "{error:?}");
            assert!(told(&error).contains(sentence), "{}\n{sentence}", told(&error));
            assert!(!told(&error).contains('\n'));
            assert_eq!(store.files(), before);
        });
    }
}

#[test]
fn a_missing_file_is_this_hosts_fault() {
    run(async {
        let store = store();
        let error = store.images.import(&store.path("nothing.tar"), None).await.expect_err("refused");
        assert!(told(&error).contains("nothing.tar"), "{}", told(&error));
    });
}
