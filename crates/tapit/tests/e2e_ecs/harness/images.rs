//! The images that the tests import, as an archive that `docker save` might have written.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::json;

use crate::support::image::{self, Image};
use crate::support::images::{directory, gentle, layer, web};

/// The archive with all of them. It is named after what is in it, so that a later run finds it again.
pub fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let images = images();
        let texts: String = images.iter().map(|image| format!("{} {}", image.name, image.config)).collect();
        let name = image::hex(format!("{} {texts}", image::hex(layer())).as_bytes());
        let archive = directory().join(format!("images-ecs-{}.tar", &name[..16]));
        if !archive.exists() {
            let unfinished = archive.with_extension(std::process::id().to_string());
            image::archive(&unfinished, layer(), &images).expect("the archive of the test images");
            std::fs::rename(&unfinished, &archive).expect("the archive of the test images");
        }
        archive
    })
}

fn images() -> Vec<Image> {
    let failing = json!({"Cmd": ["/bin/web", "--fail"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}});
    vec![
        Image { name: "web:v1", config: web("1") },
        Image { name: "web:v2", config: web("2") },
        Image { name: "web:failing", config: gentle(failing) },
        Image { name: "myapp/auth:latest", config: web("auth") },
        Image { name: "myapp/api:v2.1.0", config: web("api") },
    ]
}
