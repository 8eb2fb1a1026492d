//! Takes the kernel's one-off wait for moving a process between cgroups out of the way of a start.
//!
//! The first move after a pause waits for every cpu to pass a quiet point, which takes 6 to 15 ms; those that follow within
//! about as much time do not wait. A start moves its container only after some 10 ms of other work, so the wait is begun
//! early, beside that work. It is begun by putting this process where it is already, which changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::Layout;

/// Begins the wait. Blocks until it is over. What fails here only costs the next start its head start.
pub fn prime() {
    let Ok(layout) = Layout::get() else { return };
    let Ok(own) = fs::read_to_string("/proc/self/cgroup") else { return };
    if let Some(group) = own_group(layout, &own) {
        let _ = fs::write(group.join("cgroup.procs"), std::process::id().to_string());
    }
}

/// The directory of the group that this process is in, in one hierarchy; any will do, since the wait is for all of them.
fn own_group(layout: &Layout, own: &str) -> Option<PathBuf> {
    let (controller, mount) = match layout {
        Layout::V1(_) => ("pids", layout.mount_of("pids")?),
        Layout::V2 => ("", layout.mount_of("")?),
    };
    own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let found = controllers.split(',').any(|name| name == controller);
        found.then(|| mount.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path))))
    })
}

#[cfg(test)]
mod tests {
    use super::super::layout::Hierarchy;
    use super::*;

    #[test]
    fn the_own_group_is_found_in_either_layout() {
        let own = "8:pids:/user/a\n1:cpu,cpuacct:/b\n0::/unified/c\n";
        let pids = Hierarchy { mount: "/sys/fs/cgroup/pids".into(), controllers: vec!["pids"] };
        assert_eq!(own_group(&Layout::V1(vec![pids]), own), Some("/sys/fs/cgroup/pids/user/a".into()));
        assert_eq!(own_group(&Layout::V2, own), Some("/sys/fs/cgroup/unified/c".into()));
        assert_eq!(own_group(&Layout::V2, "8:pids:/\n"), None);
    }
}
