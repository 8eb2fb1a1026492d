//! An image of about 300 MB in five layers, made of the files of this machine's `/usr` in their order.
//!
//! The same machine makes the same image each time: names, sizes and times of files are as they are, owners are root. One
//! layer holds what images of real life hold besides: whiteouts, an opaque directory, hard links, setuid programs and
//! attributes. It is an OCI layout, which `skopeo` puts into a registry.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Larger files would make the layers depend on a single one.
const LARGEST: u64 = 8 << 20;

/// What goes into a layer: files of a directory up to a number and to a size.
struct Share {
    from: &'static str,
    bytes: u64,
    files: usize,
    /// Of one file.
    largest: u64,
}

const SHARES: [Share; 4] = [
    Share { from: "/usr/lib", bytes: 150 << 20, files: 5_000, largest: 5 << 20 },
    Share { from: "/usr/share", bytes: 12 << 20, files: 3_000, largest: 8 << 10 },
    Share { from: "/usr/bin", bytes: 130 << 20, files: 1_500, largest: LARGEST },
    Share { from: "/usr/include", bytes: 70 << 20, files: 3_000, largest: LARGEST },
];

/// What was made, for people.
pub struct Made {
    pub plain: u64,
    pub packed: u64,
    pub files: usize,
}

/// Writes the layout into an empty directory; its image is tagged `v1`.
pub fn make(directory: &Path) -> io::Result<Made> {
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    let mut made = Made { plain: 0, packed: 0, files: 0 };
    let mut small = Vec::new();
    for share in &SHARES {
        let files = choose(share)?;
        made.files += files.len();
        add(directory, &mut made, (&mut layers, &mut diff_ids), |layer| {
            files.iter().try_for_each(|file| layer.file(file))
        })?;
        if share.from == "/usr/share" {
            small = files;
        }
    }
    add(directory, &mut made, (&mut layers, &mut diff_ids), |layer| changes(layer, &small))?;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = blob(directory, &serde_json::to_vec(&config)?)?;
    let described = |kind: &str, (digest, size): &(String, u64)| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
    let layers: Vec<Value> = layers.iter().map(|layer| described("layer.v1.tar+gzip", layer)).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", &config), "layers": layers});
    let manifest = blob(directory, &serde_json::to_vec(&manifest)?)?;
    let mut entry = described("manifest.v1+json", &manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    fs::write(directory.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string())?;
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(made)
}

/// The first files below a directory, by name, until the share is full.
fn choose(share: &Share) -> io::Result<Vec<PathBuf>> {
    let mut chosen = Vec::new();
    let mut left = share.bytes;
    let mut todo = vec![PathBuf::from(share.from)];
    while let Some(path) = todo.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            let mut entries: Vec<PathBuf> = fs::read_dir(&path)?.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            todo.extend(entries.into_iter().rev());
            continue;
        }
        let fits = metadata.len() <= left.min(share.largest) && path.as_os_str().len() < 200;
        if (metadata.is_file() || metadata.is_symlink()) && fits {
            left -= metadata.len();
            chosen.push(path);
        }
        if chosen.len() >= share.files || left < 4096 {
            break;
        }
    }
    Ok(chosen)
}

/// The layer on top of the others.
fn changes(layer: &mut Layer, small: &[PathBuf]) -> io::Result<()> {
    for hidden in small.iter().step_by(30) {
        let name = hidden.file_name().unwrap_or_default().to_string_lossy();
        layer.bytes(&hidden.with_file_name(format!(".wh.{name}")), 0o644, b"")?;
    }
    layer.bytes(Path::new("/usr/lib/apt/.wh..wh..opq"), 0o644, b"")?;
    for number in 0..200 {
        let name = PathBuf::from(format!("/opt/app/data-{number}"));
        layer.bytes(&name, 0o640, format!("{number}\n").repeat(500).as_bytes())?;
        layer.link(Path::new(&format!("/opt/app/link-{number}")), &name)?;
        layer.attribute("user.number", number.to_string().as_bytes())?;
        layer.bytes(Path::new(&format!("/opt/app/tool-{number}")), 0o4755, &[7; 10_000])?;
    }
    Ok(())
}

type Blob = (String, u64);

fn add(
    directory: &Path,
    made: &mut Made,
    (layers, diff_ids): (&mut Vec<Blob>, &mut Vec<String>),
    fill: impl FnOnce(&mut Layer) -> io::Result<()>,
) -> io::Result<()> {
    let plain = directory.join("layer.tar");
    let mut layer = Layer { tar: tar::Builder::new(Hashed::new(File::create(&plain)?)), made: BTreeSet::new() };
    fill(&mut layer)?;
    let (diff_id, size) = layer.tar.into_inner()?.finish()?;
    let packed = File::create(directory.join("layer.gz"))?;
    let gzip =
        Command::new("gzip").args(["-6", "-n"]).stdin(File::open(&plain)?).stdout(Stdio::from(packed)).status()?;
    if !gzip.success() {
        return Err(io::Error::other(format!("gzip: {gzip}")));
    }
    let packed = blob(directory, &fs::read(directory.join("layer.gz"))?)?;
    fs::remove_file(directory.join("layer.gz"))?;
    fs::remove_file(&plain)?;
    made.plain += size;
    made.packed += packed.1;
    layers.push(packed);
    diff_ids.push(diff_id);
    Ok(())
}

fn blob(directory: &Path, bytes: &[u8]) -> io::Result<Blob> {
    let hex = hex(Sha256::digest(bytes).as_slice());
    fs::write(directory.join("blobs/sha256").join(&hex), bytes)?;
    Ok((format!("sha256:{hex}"), bytes.len() as u64))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Layer {
    tar: tar::Builder<Hashed>,
    /// Directories that it has.
    made: BTreeSet<PathBuf>,
}

impl Layer {
    fn file(&mut self, path: &Path) -> io::Result<()> {
        self.parents(path)?;
        let metadata = fs::symlink_metadata(path)?;
        let mut header = header(&metadata);
        if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            return self.tar.append_link(&mut header, relative(path), fs::read_link(path)?);
        }
        self.tar.append_data(&mut header, relative(path), File::open(path)?)
    }

    /// As builders write them: every directory on the way has an entry.
    fn parents(&mut self, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = path.ancestors().skip(1).filter(|path| path.parent().is_some()).collect();
        missing.retain(|path| !self.made.contains(*path));
        for directory in missing.into_iter().rev() {
            let mut header = plain(tar::EntryType::Directory, 0o755, 0);
            self.tar.append_data(&mut header, relative(directory), io::empty())?;
            self.made.insert(directory.to_owned());
        }
        Ok(())
    }

    fn bytes(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = plain(tar::EntryType::Regular, mode, bytes.len() as u64);
        self.tar.append_data(&mut header, relative(path), bytes)
    }

    fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        self.tar.append_link(&mut plain(tar::EntryType::Link, 0o644, 0), relative(path), relative(target))
    }

    /// Of the entry that follows.
    fn attribute(&mut self, name: &str, value: &[u8]) -> io::Result<()> {
        self.tar.append_pax_extensions([(format!("SCHILY.xattr.{name}").as_str(), value)])
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn header(metadata: &Metadata) -> tar::Header {
    let mut header = plain(tar::EntryType::Regular, metadata.mode() & 0o7777, metadata.len());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header
}

fn plain(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header
}

/// A file and the digest of what is written to it.
struct Hashed {
    file: BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl Hashed {
    fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), size: 0 }
    }

    fn finish(mut self) -> io::Result<(String, u64)> {
        self.file.flush()?;
        Ok((format!("sha256:{}", hex(self.hash.finalize().as_slice())), self.size))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let got = self.file.write(bytes)?;
        self.hash.update(&bytes[..got]);
        self.size += got as u64;
        Ok(got)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
