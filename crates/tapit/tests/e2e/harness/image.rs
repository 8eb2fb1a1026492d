//! Images from real files, as the archives that `docker save` writes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

type Result<T> = std::io::Result<T>;

/// A name, and what its config says under `config`: `Cmd`, `Env`, `ExposedPorts` and so on.
pub struct Image {
    pub name: &'static str,
    pub config: Value,
}

/// The programs of busybox that our commands call.
const APPLETS: [&str; 12] = ["sh", "sleep", "cat", "echo", "env", "true", "false", "id", "ls", "wget", "nc", "ps"];

/// A small statically linked web server, compiled from its source once and kept beside its name.
pub fn web_program(source: &Path, directory: &Path) -> Result<PathBuf> {
    let text = std::fs::read(source)?;
    let program = directory.join(format!("web-{}", &hex(&text)[..16]));
    // Two test runs at a time must not write one file.
    let lock = File::create(directory.join("web.lock"))?;
    lock.lock()?;
    if !program.exists() {
        let unfinished = program.with_extension("new");
        let mut rustc = std::process::Command::new("rustc");
        rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]);
        let status = rustc.arg(&unfinished).arg(source).status()?;
        if !status.success() {
            return Err(std::io::Error::other(format!("rustc {} failed", source.display())));
        }
        std::fs::rename(&unfinished, &program)?;
    }
    Ok(program)
}

/// The one layer that all images share: busybox, the web server, and scripts that stand in for other runtimes.
pub fn layer(web: &Path) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for directory in ["bin/", "etc/", "tmp/"] {
        let mode = if directory == "tmp/" { 0o1777 } else { 0o755 };
        tar.append_data(&mut header(tar::EntryType::Directory, mode, 0), directory, std::io::empty())?;
    }
    let busybox = std::fs::read("/bin/busybox").map_err(|error| {
        std::io::Error::new(error.kind(), format!("/bin/busybox: {error}; the Debian package busybox-static has it"))
    })?;
    let files: [(&str, &[u8]); 6] = [
        ("bin/busybox", &busybox),
        ("bin/web", &std::fs::read(web)?),
        ("bin/python", b"#!/bin/sh\necho \"python $*\"\nexec sleep 1000000\n"),
        ("bin/npm", b"#!/bin/sh\necho \"npm $*\"\nexec /bin/web\n"),
        // Process 1 for engines that give none: it hands on the request to end, which the kernel keeps from a program
        // that does not handle it.
        ("bin/gentle", b"#!/bin/sh\n\"$@\" &\ntrap \"kill $!; exit 0\" TERM\nwait $!\n"),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
    ];
    for (name, bytes) in files {
        tar.append_data(&mut header(tar::EntryType::Regular, 0o755, bytes.len()), name, bytes)?;
    }
    for applet in APPLETS {
        tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), format!("bin/{applet}"), "busybox")?;
    }
    tar.into_inner()
}

/// Writes one archive with all the images.
pub fn archive(path: &Path, layer: &[u8], images: &[Image]) -> Result<()> {
    let mut tar = tar::Builder::new(File::create(path)?);
    let mut put = |name: &str, bytes: &[u8]| {
        tar.append_data(&mut header(tar::EntryType::Regular, 0o644, bytes.len()), name, bytes)
    };
    let diff_id = hex(layer);
    let layer_name = format!("{diff_id}/layer.tar");
    put(&layer_name, layer)?;
    let mut manifest = Vec::new();
    for image in images {
        let config = config(&image.config, &diff_id).to_string();
        let config_name = format!("{}.json", hex(config.as_bytes()));
        put(&config_name, config.as_bytes())?;
        manifest.push(json!({"Config": config_name, "RepoTags": [image.name], "Layers": [layer_name]}));
    }
    put("manifest.json", Value::from(manifest).to_string().as_bytes())?;
    tar.into_inner()?.flush()
}

/// The config of an image: what its digest is taken of.
pub fn config(config: &Value, diff_id: &str) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
    })
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(1_700_000_000);
    header
}
