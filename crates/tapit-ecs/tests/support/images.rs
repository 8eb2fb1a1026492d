//! The images that run on the emulator: busybox and the web app of `examples/web`.
//!
//! Their process 1 forwards SIGTERM, which the kernel would keep from a program that handles none; the emulator waits five
//! seconds for each container that does not end.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::image;

/// The layer below all of them.
pub fn layer() -> &'static [u8] {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/web/main.rs");
        let web = image::web_program(&source, &directory()).expect("the web program");
        image::layer(&web).expect("the layer of the test images")
    })
}

/// Where what is made once is kept.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// What the config of a web image says; the label tells its versions apart.
pub fn web(version: &str) -> Value {
    gentle(json!({
        "Cmd": ["/bin/web"],
        "Env": ["PATH=/bin"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"version": version},
    }))
}

/// With the process 1 that ends when it is told to.
pub fn gentle(mut config: Value) -> Value {
    config["Entrypoint"] = json!(["/bin/gentle"]);
    config
}
