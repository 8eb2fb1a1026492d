//! What a container cannot do.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use tapit_container::instance::launch;

use crate::host::{EXE, Host, Instance};

/// CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID and NET_BIND_SERVICE.
const CAPABILITIES: &str = "00000000000004eb";
const NONE: &str = "0000000000000000";

#[tokio::test]
async fn capabilities_and_privileges_are_bounded() {
    let host = Host::new();
    for (user, own) in [("", CAPABILITIES), ("app", NONE)] {
        let (dir, mut order) = host.order(&["grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status"]);
        order.user = user.into();
        let instance = host.start(dir, order).await;
        assert_eq!(instance.exit().await.code, Some(0));
        let expected = [
            format!("CapInh:\t{NONE}"),
            format!("CapPrm:\t{own}"),
            format!("CapEff:\t{own}"),
            format!("CapBnd:\t{CAPABILITIES}"),
            format!("CapAmb:\t{NONE}"),
            "NoNewPrivs:\t1".to_owned(),
        ];
        assert_eq!(instance.texts(), expected, "{user:?}");
    }
}

#[tokio::test]
async fn a_program_gets_three_descriptors_and_sees_only_itself() {
    let host = Host::new();
    // The fourth is the directory being listed.
    let (_, texts) = host.run("ls /proc/self/fd; ls /proc | grep -c '^[0-9]'; ip -o link | grep -c .").await;
    assert_eq!(texts[..4], ["0", "1", "2", "3"]);
    // Process 1, the shell, and the two of the pipe; one of them may be gone already.
    assert!(texts[4].parse::<u32>().is_ok_and(|processes| processes <= 5), "{texts:?}");
    assert_eq!(texts[5], "1");
}

#[tokio::test]
async fn the_host_cannot_be_reached_through_proc_sys_and_dev() {
    let host = Host::new();
    let script = "
        cat /proc/kcore | head -c 1 | grep -q . && echo kcore
        cat /proc/interrupts | head -c 1 | grep -q . && echo interrupts
        echo 1 > /proc/sys/kernel/panic && echo sysctl
        echo b > /proc/sysrq-trigger && echo sysrq
        echo x > /sys/fs/cgroup/memory/cgroup.procs && echo cgroup
        touch /sys/x && echo sys
        mknod /dev/disk b 254 0 && echo mknod
        mknod /tmp/null c 1 3 && echo mknod
        cat /proc/1/environ && echo environ
        readlink /proc/1/fd/* && echo descriptors
        ls /proc/1/root/ && echo root
        exit 0";
    let instance = host.shell(script).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let out: Vec<_> = instance.dir.log_tail(100).into_iter().filter(|line| line.stream.as_str() == "stdout").collect();
    assert!(out.is_empty(), "{out:?}");
}

#[tokio::test]
async fn the_hosts_own_program_cannot_be_written_to_from_a_container() {
    let host = Host::new();
    // A copy that nobody else runs, so that the kernel does not refuse for that reason alone.
    let exe = host.path().join("exe");
    fs::copy(EXE, &exe).expect("copies");
    let (dir, order) =
        host.order(&["sh", "-c", "echo overwritten > /proc/1/exe; cat /proc/1/exe > /dev/null; sleep 1000"]);
    let running = launch(&exe, &dir, &order).await.expect("starts");
    let instance = Instance { dir, order, running };
    crate::host::eventually("both attempts were made", || instance.texts().len() == 2).await;
    assert!(instance.texts().iter().all(|line| line.contains("Permission denied")), "{:?}", instance.texts());

    // Held as an attacker might that got hold of it all the same; written to once nobody runs it any more.
    let held = fs::File::open(format!("/proc/{}/exe", instance.running.pid())).expect("opens");
    instance.running.kill_all().expect("kills");
    instance.exit().await;
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let written =
        fs::OpenOptions::new().write(true).open(path).and_then(|mut file| std::io::Write::write(&mut file, b"x"));
    let refused = written.expect_err("is sealed");
    // For as long as any monitor runs, it cannot even be opened.
    let known = [nix::libc::EPERM, nix::libc::ETXTBSY];
    assert!(refused.raw_os_error().is_some_and(|errno| known.contains(&errno)), "{refused}");
    fs::OpenOptions::new().write(true).open(&exe).expect("by its own path it is");
}

#[tokio::test]
async fn the_server_and_the_monitor_stay_as_they_were() {
    let host = Host::new();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("reads");
    let score = |pid: &str| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("reads");
    let namespaces = || {
        let links = fs::read_dir("/proc/self/ns").expect("lists").flatten();
        let mut links: Vec<_> = links.map(|link| fs::read_link(link.path()).expect("is a link")).collect();
        links.sort();
        links
    };
    let (cwd, own_mounts, own_score, own_namespaces) =
        (std::env::current_dir().expect("is there"), mounts(), score("self"), namespaces());
    let instance = host.shell("echo ready; sleep 1000").await;
    instance.wrote("ready").await;
    assert_eq!(std::env::current_dir().expect("is there"), cwd);
    assert_eq!((mounts(), score("self"), namespaces()), (own_mounts, own_score.clone(), own_namespaces));
    let record = instance.dir.record().found().expect("is recorded");
    assert_eq!(score(&record.monitor.pid.to_string()), own_score);
    assert_eq!(score(&record.init.pid.to_string()).trim(), "100");
    let monitor = Path::new("/proc").join(record.monitor.pid.to_string());
    let threads = fs::read_dir(monitor.join("task")).expect("lists").count();
    let environment = fs::read(monitor.join("environ")).expect("reads");
    assert_eq!((threads, environment.len()), (1, 0));
    let rollup = fs::read_to_string(monitor.join("smaps_rollup")).expect("reads");
    let shown: Vec<_> =
        rollup.lines().filter(|line| line.starts_with("Pss:") || line.starts_with("Private_Dirty:")).collect();
    println!("a monitor takes {shown:?}");
}
