//! Builds layers, `docker save` archives and OCI layouts in memory.

use std::collections::BTreeMap;

use sha2::Digest as _;
use tar::EntryType;

pub fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// A layer in the making. Names are written as they are, hostile ones too.
pub struct Layer {
    builder: tar::Builder<Vec<u8>>,
    pub mode: u32,
    pub owner: (u64, u64),
}

impl Layer {
    pub fn new() -> Self {
        Self { builder: tar::Builder::new(Vec::new()), mode: 0o755, owner: (0, 0) }
    }

    pub fn raw(mut self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(1_000_000_000);
        header.set_cksum();
        self.builder.append(&header, content).expect("append");
        self
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.builder.append_pax_extensions(records.iter().copied()).expect("pax");
        self
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.raw(EntryType::Regular, path, "", content)
    }

    pub fn dir(self, path: &str) -> Self {
        self.raw(EntryType::Directory, path, "", b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, path, target, b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Link, path, target, b"")
    }

    pub fn done(self) -> Vec<u8> {
        self.builder.into_inner().expect("layer")
    }
}

/// An image in parts.
#[derive(Clone)]
pub struct Image {
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
}

pub fn image(layers: &[Vec<u8>]) -> Image {
    image_with(layers, r#"{"Cmd":["/bin/app"],"ExposedPorts":{"8080/tcp":{},"53/udp":{}},"User":"app"}"#)
}

pub fn image_with(layers: &[Vec<u8>], run: &str) -> Image {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"{architecture}","config":{run},"rootfs":{{"type":"layers","diff_ids":{}}}}}"#,
        serde_json::to_string(&diff_ids).expect("diff ids")
    );
    Image { config: config.into_bytes(), layers: layers.to_vec() }
}

/// A tar of plain files.
pub fn tar_of(members: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let layer = Layer::new().mode(0o644);
    members.iter().fold(layer, |layer, (name, content)| layer.file(name, content)).done()
}

/// What `docker save` wrote before it wrote OCI layouts.
pub fn docker_save(images: &[(&Image, &[&str])]) -> Vec<u8> {
    let mut members = BTreeMap::new();
    let mut entries = Vec::new();
    for (image, names) in images {
        let config = format!("{}.json", sha256(&image.config));
        let layers: Vec<String> = image.layers.iter().map(|layer| format!("{}.tar", &sha256(layer)[..20])).collect();
        for (name, layer) in layers.iter().zip(&image.layers) {
            members.insert(name.clone(), layer.clone());
        }
        entries.push(serde_json::json!({"Config": config, "RepoTags": names, "Layers": layers}));
        members.insert(config, image.config.clone());
    }
    members.insert("manifest.json".to_owned(), serde_json::to_vec(&entries).expect("manifest"));
    tar_of(&members)
}

/// A way to compress a layer.
pub type Pack = fn(&[u8]) -> Vec<u8>;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).expect("zstd")
}

/// A manifest for an image whose layers are stored as `blobs`.
pub fn manifest(image: &Image, blobs: &[Vec<u8>], layer_type: &str) -> Vec<u8> {
    let layers: Vec<_> = blobs
        .iter()
        .map(|blob| serde_json::json!({"mediaType": layer_type, "digest": digest(blob), "size": blob.len()}))
        .collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(&image.config),
            "size": image.config.len(),
        },
        "layers": layers,
    });
    serde_json::to_vec(&manifest).expect("manifest")
}

pub const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The members of an OCI layout with one image, its layers compressed by `pack`.
pub fn oci_layout(
    image: &Image,
    annotations: &serde_json::Value,
    pack: impl Fn(&[u8]) -> Vec<u8>,
) -> BTreeMap<String, Vec<u8>> {
    let blobs: Vec<Vec<u8>> = image.layers.iter().map(|layer| pack(layer)).collect();
    let manifest = manifest(image, &blobs, GZIP_LAYER);
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(&manifest),
        "size": manifest.len(),
        "annotations": annotations,
    }]});
    let mut members = BTreeMap::new();
    for blob in blobs.iter().chain([&image.config, &manifest]) {
        members.insert(format!("blobs/sha256/{}", sha256(blob)), blob.clone());
    }
    members.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    members.insert("index.json".to_owned(), serde_json::to_vec(&index).expect("index"));
    members
}
