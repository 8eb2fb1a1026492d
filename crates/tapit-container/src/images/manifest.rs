//! Manifests and indexes, of Docker and of OCI: what they say, and which entry of an index is for this host. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use tapit_model::Digest;

use super::config::MAX_LAYERS;
use super::error::Fault;

/// As the `Accept` header of a question.
pub const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// An index in an index is as deep as tools go.
pub const MAX_DEPTH: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    pub os: &'static str,
    pub architecture: &'static str,
}

impl Platform {
    pub const AMD64: Self = Self { os: "linux", architecture: "amd64" };
    pub const ARM64: Self = Self { os: "linux", architecture: "arm64" };

    /// This host, in the words of images.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "riscv64" => "riscv64",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: "linux", architecture }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<EntryPlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct EntryPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    Manifest(Manifest),
    Index(Vec<Descriptor>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

pub fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| Fault::invalid(format!("its manifest cannot be read ({error}); push the image again")))?;
    if document.schema_version != 2 {
        return Err(Fault::invalid(format!(
            "its manifest has the schema version {}, which is no longer in use; push it again with a newer tool",
            document.schema_version
        )));
    }
    let says = document.media_type.as_deref().unwrap_or_default();
    // Whoever reads such a document as the one and whoever reads it as the other would run different images.
    let confused = |text: &str| Fault::invalid(format!("its manifest is ambiguous: {text}"));
    match (document.config, document.layers, document.manifests) {
        (None, None, Some(entries)) => {
            if says.contains(".manifest.") && !says.contains(".list.") {
                return Err(confused("a list of manifests that calls itself a manifest"));
            }
            Ok(Parsed::Index(entries))
        }
        (Some(config), layers, None) => {
            if says.contains(".index.") || says.contains(".list.") {
                return Err(confused("a manifest that calls itself an index"));
            }
            let manifest = Manifest { config, layers: layers.unwrap_or_default() };
            check(&manifest)?;
            Ok(Parsed::Manifest(manifest))
        }
        (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => Err(confused("it lists both layers and manifests")),
        (None, _, None) => Err(Fault::invalid("its manifest lists neither a configuration nor manifests")),
    }
}

fn check(manifest: &Manifest) -> Result<(), Fault> {
    let config = manifest.config.media_type.as_str();
    if !config.is_empty() && !CONFIG_TYPES.contains(&config) {
        return Err(Fault::invalid(format!("it is no container image: its configuration is of the type {config}")));
    }
    if manifest.layers.len() > MAX_LAYERS {
        return Err(Fault::invalid(format!(
            "it has {} layers; at most {MAX_LAYERS} can be mounted. Build it with fewer steps, or squash it",
            manifest.layers.len()
        )));
    }
    let tar = |media: &str| media.is_empty() || (media.contains("tar") && !media.contains("encrypted"));
    match manifest.layers.iter().find(|layer| !tar(&layer.media_type)) {
        Some(layer) => Err(Fault::invalid(format!("it has a layer of the type {}", layer.media_type))),
        None => Ok(()),
    }
}

/// The entry of an index for this host: the plainest variant of the architecture, in the order of the index.
pub fn pick<'a>(entries: &'a [Descriptor], here: &Platform) -> Result<&'a Descriptor, Fault> {
    let rank = |entry: &Descriptor| match &entry.platform {
        Some(platform) if platform.os == here.os && platform.architecture == here.architecture => {
            match platform.variant.as_deref().unwrap_or_default() {
                "" | "v1" | "v8" => Some(0),
                _ => Some(1),
            }
        }
        Some(_) => None,
        // An index of one image need not say for what.
        None => (entries.len() == 1).then_some(2),
    };
    let best = entries.iter().filter_map(|entry| rank(entry).map(|rank| (rank, entry))).min_by_key(|(rank, _)| *rank);
    best.map(|(_, entry)| entry).ok_or_else(|| {
        let names = platforms(entries);
        let names = if names.is_empty() { "nothing that it names".to_owned() } else { names.join(", ") };
        Fault::invalid(format!("it has nothing for {here}; it is made for: {names}. Build it for {here}"))
    })
}

/// What the entries of an index are made for, as far as anybody reads.
pub fn platforms(entries: &[Descriptor]) -> Vec<String> {
    const MAX_NAMES: usize = 20;
    let name = |entry: &Descriptor| entry.platform.as_ref().map(|p| format!("{}/{}", p.os, p.architecture));
    let mut names: Vec<String> = entries.iter().filter_map(name).filter(|name| !name.contains("unknown")).collect();
    names.dedup();
    names.truncate(MAX_NAMES);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Platform = Platform { os: "linux", architecture: "arm64" };

    fn descriptor(digit: char, extra: &str) -> String {
        let digest = digit.to_string().repeat(64);
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:{digest}","size":3{extra}}}"#
        )
    }

    fn config() -> String {
        descriptor('c', "").replace("layer.v1.tar", "config.v1+json")
    }

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).expect_err("refused").text
    }

    #[test]
    fn a_document_that_is_two_things_is_refused() {
        let layers = format!(r#""config":{},"layers":[{}]"#, config(), descriptor('a', ""));
        let manifests = format!(r#""manifests":[{}]"#, descriptor('b', ""));
        assert!(parse(format!(r#"{{"schemaVersion":2,{layers}}}"#).as_bytes()).is_ok());
        assert!(parse(format!(r#"{{"schemaVersion":2,{manifests}}}"#).as_bytes()).is_ok());
        assert!(refused(&format!(r#"{{"schemaVersion":2,{layers},{manifests}}}"#)).contains("ambiguous"));
        let index = r#""mediaType":"application/vnd.oci.image.index.v1+json""#;
        assert!(refused(&format!(r#"{{"schemaVersion":2,{index},{layers}}}"#)).contains("ambiguous"));
        let manifest = r#""mediaType":"application/vnd.oci.image.manifest.v1+json""#;
        assert!(refused(&format!(r#"{{"schemaVersion":2,{manifest},{manifests}}}"#)).contains("ambiguous"));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(refused(r#"{"schemaVersion":1}"#).contains("schema version 1"));
        assert!(refused(r#"{"schemaVersion":2}"#).contains("neither"));
        let chart = config().replace("oci.image.config", "cncf.helm.config");
        assert!(refused(&format!(r#"{{"schemaVersion":2,"config":{chart},"layers":[]}}"#)).contains("helm"));
        let encrypted = descriptor('a', "").replace("v1.tar", "v1.tar+encrypted");
        let config = config();
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{encrypted}]}}"#);
        assert!(refused(&text).contains("encrypted"));
        assert!(refused(&text.replace("sha256:", "sha512:")).contains("cannot be read"));
    }

    #[test]
    fn the_entry_for_this_host_is_picked() {
        let platform = |name: &str| format!(r#","platform":{{"os":"linux","architecture":{name}}}"#);
        let entries = [
            descriptor('1', &platform(r#""amd64""#)),
            descriptor('2', &platform(r#""arm64","variant":"v9""#)),
            descriptor('3', &platform(r#""arm64","variant":"v8""#)),
            descriptor('4', &platform(r#""unknown""#).replace("linux", "unknown")),
        ];
        let entries: Vec<Descriptor> = serde_json::from_str(&format!("[{}]", entries.join(","))).expect("entries");
        assert!(pick(&entries, &HERE).expect("picked").digest.hex().starts_with('3'));
        let riscv = Platform { os: "linux", architecture: "riscv64" };
        let text = pick(&entries, &riscv).expect_err("none").text;
        let made_for = "it is made for: linux/amd64, linux/arm64. Build it for linux/riscv64";
        assert_eq!(text, format!("it has nothing for linux/riscv64; {made_for}"));
    }
}
