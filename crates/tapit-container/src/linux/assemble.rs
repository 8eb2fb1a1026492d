//! Prepares what a container is made of: its user namespace, its root filesystem, its user. For the shim, before it creates
//! the container; no code of the image has run yet.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::cgroup::{Layout, LayoutError};
use super::idmap::{IdmapError, UserNamespace};
use super::rootfs::{Mapping, Rootfs, RootfsError};
use super::user::{self, Identity, Lists, UserError};
use super::{spec, walls};
use crate::instance::{InstanceDir, Order};

#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error(transparent)]
    Idmap(#[from] IdmapError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("the working directory {0:?} is not absolute")]
    Cwd(PathBuf),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("reading the host's cgroup mounts")]
    CgroupMounts { source: std::io::Error },
    #[error("listing the host's cpus")]
    Cpus { source: std::io::Error },
    #[error("reading the limit of open files")]
    OpenFiles { source: Errno },
}

impl AssembleError {
    /// Whether it lies in the image, and would fail wherever it is tried.
    pub fn is_of_image(&self) -> bool {
        match self {
            AssembleError::Rootfs(error) => error.is_of_image(),
            AssembleError::User(_) | AssembleError::Cwd(_) => true,
            AssembleError::Idmap(_)
            | AssembleError::Layout(_)
            | AssembleError::CgroupMounts { .. }
            | AssembleError::Cpus { .. }
            | AssembleError::OpenFiles { .. } => false,
        }
    }
}

/// To be kept until the container is created: the runtime opens the namespace by its descriptor here.
pub struct Assembled {
    pub identity: Identity,
    /// Without links on the way.
    cwd: PathBuf,
    rootfs: Rootfs,
    namespace: Option<UserNamespace>,
}

pub fn assemble(dir: &InstanceDir, order: &Order) -> Result<Assembled, AssembleError> {
    let namespace = order.ids.map(UserNamespace::new).transpose()?;
    let mapping = order.ids.zip(namespace.as_ref()).map(|(ids, namespace)| Mapping { ids, namespace });
    let rootfs = Rootfs::assemble(dir.path(), &order.layers, mapping)?;
    rootfs.check()?;
    let (passwd, group) = (rootfs.read_list("etc/passwd")?, rootfs.read_list("etc/group")?);
    let identity = user::resolve(&order.user, Lists { passwd: &passwd, group: &group }, order.ids)?;
    rootfs.write_etc(&order.etc)?;
    let cwd = spec::cwd(order);
    if !cwd.is_absolute() {
        return Err(AssembleError::Cwd(cwd.to_owned()));
    }
    let cwd = rootfs.make_cwd(cwd)?;
    Ok(Assembled { identity, cwd, rootfs, namespace })
}

impl Assembled {
    /// What the specification depends on besides the order.
    pub fn host(&self) -> Result<spec::Host, AssembleError> {
        let layout = Layout::get()?;
        let swap = |mount: &Path| mount.join("memory.memsw.limit_in_bytes").exists();
        let (accounts_swap, kills_groups) = match layout {
            Layout::V1(_) => (layout.mount_of("memory").is_some_and(swap), false),
            // A kernel built without swap has no such limit to set.
            Layout::V2 => (std::path::Path::new("/proc/swaps").exists(), true),
        };
        let (_, max_open_files) =
            getrlimit(Resource::RLIMIT_NOFILE).map_err(|source| AssembleError::OpenFiles { source })?;
        Ok(spec::Host {
            rootfs: self.rootfs.path().to_owned(),
            cwd: self.cwd.clone(),
            accounts_swap,
            max_open_files,
            user_namespace: self.namespace.as_ref().map(UserNamespace::path),
            cgroup_mounts: walls::cgroup_mounts().map_err(|source| AssembleError::CgroupMounts { source })?,
            heat_counters: walls::heat_counters().map_err(|source| AssembleError::Cpus { source })?,
            kills_groups,
        })
    }
}
