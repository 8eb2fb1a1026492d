//! Prepares the host: network, cgroup, images, directories. Idempotent: what is there already is reused.

use std::path::Path;

use nix::sys::sysinfo::sysinfo;
use sha2::{Digest as _, Sha256};
use tapit_engine::EngineError;
use tapit_model::MemoryMib;

use super::EmbeddedConfig;
use super::apps::Apps;
use super::reserve;
use super::shared::{Resources, Shared};
use super::state::HostState;
use crate::images::ImageStore;
use crate::linux::{cgroup, probe};

pub struct Opened {
    pub shared: Shared,
    pub warnings: Vec<String>,
    /// Memory that the host should keep available.
    pub reserve: MemoryMib,
}

/// Of the host's memory, in percent: the rest is for the host itself and for the server.
const CAPACITY_PERCENT: u64 = 90;

pub async fn open(config: EmbeddedConfig) -> Result<Opened, EngineError> {
    let opened = tokio::task::spawn_blocking(move || open_blocking(config)).await;
    opened.map_err(|error| EngineError::act("opening the engine", error))?
}

fn open_blocking(config: EmbeddedConfig) -> Result<Opened, EngineError> {
    let EmbeddedConfig { data_dir, exe, capacity, spares_memory, reserve_memory, traffic } = config;
    if !nix::unistd::geteuid().is_root() {
        return Err(EngineError::act(
            "the embedded engine needs root, to make namespaces, mounts and network interfaces; start it with sudo",
            nix::Error::EPERM,
        ));
    }
    let tag = tag(&data_dir)?;
    let dir = data_dir.join("instances");
    std::fs::create_dir_all(&dir).map_err(|e| EngineError::act(format!("creating {}", dir.display()), e))?;
    let cgroup = cgroup::Root::ensure(&format!("tapit-{tag}")).map_err(|e| EngineError::act("preparing cgroups", e))?;
    let apps = Apps::open(&data_dir, &tag)?;
    let images =
        ImageStore::open(&data_dir.join("images"), &exe).map_err(|e| EngineError::act("opening the image store", e))?;
    let total = host_memory()?;
    let capacity = capacity.unwrap_or_else(|| MemoryMib::from_mib(total.mib() * CAPACITY_PERCENT / 100));
    let reserve = reserve_memory.unwrap_or_else(|| reserve::usual(total));
    let findings = probe::findings(&exe, &dir);
    let warnings = crate::doctor::warnings(&findings);
    let maps_ids = probe::can_map_ids(&findings);
    let resources = Resources { exe, dir, apps, cgroup, images, traffic, maps_ids, spares: spares_memory.bytes() };
    Ok(Opened { shared: Shared::new(resources, HostState::new(capacity)), warnings, reserve })
}

/// Six hex digits that name everything on the host that belongs to this data directory.
fn tag(data_dir: &Path) -> Result<String, EngineError> {
    let real = data_dir.canonicalize().map_err(|e| EngineError::act(format!("resolving {}", data_dir.display()), e))?;
    let hash = Sha256::digest(std::os::unix::ffi::OsStrExt::as_bytes(real.as_os_str()));
    Ok(hash[..3].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn host_memory() -> Result<MemoryMib, EngineError> {
    let info = sysinfo().map_err(|e| EngineError::act("reading the size of the host's memory", e))?;
    Ok(MemoryMib::from_mib(info.ram_total() / 1024 / 1024))
}
