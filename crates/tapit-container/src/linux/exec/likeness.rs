//! What process 1 of a container is: its namespaces, user, privileges and limits, read from the kernel, and how another
//! process becomes the same.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, setgroups, setresgid, setresuid};

use super::ExecError;
use crate::instance::IdRange;
use crate::linux::user::Identity;

const NAMESPACES: [(&str, CloneFlags); 7] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("pid", CloneFlags::CLONE_NEWPID),
];

/// All that Linux has (`RLIM_NLIMITS`).
const LIMITS: usize = 16;
/// Capabilities are numbered below this.
const CAPABILITIES: u64 = 64;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Capabilities {
    inheritable: u64,
    permitted: u64,
    effective: u64,
    bounding: u64,
    ambient: u64,
}

pub struct Likeness {
    /// Those that are not ours already: the kernel refuses to join one's own user namespace again.
    pub namespaces: CloneFlags,
    /// By the numbers inside. Its home is not known here.
    pub identity: Identity,
    capabilities: Capabilities,
    limits: Vec<(u32, libc::rlimit)>,
    oom_score_adj: String,
}

impl Likeness {
    /// Of a process that the caller holds and looks at again afterwards.
    pub fn of(pid: i32, ids: Option<IdRange>) -> Result<Self, ExecError> {
        let look = |what: &'static str| move |source: io::Error| ExecError::Look { what, source };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(look("its status"))?;
        let table = fs::read_to_string(format!("/proc/{pid}/limits")).map_err(look("its limits"))?;
        let identity = identity(&status, ids).ok_or(ExecError::Unknown("user"))?;
        Ok(Self {
            namespaces: foreign_namespaces(pid).map_err(look("its namespaces"))?,
            identity,
            capabilities: capabilities(&status).ok_or(ExecError::Unknown("capabilities"))?,
            limits: limits(&table).ok_or(ExecError::Unknown("limits"))?,
            oom_score_adj: fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).map_err(look("its OOM score"))?,
        })
    }

    /// What takes the privileges of the host's root, or its view of `/proc`: limits and the OOM score. The helper has them
    /// too from then on; forked off, the command inherits them.
    pub fn take_on_outside(&self) -> Result<(), ExecError> {
        fs::write("/proc/self/oom_score_adj", &self.oom_score_adj)
            .map_err(|source| ExecError::Look { what: "taking on its OOM score", source })?;
        for (resource, limit) in &self.limits {
            // SAFETY: the call reads one limit, which lives here.
            Errno::result(unsafe { libc::setrlimit(*resource, limit) })
                .map_err(|source| ExecError::Drop { act: "taking on its limits", source })?;
        }
        Ok(())
    }

    /// Its user and privileges, from within its namespaces, where the helper is all-powerful when it comes here. Also the
    /// working directory, as that user.
    pub fn take_on_inside(&self, cwd: &Path) -> Result<(), ExecError> {
        let act = |act: &'static str| move |source: Errno| ExecError::Drop { act, source };
        let identity = &self.identity;
        drop_bounding(self.capabilities.bounding).map_err(act("the bounding set"))?;
        prctl(libc::PR_SET_KEEPCAPS, 1, 0).map_err(act("keeping capabilities"))?;
        let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let (gid, uid) = (Gid::from_raw(identity.gid), Uid::from_raw(identity.uid));
        setgroups(&groups).map_err(act("supplementary groups"))?;
        setresgid(gid, gid, gid).map_err(act("the group"))?;
        setresuid(uid, uid, uid).map_err(act("the user"))?;
        capset(&self.capabilities).map_err(act("capabilities"))?;
        set_ambient(self.capabilities.ambient).map_err(act("ambient capabilities"))?;
        nix::sys::prctl::set_no_new_privs().map_err(act("no new privileges"))?;
        // Another user may have made it dumpable again.
        nix::sys::prctl::set_dumpable(false).map_err(act("hiding from the container"))?;
        umask(Mode::from_bits_truncate(0o022));
        chdir(cwd).map_err(act("entering the working directory"))
    }
}

fn foreign_namespaces(pid: i32) -> io::Result<CloneFlags> {
    let mut flags = CloneFlags::empty();
    for (name, flag) in NAMESPACES {
        let inode = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/{name}")).map(|meta| (meta.dev(), meta.ino()));
        if inode(&pid.to_string())? != inode("self")? {
            flags |= flag;
        }
    }
    Ok(flags)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The status shows ids as the reader's namespace numbers them, which is the host's.
fn identity(status: &str, ids: Option<IdRange>) -> Option<Identity> {
    let inside = |outer: u32| match ids {
        Some(range) => outer.checked_sub(range.base).filter(|id| *id < IdRange::COUNT),
        None => Some(outer),
    };
    // Real, effective, saved, file system; a program has one user, and its process 1 the same.
    let effective = |name: &str| field(status, name)?.split_ascii_whitespace().nth(1)?.parse::<u32>().ok();
    let (host_uid, gid) = (effective("Uid")?, effective("Gid")?);
    let groups = field(status, "Groups")?.split_ascii_whitespace().map(|gid| inside(gid.parse().ok()?));
    Some(Identity {
        uid: inside(host_uid)?,
        gid: inside(gid)?,
        host_uid,
        groups: groups.collect::<Option<_>>()?,
        home: "/".to_owned(),
    })
}

fn capabilities(status: &str) -> Option<Capabilities> {
    let set = |name: &str| u64::from_str_radix(field(status, name)?, 16).ok();
    Some(Capabilities {
        inheritable: set("CapInh")?,
        permitted: set("CapPrm")?,
        effective: set("CapEff")?,
        bounding: set("CapBnd")?,
        ambient: set("CapAmb")?,
    })
}

/// From the table of `/proc/PID/limits`, which has a line for each in the order of their numbers. Anybody may read it, where
/// asking the kernel for another user's limits takes CAP_SYS_RESOURCE.
fn limits(table: &str) -> Option<Vec<(u32, libc::rlimit)>> {
    /// As wide as the kernel makes the column of names.
    const NAMES: usize = 26;
    let value = |text: &str| if text == "unlimited" { Some(libc::RLIM_INFINITY) } else { text.parse().ok() };
    let limit = |line: &str| {
        let mut values = line.get(NAMES..)?.split_ascii_whitespace().map(value);
        Some(libc::rlimit { rlim_cur: values.next()??, rlim_max: values.next()?? })
    };
    let all: Vec<_> =
        (0..).zip(table.lines().skip(1)).map(|(nth, line)| Some((nth, limit(line)?))).collect::<Option<_>>()?;
    (all.len() == LIMITS).then_some(all)
}

fn prctl(option: i32, value: u64, more: u64) -> Result<(), Errno> {
    // SAFETY: all options that are used here take plain numbers and touch no memory of ours.
    Errno::result(unsafe { libc::prctl(option, value, more, 0, 0) }).map(drop)
}

fn drop_bounding(kept: u64) -> Result<(), Errno> {
    for number in (0..CAPABILITIES).filter(|number| kept & (1 << number) == 0) {
        match prctl(libc::PR_CAPBSET_DROP, number, 0) {
            Ok(()) => {}
            // The kernel knows no more of them.
            Err(Errno::EINVAL) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn set_ambient(ambient: u64) -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
    for number in (0..CAPABILITIES).filter(|number| ambient & (1 << number) != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, number)?;
    }
    Ok(())
}

/// As the kernel takes them: a header, and 32 bits of each set at a time.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn capset(sets: &Capabilities) -> Result<(), Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = CapabilityHeader { version: VERSION_3, pid: 0 };
    let word = |shift: u32| {
        let part = |set: u64| u32::try_from((set >> shift) & u64::from(u32::MAX)).unwrap_or(0);
        CapabilityWord {
            effective: part(sets.effective),
            permitted: part(sets.permitted),
            inheritable: part(sets.inheritable),
        }
    };
    let words = [word(0), word(32)];
    // SAFETY: header and words have the kernel's layout for version 3, which reads two words; both outlive the call.
    let set = unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), words.as_ptr()) };
    Errno::result(set).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nUid:\t101000\t101000\t101000\t101000\nGid:\t100000\t100000\t100000\t100000\n\
        Groups:\t100005 100007 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000400\nCapEff:\t00000000000000c1\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n";

    #[test]
    fn ids_are_read_by_their_numbers_inside() {
        let mapped = identity(STATUS, Some(IdRange { base: 100_000 })).expect("is readable");
        assert_eq!((mapped.host_uid, mapped.uid, mapped.gid, mapped.groups), (101_000, 1000, 0, vec![5, 7]));
        let plain = identity(STATUS, None).expect("is readable");
        assert_eq!((plain.host_uid, plain.uid), (101_000, 101_000));
        for base in [100_001, 200_000, 0] {
            assert!(identity(STATUS, Some(IdRange { base })).is_none(), "{base}");
        }
    }

    #[test]
    fn capabilities_are_read_as_the_kernel_writes_them() {
        let read = capabilities(STATUS).expect("is readable");
        let expected =
            Capabilities { inheritable: 0, permitted: 0x400, effective: 0xc1, bounding: 0x1ff_ffff_ffff, ambient: 0 };
        assert_eq!(read, expected);
        assert_eq!(capabilities("CapInh:\t0\n"), None);
    }

    #[test]
    fn limits_are_read_as_the_kernel_answers_them() {
        let table = fs::read_to_string("/proc/self/limits").expect("is readable");
        let read = limits(&table).expect("is a table");
        for (resource, limit) in read {
            let mut known = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the call fills in a limit, which lives here.
            Errno::result(unsafe { libc::getrlimit(resource, &mut known) }).expect("is a limit");
            assert_eq!((limit.rlim_cur, limit.rlim_max), (known.rlim_cur, known.rlim_max), "{resource}");
        }
        let (shorter, _) = table.trim_end().rsplit_once('\n').expect("has lines");
        assert!(limits(shorter).is_none() && limits("").is_none() && limits("x\n\n").is_none());
    }

    #[test]
    fn nothing_has_to_be_joined_to_be_like_oneself() {
        assert_eq!(foreign_namespaces(std::process::id() as i32).expect("is readable"), CloneFlags::empty());
    }
}
