//! Against Debian's `docker-registry`: pushed with a Docker v2 manifest list, pulled by tag and by digest.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;
use tapit_engine::{EngineError, ImageFault};
use tapit_model::ImageRef;

use crate::archives::{Layer, digest, gzip, image, manifest, zstd};
use crate::support::{run, store, told};

struct Registry {
    child: Child,
    host: String,
    _dir: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        // Freed again at once; nobody else is given it so soon.
        let host = TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address").to_string();
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}/data\nhttp:\n  addr: {host}\n",
            dir.path().display()
        );
        std::fs::write(&config, text).expect("config");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is needed: apt-get install docker-registry");
        let registry = Self { child, host, _dir: dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.host).is_err() {
            assert!(Instant::now() < deadline, "the registry does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_docker_manifest_list_is_pulled_from_a_real_registry() {
    run(async {
        let registry = Registry::start();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
        let tag: Reference = format!("{}/team/app:v1", registry.host).parse().expect("reference");
        client.store_auth_if_needed(&registry.host, &RegistryAuth::Anonymous).await;

        let image = image(&[Layer::new().file("a", b"1").done(), Layer::new().file("b", b"2").done()]);
        let blobs = [gzip(&image.layers[0]), zstd(&image.layers[1])];
        for blob in blobs.iter().chain([&image.config]) {
            client.push_blob(&tag, bytes::Bytes::from(blob.clone()), &digest(blob)).await.expect("pushed");
        }
        let docker = |text: Vec<u8>| {
            String::from_utf8(text)
                .expect("text")
                .replace("application/vnd.oci.image.manifest.v1+json", MANIFEST)
                .replace("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
        };
        let manifest = docker(manifest(&image, &blobs, "application/vnd.docker.image.rootfs.diff.tar.gzip"));
        let named = tag.clone_with_digest(digest(manifest.as_bytes()));
        push(&client, &named, manifest.as_bytes(), MANIFEST).await;
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let list = json!({"schemaVersion": 2, "mediaType": LIST, "manifests": [{"mediaType": MANIFEST,
            "digest": digest(manifest.as_bytes()), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": architecture}}]});
        push(&client, &tag, &serde_json::to_vec(&list).expect("list"), LIST).await;

        let store = store();
        let pulled = |rest: &str| ImageRef::parse(&format!("{}/team/app{rest}", registry.host)).expect("reference");
        let by_tag = store.images.prepare(&pulled(":v1")).await.expect("prepared");
        assert_eq!(by_tag.image.digest.as_str(), digest(&image.config));
        assert_eq!(store.merged(&digest(&image.config)).await, "a f 755 0:0\nb f 755 0:0\n");
        let by_digest = pulled(&format!("@{}", digest(manifest.as_bytes())));
        assert_eq!(store.images.prepare(&by_digest).await.expect("prepared").image.digest, by_tag.image.digest);
        let error = store.images.prepare(&pulled(":v2")).await.expect_err("unknown");
        assert!(matches!(error, EngineError::Image { fault: ImageFault::NotFound, .. }), "{error:?}");
        assert!(told(&error).contains("v2 of team/app"), "{}", told(&error));
    });
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

async fn push(client: &Client, reference: &Reference, bytes: &[u8], media_type: &'static str) {
    let media_type = http::HeaderValue::from_static(media_type);
    client.push_manifest_raw(reference, bytes.to_vec(), media_type).await.expect("pushed");
}
