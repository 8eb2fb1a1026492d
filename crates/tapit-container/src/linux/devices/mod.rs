//! Which devices a container may open: the harmless ones that programs expect, and no other, whatever nodes there are.
//!
//! Without a privilege to make nodes this is a second wall; it stands for nodes that an image or a volume brings along.
//! The runtime sets up v1's device control, except that it leaves more open than wanted; on v2 it does nothing, because that
//! takes a program for the kernel (`program`). Both layouts answer alike, and as the large engines do: a node may be made
//! by whoever has the capability for it, of any device; what may be opened is the same short list for everybody.

mod program;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tapit_model::Capability;

use super::cgroup::{Layout, LayoutError};
use crate::instance::Order;

pub use program::Making;

#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("no cgroup hierarchy of this host controls devices")]
    NoController,
    #[error("writing {path}")]
    Deny { path: PathBuf, source: io::Error },
    #[error("opening {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error("loading the program that decides about devices")]
    Load { source: Errno },
    #[error("attaching the program that decides about devices")]
    Attach { source: Errno },
}

/// What the runtime allows on v1 and should not: tunnels, and making nodes of any kind.
const TUNNEL: &str = "c 10:200 rwm";
const NODES: [&str; 2] = ["c *:* m", "b *:* m"];

/// Confines the cgroup of a container that is made and not yet started. By now the runtime has made the nodes of `/dev`.
pub fn confine(order: &Order) -> Result<(), DevicesError> {
    let layout = Layout::get()?;
    let mount = layout.mount_of("devices").ok_or(DevicesError::NoController)?;
    let group = mount.join(order.cgroup.as_str().trim_start_matches('/'));
    let making = if order.cap_add.contains(&Capability::Mknod) { Making::Any } else { Making::None };
    match layout {
        Layout::V1(_) => deny(&group, making),
        Layout::V2 => attach(&group, making).map(drop),
    }
}

fn deny(group: &Path, making: Making) -> Result<(), DevicesError> {
    let path = group.join("devices.deny");
    let nodes = match making {
        Making::Any => [].as_slice(),
        Making::None => NODES.as_slice(),
    };
    for rule in [TUNNEL].iter().chain(nodes) {
        fs::write(&path, rule).map_err(|source| DevicesError::Deny { path: path.clone(), source })?;
    }
    Ok(())
}

/// Attaches the program to a v2 cgroup. It stays for as long as the cgroup does.
fn attach(group: &Path, making: Making) -> Result<OwnedFd, DevicesError> {
    let group = File::open(group).map_err(|source| DevicesError::Open { path: group.to_owned(), source })?;
    let program = load(making).map_err(|source| DevicesError::Load { source })?;
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    const PROG_ATTACH: libc::c_int = 8;
    const CGROUP_DEVICE: u32 = 6;
    // Programs of the groups above, such as an init system's, must go on deciding too.
    const ALLOW_MULTI: u32 = 2;
    let request = Attach {
        target: group.as_raw_fd().unsigned_abs(),
        program: program.as_raw_fd().unsigned_abs(),
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: the request has the kernel's layout for this command, is passed with its own size and outlives the call.
    let attached =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, std::ptr::from_ref(&request), size_of::<Attach>()) };
    Errno::result(attached).map_err(|source| DevicesError::Attach { source })?;
    Ok(program)
}

/// Loads the program; also how it is found out whether this kernel takes one.
pub fn load(making: Making) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log: [u64; 3],
    }
    const PROG_LOAD: libc::c_int = 5;
    const CGROUP_DEVICE: u32 = 15;
    let instructions = program::program(making);
    let license = c"Apache-2.0";
    let request = Load {
        kind: CGROUP_DEVICE,
        count: u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log: [0; 3],
    };
    // SAFETY: the request has the kernel's layout for this command and is passed with its own size; it points at as many
    // instructions as it says and at a C string, all of which outlive the call.
    let loaded = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, std::ptr::from_ref(&request), size_of::<Load>()) };
    let loaded = Errno::result(loaded)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(loaded as i32) })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A v2 cgroup of the test's own, on hosts with either layout. Gone when the test ends.
    struct Group(PathBuf);

    impl Group {
        fn make(name: &str) -> Self {
            let hybrid = Path::new("/sys/fs/cgroup/unified");
            let mount = if hybrid.is_dir() { hybrid } else { Path::new("/sys/fs/cgroup") };
            let path = mount.join(format!("tapit-devices-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("a cgroup");
            Self(path)
        }

        /// Runs a script of the host's shell, as root, in the group.
        fn run(&self, script: &str) -> Option<i32> {
            let script = format!("echo $$ > {}/cgroup.procs || exit 99; {script}", self.0.display());
            Command::new("/bin/sh").args(["-c", &script]).status().expect("runs").code()
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let removed = fs::remove_dir(&self.0);
            assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
        }
    }

    #[test]
    fn on_v2_only_harmless_devices_can_be_opened_and_none_be_made() {
        let group = Group::make("opened");
        let nodes = tempfile::tempdir().expect("a directory");
        let script = format!(
            "for name in null zero full random urandom ptmx; do true < /dev/$name || exit 1; done
            true > /dev/null || exit 2
            for name in kmsg mem loop-control fuse net/tun; do
                [ -e /dev/$name ] && (true < /dev/$name) 2>/dev/null && exit 3
            done
            mknod {}/node c 1 3 2>/dev/null && exit 4
            [ -e /dev/kmsg ] || exit 5
            exit 0",
            nodes.path().display(),
        );
        assert_eq!(group.run(&script), Some(3), "without the program the host's root can open them");
        let _program = attach(&group.0, Making::None).expect("attaches");
        assert_eq!(group.run(&script), Some(0));
    }

    #[test]
    fn on_v2_whoever_may_make_nodes_can_open_none_that_is_not_harmless() {
        let group = Group::make("made");
        let nodes = tempfile::tempdir().expect("a directory");
        let script = format!(
            "cd {} && rm -f null kmsg disk
            mknod null c 1 3 && mknod kmsg c 1 11 && mknod disk b 7 0 || exit 1
            true < null && true > null || exit 2
            for name in kmsg disk; do
                (true < $name) 2>/dev/null && exit 3
                (true > $name) 2>/dev/null && exit 3
            done
            exit 0",
            nodes.path().display(),
        );
        assert_eq!(group.run(&script), Some(3), "without the program the host's root can open them");
        let _program = attach(&group.0, Making::Any).expect("attaches");
        assert_eq!(group.run(&script), Some(0));
    }
}
