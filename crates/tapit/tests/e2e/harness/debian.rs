//! An image of Debian with programs that people run, made by its own tools once and kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::image::{self, Image};

const PACKAGES: &str = "nginx-light,redis-server,postgresql,python3,iputils-ping,procps";
pub const NAME: &str = "debian/programs:v1";

/// The archive. Made in a minute the first time; a changed list of packages makes another one.
pub fn archive() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let archive = directory.join(format!("debian-{}.tar", &image::hex(PACKAGES.as_bytes())[..16]));
    // Two test runs at a time must not write one file.
    let lock = std::fs::File::create(archive.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !archive.exists() {
        let unfinished = archive.with_extension("new");
        let layer = root(&archive.with_extension("root.tar"));
        let config = json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]});
        image::archive(&unfinished, &layer, &[Image { name: NAME, config }]).expect("the archive");
        std::fs::rename(&unfinished, &archive).expect("the archive");
    }
    archive
}

/// A whole root filesystem as a tar, without what no program reads.
fn root(tar: &Path) -> Vec<u8> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let mut debootstrap = Command::new("mmdebstrap");
    debootstrap.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}")]);
    for unread in ["man", "doc", "locale", "info"] {
        debootstrap.arg(format!("--dpkgopt=path-exclude=/usr/share/{unread}/*"));
    }
    let output = debootstrap.arg(suite).arg(tar).output();
    let output = output.expect("mmdebstrap runs; the Debian package of that name has it");
    assert!(output.status.success(), "mmdebstrap: {}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(tar).expect("the root filesystem");
    // The image's archive holds it from here on.
    let _ = std::fs::remove_file(tar);
    bytes
}
