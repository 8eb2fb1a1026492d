//! Translates an order into the runtime's own terms. Pure: what the host allows comes in as `Host`.
//!
//! Everything that confines a container is said here, apart from what the runtime cannot do or does badly: the mapping of
//! layers (`idmap`), the filter of system calls (`seccomp`) and devices on cgroup v2 (`devices`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capability as OciCapability, LinuxBuilder, LinuxCapabilities, LinuxCapabilitiesBuilder, LinuxCpuBuilder,
    LinuxDeviceCgroupBuilder, LinuxMemoryBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPidsBuilder,
    LinuxResources, LinuxResourcesBuilder, Mount, MountBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use tapit_model::Capability;

use super::cgroup::{Limits, PERIOD_USEC};
use super::user::Identity;
use crate::instance::{IdRange, Order};

/// What the specification depends on besides the order.
#[derive(Debug, Clone)]
pub struct Host {
    pub rootfs: PathBuf,
    /// The order's working directory, as it is to be entered.
    pub cwd: PathBuf,
    /// Kernels can be built or booted without it, and then refuse the limit.
    pub accounts_swap: bool,
    /// Without CAP_SYS_RESOURCE no limit may be above our own.
    pub max_open_files: u64,
    /// The user namespace to put the container into; the runtime opens the path in a fork of this process.
    pub user_namespace: Option<PathBuf>,
    /// The names of the v1 hierarchies below `/sys/fs/cgroup`; none on v2.
    pub cgroup_mounts: Vec<String>,
    /// Where its cpus tell how hot they have been.
    pub heat_counters: Vec<String>,
    /// cgroup v2: one process killed for lack of memory takes the whole group with it.
    pub kills_groups: bool,
}

/// Open files as programs expect them from the large container platforms.
const OPEN_FILES: u64 = 65_535;
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What root in a container may do without a user namespace, where it is root on the host.
const HOST_ROOT: [Capability; 1] = [Capability::NetBindService];

/// What root in a user namespace may do: enough for services that start as root, take possession of their files and go on
/// as somebody else. Without MKNOD and anything that reaches beyond the container.
const NAMESPACE_ROOT: [Capability; 7] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setgid,
    Capability::Setuid,
];

const NAMESPACES: [LinuxNamespaceType; 6] = [
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Network,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Cgroup,
];

/// What tells about the host, or lets it be harmed: memory, symbols, devices, keys, timers, firmware and power meters.
const MASKED: [&str; 22] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/devices/virtual/dmi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// All paths that are covered.
pub fn masked_paths(heat_counters: &[String]) -> Vec<String> {
    MASKED.iter().map(|path| (*path).to_owned()).chain(heat_counters.iter().cloned()).collect()
}

/// All paths that the container can read but not write, those of its cgroups included: the runtime mounts v1 hierarchies
/// writable whatever it is told, and with that a container without a user namespace could lift its own limits.
pub fn readonly_paths(cgroup_mounts: &[String]) -> Vec<String> {
    let cgroups = cgroup_mounts.iter().map(|name| format!("/sys/fs/cgroup/{name}"));
    READONLY.iter().map(|path| (*path).to_owned()).chain(cgroups).collect()
}

pub fn spec(order: &Order, identity: &Identity, host: &Host) -> Result<Spec, OciSpecError> {
    let user = UserBuilder::default()
        .uid(identity.uid)
        .gid(identity.gid)
        .additional_gids(identity.groups.clone())
        .umask(0o022u32)
        .build()?;
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(user)
        .args(order.argv.clone())
        .env(environment(order, identity))
        .cwd(host.cwd.clone())
        .capabilities(capabilities(identity, order)?)
        .rlimits(rlimits(host)?)
        // Written as true: false would make the runtime load filters after capabilities are gone, and fail.
        .no_new_privileges(true)
        .build()?;
    let namespaces = NAMESPACES.iter().map(|kind| LinuxNamespaceBuilder::default().typ(*kind).build());
    let user_namespace = host.user_namespace.iter();
    // By its path, since the layers are mapped with it already. Given ids instead, the runtime would make another one.
    let user_namespace = user_namespace
        .map(|path| LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::User).path(path.clone()).build());
    let linux = LinuxBuilder::default()
        .namespaces(namespaces.chain(user_namespace).collect::<Result<Vec<_>, _>>()?)
        // Absolute, or the runtime would choose a place itself.
        .cgroups_path(order.cgroup.as_str())
        .resources(resources(order, host)?)
        .sysctl(sysctls(order))
        .masked_paths(masked_paths(&host.heat_counters))
        .readonly_paths(readonly_paths(&host.cgroup_mounts))
        .rootfs_propagation("private")
        .build()?;
    SpecBuilder::default()
        .version("1.0.2")
        .hostname(order.hostname.as_str())
        .root(RootBuilder::default().path(host.rootfs.clone()).readonly(false).build()?)
        .mounts(mounts()?)
        .process(process)
        .linux(linux)
        .build()
}

/// The order's environment with what every program may count on.
pub fn environment(order: &Order, identity: &Identity) -> Vec<String> {
    let mut environment: Vec<String> = order.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let has = |name: &str| order.env.iter().any(|(known, _)| known == name);
    let (home, path) = (!has("HOME"), !has("PATH"));
    if home {
        environment.push(format!("HOME={}", identity.home));
    }
    if path {
        environment.push(PATH.to_owned());
    }
    environment
}

pub fn cwd(order: &Order) -> &Path {
    if order.cwd.is_empty() { Path::new("/") } else { Path::new(&order.cwd) }
}

/// What root in the container may do; anyone else has no capability and can win none.
pub fn bounding(order: &Order) -> BTreeSet<Capability> {
    let default = if order.ids.is_some() { NAMESPACE_ROOT.as_slice() } else { HOST_ROOT.as_slice() };
    default.iter().chain(&order.cap_add).copied().collect()
}

fn capabilities(identity: &Identity, order: &Order) -> Result<LinuxCapabilities, OciSpecError> {
    let all: HashSet<OciCapability> = bounding(order).into_iter().map(oci).collect::<Result<_, _>>()?;
    let own = if identity.uid == 0 { all.clone() } else { HashSet::new() };
    LinuxCapabilitiesBuilder::default()
        .bounding(all)
        .effective(own.clone())
        .permitted(own)
        // Never inheritable: that would let programs of the image regain them by file capabilities.
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
}

/// The runtime's name for the same.
fn oci(capability: Capability) -> Result<OciCapability, OciSpecError> {
    Ok(serde_json::from_value(format!("CAP_{capability}").into())?)
}

fn rlimits(host: &Host) -> Result<Vec<PosixRlimit>, OciSpecError> {
    let limit = |kind, value| PosixRlimitBuilder::default().typ(kind).soft(value).hard(value).build();
    Ok(vec![
        limit(PosixRlimitType::RlimitNofile, OPEN_FILES.min(host.max_open_files))?,
        // A core dump goes where the host's kernel is told to put it, outside of the container.
        limit(PosixRlimitType::RlimitCore, 0)?,
    ])
}

fn resources(order: &Order, host: &Host) -> Result<LinuxResources, OciSpecError> {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let limits = Limits {
        memory_bytes: order.size.memory.bytes(),
        cpu_millis: order.size.cpu.millis(),
        cpu_shares: order.cpu_shares(order.size),
    };
    let memory = LinuxMemoryBuilder::default().limit(signed(limits.memory_bytes));
    // Memory and swap together: equal to the memory means no swap.
    let memory = if host.accounts_swap { memory.swap(signed(limits.memory_bytes)) } else { memory };
    let cpu =
        LinuxCpuBuilder::default().shares(limits.cpu_shares).period(PERIOD_USEC).quota(signed(limits.quota_usec()));
    let resources = LinuxResourcesBuilder::default()
        // The runtime adds the few that every program needs. On v2 it does nothing with it; `devices` does.
        .devices(vec![LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?])
        .memory(memory.build()?)
        .cpu(cpu.build()?)
        .pids(LinuxPidsBuilder::default().limit(signed(order.pids)).build()?);
    let mut unified = HashMap::from([("memory.oom.group".to_owned(), "1".to_owned())]);
    if host.accounts_swap {
        // The runtime takes the difference of the two above for the limit of swap on v2, and leaves a limit of 0 unwritten.
        unified.insert("memory.swap.max".to_owned(), "0".to_owned());
    }
    if host.kills_groups { resources.unified(unified).build() } else { resources.build() }
}

/// Both are of the container's own network namespace: anyone in it may bind any port, and send echo requests without a
/// capability. The range of groups is refused when it names one that the user namespace does not have.
fn sysctls(order: &Order) -> HashMap<String, String> {
    let last_group = if order.ids.is_some() { IdRange::COUNT - 1 } else { i32::MAX.unsigned_abs() };
    HashMap::from([
        ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
        ("net.ipv4.ping_group_range".to_owned(), format!("0 {last_group}")),
    ])
}

fn mounts() -> Result<Vec<Mount>, OciSpecError> {
    let mount = |destination: &str, kind: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(kind)
            .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
            .build()
    };
    let plain = ["nosuid", "noexec", "nodev"];
    Ok(vec![
        mount("/proc", "proc", &plain)?,
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"])?,
        mount("/dev/mqueue", "mqueue", &plain)?,
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])?,
        // Runtimes of languages size their heaps by what they read here.
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])?,
    ])
}
