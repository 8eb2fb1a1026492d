//! Against Debian's `docker-registry`: pushed with a Docker v2 manifest list, pulled by tag and by digest, with and without
//! a login.

use serde_json::json;
use tapit_engine::{EngineError, ImageFault, Images};
use tapit_model::{ImageRef, RegistryLogin, RegistryName, RegistrySettings};

use crate::archives::{Image, Layer, digest, gzip, image, manifest, zstd};
use crate::debian_registry::Registry;
use crate::support::{run, store, told};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Sends requests as `ann`, whether or not the registry asks who that is.
struct Pusher {
    client: reqwest::Client,
    base: String,
}

impl Pusher {
    fn new(registry: &Registry) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("client");
        Self { client, base: format!("http://{}/v2/team/app", registry.host) }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let response = request.basic_auth("ann", Some("secret")).send().await.expect("answered");
        response.error_for_status().expect("taken")
    }

    async fn blob(&self, bytes: &[u8]) {
        let begun = self.send(self.client.post(format!("{}/blobs/uploads/", self.base))).await;
        let place = begun.headers()["location"].to_str().expect("a place").to_owned();
        let place = format!("{place}&digest={}", digest(bytes));
        self.send(self.client.put(place).body(bytes.to_vec())).await;
    }

    async fn manifest(&self, name: &str, media_type: &str, bytes: &[u8]) {
        let put = self.client.put(format!("{}/manifests/{name}", self.base)).header("Content-Type", media_type);
        self.send(put.body(bytes.to_vec())).await;
    }

    /// Two layers, gzip and zstd, below a manifest list under `v1`. Returns the image and the digest of its manifest.
    async fn two_layers(&self) -> (Image, String) {
        let image = image(&[Layer::new().file("a", b"1").done(), Layer::new().file("b", b"2").done()]);
        let blobs = [gzip(&image.layers[0]), zstd(&image.layers[1])];
        for blob in blobs.iter().chain([&image.config]) {
            self.blob(blob).await;
        }
        let manifest = manifest(&image, &blobs, "application/vnd.docker.image.rootfs.diff.tar.gzip");
        let manifest = String::from_utf8(manifest)
            .expect("text")
            .replace("application/vnd.oci.image.manifest.v1+json", MANIFEST)
            .replace("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json");
        let name = digest(manifest.as_bytes());
        self.manifest(&name, MANIFEST, manifest.as_bytes()).await;
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let list = json!({"schemaVersion": 2, "mediaType": LIST, "manifests": [{"mediaType": MANIFEST,
            "digest": name, "size": manifest.len(), "platform": {"os": "linux", "architecture": architecture}}]});
        self.manifest("v1", LIST, list.to_string().as_bytes()).await;
        (image, name)
    }
}

#[test]
fn a_docker_manifest_list_is_pulled_from_a_real_registry() {
    run(async {
        let registry = Registry::start();
        let (image, manifest) = Pusher::new(&registry).two_layers().await;
        let store = store();
        let pulled = |rest: &str| ImageRef::parse(&format!("{}/team/app{rest}", registry.host)).expect("reference");
        let by_tag = store.images.prepare(&pulled(":v1")).await.expect("prepared");
        assert_eq!(by_tag.image.digest.as_str(), digest(&image.config));
        assert_eq!(store.merged(&digest(&image.config)).await, "a f 755 0:0\nb f 755 0:0\n");
        let by_digest = pulled(&format!("@{manifest}"));
        assert_eq!(store.images.prepare(&by_digest).await.expect("prepared").image.digest, by_tag.image.digest);
        let error = store.images.prepare(&pulled(":v2")).await.expect_err("unknown");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::NotFound, .. }), "{error:?}");
        assert!(told(&error).contains("v2 of team/app"), "{}", told(&error));
    });
}

#[test]
fn a_real_registry_lets_in_who_is_logged_in() {
    run(async {
        let registry = Registry::start_with("auth:\n  htpasswd:\n    realm: here\n    path: DIR/users\n");
        // Of the password `secret`.
        let users = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
        registry.write("users", users);
        let (image, _) = Pusher::new(&registry).two_layers().await;
        let store = store();
        let name = registry.image("team/app:v1");
        let error = store.images.prepare(&name).await.expect_err("nobody");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::Denied, .. }), "{error:?}");
        let login = RegistryLogin { username: "ann".to_owned(), password: "secret".to_owned() };
        let settings = RegistrySettings { login: Some(login), ..RegistrySettings::default() };
        let host = RegistryName::parse(&registry.host).expect("a name");
        store.images.set_registry(&host, Some(settings)).await.expect("set");
        let prepared = store.images.prepare(&name).await.expect("prepared");
        assert_eq!(prepared.image.digest.as_str(), digest(&image.config));
    });
}
