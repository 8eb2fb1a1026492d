//! Pushes an image into a registry, in as few requests as the protocol allows.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::image;
use super::plain_http::{self, Answer, Ask};

/// One layer, and what the config says under `config`.
pub struct Image<'a> {
    pub layer: &'a [u8],
    pub config: Value,
}

/// Answers the digest of the manifest.
pub fn push(registry: SocketAddr, repository: &str, tag: &str, image: &Image<'_>) -> String {
    let diff_id = image::hex(image.layer);
    let config = image::config(&image.config, &diff_id).to_string();
    let layer = blob(registry, repository, image.layer);
    let config = blob(registry, repository, config.as_bytes());
    let descriptor =
        |kind: &str, (digest, size): &(String, usize)| json!({"mediaType": kind, "digest": digest, "size": size});
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    })
    .to_string();
    let path = format!("/v2/{repository}/manifests/{tag}");
    let headers = [("Content-Type", manifest_type)];
    send(registry, &Ask { method: "PUT", path: &path, headers: &headers, body: manifest.as_bytes() });
    format!("sha256:{}", image::hex(manifest.as_bytes()))
}

fn blob(registry: SocketAddr, repository: &str, bytes: &[u8]) -> (String, usize) {
    let digest = format!("sha256:{}", image::hex(bytes));
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let headers = [("Content-Type", "application/octet-stream")];
    send(registry, &Ask { method: "POST", path: &path, headers: &headers, body: bytes });
    (digest, bytes.len())
}

fn send(registry: SocketAddr, ask: &Ask<'_>) -> Answer {
    let answer = plain_http::send(registry, ask).expect("the registry answers");
    let (method, path) = (ask.method, ask.path);
    assert!(answer.status == 201, "{method} {path}: {} {}", answer.status, answer.text());
    answer
}
