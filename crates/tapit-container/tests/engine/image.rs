//! The image of these tests: busybox alone, as an archive of `docker save`.

use std::path::Path;

use sha2::Digest as _;
use tar::{Builder, EntryType, Header};

pub const NAME: &str = "busybox:test";

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 11] = ["cat", "dd", "echo", "httpd", "nc", "readlink", "sh", "sleep", "true", "wget", "yes"];

pub fn write_archive(path: &Path) {
    write_archive_for(path, NAME, "");
}

/// The same image by another name, for a user as images name theirs.
pub fn write_archive_for(path: &Path, name: &str, user: &str) {
    let layer = layer();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = format!(
        r#"{{"os":"linux","architecture":"{architecture}","config":{{"Cmd":["/bin/sh"],"User":"{user}"}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}}"#,
        hex(&layer)
    );
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]"#);
    let mut archive = Builder::new(Vec::new());
    for (name, content) in
        [("config.json", config.as_bytes()), ("layer.tar", &layer), ("manifest.json", manifest.as_bytes())]
    {
        add(&mut archive, EntryType::Regular, name, content);
    }
    std::fs::write(path, archive.into_inner().expect("an archive")).expect("writable");
}

/// Busybox alone.
pub fn layer() -> Vec<u8> {
    let busybox = std::fs::read(BUSYBOX).expect("busybox-static is installed");
    let mut layer = Builder::new(Vec::new());
    for dir in ["bin", "etc", "tmp", "www"] {
        add(&mut layer, EntryType::Directory, dir, b"");
    }
    add(&mut layer, EntryType::Regular, "bin/busybox", &busybox);
    add(&mut layer, EntryType::Regular, "www/index.html", b"hello\n");
    for applet in APPLETS {
        let mut header = header(EntryType::Symlink, 0);
        layer.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("a link");
    }
    layer.into_inner().expect("a layer")
}

fn add(archive: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, content: &[u8]) {
    let mut header = header(kind, content.len());
    archive.append_data(&mut header, name, content).expect("an entry");
}

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size as u64);
    header
}

fn hex(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
