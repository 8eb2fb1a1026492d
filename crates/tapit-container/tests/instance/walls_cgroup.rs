//! What a container sees of control groups: its own, and nothing that it could change.

use std::collections::BTreeMap;
use std::fs;

use tapit_container::linux::cgroup::Layout;

use crate::host::{Host, IDS, Instance};

/// Says what succeeds. On v1 the directory above the hierarchies is a filesystem of the container's own.
const TRY: &str = "exec 2> /dev/null
    while IFS=: read -r number names path; do echo in $path; done < /proc/self/cgroup
    cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes
    for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
        mkdir $dir/made && [ -e $dir/made/cgroup.procs ] && echo made $dir/made
        for file in cgroup.procs cgroup.subtree_control cgroup.freeze tasks notify_on_release memory.max memory.high \\
            memory.limit_in_bytes cpu.max cpu.cfs_quota_us pids.max devices.allow; do
            [ -e $dir/$file ] && (echo 0 > $dir/$file) && echo wrote $dir/$file
        done
    done
    echo tried
    sleep 1000";

/// The mounts of control groups in a container by their places, as the host sees them: the group at the root of each, and
/// its options. Of several at one place, the last covers the others.
fn mounts(instance: &Instance) -> BTreeMap<String, (String, String)> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", instance.running.pid())).expect("it runs");
    let of_groups = table.lines().filter(|line| line.contains(" - cgroup"));
    let fields = of_groups.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    fields.map(|fields| (fields[4].clone(), (fields[3].clone(), fields[5].clone()))).collect()
}

#[tokio::test]
async fn a_container_sees_its_own_groups_alone_and_can_change_nothing_of_them() {
    let host = Host::new();
    let (memory, is_v2) = match Layout::get().expect("there are cgroups") {
        Layout::V1(_) => ("/sys/fs/cgroup/memory", false),
        Layout::V2 => ("/sys/fs/cgroup", true),
    };
    for ids in [Some(IDS), None] {
        let (dir, mut order) = host.order(&["sh", "-c", TRY]);
        order.ids = ids;
        let instance = host.start(dir, order).await;
        instance.wrote("tried").await;
        let mut texts = instance.texts();
        // One line for each hierarchy.
        let groups: Vec<String> = texts.extract_if(.., |line| line.starts_with("in ")).collect();
        assert!(!groups.is_empty() && groups.iter().all(|line| line == "in /"), "{groups:?}");
        assert_eq!(texts, [&instance.order.size.memory.bytes().to_string(), "tried"], "{ids:?}");

        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/cgroup")).expect("it runs");
        assert_ne!(namespace(&instance.running.pid().to_string()), namespace("self"));
        let mounts = mounts(&instance);
        for (path, (_, options)) in &mounts {
            assert!(
                path.starts_with("/sys/fs/cgroup") && options.split(',').any(|option| option == "ro"),
                "{mounts:?}"
            );
        }
        assert_eq!(mounts[memory].0, instance.order.cgroup.as_str(), "{mounts:?}");
        assert!(!is_v2 || mounts.len() == 1, "{mounts:?}");
    }
}
