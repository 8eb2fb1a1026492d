//! What a machine boots from: Debian's kernel, a small initramfs with the modules it needs, a disk with Debian, and a disk
//! with what is to be tested.
//!
//! All of it is made below `target/vm`. Debian is kept there between runs; the rest is made anew.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::VmError;
use crate::command::succeed;
use crate::image::{self, Image};

pub struct Disks {
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub system: PathBuf,
    pub payload: PathBuf,
    pub directory: PathBuf,
}

/// What the disk with Debian holds.
const DEBIAN: &str = "systemd,systemd-sysv,dbus,udev,busybox-static,iproute2,procps,kmod,curl,attr";
/// Loaded before anything else runs, with what they depend on.
const MODULES: [&str; 13] = [
    "virtio_pci",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
    "overlay",
    "veth",
    "bridge",
    "nf_tables",
    "nft_chain_nat",
    "nft_masq",
    "nft_ct",
    "nft_limit",
    "nft_reject_inet",
];
/// The integration tests that are run inside, by the name of the test binary.
const TESTS: [&str; 2] = ["instance", "engine"];

const BOOT: &str = include_str!("guest/boot.sh");
const SCRIPTS: [(&str, &str); 8] = [
    ("init.sh", include_str!("guest/init.sh")),
    ("rustc.sh", include_str!("guest/rustc.sh")),
    ("tests.sh", include_str!("guest/tests.sh")),
    ("plain.sh", include_str!("guest/plain.sh")),
    ("delegated.sh", include_str!("guest/delegated.sh")),
    ("checks.sh", include_str!("guest/checks.sh")),
    ("lib.sh", include_str!("guest/lib.sh")),
    ("unit.sh", include_str!("guest/unit.sh")),
];
/// Runs the scene of the machine that systemd boots. What it says goes to the console.
const SCENE_UNIT: &str = "\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /vm/unit.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
";

/// Builds what is missing.
pub fn make(root: &Path) -> Result<Disks, VmError> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let directory = target.join("vm");
    make_dir(&directory)?;
    let kernel = newest_kernel(Path::new("/boot"))?;
    let version = kernel.file_name().unwrap_or_default().to_string_lossy().replacen("vmlinuz-", "", 1);
    let system = system(&directory)?;
    let initramfs = initramfs(&directory, &version)?;
    let payload = payload(root, &directory)?;
    Ok(Disks { kernel, initramfs, system, payload, directory })
}

fn make_dir(path: &Path) -> Result<(), VmError> {
    fs::create_dir_all(path).map_err(|source| VmError::Write { path: path.to_owned(), source })
}

/// An empty directory in the place of whatever is there.
fn fresh(path: PathBuf) -> Result<PathBuf, VmError> {
    if path.exists() {
        fs::remove_dir_all(&path).map_err(|source| VmError::Write { path: path.clone(), source })?;
    }
    make_dir(&path)?;
    Ok(path)
}

fn write(path: &Path, text: &str) -> Result<(), VmError> {
    let failed = |source| VmError::Write { path: path.to_owned(), source };
    fs::write(path, text).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)
}

fn copy(from: &Path, to: &Path) -> Result<(), VmError> {
    fs::copy(from, to).map(drop).map_err(|source| VmError::Read { path: from.to_owned(), source })
}

fn newest_kernel(boot: &Path) -> Result<PathBuf, VmError> {
    let entries = fs::read_dir(boot).map_err(|source| VmError::Read { path: boot.to_owned(), source })?;
    let paths = entries.flatten().map(|entry| entry.path());
    let kernels = paths.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-")));
    kernels.max().ok_or(VmError::Kernel)
}

/// A disk with Debian of this machine's own release, so that programs built here find their libraries there.
fn system(directory: &Path) -> Result<PathBuf, VmError> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let key = image::hex(format!("{suite} {DEBIAN} {SCENE_UNIT}").as_bytes());
    let disk = directory.join(format!("debian-{}.ext4", &key[..16]));
    if disk.exists() {
        return Ok(disk);
    }
    println!("==> making a disk with Debian {suite} (once)");
    let tree = fresh(directory.join("debian"))?;
    let archive = directory.join("debian.tar");
    let mut debootstrap = Command::new("mmdebstrap");
    debootstrap.args(["--quiet", "--variant=minbase", &format!("--include={DEBIAN}"), suite]).arg(&archive);
    succeed(&mut debootstrap)?;
    succeed(Command::new("tar").arg("-C").arg(&tree).args(["--exclude=./dev/*", "-xf"]).arg(&archive))?;
    let units = tree.join("etc/systemd/system");
    write(&units.join("scene.service"), SCENE_UNIT)?;
    let wants = units.join("multi-user.target.wants");
    make_dir(&wants)?;
    let link = wants.join("scene.service");
    symlink("/etc/systemd/system/scene.service", &link).map_err(|source| VmError::Write { path: link, source })?;
    let unfinished = disk.with_extension("new");
    ext4(&tree, &unfinished, "2G")?;
    fs::rename(&unfinished, &disk).map_err(|source| VmError::Write { path: disk.clone(), source })?;
    // Only to save room: the disk holds it all.
    let _ = fs::remove_dir_all(&tree);
    let _ = fs::remove_file(&archive);
    Ok(disk)
}

/// A filesystem with the contents of a directory, made without mounting anything.
fn ext4(tree: &Path, disk: &Path, size: &str) -> Result<(), VmError> {
    if disk.exists() {
        fs::remove_file(disk).map_err(|source| VmError::Write { path: disk.to_owned(), source })?;
    }
    let mut mke2fs = Command::new("/sbin/mke2fs");
    succeed(mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(tree).arg(disk).arg(size))?;
    Ok(())
}

fn initramfs(directory: &Path, version: &str) -> Result<PathBuf, VmError> {
    let tree = fresh(directory.join("initramfs"))?;
    for name in ["bin", "proc", "sys", "dev", "root", "modules"] {
        make_dir(&tree.join(name))?;
    }
    copy(Path::new("/bin/busybox"), &tree.join("bin/busybox"))?;
    write(&tree.join("init"), BOOT)?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let mut modprobe = Command::new("/sbin/modprobe");
        let shown = succeed(modprobe.args(["--set-version", version, "--show-depends", module]))?;
        for path in shown.lines().filter_map(|line| line.strip_prefix("insmod ")).map(|rest| Path::new(rest.trim())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !order.contains(&name) {
                copy(path, &tree.join("modules").join(&name))?;
                order.push(name);
            }
        }
    }
    write(&tree.join("modules/order"), &(order.join("\n") + "\n"))?;
    let archive = directory.join("initramfs.gz");
    let pack = r#"set -euo pipefail; cd "$0"; find . | cpio -o -H newc --quiet | gzip -1 >"$1""#;
    succeed(Command::new("bash").args(["-c", pack]).arg(&tree).arg(&archive))?;
    Ok(archive)
}

/// The programs under test, the images they use, and the scripts that use them.
fn payload(root: &Path, directory: &Path) -> Result<PathBuf, VmError> {
    let tree = fresh(directory.join("payload"))?;
    let program = built(root, &["build", "--package", "tapit"], "tapit")?;
    strip(&program, &tree.join("tapit"))?;
    let exe = built(root, &["build", "--package", "tapit-container"], "tapit-container-child")?;
    strip(&exe, &tree.join("exe"))?;
    write(&tree.join("exe-path"), &exe.display().to_string())?;
    for name in TESTS {
        let tests = built(root, &["test", "--no-run", "--package", "tapit-container", "--test", name], name)?;
        strip(&tests, &tree.join(name))?;
    }
    write(&tree.join("tests"), &TESTS.join("\n"))?;
    let probe = image::web_program(&root.join("examples/probe/main.rs"), &root.join("target"));
    copy(&probe.map_err(|source| VmError::Image { source })?, &tree.join("probe"))?;
    for (name, text) in SCRIPTS {
        write(&tree.join(name), text)?;
    }
    let unit = root.join("packaging/tapit.service");
    copy(&unit, &tree.join("tapit.service"))?;
    images(root, &tree).map_err(|source| VmError::Image { source })?;
    let disk = directory.join("payload.ext4");
    ext4(&tree, &disk, "512M")?;
    Ok(disk)
}

fn images(root: &Path, tree: &Path) -> std::io::Result<()> {
    let web = image::web_program(&root.join("examples/web/main.rs"), &root.join("target"))?;
    let served = json!({"Cmd": ["/bin/web"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}});
    let idle = json!({"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"]});
    let images = [Image { name: "web:v1", config: served }, Image { name: "worker:v1", config: idle }];
    image::archive(&tree.join("images.tar"), &image::layer(&web)?, &images)
}

/// Builds with cargo; answers where the program of that name is.
fn built(root: &Path, arguments: &[&str], name: &'static str) -> Result<PathBuf, VmError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(arguments).args(["--quiet", "--message-format=json"]);
    let messages = succeed(&mut command)?;
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = |artifact: Value| {
        let of_that_name = artifact["target"]["name"] == name;
        artifact["executable"].as_str().filter(|_| of_that_name).map(PathBuf::from)
    };
    artifacts.filter_map(executable).next_back().ok_or(VmError::NotBuilt(name))
}

/// Without what a debugger wants, a program is a tenth of its size.
fn strip(from: &Path, to: &Path) -> Result<(), VmError> {
    succeed(Command::new("strip").arg("-o").arg(to).arg(from))?;
    Ok(())
}
