//! Which hierarchies this host has, and where they are mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

const MOUNT: &str = "/sys/fs/cgroup";

/// The v1 controllers that the runtime puts containers into wherever they are mounted.
const CONTROLLERS: [&str; 12] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];

#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("looking at the filesystem of {MOUNT}; is a cgroup filesystem mounted there?")]
    Statfs { source: Errno },
    #[error("reading /proc/self/mountinfo")]
    Mountinfo { source: std::io::Error },
    #[error("no cgroup hierarchy with a {controller} controller is mounted below {MOUNT}")]
    Missing { controller: &'static str },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    V1(Vec<Hierarchy>),
    V2,
}

/// One v1 hierarchy; several controllers may share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    pub mount: PathBuf,
    pub controllers: Vec<&'static str>,
}

impl Layout {
    /// The layout of this host. Looked up once: it does not change while the host is up.
    pub fn get() -> Result<&'static Layout, LayoutError> {
        static LAYOUT: OnceLock<Layout> = OnceLock::new();
        match LAYOUT.get() {
            Some(layout) => Ok(layout),
            None => {
                let layout = Self::detect()?;
                Ok(LAYOUT.get_or_init(|| layout))
            }
        }
    }

    fn detect() -> Result<Layout, LayoutError> {
        let kind = statfs(MOUNT).map_err(|source| LayoutError::Statfs { source })?;
        if kind.filesystem_type() == CGROUP2_SUPER_MAGIC {
            return Ok(Layout::V2);
        }
        let mountinfo =
            fs::read_to_string("/proc/self/mountinfo").map_err(|source| LayoutError::Mountinfo { source })?;
        let layout = Layout::V1(parse(&mountinfo));
        for controller in ["memory", "cpu", "cpuacct", "pids"] {
            layout.mount_of(controller).ok_or(LayoutError::Missing { controller })?;
        }
        Ok(layout)
    }

    /// Where the hierarchies are mounted.
    pub fn mounts(&self) -> Vec<&Path> {
        match self {
            Layout::V1(hierarchies) => hierarchies.iter().map(|hierarchy| hierarchy.mount.as_path()).collect(),
            Layout::V2 => vec![Path::new(MOUNT)],
        }
    }

    /// The mount that a controller is found at.
    pub fn mount_of(&self, controller: &str) -> Option<&Path> {
        match self {
            Layout::V1(hierarchies) => {
                let holds = |hierarchy: &&Hierarchy| hierarchy.controllers.contains(&controller);
                hierarchies.iter().find(holds).map(|hierarchy| hierarchy.mount.as_path())
            }
            Layout::V2 => Some(Path::new(MOUNT)),
        }
    }
}

/// The v1 hierarchies of a mountinfo table, the first mount of each.
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for (mount, options) in v1_mounts(mountinfo) {
        let options: Vec<&str> = options.split(',').collect();
        let controllers: Vec<&'static str> = CONTROLLERS.into_iter().filter(|name| options.contains(name)).collect();
        let known = found.iter().any(|hierarchy| hierarchy.controllers == controllers);
        if !controllers.is_empty() && !known && mount.starts_with(MOUNT) {
            found.push(Hierarchy { mount: PathBuf::from(mount), controllers });
        }
    }
    found
}

/// Where a mountinfo table has v1 hierarchies, and with which options.
pub(in crate::linux) fn v1_mounts(mountinfo: &str) -> impl Iterator<Item = (&str, &str)> {
    mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (Some("cgroup"), Some(_), Some(options)) = (right.next(), right.next(), right.next()) else { return None };
        Some((left.split(' ').nth(4)?, options))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_mountinfo() {
        let table = "\
30 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
35 30 0:28 / /mnt/memory rw - cgroup cgroup rw,memory
nonsense
";
        let expected = vec![
            Hierarchy { mount: "/sys/fs/cgroup/cpu,cpuacct".into(), controllers: vec!["cpu", "cpuacct"] },
            Hierarchy { mount: "/sys/fs/cgroup/memory".into(), controllers: vec!["memory"] },
        ];
        assert_eq!(parse(table), expected);
        let layout = Layout::V1(expected);
        assert_eq!(layout.mount_of("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(layout.mount_of("pids"), None);
    }
}
