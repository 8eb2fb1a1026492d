//! The kernel, the user, memory and limits.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::sysinfo::sysinfo;
use nix::sys::utsname::uname;

use super::Check;

/// Without `openat2` no path of an image can be walked safely.
const OLDEST: (u32, u32) = (5, 6);
/// The first with everything that is used, overlays over id-mapped layers the youngest of it.
const FULL: (u32, u32) = (5, 19);
/// Descriptors for a few hundred instances and their connections.
const FILES: u64 = 16_384;
const CAP_SYS_RESOURCE: u32 = 24;
/// Less than this is little for a server and one instance.
const MEMORY_MIB: u64 = 256;

pub fn checks() -> Vec<Check> {
    vec![root(), kernel(), memory(), files(), resources(), pressure()]
}

fn root() -> Check {
    if super::is_root() {
        return Check::ok("root", "runs as root");
    }
    let advice = "the embedded engine makes namespaces, mounts and interfaces; run it with sudo";
    Check::missing("root", "does not run as root", advice)
}

fn kernel() -> Check {
    match uname() {
        Ok(name) => judge_kernel(&name.release().to_string_lossy()),
        Err(error) => {
            Check::lacking("kernel", format!("its version cannot be read: {error}"), "use Linux 5.19 or newer")
        }
    }
}

fn judge_kernel(release: &str) -> Check {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|word| word.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = format!("Linux {release}");
    let newer = "use Linux 5.19 or newer";
    if version >= FULL {
        Check::ok("kernel", found)
    } else if version >= OLDEST {
        let cost = "layers cannot be shared between user namespaces, so root inside may be root outside";
        Check::lacking("kernel", found, format!("{cost}; {newer}"))
    } else {
        Check::missing("kernel", found, format!("paths of images cannot be walked safely; {newer}"))
    }
}

fn memory() -> Check {
    let Ok(info) = sysinfo() else {
        return Check::lacking("memory", "its size cannot be read", "give the server --capacity-memory");
    };
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    judge_memory(info.ram_total() / 1024 / 1024, available_mib(&meminfo))
}

/// What `/proc/meminfo` says is available, to whoever asks for it.
pub(crate) fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

fn judge_memory(total: u64, available: Option<u64>) -> Check {
    let free = available.map(|mib| format!(", {mib} MiB of it available now")).unwrap_or_default();
    let found = format!("{total} MiB{free}; instances may take 90 % of it by default (--capacity-memory)");
    if available.unwrap_or(total) < MEMORY_MIB {
        return Check::lacking("memory", found, "an instance may not start for want of memory; end other programs");
    }
    Check::ok("memory", found)
}

fn files() -> Check {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) => judge_files(hard),
        Err(error) => {
            Check::lacking("open files", format!("the limit cannot be read: {error}"), "set LimitNOFILE= in the unit")
        }
    }
}

fn judge_files(hard: u64) -> Check {
    let found = if hard == u64::MAX { "no limit".to_owned() } else { format!("the hard limit is {hard}") };
    if hard >= FILES {
        return Check::ok("open files", found);
    }
    let cost =
        "with many instances and connections the server may run out of descriptors, and no program inside gets more";
    Check::lacking("open files", found, format!("{cost}; raise it (ulimit -Hn, LimitNOFILE= in the unit) to {FILES}"))
}

fn resources() -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    judge_resources(&status)
}

fn judge_resources(status: &str) -> Check {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    if effective & (1 << CAP_SYS_RESOURCE) != 0 {
        return Check::ok("CAP_SYS_RESOURCE", "held");
    }
    let cost = "instances cannot be given limits above the server's own hard ones, nor a lower OOM score than its own";
    Check::lacking("CAP_SYS_RESOURCE", "not held", format!("{cost}; start the server with all of root's capabilities"))
}

fn pressure() -> Check {
    if fs::metadata("/proc/pressure/memory").is_ok() {
        return Check::ok("pressure stall information", "measured");
    }
    let cost = "a shortage of memory or cpu shows only once it has done harm";
    Check::lacking("pressure stall information", "not measured", format!("{cost}; boot with psi=1"))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_kernel_is_judged_by_its_first_two_numbers() {
        let cases = [
            ("6.18.5-cloud", State::Ok),
            ("5.19.0", State::Ok),
            ("5.10.0-28-amd64", State::Lacking),
            ("5.6", State::Lacking),
            ("5.4.0-150-generic", State::Missing),
            ("4.19", State::Missing),
            ("nonsense", State::Missing),
        ];
        for (release, state) in cases {
            assert_eq!(judge_kernel(release).state, state, "{release}");
        }
    }

    #[test]
    fn memory_and_descriptors_are_judged_by_what_a_few_instances_need() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree:  100 kB\nMemAvailable:    1048576 kB\n";
        assert_eq!(available_mib(meminfo), Some(1024));
        assert_eq!(judge_memory(24_000, Some(1024)).state, State::Ok);
        assert_eq!(judge_memory(24_000, Some(100)).state, State::Lacking);
        assert_eq!(judge_memory(200, None).state, State::Lacking);
        assert_eq!(
            [1024, 16_384, u64::MAX].map(|hard| judge_files(hard).state),
            [State::Lacking, State::Ok, State::Ok]
        );
    }

    #[test]
    fn the_capability_is_a_bit_of_the_effective_ones() {
        assert_eq!(judge_resources("Name:\tx\nCapEff:\t000001ffffffffff\n").state, State::Ok);
        assert_eq!(judge_resources("CapEff:\t000001fffeffffff\n").state, State::Lacking);
        assert_eq!(judge_resources("").state, State::Lacking);
    }
}
