//! Which devices a container may open: the harmless ones that programs expect, and no other, whatever nodes there are.
//!
//! Without a privilege to make nodes this is a second wall; it stands for nodes that an image or a volume brings along.
//! The runtime sets up v1's device control, except that it leaves more open than wanted; on v2 it does nothing, because that
//! takes a program for the kernel. That program is a handful of comparisons, written here in the kernel's own code.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tapit_model::Capability;

use super::cgroup::{Layout, LayoutError};
use crate::instance::Order;

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

/// Character devices by number; `None` stands for every minor number.
const ALLOWED: [(u32, Option<u32>); 9] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // terminals
];

/// What the runtime allows on v1 and should not: tunnels, and making nodes of any kind.
const TUNNEL: &str = "c 10:200 rwm";
const NODES: [&str; 2] = ["c *:* m", "b *:* m"];

/// Confines the cgroup of a container that is made and not yet started. By now the runtime has made the nodes of `/dev`.
pub fn confine(order: &Order) -> Result<(), DevicesError> {
    let layout = Layout::get()?;
    let mount = layout.mount_of("devices").ok_or(DevicesError::NoController)?;
    let group = mount.join(order.cgroup.as_str().trim_start_matches('/'));
    match layout {
        Layout::V1(_) => deny(&group, order),
        Layout::V2 => attach(&group).map(drop),
    }
}

fn deny(group: &Path, order: &Order) -> Result<(), DevicesError> {
    let path = group.join("devices.deny");
    let nodes = if order.cap_add.contains(&Capability::Mknod) { [].as_slice() } else { NODES.as_slice() };
    for rule in [TUNNEL].iter().chain(nodes) {
        fs::write(&path, rule).map_err(|source| DevicesError::Deny { path: path.clone(), source })?;
    }
    Ok(())
}

/// Attaches the program to a v2 cgroup. It stays for as long as the cgroup does.
fn attach(group: &Path) -> Result<OwnedFd, DevicesError> {
    let group = File::open(group).map_err(|source| DevicesError::Open { path: group.to_owned(), source })?;
    let program = load().map_err(|source| DevicesError::Load { source })?;
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
pub fn load() -> Result<OwnedFd, Errno> {
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
    let instructions = program();
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

/// One instruction, laid out as the kernel's `bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Registers: 0 is the answer, 1 points at the question: type and access in one word, major, minor.
const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const CHARACTER: i32 = 2;
const MAKE_NODE: i32 = 1;

fn program() -> Vec<Instruction> {
    let with =
        |code, to: u8, from: u8, offset, immediate| Instruction { code, registers: to | from << 4, offset, immediate };
    let refuse = [with(SET, 0, 0, 0, 0), with(EXIT, 0, 0, 0, 0)];
    let allow = [with(SET, 0, 0, 0, 1), with(EXIT, 0, 0, 0, 0)];
    let mut program = vec![
        with(LOAD_WORD, 2, 1, 0, 0),
        with(COPY, 3, 2, 0, 0),
        with(AND, 2, 0, 0, 0xffff),
        with(SHIFT_RIGHT, 3, 0, 0, 16),
        with(LOAD_WORD, 4, 1, 4, 0),
        with(LOAD_WORD, 5, 1, 8, 0),
        with(JUMP_IF_EQUAL, 2, 0, 2, CHARACTER),
    ];
    program.extend(refuse);
    program.extend([with(AND, 3, 0, 0, MAKE_NODE), with(JUMP_UNLESS_EQUAL, 3, 0, 2, MAKE_NODE)]);
    program.extend(refuse);
    for (major, minor) in ALLOWED {
        let beyond = if minor.is_some() { 3 } else { 2 };
        program.push(with(JUMP_UNLESS_EQUAL, 4, 0, beyond, major as i32));
        program.extend(minor.map(|minor| with(JUMP_UNLESS_EQUAL, 5, 0, 2, minor as i32)));
        program.extend(allow);
    }
    program.extend(refuse);
    program
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A v2 cgroup of the test's own, on hosts with either layout. Gone when the test ends.
    struct Group(PathBuf);

    impl Group {
        fn make() -> Self {
            let hybrid = Path::new("/sys/fs/cgroup/unified");
            let mount = if hybrid.is_dir() { hybrid } else { Path::new("/sys/fs/cgroup") };
            let path = mount.join(format!("tapit-devices-{}", std::process::id()));
            fs::create_dir(&path).expect("a cgroup");
            Self(path)
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
        let group = Group::make();
        let nodes = tempfile::tempdir().expect("a directory");
        let node = nodes.path().join("node");
        let script = format!(
            "echo $$ > {group}/cgroup.procs || exit 9
            for name in null zero full random urandom ptmx; do true < /dev/$name || exit 1; done
            true > /dev/null || exit 2
            for name in kmsg mem loop-control fuse net/tun; do
                [ -e /dev/$name ] && (true < /dev/$name) 2>/dev/null && exit 3
            done
            mknod {node} c 1 3 2>/dev/null && exit 4
            [ -e /dev/kmsg ] || exit 5
            exit 0",
            group = group.0.display(),
            node = node.display(),
        );
        let run = || Command::new("/bin/sh").args(["-c", &script]).status().expect("runs").code();
        assert_eq!(run(), Some(3), "without the program the host's root can open them");
        let _program = attach(&group.0).expect("attaches");
        assert_eq!(run(), Some(0));
    }
}
