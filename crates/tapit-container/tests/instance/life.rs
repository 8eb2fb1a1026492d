//! From start to end: exit statuses, signals, orphans, and that nothing stays behind.

use std::fs;

use tapit_container::instance::{Fault, LaunchError, Signal, StopSignal};
use tapit_container::linux::net::HostNet;

use crate::host::{Host, eventually};

#[tokio::test]
async fn a_program_runs_and_its_exit_status_is_known() {
    let host = Host::new();
    let (exit, _) = host.run("exit 3").await;
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(3), None, false));
    let (exit, _) = host.run("exit 0").await;
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(0), None, false));
}

#[tokio::test]
async fn a_program_that_a_signal_ends_is_told_from_one_that_exits_alike() {
    let host = Host::new();
    let (exit, _) = host.run("kill -9 $$").await;
    assert_eq!((exit.code, exit.signal), (Some(137), Some(9)));
    let (exit, _) = host.run("exit 137").await;
    assert_eq!((exit.code, exit.signal), (Some(137), None));
}

#[tokio::test]
async fn a_stop_ends_a_program_that_handles_no_signals() {
    let host = Host::new();
    let (dir, order) = host.order(&["sleep", "1000"]);
    let instance = host.start(dir, order).await;
    instance.running.signal(Signal::Stop).expect("signals");
    let exit = instance.exit().await;
    assert_eq!((exit.code, exit.signal), (Some(143), Some(15)));
    instance.running.signal(Signal::Stop).expect("is a no-op on one that has ended");
}

#[tokio::test]
async fn the_images_own_stop_signal_is_used() {
    let host = Host::new();
    let script = "trap 'echo asked; exit 7' USR1; trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let (dir, mut order) = host.order(&["sh", "-c", script]);
    order.stop_signal = StopSignal::parse("SIGUSR1").expect("is a signal");
    let instance = host.start(dir, order).await;
    instance.wrote("ready").await;
    instance.running.signal(Signal::Stop).expect("signals");
    assert_eq!(instance.exit().await.code, Some(7));
    assert_eq!(instance.texts(), ["ready", "asked"]);
}

#[tokio::test]
async fn a_kill_ends_a_program_that_ignores_everything_and_all_its_children() {
    let host = Host::new();
    let instance = host.shell("trap '' TERM INT HUP; sleep 1000 & echo ready; while :; do sleep 1000; done").await;
    instance.wrote("ready").await;
    instance.running.signal(Signal::Stop).expect("signals");
    instance.running.kill_all().expect("kills");
    let exit = instance.exit().await;
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(137), Some(9), false));
    assert!(!fs::exists(format!("/proc/{}", instance.running.pid())).expect("looks"));
}

#[tokio::test]
async fn orphans_are_reaped() {
    let host = Host::new();
    let script = "for i in $(seq 20); do (true &); done
        for i in $(seq 500); do ps -o stat,comm | grep -q '^Z' || { echo clean; exit 0; }; sleep 0.01; done; ps; exit 1";
    let (exit, texts) = host.run(script).await;
    assert_eq!((exit.code, texts), (Some(0), vec!["clean".to_owned()]));
}

#[tokio::test]
async fn a_program_whose_reader_is_gone_ends() {
    let host = Host::new();
    let (exit, texts) = host.run("yes | head -1").await;
    assert_eq!((exit.code, texts), (Some(0), vec!["y".to_owned()]));
}

#[tokio::test]
async fn a_program_that_is_not_there_or_cannot_be_run_says_so_in_its_log() {
    let host = Host::new();
    for (program, code, reason) in [
        ("nope", 127, "there is no such program in the image"),
        ("/nope/nope", 127, "there is no such program in the image"),
        ("/etc/passwd", 126, "it is not executable for this user"),
        ("/tmp", 126, "it is not executable for this user"),
    ] {
        let (dir, order) = host.order(&[program]);
        let instance = host.start(dir, order).await;
        assert_eq!(instance.exit().await.code, Some(code), "{program}");
        assert_eq!(instance.texts(), [format!("tapit: cannot run {program}: {reason}")]);
    }
}

#[tokio::test]
async fn an_order_that_nobody_can_carry_out_is_refused_with_the_reason() {
    let host = Host::new();
    let refused = |change: fn(&mut tapit_container::instance::Order)| {
        let (dir, mut order) = host.order(&["true"]);
        change(&mut order);
        (dir, order)
    };
    for ((dir, order), expected) in [
        (refused(|order| order.argv.clear()), "there is no command to run"),
        (refused(|order| order.argv = vec!["a\0b".into()]), "holds a NUL byte"),
        (refused(|order| order.user = "nobody".into()), "whom its /etc/passwd does not know"),
        (refused(|order| order.user = "4294967296".into()), "ids go up to"),
        (refused(|order| order.cwd = "tmp".into()), "is not absolute"),
        (refused(|order| order.cwd = "/etc/passwd/x".into()), "cannot be had in the image"),
        (refused(|order| order.layers.clear()), "the image has 0 layers"),
    ] {
        match host.try_start(dir.clone(), order).await.map(|_| ()) {
            Err(LaunchError::Failed { fault: Fault::Image, text, .. }) => assert!(text.contains(expected), "{text}"),
            other => panic!("{expected}: {other:?}"),
        }
        dir.release().expect("cleans up");
        assert!(matches!(dir.order(), tapit_container::instance::Stored::Found(_)));
    }
    let (dir, mut broken) = host.order(&["true"]);
    broken.layers = vec!["/does/not/exist".into()];
    match host.try_start(dir, broken).await.map(|_| ()) {
        Err(LaunchError::Failed { fault: Fault::Host, text, .. }) => {
            assert!(text.contains("/does/not/exist"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn twenty_containers_start_at_once_and_leave_nothing_behind() {
    let host = std::sync::Arc::new(Host::new());
    let starts: Vec<_> = (0..20)
        .map(|n| {
            let host = std::sync::Arc::clone(&host);
            tokio::spawn(async move { (n, host.shell(&format!("hostname; sleep 0.2; exit {n}")).await) })
        })
        .collect();
    for start in starts {
        let (n, instance) = start.await.expect("starts");
        assert_eq!(instance.exit().await.code, Some(n));
        assert_eq!(instance.texts(), [instance.order.hostname.as_str()]);
        assert!(!fs::exists(format!("/proc/{}", instance.running.pid())).expect("looks"));
        instance.dir.release().expect("releases");
        instance.dir.remove().expect("removes");
        instance.dir.remove().expect("is a no-op");
    }
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("reads");
    assert!(!mounts.contains(&*host.path().to_string_lossy()));
}

/// Kilobytes of memory of a process, of pages that it shares its part.
fn pss(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("is told");
    line.trim().trim_end_matches("kB").trim().parse().expect("is a number")
}

#[tokio::test]
async fn the_processes_that_stay_with_a_container_take_little_memory() {
    const CONTAINERS: u64 = 20;
    let host = Host::new();
    let begin = std::time::Instant::now();
    let mut instances = Vec::new();
    for _ in 0..CONTAINERS {
        let (dir, order) = host.order(&["sleep", "1000"]);
        instances.push(host.start(dir, order).await);
    }
    let start = begin.elapsed() / CONTAINERS as u32;
    let (mut monitors, mut inits) = (0, 0);
    for instance in &instances {
        let record = instance.dir.record().found().expect("is recorded");
        let name = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).expect("runs").trim().to_owned();
        // Until then they are what they were made from.
        eventually("both have become what they are", || {
            name(record.monitor.pid) == "tapit-monitor" && name(record.init.pid) == "tapit-init"
        })
        .await;
        monitors += pss(record.monitor.pid);
        inits += pss(record.init.pid);
    }
    let (monitor, init) = (monitors / CONTAINERS, inits / CONTAINERS);
    println!("a monitor takes {monitor} kB, a process 1 {init} kB; a start {start:?}");
    assert!(monitor + init <= 100, "{monitor} {init}");
}

#[tokio::test]
async fn a_removed_parent_cgroup_leaves_nothing_in_any_hierarchy() {
    let host = Host::new();
    let name = host.root.name().to_owned();
    host.root.remove().expect("removes");
    host.root.remove().expect("is a no-op");
    let mounts = fs::read_dir("/sys/fs/cgroup").expect("lists").flatten();
    let left: Vec<_> = mounts.map(|mount| mount.path().join(&name)).filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    for bad in ["", "..", "a/b", "a b"] {
        assert!(tapit_container::linux::cgroup::Root::ensure(bad).is_err(), "{bad:?}");
    }
}

/// Removed however the test ends.
struct Net(HostNet);

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

#[tokio::test]
async fn a_container_on_the_network_is_reached_from_the_host() {
    let host = Host::new();
    let tag = format!("{:06x}", std::process::id() & 0xff_ffff);
    let net = Net(HostNet::new(&tag).expect("a tag"));
    let app = {
        let mut change = net.0.begin().expect("nobody holds it for long");
        let app = net.0.app(0, change.choose(0, None).expect("has a subnet"));
        change.establish(&app).expect("makes a bridge");
        app
    };
    net.0.enforce(std::slice::from_ref(&app)).expect("makes rules");
    let ip = app.subnet.nth(7).expect("has addresses");
    let (dir, mut order) = host.order(&["nc", "-l", "-p", "80", "-e", "echo", "hello"]);
    order.network = Some(app.attach(ip));
    order.user = "app".into();
    let instance = host.start(dir, order).await;
    let answer = || {
        let mut stream =
            std::net::TcpStream::connect_timeout(&(ip, 80).into(), std::time::Duration::from_secs(1)).ok()?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
        Some(text)
    };
    let mut text = None;
    eventually("answers", || {
        text = answer();
        text.is_some()
    })
    .await;
    assert_eq!(text.as_deref(), Some("hello\n"));
    assert_eq!(instance.exit().await.code, Some(0));
}
