//! Archives of images that mean harm: bombs, documents of two meanings, configurations that nothing could be started by.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tapit_container::images::Limits;
use tar::EntryType;

use crate::archives::{Image, Layer, digest, docker_save, gzip, image, image_with, oci_layout, sha256, tar_of, zstd};
use crate::hostile::{Canary, PATIENCE};
use crate::support::{run, store, store_with, told};

/// An archive is refused with a sentence.
fn archive_refused(name: &str, limits: &Limits, archive: &[u8], sentence: &str) {
    let begun = Instant::now();
    run(async {
        let store = store_with(limits.clone());
        let before = store.files();
        let error = told(&store.import(archive, None).await.expect_err(name));
        assert!(error.contains(sentence), "{name}: {error}\n{sentence}");
        assert_eq!(store.files(), before, "{name}: something is left");
    });
    assert!(begun.elapsed() < PATIENCE, "{name}: took {:?}", begun.elapsed());
}

fn packed(image: &Image, blob: Vec<u8>) -> Vec<u8> {
    tar_of(&oci_layout(image, &json!({"io.containerd.image.name": "bomb:v1"}), |_| blob.clone()))
}

#[test]
fn bombs_are_stopped_at_the_budget() {
    let limits = Limits { image_bytes: 1 << 20, image_entries: 100, ..Limits::default() };
    let sparse = {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_path("holes").expect("path");
        header.set_size(0);
        header.set_mode(0o644);
        header.as_gnu_mut().expect("gnu").set_real_size(100 << 30);
        header.set_cksum();
        [header.as_bytes(), &[0; 1024][..]].concat()
    };
    let many = (0..200).fold(Layer::new(), |layer, number| layer.file(&format!("f{number}"), b"")).done();
    let tail = [Layer::new().file("f", b"").done(), vec![0; 4 << 20]].concat();
    let zeros = Layer::new().file("zeros", &vec![0; 8 << 20]).done();
    let nested = Layer::new().dir("d/").hard_link("x", "zeros");
    for (name, layer, sentence) in [
        ("a file of zeros", &zeros, "more bytes than one image may take"),
        ("zeros behind the end", &tail, "more bytes than one image may take"),
        ("a hole", &sparse, "more bytes than one image may take"),
        ("many members", &many, "more than 100 entries"),
    ] {
        for pack in [gzip, zstd] {
            archive_refused(name, &limits, &packed(&image(std::slice::from_ref(layer)), pack(layer)), sentence);
        }
    }
    let lower = Layer::new().file("zeros", &vec![0; 700 << 10]).done();
    archive_refused(
        "a copy of a lower file",
        &limits,
        &docker_save(&[(&image(&[lower, nested.done()]), &["app:v1"])]),
        "more bytes",
    );
    let two = [Layer::new().file("a", &[1; 600 << 10]).done(), Layer::new().file("b", &[1; 600 << 10]).done()];
    archive_refused("two layers together", &limits, &docker_save(&[(&image(&two), &["app:v1"])]), "more bytes");
    archive_refused(
        "the archive itself",
        &limits,
        &gzip(&docker_save(&[(&image(&[zeros]), &["app:v1"])])),
        "more bytes",
    );
}

#[test]
fn a_million_files_are_refused_long_before_they_are_made() {
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
    for number in 0..1_000_001 {
        header.set_path(format!("d{}/f{number}", number / 1000)).expect("path");
        header.set_cksum();
        encoder.write_all(header.as_bytes()).expect("packed");
    }
    let blob = encoder.finish().expect("packed");
    let image = image(&[Layer::new().done()]);
    archive_refused("a million files", &Limits::default(), &packed(&image, blob), "more than 1000000 entries");
}

#[test]
fn what_two_readers_would_read_differently_is_refused() {
    let honest = image(&[Layer::new().file("honest", b"").done()]);
    let evil = image(&[Layer::new().file("evil", b"").done()]);
    let members = |image: &Image| oci_layout(image, &json!({}), gzip);
    let entry = |bytes: &[u8], media: &str| json!({"mediaType": media, "digest": digest(bytes), "size": bytes.len()});
    let config = entry(&honest.config, "application/vnd.oci.image.config.v1+json");
    let layer = entry(&gzip(&honest.layers[0]), "application/vnd.oci.image.layer.v1.tar+gzip");
    let index_type = "application/vnd.oci.image.index.v1+json";
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let inner = serde_json::to_vec(&json!({"schemaVersion": 2, "config": config, "layers": [layer]})).expect("json");
    let both = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer],
        "manifests": [entry(&inner, manifest_type)]});
    let named_index = json!({"schemaVersion": 2, "mediaType": index_type, "config": config, "layers": [layer]});
    let named_manifest =
        json!({"schemaVersion": 2, "mediaType": manifest_type, "manifests": [entry(&inner, manifest_type)]});
    for (name, document) in [("both", both), ("an index by name", named_index), ("a manifest by name", named_manifest)]
    {
        let document = serde_json::to_vec(&document).expect("json");
        let mut all = members(&honest);
        all.append(&mut members(&evil));
        all.insert(format!("blobs/sha256/{}", sha256(&inner)), inner.clone());
        all.insert(format!("blobs/sha256/{}", sha256(&document)), document.clone());
        let mut top = entry(&document, manifest_type);
        top["annotations"] = json!({"io.containerd.image.name": "app:v1"});
        let index = json!({"schemaVersion": 2, "manifests": [top]});
        all.insert("index.json".to_owned(), serde_json::to_vec(&index).expect("json"));
        archive_refused(name, &Limits::default(), &tar_of(&all), "ambiguous");
    }
}

#[test]
fn configurations_that_no_program_could_be_started_by() {
    let layer = || vec![Layer::new().file("f", b"").done()];
    let import = |run: &str| docker_save(&[(&image_with(&layer(), run), &["app:v1"])]);
    let huge = format!(r#"{{"Cmd":["{}"]}}"#, "x".repeat(10 << 20));
    let limits = Limits::default();
    archive_refused("a command of 10 MB", &limits, &import(&huge), "at most 8388608 are allowed");
    let large = format!(r#"{{"Cmd":["{}"]}}"#, "x".repeat(7 << 20));
    archive_refused("a command of 7 MB", &limits, &import(&large), "a program can be given at most 131071 at once");
    archive_refused("a NUL", &limits, &import(r#"{"Cmd":["a\u0000b"]}"#), "NUL byte");
    archive_refused("a number", &limits, &import(r#"{"Cmd":5}"#), "cannot be read");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    archive_refused("brackets without end", &limits, &import(&format!(r#"{{"Labels":{deep}}}"#)), "cannot be read");
    let layers = vec![Layer::new().file("f", b"").done(); 501];
    archive_refused("501 layers", &limits, &docker_save(&[(&image(&layers), &["app:v1"])]), "501 layers; at most 500");
    for run in [r#"{"Cmd":[]}"#, r#"{"Cmd":[""],"Entrypoint":null}"#, "{}"] {
        // A process can bring its own command.
        let imported = crate::support::run(async { store().import(&import(run), None).await.map(|views| views.len()) });
        assert!(matches!(imported, Ok(1)), "{run}");
    }
}

#[test]
fn what_an_archive_links_to_is_in_the_archive() {
    let canary = Canary::new();
    let secret = Path::new(canary.path()).join("secret");
    let image = image(&[Layer::new().file("f", b"").done()]);
    let manifest = json!([{"Config": "config.json", "RepoTags": ["app:v1"], "Layers": ["layer.tar"]}]).to_string();
    for target in [secret.to_str().expect("path"), "../../../../etc/passwd", "layer.tar"] {
        let archive = Layer::new()
            .file("manifest.json", manifest.as_bytes())
            .file("config.json", &image.config)
            .symlink("layer.tar", target)
            .done();
        archive_refused(target, &Limits::default(), &archive, "lacks its member \"layer.tar\"");
    }
    canary.check("links of an archive");
}
