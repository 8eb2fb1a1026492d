//! What a container may use, and changing it while it runs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tapit_container::instance::{ResizeError, Signal};
use tapit_model::{CpuMillis, MemoryMib, Size};

use crate::host::{Host, Instance, cgroup_dir, eventually};

const EAT: &str = "x=0123456789abcdef; while :; do x=$x$x; done";
const SPIN: &str = "while :; do :; done";

fn size(mib: u64, millis: u64) -> Size {
    Size { memory: MemoryMib::from_mib(mib), cpu: CpuMillis::from_millis(millis) }
}

async fn start(host: &Host, script: &str, size: Size) -> Instance {
    let (dir, mut order) = host.order(&["sh", "-c", script]);
    order.size = size;
    host.start(dir, order).await
}

#[tokio::test]
async fn a_program_that_eats_its_memory_is_killed_and_said_to_have() {
    let host = Host::new();
    let instance = start(&host, EAT, size(32, 1000)).await;
    let exit = instance.exit().await;
    assert!(exit.oom && exit.signal == Some(9) && exit.code == Some(137), "{exit:?}");
}

#[tokio::test]
async fn when_a_child_eats_the_memory_the_whole_container_ends() {
    let host = Host::new();
    let script = format!("sh -c '{EAT}' || echo survived; sleep 1000");
    let instance = start(&host, &script, size(32, 1000)).await;
    let exit = instance.exit().await;
    assert!(exit.oom && exit.signal == Some(9), "{exit:?}");
}

#[tokio::test]
async fn an_end_by_a_plain_kill_is_no_lack_of_memory() {
    let host = Host::new();
    let instance = start(&host, "sleep 1000", size(32, 1000)).await;
    instance.running.signal(Signal::Kill).expect("kills");
    assert!(!instance.exit().await.oom);
}

/// Cpu time per wall time, by the kernel's own counters.
async fn cpu_rate(instance: &Instance) -> f64 {
    const WINDOW: Duration = Duration::from_secs(2);
    let used = || instance.running.usage().expect("is measured").cpu.used_usec;
    let (start, before) = (Instant::now(), used());
    tokio::time::sleep(WINDOW).await;
    (used() - before) as f64 / start.elapsed().as_micros() as f64
}

#[tokio::test]
async fn a_quarter_of_a_cpu_is_a_quarter_of_a_cpu_and_can_be_made_half() {
    let host = Host::new();
    let instance = start(&host, SPIN, size(32, 250)).await;
    let quarter = cpu_rate(&instance).await;
    assert!((0.10..0.30).contains(&quarter), "{quarter}");
    instance.running.resize(size(32, 500)).expect("resizes");
    let mut half = cpu_rate(&instance).await;
    // A busy host may not have half a core to give for a while.
    for _ in 0..10 {
        if half >= quarter + 0.05 {
            break;
        }
        half = cpu_rate(&instance).await;
    }
    println!("cpu=0.25 used {quarter:.3} of a core, cpu=0.5 used {half:.3}");
    assert!((quarter + 0.05..0.56).contains(&half), "{quarter} {half}");
}

#[tokio::test]
async fn a_fork_bomb_ends_at_the_limit_of_processes() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["sh", "-c", "while :; do sleep 1000 & done"]);
    order.pids = 20;
    let instance = host.start(dir, order).await;
    assert_ne!(instance.exit().await.code, Some(0));
    let texts = instance.texts();
    assert!(texts.iter().any(|line| line.contains("can't fork")), "{texts:?}");
}

#[tokio::test]
async fn a_fork_bomb_in_a_sliver_of_a_cpu_is_killed_at_once() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["sh", "-c", "b() { b | b & }; b; sleep 1000"]);
    order.pids = 400;
    order.size.cpu = CpuMillis::from_millis(50);
    let instance = host.start(dir, order).await;
    let pids = cgroup_dir("pids", &instance.order.cgroup).join("pids.current");
    let burning = || fs::read_to_string(&pids).is_ok_and(|text| text.trim().parse::<u32>().is_ok_and(|now| now > 100));
    eventually("the bomb has gone off", burning).await;
    instance.running.signal(Signal::Kill).expect("signalled");
    assert_eq!(instance.exit().await.signal, Some(libc::SIGKILL));
}

fn limits(instance: &Instance) -> Vec<String> {
    let dir = |controller| cgroup_dir(controller, &instance.order.cgroup);
    let read = |path: std::path::PathBuf| fs::read_to_string(path).expect("reads").trim().to_owned();
    if Path::new("/sys/fs/cgroup/memory").is_dir() {
        let memory = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
        let cpu = ["cpu.cfs_quota_us", "cpu.shares"];
        let memory = memory.iter().map(|name| dir("memory").join(name)).filter(|path| path.exists());
        memory.chain(cpu.iter().map(|name| dir("cpu").join(name))).map(read).collect()
    } else {
        ["memory.max", "cpu.max", "cpu.weight"].iter().map(|name| read(dir("memory").join(name))).collect()
    }
}

#[tokio::test]
async fn a_running_container_is_resized_in_place() {
    let host = Host::new();
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; echo ready; sleep 1000";
    let instance = start(&host, script, size(64, 1000)).await;
    let smallest = limits(&instance);
    instance.wrote("ready").await;
    let usage = instance.running.usage().expect("is measured");
    let mib = |bytes: u64| bytes / 1024 / 1024;
    assert!(
        (40..64).contains(&mib(usage.memory.unreclaimable_bytes())) && mib(usage.memory_peak_bytes) >= 40,
        "{usage:?}"
    );

    for wanted in [size(128, 2000), size(80, 500)] {
        instance.running.resize(wanted).expect("resizes");
        assert_eq!(instance.running.size(), wanted);
        let in_force = limits(&instance);
        assert!(in_force[0] == wanted.memory.bytes().to_string() && in_force != smallest, "{in_force:?}");
    }
    let before = limits(&instance);
    match instance.running.resize(size(24, 1000)) {
        Err(ResizeError::DoesNotFit { in_use, wanted }) => {
            assert!(in_use > wanted && mib(wanted) == 24, "{in_use} {wanted}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((limits(&instance), instance.running.size()), (before, size(80, 500)));

    instance.running.signal(Signal::Kill).expect("kills");
    instance.exit().await;
    assert!(matches!(instance.running.resize(size(64, 1000)), Err(ResizeError::Ended)));
}
