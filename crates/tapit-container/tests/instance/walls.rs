//! What a program finds that tries to get out: `examples/probe`, run in containers with and without a user namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{Gid, Uid, chown};
use tapit_container::instance::{Fault, LaunchError, Order};
use tapit_model::Capability;

use crate::host::{Host, IDS};

const NAMESPACE_ROOT: &str = "00000000000004eb";
const HOST_ROOT: &str = "0000000000000400";
const NONE: &str = "0000000000000000";

/// The probe, compiled once. Test processes may run at the same time, so it gets its name when it is whole.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/probe/main.rs");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let unfinished = tempfile::NamedTempFile::new_in(directory).expect("a file").into_temp_path();
        let status = Command::new(option_env!("RUSTC").unwrap_or("rustc"))
            .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
            .args([unfinished.as_os_str(), source.as_os_str()])
            .status()
            .expect("rustc runs");
        assert!(status.success(), "the probe does not compile");
        let program = directory.join("probe");
        unfinished.persist(&program).expect("is renamed");
        program
    })
}

type Findings = BTreeMap<String, String>;

/// Runs the probe in a container; `change` may alter the order before.
async fn explore(host: &Host, change: impl FnOnce(&mut Order)) -> Findings {
    let (dir, mut order) = host.order(&["/probe"]);
    let layer = host.path().join("probe-layer");
    fs::create_dir_all(&layer).expect("a directory");
    fs::copy(probe(), layer.join("probe")).expect("copies");
    order.layers.push(layer);
    change(&mut order);
    let instance = host.start(dir, order).await;
    let exit = instance.exit().await;
    let texts = instance.texts();
    assert_eq!(exit.code, Some(0), "{texts:?}");
    let split = |line: &String| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let findings: Findings = texts.iter().filter_map(split).collect();
    assert_eq!(findings.get("end").map(String::as_str), Some("ok"), "{texts:?}");
    findings
}

fn check(findings: &Findings, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(findings.get(*name).map(String::as_str), Some(*value), "{name}");
    }
}

/// What holds however a container is run.
fn check_walls(findings: &Findings) {
    check(
        findings,
        &[
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            ("CapInh", NONE),
            ("CapAmb", NONE),
            ("SigBlk", NONE),
            ("descriptors", "[0, 1, 2]"),
            ("core-size", "0 0 bytes"),
            ("call:clone3", "ENOSYS"),
            ("call:unknown", "ENOSYS"),
            ("call:unshare-files", "ok"),
            ("call:personality-query", "ok"),
            ("socket:unix", "ok"),
            ("socket:inet", "ok"),
            ("socket:inet6", "ok"),
            ("socket:netlink-route", "ok"),
            ("socket:netlink-audit", "EPROTONOSUPPORT"),
            ("socket:netlink-netfilter", "EPROTONOSUPPORT"),
        ],
    );
    let free = ["clone3", "unknown", "unshare-files", "personality-query", "x32"];
    for (name, value) in findings {
        match name.split_once(':') {
            Some(("covered", _)) => assert_ne!(value, "OPEN", "{name}"),
            Some(("write", _)) => assert_ne!(value, "ok", "{name}"),
            Some(("call", call)) if !free.contains(&call) => assert_eq!(value, "EPERM", "{name}"),
            Some(("socket", "packet" | "key" | "alg" | "vsock" | "can" | "tipc" | "rds")) => {
                assert_eq!(value, "EAFNOSUPPORT", "{name}");
            }
            _ => {}
        }
    }
    if cfg!(target_arch = "x86_64") {
        check(findings, &[("call:x32", "ENOSYS")]);
    }
    let tried = |end: &str| findings.keys().any(|name| name.starts_with("write:") && name.ends_with(end));
    assert!(tried("core_pattern") && tried("cgroup.procs"), "{findings:?}");
}

#[tokio::test]
async fn root_in_a_user_namespace_finds_every_wall() {
    let host = Host::new();
    let findings = explore(&host, |_| {}).await;
    check_walls(&findings);
    let map = format!("0 {} 65536", IDS.base);
    check(
        &findings,
        &[
            ("Uid", "0 0 0 0"),
            ("Groups", ""),
            ("uid_map", &map),
            ("gid_map", &map),
            ("setgroups", "allow"),
            ("CapPrm", NAMESPACE_ROOT),
            ("CapEff", NAMESPACE_ROOT),
            ("CapBnd", NAMESPACE_ROOT),
            ("HOME", "/root"),
            ("cwd", "/"),
        ],
    );
    // Where the host has it, the runtime makes a link to its memory in /proc, which is covered.
    let found = findings.get("devices").map(String::as_str).unwrap_or_default();
    let devices: Vec<&str> = found.split(' ').filter(|name| *name != "kcore").collect();
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(devices.join(" "), expected);
    assert_eq!(found.contains("kcore"), Path::new("/proc/kcore").exists());
}

#[tokio::test]
async fn a_plain_user_in_a_user_namespace_finds_every_wall_and_has_no_capability() {
    let host = Host::new();
    let findings = explore(&host, |order| order.user = "app".into()).await;
    check_walls(&findings);
    check(&findings, &[("Uid", "1000 1000 1000 1000"), ("Groups", "77"), ("CapEff", NONE), ("CapPrm", NONE)]);
}

#[tokio::test]
async fn without_a_user_namespace_root_finds_every_wall_and_has_one_capability() {
    let host = Host::new();
    let findings = explore(&host, |order| order.ids = None).await;
    check_walls(&findings);
    check(
        &findings,
        &[
            ("uid_map", "0 0 4294967295"),
            ("Groups", ""),
            ("CapPrm", HOST_ROOT),
            ("CapEff", HOST_ROOT),
            ("CapBnd", HOST_ROOT),
        ],
    );
}

#[tokio::test]
async fn an_added_capability_opens_its_own_calls_and_no_others() {
    let host = Host::new();
    let added = [Capability::SysAdmin, Capability::NetRaw, Capability::SysChroot];
    let findings = explore(&host, |order| order.cap_add = BTreeSet::from(added)).await;
    check(
        &findings,
        &[
            ("CapEff", "00000000002424eb"),
            ("call:mount", "EFAULT"),
            ("call:unshare-net", "ok"),
            ("call:chroot", "EFAULT"),
            ("socket:packet", "ok"),
            ("call:keyctl", "EPERM"),
            ("call:io_uring_setup", "EPERM"),
            ("call:init_module", "EPERM"),
            ("call:reboot", "EPERM"),
            // Root of a namespace of its own cannot make nodes, whatever it may do besides.
            ("call:mknod-zero", "EPERM"),
        ],
    );
    let writable = findings.iter().find(|(name, value)| name.starts_with("write:") && *value == "ok");
    assert_eq!(writable, None);
}

#[tokio::test]
async fn a_node_made_with_the_capability_for_it_cannot_be_opened_all_the_same() {
    let host = Host::new();
    let script = "mknod /tmp/kmsg c 1 11 && echo made; cat /tmp/kmsg > /dev/null || echo closed; \
                  mknod /tmp/null c 1 3; echo x > /tmp/null; echo end";
    let (dir, mut order) = host.order(&["sh", "-c", script]);
    order.ids = None;
    order.cap_add = BTreeSet::from([Capability::Mknod]);
    let instance = host.start(dir, order).await;
    instance.exit().await;
    let texts = instance.texts();
    assert!(texts.contains(&"made".to_owned()) && texts.contains(&"closed".to_owned()), "{texts:?}");
}

#[tokio::test]
async fn a_node_in_an_image_cannot_be_opened() {
    let host = Host::new();
    let layer = host.empty_layer("nodes");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    for (name, minor) in [("kmsg", 11), ("zero", 5)] {
        let path = layer.join(name);
        nix::sys::stat::mknod(&path, kind, mode, nix::sys::stat::makedev(1, minor)).expect("a node");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    }
    for ids in [Some(IDS), None] {
        let (dir, mut order) = host.order(&["sh", "-c", "for name in kmsg zero; do head -c 1 /$name; done; echo end"]);
        order.layers.push(layer.clone());
        order.ids = ids;
        let instance = host.start(dir, order).await;
        instance.exit().await;
        let texts = instance.texts();
        let refused = texts.iter().filter(|line| line.contains("ermi")).count();
        assert_eq!(refused, 2, "{texts:?}");
    }
}

#[tokio::test]
async fn setuid_programs_and_file_capabilities_give_nothing() {
    let host = Host::new();
    let layer = host.empty_layer("setuid");
    for name in ["setuid", "capable"] {
        fs::copy(probe(), layer.join(name)).expect("copies");
    }
    fs::set_permissions(layer.join("setuid"), fs::Permissions::from_mode(0o6755)).expect("a mode");
    // As `setcap cap_net_admin,cap_sys_admin=eip` writes it: revision 2, effective, permitted and inheritable.
    let mut attribute = vec![1u8, 0, 0, 2];
    attribute.extend([0x20_1000u32, 0x20_1000, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    set_attribute(&layer.join("capable"), &attribute);
    for ids in [Some(IDS), None] {
        for program in ["/setuid", "/capable"] {
            let findings = explore(&host, |order| {
                order.argv = vec![program.to_owned()];
                order.layers.push(layer.clone());
                order.user = "app".into();
                order.ids = ids;
            })
            .await;
            check(
                &findings,
                &[
                    ("Uid", "1000 1000 1000 1000"),
                    ("Gid", "1000 1000 1000 1000"),
                    ("CapEff", NONE),
                    ("CapPrm", NONE),
                    ("NoNewPrivs", "1"),
                ],
            );
        }
    }
}

fn set_attribute(path: &Path, value: &[u8]) {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    // Of Debian's package `attr`.
    let mut command = Command::new("setfattr");
    let done = command.args(["-n", "security.capability", "-v", &format!("0x{hex}")]).arg(path).status();
    assert!(done.expect("setfattr runs").success(), "setfattr");
}

#[tokio::test]
async fn root_inside_can_neither_look_into_process_1_nor_reach_its_files() {
    let host = Host::new();
    // Says only what succeeds. The file that tells how the program ended is one of its descriptors.
    let script = "readlink /proc/1/exe /proc/1/cwd /proc/1/root && echo link
        for name in mem environ auxv maps exe root/bin/busybox; do head -c 1 < /proc/1/$name > /dev/null && echo $name; done
        for number in $(seq 0 30); do
            readlink /proc/1/fd/$number && echo link of $number
            (echo x > /proc/1/fd/$number) && echo written to $number
        done
        readlink /proc/$$/exe > /dev/null && echo itself
        exit 7";
    for ids in [Some(IDS), None] {
        let (dir, mut order) = host.order(&["sh", "-c", &format!("exec 2> /dev/null; {script}")]);
        order.ids = ids;
        let instance = host.start(dir, order).await;
        let exit = instance.exit().await;
        // It can look into its own shell, so the rest does not fail for want of a program or of `/proc`.
        assert_eq!(instance.texts(), ["itself"], "{ids:?}");
        assert_eq!((exit.code, exit.signal), (Some(7), None));
    }
}

#[tokio::test]
async fn programs_of_another_abi_are_ended() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let host = Host::new();
    let (dir, mut order) = host.order(&["/probe", "32bit"]);
    let layer = host.empty_layer("old");
    fs::copy(probe(), layer.join("probe")).expect("copies");
    order.layers.push(layer);
    let instance = host.start(dir, order).await;
    let exit = instance.exit().await;
    // SIGSYS from the filter, or SIGSEGV where the kernel is built without that ABI.
    assert!(matches!(exit.signal, Some(31 | 11)), "{exit:?}");
    assert!(instance.texts().is_empty(), "{:?}", instance.texts());
}

#[tokio::test]
async fn working_directories_and_commands_that_lead_through_proc_reach_nothing_of_the_host() {
    let host = Host::new();
    // CVE-2024-21626: a descriptor of the runtime as the working directory, named by the image itself or through a link.
    let layer = host.empty_layer("descriptors");
    let direct = (0..40).map(|descriptor| format!("/proc/self/fd/{descriptor}"));
    for (nth, cwd) in direct.chain(["/proc".into(), "/dev/fd/7".into(), "/sys/kernel".into()]).enumerate() {
        let link = format!("link-{nth}");
        symlink(&cwd, layer.join(&link)).expect("a link");
        symlink("..", layer.join(format!("up-{nth}"))).expect("a link");
        for cwd in [cwd.clone(), format!("/{link}"), format!("/up-{nth}/{link}")] {
            let (dir, mut order) = host.order(&["true"]);
            order.layers.push(layer.clone());
            order.cwd = cwd;
            match host.try_start(dir, order).await.map(|_| ()) {
                // A link to what the image does not have is refused before it is looked at where it leads.
                Err(LaunchError::Failed { fault: Fault::Image, text, .. }) => {
                    assert!(text.contains("the working directory"), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    for (cwd, entered) in [("/dev/shm", "/dev/shm"), ("/up-0/up-1/bin", "/bin"), ("/new/place", "/new/place")] {
        let (dir, mut order) = host.order(&["pwd"]);
        order.layers.push(layer.clone());
        order.cwd = cwd.into();
        let instance = host.start(dir, order).await;
        instance.exit().await;
        assert_eq!(instance.texts(), [entered]);
    }
    // CVE-2019-5736: the program that starts containers as the command of one.
    for command in ["/proc/self/exe", "/proc/1/exe", "/link"] {
        let layer = host.empty_layer(&format!("evil{}", command.len()));
        symlink("/proc/self/exe", layer.join("link")).expect("a link");
        let (dir, mut order) = host.order(&[command, "-c", "echo overwritten > /proc/self/exe"]);
        order.layers.push(layer);
        let instance = host.start(dir, order).await;
        let exit = instance.exit().await;
        assert_ne!(exit.code, Some(0), "{:?}", instance.texts());
    }
}

#[tokio::test]
async fn files_belong_to_whom_the_image_says_and_layers_stay_as_they_are() {
    let host = Host::new();
    let layer = host.empty_layer("owned");
    for (name, owner) in [("root", 0), ("app", 1000), ("far", 70_000)] {
        fs::write(layer.join(name), name).expect("a file");
        chown(&layer.join(name), Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner))).expect("an owner");
    }
    let script =
        "cd /; ls -ln root app far etc/hosts | while read -r mode links user group rest; do echo $user $group; done
        echo changed >> /root-file; echo changed >> /app; chown 1000:1000 /root && ls -ln /root; mkdir -p /made; pwd";
    let (dir, mut order) = host.order(&["sh", "-c", script]);
    order.layers.push(layer.clone());
    order.cwd = "/srv/work".into();
    let instance = host.start(dir, order).await;
    let exit = instance.exit().await;
    let texts = instance.texts();
    assert_eq!(exit.code, Some(0), "{texts:?}");
    // In the order of their names. An id that the namespace lacks is shown as nobody.
    assert_eq!(texts[..4], ["1000 1000", "0 0", "65534 65534", "0 0"], "{texts:?}");
    let owner = |path: PathBuf| {
        let metadata = fs::metadata(&path).expect("is there");
        (std::os::unix::fs::MetadataExt::uid(&metadata), std::os::unix::fs::MetadataExt::gid(&metadata))
    };
    assert_eq!(owner(layer.join("app")), (1000, 1000));
    assert_eq!(fs::read_to_string(layer.join("app")).expect("reads"), "app");
    let upper = instance.dir.path().join("upper");
    if upper.exists() {
        let base = IDS.base;
        assert_eq!(owner(upper.join("app")), (base + 1000, base + 1000));
        assert_eq!(owner(upper.join("etc/hosts")), (base, base));
        assert_eq!(owner(upper.join("srv/work")), (base, base));
        assert_eq!(owner(upper.join("root")), (base + 1000, base + 1000));
    }
    instance.dir.remove().expect("removes");
    assert!(!upper.exists());
}

#[tokio::test]
async fn a_user_that_the_namespace_does_not_have_is_refused_with_the_reason() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["true"]);
    order.user = "70000".into();
    match host.try_start(dir, order).await.map(|_| ()) {
        Err(LaunchError::Failed { fault: Fault::Image, text, .. }) => assert!(text.contains("userns=false"), "{text}"),
        other => panic!("{other:?}"),
    }
    let (dir, mut order) = host.order(&["id", "-u"]);
    order.user = "70000".into();
    order.ids = None;
    let instance = host.start(dir, order).await;
    instance.exit().await;
    assert_eq!(instance.texts(), ["70000"]);
}

#[tokio::test]
async fn a_service_may_take_possession_of_its_files_and_go_on_as_somebody_else() {
    let host = Host::new();
    let script =
        "mkdir /data && chown app:app /data && chmod 700 /data && su app -c 'id -u; touch /data/x' && ls -ln /data";
    let (dir, mut order) = host.order(&["busybox", "sh", "-c", script]);
    let layer = host.empty_layer("su");
    fs::create_dir(layer.join("bin")).expect("a directory");
    for name in ["su", "chown"] {
        symlink("busybox", layer.join("bin").join(name)).expect("a link");
    }
    order.layers.push(layer);
    let instance = host.start(dir, order).await;
    let exit = instance.exit().await;
    let texts = instance.texts();
    assert!(exit.code == Some(0) && texts.contains(&"1000".to_owned()), "{texts:?}");
}

#[tokio::test]
async fn echo_requests_need_no_capability() {
    let host = Host::new();
    for user in ["", "app"] {
        let (dir, mut order) = host.order(&["sh", "-c", "cat /proc/sys/net/ipv4/ping_group_range; busybox id -u"]);
        order.user = user.into();
        let instance = host.start(dir, order).await;
        instance.exit().await;
        assert_eq!(instance.texts()[0].split_whitespace().collect::<Vec<_>>(), ["0", "65535"]);
    }
}

#[tokio::test]
async fn this_host_can_put_up_every_wall_and_a_start_with_them_is_quick() {
    let host = Host::new();
    let findings = tapit_container::linux::probe::findings(crate::host::EXE.as_ref(), host.path());
    assert!(tapit_container::linux::probe::can_map_ids(&findings), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.present), "{findings:?}");
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..30 {
        for (times, ids) in times.iter_mut().zip([Some(IDS), None]) {
            let (dir, mut order) = host.order(&["true"]);
            order.ids = ids;
            let start = std::time::Instant::now();
            let instance = host.start(dir, order).await;
            times.push(start.elapsed());
            instance.exit().await;
            instance.dir.remove().expect("removes");
        }
    }
    let [with, without] = times.map(|mut times| {
        times.sort();
        times[15]
    });
    println!("a start takes {with:?} with a user namespace and {without:?} without (medians of 30)");
}
