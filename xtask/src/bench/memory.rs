//! What a server has on the host: processes of ours beside the containers' own, and kernel objects.
//!
//! Proportional shares (PSS) are added up, so pages of the one program file that all of them run are counted once.

use std::fs;
use std::path::{Path, PathBuf};

use super::BenchError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// KiB.
    pub server_rss: u64,
    /// KiB.
    pub server_pss: u64,
    /// KiB of everything of ours beside the server.
    pub beside: u64,
    /// Containers, by their process 1.
    pub instances: u64,
}

/// A process is ours when it names the data directory (shim, monitor), or is process 1 of one of our containers: that is
/// the init which we put there, with the program as its child.
pub fn measure(server: u32, data: &Path, tag: &str) -> Result<Memory, BenchError> {
    let words = data.display().to_string();
    let proc = Path::new("/proc");
    let (mut beside, mut instances) = (0, 0);
    let entries = fs::read_dir(proc).map_err(|source| BenchError::Read { path: proc.to_owned(), source })?;
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().parse().is_ok_and(|pid: u32| pid != server) {
            // A process that ends meanwhile reads as nothing.
            let read = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
            let is_init = read("cgroup").contains(tag) && is_init(&read("status"));
            if is_init || read("cmdline").contains(&words) {
                beside += parse(&read("smaps_rollup"), "Pss:");
                instances += u64::from(is_init);
            }
        }
    }
    let path = proc.join(server.to_string()).join("smaps_rollup");
    let server = fs::read_to_string(&path).map_err(|source| BenchError::Read { path, source })?;
    Ok(Memory { server_rss: parse(&server, "Rss:"), server_pss: parse(&server, "Pss:"), beside, instances })
}

/// A process tells its number in each namespace, the innermost last.
fn is_init(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

/// A field of `smaps_rollup` in KiB.
fn parse(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().strip_suffix("kB").and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Kernel objects and directories of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    pub interfaces: usize,
    pub cgroups: usize,
    pub directories: usize,
    pub mounts: usize,
    pub processes: usize,
    pub namespaces: usize,
}

impl Objects {
    pub fn of(data: &Path, tag: &str) -> Self {
        let words = data.display().to_string();
        let names = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        let named = names(Path::new("/sys/class/net")).filter(|e| e.file_name().to_string_lossy().contains(tag));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let pids = names(Path::new("/proc")).filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok());
        let ours = pids.filter(|e| {
            let read = |name: &str| fs::read_to_string(e.path().join(name)).unwrap_or_default();
            read("cmdline").contains(&words) || read("cgroup").contains(tag)
        });
        let ours: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
        let spaces = ours.iter().filter_map(|path| fs::read_link(path.join("ns/net")).ok());
        let spaces: std::collections::BTreeSet<_> = spaces.collect();
        Self {
            interfaces: named.count(),
            cgroups: directories(Path::new("/sys/fs/cgroup"), 4, &|path| path.to_string_lossy().contains(tag)),
            // Those of instances are named by a number; those above them stay, with the number that was given out last.
            directories: directories(&data.join("instances"), 2, &|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u64>().is_ok())
            }),
            mounts: mounts.lines().filter(|line| line.contains(&words)).count(),
            processes: ours.len(),
            namespaces: spaces.len(),
        }
    }
}

impl std::fmt::Display for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interfaces, cgroups, directories, mounts, processes, namespaces } = self;
        write!(f, "{interfaces} if, {cgroups} cg, {directories} dirs, {mounts} mnt, {processes} ps, {namespaces} netns")
    }
}

fn directories(path: &Path, depth: usize, counts: &impl Fn(&Path) -> bool) -> usize {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    let count =
        |path: PathBuf| usize::from(counts(&path)) + if depth == 0 { 0 } else { directories(&path, depth - 1, counts) };
    below.map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_kib() {
        let text =
            "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:               12604 kB\nPss:                4567 kB\n";
        assert_eq!((parse(text, "Rss:"), parse(text, "Pss:"), parse(text, "Swap:")), (12604, 4567, 0));
    }

    #[test]
    fn process_1_of_a_container_is_told_from_the_hosts() {
        assert!(is_init("Name:\tx\nNSpid:\t4711\t1\n"));
        for other in ["NSpid:\t1\n", "NSpid:\t4711\t7\n", ""] {
            assert!(!is_init(other), "{other:?}");
        }
    }
}
