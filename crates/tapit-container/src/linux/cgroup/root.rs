//! The server's parent cgroup, which every instance's leaf is below.
//!
//! Made at start-up in every hierarchy, removed at tear-down when no instance is left. On v2 a group that has children
//! with controllers may not hold processes itself; where the server was started in the very group that ours must be made
//! in, it moves itself into a leaf first.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::leaf::remove_group;
use super::{CgroupPath, CgroupPathError, Layout, LayoutError, LeafError};

/// The controllers that instances need on v2.
const NEEDED: &str = "+cpu +memory +pids";
const DROPPED: &str = "-cpu -memory -pids";
/// Where the server itself goes on v2 when it must.
const MANAGER: &str = "manager";

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
    #[error(transparent)]
    Remove(#[from] LeafError),
}

#[derive(Debug, Clone)]
pub struct Root {
    layout: &'static Layout,
    name: String,
}

impl Root {
    /// Makes the parent cgroup where it is missing; what is there stays.
    pub fn ensure(name: &str) -> Result<Self, RootError> {
        CgroupPath::parse(&format!("/{name}/x")).map_err(|_| RootError::Name(name.chars().take(80).collect()))?;
        let root = Self { layout: Layout::get()?, name: name.to_owned() };
        for mount in root.layout.mounts() {
            make(&mount.join(name))?;
        }
        match root.layout {
            Layout::V1(_) => root.prepare_v1()?,
            Layout::V2 => root.prepare_v2()?,
        }
        Ok(root)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The leaf of an instance. Names the place, makes nothing.
    pub fn leaf(&self, instance: &str) -> Result<CgroupPath, CgroupPathError> {
        CgroupPath::parse(&format!("/{}/{instance}", self.name))
    }

    /// Removes it from every hierarchy, with leaves that are left and empty. Not being there is success.
    pub fn remove(&self) -> Result<(), RootError> {
        if *self.layout == Layout::V2 {
            self.leave_v2();
        }
        for mount in self.layout.mounts() {
            remove_group(&mount.join(&self.name))?;
        }
        Ok(())
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

    fn prepare_v2(&self) -> Result<(), RootError> {
        for mount in self.layout.mounts() {
            let own = mount.join(&self.name);
            let control = mount.join("cgroup.subtree_control");
            match write(&control, NEEDED) {
                Err(RootError::Write { source, .. }) if source.raw_os_error() == Some(libc::EBUSY) => {
                    let manager = own.join(MANAGER);
                    make(&manager)?;
                    write(&manager.join("cgroup.procs"), &std::process::id().to_string())?;
                    write(&control, NEEDED).map_err(|error| match error {
                        RootError::Write { source, .. } if source.raw_os_error() == Some(libc::EBUSY) => {
                            RootError::Occupied { path: mount.to_owned() }
                        }
                        other => other,
                    })?;
                }
                other => other?,
            }
            write(&own.join("cgroup.subtree_control"), NEEDED)?;
        }
        Ok(())
    }

    /// Takes the server out of its leaf again, so that the leaf can be removed. What cannot be undone here shows as a
    /// group that cannot be removed, which is reported.
    fn leave_v2(&self) {
        for mount in self.layout.mounts() {
            let own = mount.join(&self.name);
            let me = std::process::id().to_string();
            let inside = fs::read_to_string(own.join(MANAGER).join("cgroup.procs")).unwrap_or_default();
            if inside.lines().any(|line| line == me) {
                let _ = write(&own.join("cgroup.subtree_control"), DROPPED);
                let _ = write(&mount.join("cgroup.subtree_control"), DROPPED);
                let _ = write(&mount.join("cgroup.procs"), &me);
            }
        }
    }
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
