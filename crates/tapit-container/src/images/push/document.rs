//! The manifest of an image that is sent. Pure.

use serde::Serialize;
use tapit_model::Digest;

use super::super::blobs::Blob;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'static str,
    digest: &'a Digest,
    size: u64,
}

/// The same image gives the same bytes. Docker's configurations and those of OCI say the same in the same words, so the
/// type of the one is true of both.
pub fn manifest(config: &Digest, size: u64, layers: &[&Blob]) -> Vec<u8> {
    let layers = layers.iter().map(|blob| Descriptor {
        media_type: blob.packing.media_type(),
        digest: &blob.digest,
        size: blob.size,
    });
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        config: Descriptor { media_type: CONFIG, digest: config, size },
        layers: layers.collect(),
    };
    // Strings and numbers: there is nothing in it that could not be written.
    serde_json::to_vec(&manifest).unwrap_or_default()
}
