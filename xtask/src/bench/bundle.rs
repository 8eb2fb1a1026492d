//! A bundle as `crun` and `runc` take it: namespaces, limits and capabilities as docker sets them.

use std::path::Path;

use serde_json::{Value, json};

use super::BenchError;

/// Where Debian's golang-github-containers-common keeps the profile that docker and podman share.
const PROFILE: &str = "/usr/share/containers/seccomp.json";
const CAPABILITIES: [&str; 5] = ["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
const MEMORY: u64 = 64 << 20;

#[derive(Debug, Clone, Copy)]
pub enum Filter {
    Default,
    None,
}

impl Filter {
    pub fn name(self) -> &'static str {
        match self {
            Filter::Default => "seccomp",
            Filter::None => "no-seccomp",
        }
    }
}

pub fn write(bundle: &Path, root: &Path, filter: Filter) -> Result<(), BenchError> {
    let made = |source| BenchError::Image { source };
    std::fs::create_dir_all(bundle).map_err(made)?;
    let name = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut config = config(root, &name);
    if let Filter::Default = filter {
        let path = Path::new(PROFILE).to_owned();
        let text = std::fs::read_to_string(&path).map_err(|source| BenchError::Read { path, source })?;
        let profile: Value = serde_json::from_str(&text).unwrap_or_default();
        config["linux"]["seccomp"] = seccomp(&profile);
    }
    std::fs::write(bundle.join("config.json"), config.to_string()).map_err(made)
}

fn config(root: &Path, name: &str) -> Value {
    let namespaces = ["pid", "mount", "ipc", "uts", "network", "cgroup"].map(|kind| json!({"type": kind}));
    let mount = |to: &str, kind: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": kind, "options": options});
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": ["/bin/clock"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        },
        "root": {"path": root},
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755", "size=65536k"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec", "size=65536k"]),
            mount("/sys", "sysfs", &["nosuid", "nodev", "noexec", "ro"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": format!("/tapit-bench-peers/{name}"),
            "resources": {"memory": {"limit": MEMORY, "swap": MEMORY}, "pids": {"limit": 1024}, "devices": [{"allow": false, "access": "rwm"}]},
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// The profile's own conditions are resolved for this architecture and the capabilities above, as docker does it.
fn seccomp(profile: &Value) -> Value {
    let list = |value: &Value| -> Vec<String> {
        let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let own = if cfg!(target_arch = "x86_64") { ["amd64", "x32"] } else { ["arm64", "arm"] };
    let arch = if cfg!(target_arch = "x86_64") { "SCMP_ARCH_X86_64" } else { "SCMP_ARCH_AARCH64" };
    let applies = |rule: &&Value| {
        let (caps, arches) = (list(&rule["includes"]["caps"]), list(&rule["includes"]["arches"]));
        let excluded = list(&rule["excludes"]["caps"]).iter().any(|cap| CAPABILITIES.contains(&cap.as_str()))
            || list(&rule["excludes"]["arches"]).iter().any(|arch| own.contains(&arch.as_str()));
        let included = caps.iter().all(|cap| CAPABILITIES.contains(&cap.as_str()))
            && (arches.is_empty() || arches.iter().any(|arch| own.contains(&arch.as_str())));
        included && !excluded
    };
    let rules = profile["syscalls"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter(applies);
    let rule = |rule: &Value| {
        let mut out = json!({"names": rule["names"], "action": rule["action"]});
        if rule["args"].as_array().is_some_and(|args| !args.is_empty()) {
            out["args"] = rule["args"].clone();
        }
        if let Some(errno) = rule["errnoRet"].as_u64() {
            out["errnoRet"] = errno.into();
        }
        out
    };
    let map = profile["archMap"].as_array().map(Vec::as_slice).unwrap_or_default();
    let below = map.iter().find(|entry| entry["architecture"] == arch).map(|entry| list(&entry["subArchitectures"]));
    let arches: Vec<String> = std::iter::once(arch.to_owned()).chain(below.unwrap_or_default()).collect();
    json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": arches,
        "syscalls": rules.map(rule).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_capabilities_that_are_not_given_are_left_out() {
        let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [], "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["kill"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_KILL"]}},
        ]});
        let resolved = seccomp(&profile);
        let expected = json!([
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            {"names": ["kill"], "action": "SCMP_ACT_ALLOW"},
        ]);
        assert_eq!(resolved["syscalls"], expected);
    }
}
