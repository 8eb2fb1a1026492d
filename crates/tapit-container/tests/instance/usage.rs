//! What a container is measured to use, and limits that are lowered below what it has cached, or that are nobody's any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tapit_container::instance::ResizeError;
use tapit_container::linux::cgroup::{Layout, Leaf};
use tapit_model::{CpuMillis, MemoryMib, Size};

use crate::host::{Host, Instance, cgroup_dir, eventually};

fn size(mib: u64, millis: u64) -> Size {
    Size { memory: MemoryMib::from_mib(mib), cpu: CpuMillis::from_millis(millis) }
}

async fn start(host: &Host, script: &str, size: Size) -> Instance {
    let (dir, mut order) = host.order(&["sh", "-c", script]);
    order.size = size;
    host.start(dir, order).await
}

fn mib(bytes: u64) -> u64 {
    bytes / 1024 / 1024
}

#[tokio::test]
async fn pages_of_files_are_told_from_what_cannot_be_reclaimed_and_do_not_keep_a_limit_up() {
    let host = Host::new();
    let script =
        "dd if=/dev/zero of=/big bs=1M count=40 conv=fsync 2>/dev/null; cat /big >/dev/null; echo ready; sleep 1000";
    let instance = start(&host, script, size(64, 1000)).await;
    instance.wrote("ready").await;
    let memory = instance.running.usage().expect("is measured").memory;
    assert!(mib(memory.cache_bytes) >= 30, "{memory:?}");
    assert!(mib(memory.unreclaimable_bytes()) < 16, "{memory:?}");

    instance.running.resize(size(24, 1000)).expect("the cache gives way");
    let counters = instance.running.usage().expect("is measured");
    assert_eq!(counters.memory_limit_bytes, Some(24 << 20));
    assert!(counters.memory.total_bytes <= 24 << 20 && counters.oom_kills == 0, "{counters:?}");
    assert!(counters.memory_peak_bytes >= 40 << 20, "{counters:?}");
}

#[tokio::test]
async fn what_is_refused_leaves_the_cache_and_every_limit_as_they_were() {
    let host = Host::new();
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=30 2>/dev/null; \
                  dd if=/dev/zero of=/big bs=1M count=20 conv=fsync 2>/dev/null; cat /big >/dev/null; echo ready; sleep 1000";
    let instance = start(&host, script, size(96, 1000)).await;
    instance.wrote("ready").await;
    let before = instance.running.usage().expect("is measured");
    let refused = instance.running.resize(size(24, 500));
    assert!(matches!(refused, Err(ResizeError::DoesNotFit { in_use, .. }) if mib(in_use) >= 30), "{refused:?}");
    let after = instance.running.usage().expect("is measured");
    assert_eq!(after.memory_limit_bytes, before.memory_limit_bytes);
    assert!(mib(after.memory.cache_bytes) + 2 >= mib(before.memory.cache_bytes), "{before:?} {after:?}");
    assert_eq!(instance.running.size(), size(96, 1000));
}

#[tokio::test]
async fn a_cap_that_holds_a_program_back_shows_as_throttling() {
    let host = Host::new();
    let instance = start(&host, "echo spinning; while :; do :; done", size(32, 100)).await;
    // What makes the container is held back in its group as well, before there is a program in it.
    instance.wrote("spinning").await;
    let throttled = || instance.running.usage().expect("is measured").cpu;
    eventually("it is held back", || throttled().throttled_periods >= 3).await;
    let cpu = throttled();
    assert!(cpu.periods >= cpu.throttled_periods && cpu.throttled_usec > 0 && cpu.used_usec > 0, "{cpu:?}");
    let counters = instance.running.usage().expect("is measured");
    assert!(counters.pids >= 2 && counters.pids_limit == Some(1024), "{counters:?}");
}

/// Every limit of the group above an instance's.
fn limits_above(instance: &Instance) -> Vec<(PathBuf, String)> {
    let files = [
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.memsw.limit_in_bytes"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.shares"),
        ("memory", "memory.max"),
        ("memory", "memory.high"),
        ("cpu", "cpu.max"),
        ("cpu", "cpu.weight"),
    ];
    let paths = files
        .iter()
        .filter_map(|(controller, file)| Some(cgroup_dir(controller, &instance.order.cgroup).parent()?.join(file)));
    let limits: Vec<_> = paths.filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?))).collect();
    assert!(limits.len() >= 3, "{limits:?}");
    limits
}

#[tokio::test]
async fn resizing_a_container_whose_first_process_is_a_zombie_or_gone_changes_no_group_above() {
    let host = Host::new();
    let instance = start(&host, "sleep 1000", size(64, 1000)).await;
    let before = limits_above(&instance);
    let monitor = instance.dir.record().found().expect("is recorded").monitor.pid;
    let pid = instance.running.pid();

    // A monitor that stands still does not reap.
    kill(Pid::from_raw(monitor), Signal::SIGSTOP).expect("stops");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kills");
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    eventually("it is a zombie", || state().contains(") Z ")).await;
    let zombie = instance.running.resize(size(32, 500));
    let enforced = instance.running.enforce_size();
    kill(Pid::from_raw(monitor), Signal::SIGCONT).expect("goes on");
    assert!(matches!(zombie, Err(ResizeError::Ended)), "{zombie:?}");
    assert!(matches!(enforced, Err(ResizeError::Ended)), "{enforced:?}");
    assert_eq!(limits_above(&instance), before);

    instance.exit().await;
    assert!(matches!(instance.running.resize(size(32, 500)), Err(ResizeError::Ended)));
    assert_eq!(limits_above(&instance), before);
}

#[tokio::test]
async fn limits_that_a_killed_server_left_half_changed_are_put_right_again() {
    let host = Host::new();
    let instance = start(&host, "sleep 1000", size(64, 1000)).await;
    let whole = instance.running.usage().expect("is measured").memory_limit_bytes;
    let Layout::V1(_) = Layout::get().expect("there are cgroups") else { return };
    let limit = cgroup_dir("memory", &instance.order.cgroup).join("memory.limit_in_bytes");
    fs::write(&limit, (40u64 << 20).to_string()).expect("is lowered");
    instance.running.enforce_size().expect("is put right");
    assert_eq!(instance.running.usage().expect("is measured").memory_limit_bytes, whole);
}

/// Removes its groups also when the test fails.
struct Groups(Vec<PathBuf>);

impl Drop for Groups {
    fn drop(&mut self) {
        for dir in &self.0 {
            let _ = fs::remove_dir(dir);
        }
    }
}

#[test]
fn two_hundred_instances_are_measured_in_a_moment() {
    const COUNT: u32 = 200;
    let host = Host::new();
    let mounts: Vec<PathBuf> =
        Layout::get().expect("there are cgroups").mounts().into_iter().map(Path::to_owned).collect();
    let paths: Vec<_> = (0..COUNT).map(|n| host.root.leaf(&format!("many.{n}")).expect("is a path")).collect();
    let dirs = paths.iter().flat_map(|path| mounts.iter().map(|mount| mount.join(&path.as_str()[1..])));
    let groups = Groups(dirs.collect());
    for dir in &groups.0 {
        fs::create_dir(dir).expect("a group");
    }
    let leaves: Vec<Leaf> = paths.iter().map(|path| Leaf::new(path).expect("a leaf")).collect();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        for leaf in &leaves {
            leaf.counters().expect("is measured");
        }
        fastest = fastest.min(begun.elapsed());
    }
    println!("reading {COUNT} instances takes {fastest:?}");
}
