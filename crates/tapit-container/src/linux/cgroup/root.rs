//! The server's parent cgroup, which every instance's leaf is below.
//!
//! Made at start-up in every hierarchy, removed at tear-down when no instance is left. On v1 it is at the top of each
//! hierarchy; on v2 `place` chooses where, because there a unit of systemd may have been given a subtree of its own. It is
//! found again by its name, wherever an earlier start has put it: a server that was started by hand and one that was
//! started as a unit are one and the same to their instances, whose leaves are in their orders with the whole path.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::leaf::remove_group;
use super::place::{self, Standing};
use super::{CgroupPath, CgroupPathError, Layout, LayoutError, LeafError};

/// The controllers that instances need on v2.
const NEEDED: &str = "+cpu +memory +pids";
const DROPPED: &str = "-cpu -memory -pids";
/// Where the server itself goes on v2 when it must.
const MANAGER: &str = "manager";
/// How deep a parent cgroup may be: `/system.slice/system-tapit.slice/tapit@blue.service/tapit-1a2b3c` and some more.
const DEPTH: usize = 8;
/// More groups than any host has; a bound all the same.
const GROUPS: usize = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("{0:?} cannot name a cgroup; letters, digits, dots, hyphens and underscores can")]
    Name(String),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("making the cgroup {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("reading {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("writing {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "the cpu, memory and pids controllers cannot be enabled in {path}: other processes are in that cgroup; start the server in a cgroup of its own"
    )]
    Occupied { path: PathBuf },
    #[error("the path of this process's cgroup is not one that instances can be put below")]
    Path(#[from] CgroupPathError),
    #[error(transparent)]
    Remove(#[from] LeafError),
}

impl Standing {
    pub fn here() -> Result<Self, RootError> {
        let layout = Layout::get()?;
        let mounts = layout.mounts();
        let mount = mounts.first().copied().unwrap_or(Path::new("/"));
        let own = place::own(&read(Path::new("/proc/self/cgroup"))?);
        let places = place::candidates(&own, |group| super::delegate::is_delegated(&below(mount, group)));
        Ok(Self { own, places })
    }
}

#[derive(Debug, Clone)]
pub struct Root {
    layout: &'static Layout,
    name: String,
    /// The group that it is in, from the mount: empty at the top, else `/system.slice/tapit.service`.
    above: String,
}

impl Root {
    /// Makes the parent cgroup where it is missing; what is there stays.
    pub fn ensure(name: &str) -> Result<Self, RootError> {
        CgroupPath::parse(&format!("/{name}/x")).map_err(|_| RootError::Name(name.chars().take(80).collect()))?;
        let layout = Layout::get()?;
        let mut root = Self { layout, name: name.to_owned(), above: String::new() };
        match layout {
            Layout::V1(_) => {
                for own in root.places() {
                    make(&own)?;
                }
                root.prepare_v1()?;
            }
            Layout::V2 => root.settle_v2()?,
        }
        Ok(root)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The leaf of an instance. Names the place, makes nothing.
    pub fn leaf(&self, instance: &str) -> Result<CgroupPath, CgroupPathError> {
        CgroupPath::parse(&format!("{}/{}/{instance}", self.above, self.name))
    }

    /// Removes it from every hierarchy, with leaves that are left and empty, wherever it is. Not being there is success.
    pub fn remove(&self) -> Result<(), RootError> {
        for mount in self.layout.mounts() {
            if *self.layout == Layout::V2 {
                for own in find(mount, &self.name) {
                    leave_v2(&own);
                    remove_group(&own)?;
                }
            } else {
                remove_group(&mount.join(&self.name))?;
            }
        }
        Ok(())
    }

    fn places(&self) -> Vec<PathBuf> {
        self.layout.mounts().into_iter().map(|mount| below(mount, &self.above).join(&self.name)).collect()
    }

    /// Nothing can join a cpuset group before it has been given cpus and memory nodes; a new one starts with none.
    fn prepare_v1(&self) -> Result<(), RootError> {
        let Some(mount) = self.layout.mount_of("cpuset") else { return Ok(()) };
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (parent, own) = (mount.join(file), mount.join(&self.name).join(file));
            if read(&own)?.trim().is_empty() {
                write(&own, read(&parent)?.trim())?;
            }
        }
        Ok(())
    }

    /// Tries the places in their order: one that this process may not write to is none.
    fn settle_v2(&mut self) -> Result<(), RootError> {
        let mounts = self.layout.mounts();
        let mount = mounts.first().copied().unwrap_or(Path::new("/"));
        let mut refused = None;
        for place in Standing::here()?.places {
            match self.prepare_v2(mount, &place) {
                Ok(()) => {
                    self.above = place;
                    self.remove_elsewhere(mount);
                    // Checked here, so that no instance fails for it later.
                    self.leaf("x")?;
                    return Ok(());
                }
                Err(error) if is_denied(&error) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(RootError::Occupied { path: mount.to_owned() }))
    }

    /// On v2 a group that has children with controllers may not hold processes itself. Where the server is in the very
    /// group that ours is made in, it moves itself into a leaf beside it first.
    fn prepare_v2(&self, mount: &Path, place: &str) -> Result<(), RootError> {
        let above = below(mount, place);
        let own = above.join(&self.name);
        make(&own)?;
        let control = above.join("cgroup.subtree_control");
        match write(&control, NEEDED) {
            Err(error) if is_busy(&error) => {
                let manager = own.join(MANAGER);
                make(&manager)?;
                write(&manager.join("cgroup.procs"), &std::process::id().to_string())?;
                write(&control, NEEDED).map_err(|error| {
                    if is_busy(&error) { RootError::Occupied { path: above.clone() } } else { error }
                })?;
            }
            other => other?,
        }
        write(&own.join("cgroup.subtree_control"), NEEDED)
    }

    /// A parent of an earlier start in another place goes once its last instance has gone. One that is still in use stays;
    /// the next start looks again.
    fn remove_elsewhere(&self, mount: &Path) {
        let here = below(mount, &self.above).join(&self.name);
        for own in find(mount, &self.name) {
            if own != here {
                let _ = fs::remove_dir(own);
            }
        }
    }
}

/// Takes this process out of its leaf again, so that the leaf can be removed. What cannot be undone here shows as a group
/// that cannot be removed, which is reported.
fn leave_v2(own: &Path) {
    let Some(above) = own.parent() else { return };
    let me = std::process::id().to_string();
    let inside = fs::read_to_string(own.join(MANAGER).join("cgroup.procs")).unwrap_or_default();
    if inside.lines().any(|line| line == me) {
        let _ = write(&own.join("cgroup.subtree_control"), DROPPED);
        let _ = write(&above.join("cgroup.subtree_control"), DROPPED);
        let _ = write(&above.join("cgroup.procs"), &me);
    }
}

/// Every group of this name below a mount. The name holds the digits of a data directory, so that none is a stranger's.
fn find(mount: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut groups = vec![(mount.to_owned(), 0)];
    let mut next = 0;
    while let Some((group, depth)) = groups.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(group).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() == name {
                found.push(entry.path());
            } else if depth < DEPTH && groups.len() < GROUPS {
                groups.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

/// The directory of a group that is given from the mount.
fn below(mount: &Path, group: &str) -> PathBuf {
    mount.join(group.trim_start_matches('/'))
}

fn is_busy(error: &RootError) -> bool {
    matches!(error, RootError::Write { source, .. } if source.raw_os_error() == Some(libc::EBUSY))
}

fn is_denied(error: &RootError) -> bool {
    let (RootError::Make { source, .. } | RootError::Write { source, .. }) = error else { return false };
    matches!(source.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EROFS))
}

fn make(path: &Path) -> Result<(), RootError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(RootError::Make { path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> Result<String, RootError> {
    fs::read_to_string(path).map_err(|source| RootError::Read { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), RootError> {
    let open = OpenOptions::new().write(true).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| RootError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_of_an_earlier_start_is_found_by_its_name_wherever_it_is() {
        let mount = tempfile::tempdir().expect("a directory");
        let deep = mount.path().join("system.slice/tapit.service/tapit-1a2b3c");
        for dir in [&deep, &mount.path().join("tapit-1a2b3c/shop.web.1"), &mount.path().join("tapit-ffffff")] {
            fs::create_dir_all(dir).expect("a directory");
        }
        fs::write(mount.path().join("cgroup.procs"), "").expect("a file");
        let mut found = find(mount.path(), "tapit-1a2b3c");
        found.sort();
        assert_eq!(found, [deep, mount.path().join("tapit-1a2b3c")]);
        assert!(find(&mount.path().join("nowhere"), "x").is_empty());
    }
}
