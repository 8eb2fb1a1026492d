//! Pulling from a real registry on the loopback interface, and what happens when it is gone.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::image::{config, hex};
use crate::harness::views::healthy;
use crate::harness::{SMALL, Server, images};

/// The registry of the Debian package `docker-registry`.
pub struct Registry {
    child: Child,
    pub address: String,
}

impl Registry {
    pub fn start(directory: &Path) -> Self {
        let settings = directory.join("registry.yml");
        let storage = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        std::fs::write(&settings, text).expect("the registry's settings");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry; the Debian package of that name has it");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(['"', ' ', ',']).next());
                if let Some(address) = address {
                    let _ = send.send(address.to_owned());
                }
            }
        });
        let address = receive.recv_timeout(Duration::from_secs(20)).expect("the registry says where it listens");
        Self { child, address }
    }

    /// Pushes an image of the common layer.
    fn push(&self, version: &str) {
        self.push_layers(&[images::layer()], &images::web(version), "v1");
    }

    /// Pushes an image of these layers under `web` with a tag.
    pub fn push_layers(&self, layers: &[&[u8]], run: &Value, tag: &str) {
        let mut config = config(run, "");
        config["rootfs"]["diff_ids"] = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
        let config = config.to_string();
        let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect::<Vec<_>>(),
        });
        layers.iter().for_each(|layer| self.push_blob(layer));
        self.push_blob(config.as_bytes());
        let url = format!("http://{}/v2/web/manifests/{tag}", self.address);
        put(&url, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    }

    fn push_blob(&self, bytes: &[u8]) {
        let url = format!("http://{}/v2/web/blobs/uploads/", self.address);
        let begun = curl(&["-X", "POST", "-o", "/dev/null", "-w", "%header{location}", &url]);
        let place = if begun.is_empty() { location(&url) } else { begun };
        put(&format!("{place}&digest=sha256:{}", hex(bytes)), "application/octet-stream", bytes);
    }

    pub fn end(&mut self) {
        self.child.kill().expect("the registry can be killed");
        self.child.wait().expect("the registry can be waited for");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where an upload goes on; older curls cannot print a header by its name.
fn location(url: &str) -> String {
    let head = curl(&["-X", "POST", "-o", "/dev/null", "-D", "-", url]);
    let place = head.lines().find_map(|line| line.strip_prefix("Location: ").or(line.strip_prefix("location: ")));
    place.unwrap_or_else(|| panic!("no place to upload to in {head}")).trim().to_owned()
}

fn put(url: &str, kind: &str, bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a temporary file");
    let body = format!("@{}", file.path().display());
    let kind = format!("Content-Type: {kind}");
    curl(&["-X", "PUT", "-H", &kind, "--data-binary", &body, url]);
}

fn curl(arguments: &[&str]) -> String {
    let output =
        Command::new("curl").args(["-sS", "--fail", "--max-time", "30"]).args(arguments).output().expect("curl");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn an_image_is_pulled_from_a_registry_and_the_held_copy_is_used_when_that_is_gone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut registry = Registry::start(directory.path());
    registry.push("1");
    let server = Server::start();
    let image = format!("{}/web:v1", registry.address);
    server.tapit(&format!("create app shop image={image} {SMALL} demand=2 --wait")).ok();
    let first = server.show("default");
    assert_eq!(first["image"], image);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
    let held = server.tapit(&format!("show image {image} -o json")).ok().json();
    assert_eq!(held["source"], "pull");

    // The tag moves: nothing happens by itself, and a restart takes the new one for every instance.
    registry.push("2");
    server.tapit("set process demand=3 --wait").ok();
    assert_eq!(server.show("default")["image_digest"], first["image_digest"], "pinned by its digest");
    server.tapit("restart process name=default --wait").ok();
    let second = server.show("default");
    assert_ne!(second["image_digest"], first["image_digest"], "a rollout asks the registry again");

    registry.end();
    server.tapit("restart process name=default --wait").ok();
    let third = server.show("default");
    assert_eq!(third["image_digest"], second["image_digest"]);
    assert!(healthy(&third).len() == 3 && healthy(&third).is_disjoint(&healthy(&second)));
    server.tapit("events -o json").ok().says("image_unavailable");
}
