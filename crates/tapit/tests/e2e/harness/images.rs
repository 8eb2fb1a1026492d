//! The images that the tests use, built once per run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::json;

use super::image::{self, Image};

/// The archive with all of them. It is named after what is in it, so that a later run finds it again.
pub fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let images = images();
        let texts: String = images.iter().map(|image| format!("{} {}", image.name, image.config)).collect();
        let name = image::hex(format!("{} {texts}", image::hex(layer())).as_bytes());
        let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("images-{}.tar", &name[..16]));
        if !archive.exists() {
            let unfinished = archive.with_extension(std::process::id().to_string());
            image::archive(&unfinished, layer(), &images).expect("the archive of the test images");
            std::fs::rename(&unfinished, &archive).expect("the archive of the test images");
        }
        archive
    })
}

/// The layer below all of them, for tests that make images of their own.
pub fn layer() -> &'static [u8] {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/web/main.rs");
        let web = image::web_program(&source, Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("the web program");
        image::layer(&web).expect("the layer of the test images")
    })
}

/// What a web image says of itself; the label tells its versions apart.
pub fn web(version: &str) -> serde_json::Value {
    json!({
        "Cmd": ["/bin/web"],
        "Env": ["PATH=/bin"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"version": version},
    })
}

fn images() -> Vec<Image> {
    let idle = json!({"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"]});
    let failing = json!({"Cmd": ["/bin/web", "--fail"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}});
    let deaf = json!({"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}});
    vec![
        Image { name: "web:v1", config: web("1") },
        Image { name: "web:v2", config: web("2") },
        Image { name: "web:failing", config: failing },
        Image { name: "web:deaf", config: deaf },
        Image { name: "worker:v1", config: idle },
        Image { name: "myapp/auth:latest", config: web("auth") },
        Image { name: "myapp/api:v2.1.0", config: web("api") },
    ]
}
