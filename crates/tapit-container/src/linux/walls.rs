//! Looks, from outside, whether the walls of a container that is about to start are where they should be.
//!
//! The runtime covers what tells about the host or lets it be harmed by mounting over paths. More than once a container
//! could make such a mount land elsewhere (CVE-2025-31133, CVE-2025-52565), so what the container will see is looked up
//! again, through its own root, before its program runs.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::cgroup::v1_mounts;
use super::{beneath, spec};

const CGROUPS: &str = "/sys/fs/cgroup";
const CPUS: &str = "/sys/devices/system/cpu";

#[derive(Debug, thiserror::Error)]
pub enum WallsError {
    #[error("opening the container's root")]
    Root { source: io::Error },
    #[error("reading the host's cgroup mounts")]
    CgroupMounts { source: io::Error },
    #[error("listing the host's cpus")]
    Cpus { source: io::Error },
    #[error("looking at {path} in the container")]
    Look { path: String, source: Errno },
    #[error("{path} is not covered in the container")]
    Uncovered { path: String },
    #[error("{path} can be written to in the container")]
    Writable { path: String },
}

/// Checks every path that is to be covered or read-only for the container of a process.
pub fn check(init: i32) -> Result<(), WallsError> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let root = File::options().read(true).custom_flags(flags).open(format!("/proc/{init}/root"));
    let root = OwnedFd::from(root.map_err(|source| WallsError::Root { source })?);
    let heat = heat_counters().map_err(|source| WallsError::Cpus { source })?;
    for path in spec::masked_paths(&heat) {
        match covered(&root, &path) {
            Ok(true) => {}
            Ok(false) => return Err(WallsError::Uncovered { path }),
            Err(source) => return Err(WallsError::Look { path, source }),
        }
    }
    let mounts = cgroup_mounts().map_err(|source| WallsError::CgroupMounts { source })?;
    for path in readonly_paths(&mounts) {
        match readonly(&root, &path) {
            Ok(true) => {}
            Ok(false) => return Err(WallsError::Writable { path }),
            Err(source) => return Err(WallsError::Look { path, source }),
        }
    }
    Ok(())
}

/// What must be read-only: what the runtime is told to make so, and on v2 the one hierarchy, which it mounts so.
fn readonly_paths(cgroup_mounts: &[String]) -> Vec<String> {
    let mut paths = spec::readonly_paths(cgroup_mounts);
    if cgroup_mounts.is_empty() {
        paths.push(CGROUPS.to_owned());
    }
    paths
}

/// A path that is not there needs no cover.
fn covered(root: &OwnedFd, path: &str) -> Result<bool, Errno> {
    let Some(fd) = look_up(root, path)? else { return Ok(true) };
    let stat = fstat(fd.as_raw_fd())?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFDIR {
        return Ok(fstatfs(&fd)?.filesystem_type() == TMPFS_MAGIC && is_readonly(&fd)?);
    }
    const NULL: (u64, u64) = (1, 3);
    Ok(kind == SFlag::S_IFCHR && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL)
}

fn readonly(root: &OwnedFd, path: &str) -> Result<bool, Errno> {
    match look_up(root, path)? {
        Some(fd) => is_readonly(&fd),
        None => Ok(true),
    }
}

fn is_readonly(fd: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstatvfs(fd)?.flags().contains(FsFlags::ST_RDONLY))
}

fn look_up(root: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, Errno> {
    let below = Path::new(path.trim_start_matches('/'));
    match beneath::strict(root.as_fd(), below, OFlag::O_PATH) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names below `/sys/fs/cgroup` at which the host has v1 hierarchies, and so the runtime mounts them in containers.
pub fn cgroup_mounts() -> io::Result<Vec<String>> {
    Ok(named_mounts(&fs::read_to_string("/proc/self/mountinfo")?))
}

fn named_mounts(mountinfo: &str) -> Vec<String> {
    let names = v1_mounts(mountinfo).filter_map(|(mount, _)| mount.strip_prefix(CGROUPS)?.strip_prefix('/'));
    names.map(str::to_owned).collect()
}

/// Where the cpus of this host tell how often they were slowed down for being hot, which is to say what the neighbours
/// are doing. There are none on virtual machines.
pub fn heat_counters() -> io::Result<Vec<String>> {
    heat_counters_below(Path::new(CPUS))
}

fn heat_counters_below(cpus: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(cpus) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let is_cpu = |name: &str| name.strip_prefix("cpu").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    let cpus = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_cpu));
    let counters = cpus.map(|entry| entry.path().join("thermal_throttle")).filter(|path| path.is_dir());
    let mut counters: Vec<String> = counters.map(|path| path.display().to_string()).collect();
    counters.sort();
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_hierarchies_are_found_by_their_names_also_those_without_a_controller() {
        let table = "\
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
35 30 0:28 / /mnt/memory rw - cgroup cgroup rw,memory
nonsense
";
        assert_eq!(named_mounts(table), ["cpu,cpuacct", "systemd"]);
        assert!(named_mounts("34 30 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").is_empty());
    }

    #[test]
    fn the_one_hierarchy_of_v2_must_be_read_only_as_those_of_v1_must() {
        let cgroups = |mounts: &[&str]| {
            let mounts: Vec<String> = mounts.iter().map(|name| (*name).to_owned()).collect();
            let mut paths = readonly_paths(&mounts);
            paths.retain(|path| path.starts_with(CGROUPS));
            paths
        };
        assert_eq!(cgroups(&[]), ["/sys/fs/cgroup"]);
        assert_eq!(cgroups(&["memory", "pids"]), ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"]);
    }

    #[test]
    fn heat_counters_are_found_for_each_cpu_that_has_them() {
        let cpus = tempfile::tempdir().expect("a directory");
        for name in ["cpu0/thermal_throttle", "cpu1/topology", "cpu12/thermal_throttle", "cpufreq/thermal_throttle"] {
            fs::create_dir_all(cpus.path().join(name)).expect("a directory");
        }
        let expected = ["cpu0", "cpu12"].map(|cpu| format!("{}/{cpu}/thermal_throttle", cpus.path().display()));
        assert_eq!(heat_counters_below(cpus.path()).expect("lists"), expected);
        assert!(heat_counters_below(&cpus.path().join("nowhere")).expect("lists").is_empty());
    }

    #[test]
    fn the_hosts_own_paths_are_not_taken_for_covered() {
        let root = OwnedFd::from(File::open("/").expect("opens"));
        assert_eq!(covered(&root, "/proc/meminfo"), Ok(false));
        assert_eq!(covered(&root, "/proc/sys"), Ok(false));
        assert_eq!(covered(&root, "/dev/null"), Ok(true));
        assert_eq!(covered(&root, "/proc/no-such-thing"), Ok(true));
        assert_eq!(readonly(&root, "/dev"), Ok(false));
    }
}
