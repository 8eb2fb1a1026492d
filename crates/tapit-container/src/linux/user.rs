//! Finds out as whom a container's program runs, from the image's own user and group lists.
//!
//! The lists are parsed here and not by the C library, which would load code of the image to do it. They are the image's
//! to write, so every number is checked: one that overflows must not come out as root (CVE-2024-40635). In a user namespace
//! only the first 65,536 ids stand for anybody.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use crate::instance::IdRange;

/// Ids beyond this are refused by other runtimes too, and some are special to the kernel.
const MAX_ID: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Whom the host sees.
    pub host_uid: u32,
    /// Supplementary groups, when the image's list puts the user into any and no group was asked for.
    pub groups: Vec<u32>,
    pub home: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("the image wants to run as user {0:?}, whom its /etc/passwd does not know")]
    UnknownUser(String),
    #[error("the image wants to run as group {0:?}, which its /etc/group does not know")]
    UnknownGroup(String),
    #[error("the image wants to run with the id {0}; ids go up to {MAX_ID}")]
    OutOfRange(String),
    #[error(
        "the image wants to run with the id {0}; in a user namespace ids go up to {max} (userns=false runs it without one)",
        max = IdRange::COUNT - 1
    )]
    Unmapped(u32),
}

/// What a name or number stands for.
enum Wanted<'a> {
    Id(u32),
    Name(&'a str),
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str) -> Result<Self, UserError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Wanted::Name(text));
        }
        let id = text.parse().ok().filter(|id| *id <= MAX_ID);
        id.map(Wanted::Id).ok_or_else(|| UserError::OutOfRange(shown(text)))
    }
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The image's own lists.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    pub passwd: &'a str,
    pub group: &'a str,
}

/// Resolves `uid`, `name`, either with `:gid` or `:group`, or nothing, which is root.
pub fn resolve(user: &str, lists: Lists<'_>, ids: Option<IdRange>) -> Result<Identity, UserError> {
    let identity = look_up(user, lists)?;
    let Some(ids) = ids else { return Ok(identity) };
    let host_uid = ids.host(identity.uid).ok_or(UserError::Unmapped(identity.uid))?;
    ids.host(identity.gid).ok_or(UserError::Unmapped(identity.gid))?;
    // A group that stands for nobody would give access to nothing.
    let groups = identity.groups.iter().copied().filter(|group| ids.host(*group).is_some()).collect();
    Ok(Identity { host_uid, groups, ..identity })
}

fn look_up(user: &str, Lists { passwd, group }: Lists<'_>) -> Result<Identity, UserError> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let wanted = if user.is_empty() { Wanted::Id(0) } else { Wanted::parse(user)? };
    let account = accounts(passwd).find(|account| match wanted {
        Wanted::Id(uid) => account.uid == uid,
        Wanted::Name(name) => account.name == name,
    });
    let (uid, own_gid, home) = match (&account, wanted) {
        (Some(account), _) => (account.uid, account.gid, account.home),
        (None, Wanted::Id(uid)) => (uid, 0, ""),
        (None, Wanted::Name(name)) => return Err(UserError::UnknownUser(shown(name))),
    };
    let (gid, groups) = match wanted_group {
        Some(wanted) => (group_id(wanted, group)?, Vec::new()),
        None => (own_gid, account.map(|account| memberships(account.name, group)).unwrap_or_default()),
    };
    let home = if home.starts_with('/') { home } else { "/" };
    Ok(Identity { uid, gid, host_uid: uid, groups, home: home.to_owned() })
}

/// The home of a user by the list at `/etc/passwd`, from a process that has the container's root as its own. `/` where the
/// list does not say, or is none.
pub fn home_inside(uid: u32) -> String {
    /// More than any list needs; the container may have put anything there.
    const MAX_LIST: u64 = 1024 * 1024;
    let read = || -> std::io::Result<String> {
        // Opening a pipe or a device could wait for ever.
        let file =
            std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open("/etc/passwd")?;
        let mut list = Vec::new();
        if file.metadata()?.is_file() {
            file.take(MAX_LIST).read_to_end(&mut list)?;
        }
        Ok(String::from_utf8_lossy(&list).into_owned())
    };
    let list = read().unwrap_or_default();
    let account = accounts(&list).find(|account| account.uid == uid);
    account.map(|account| account.home).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned()
}

/// Lines that are not of the form, or hold ids out of range, are passed over as if they were not there.
fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(Account { name, uid: id(uid)?, gid: id(gid)?, home })
    })
}

/// Name, id and members of each group.
fn groups_of(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields[..] else { return None };
        Some((name, id(gid)?, members))
    })
}

fn group_id(wanted: &str, group: &str) -> Result<u32, UserError> {
    match Wanted::parse(wanted)? {
        Wanted::Id(gid) => Ok(gid),
        Wanted::Name(name) => groups_of(group)
            .find(|(known, ..)| *known == name)
            .map(|(_, gid, _)| gid)
            .ok_or_else(|| UserError::UnknownGroup(shown(name))),
    }
}

fn memberships(user: &str, group: &str) -> Vec<u32> {
    // As many as the kernel keeps is more than any image needs.
    const MAX_GROUPS: usize = 1024;
    let member = |members: &str| members.split(',').any(|member| member == user);
    groups_of(group).filter(|(.., members)| member(members)).map(|(_, gid, _)| gid).take(MAX_GROUPS).collect()
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= MAX_ID)
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Tries any user and lists. See `crate::fuzzing`.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing {
    use super::{IdRange, Lists, MAX_ID, accounts, resolve};

    /// The user, `/etc/passwd` and `/etc/group`, with a NUL byte between them: nobody becomes root or leaves the range who
    /// is not written down so.
    pub fn users(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.splitn(3, '\0');
        let mut part = || parts.next().unwrap_or_default();
        let (user, passwd, group) = (part(), part(), part());
        for ids in [None, Some(IdRange { base: 0x4000_0000 })] {
            let Ok(identity) = resolve(user, Lists { passwd, group }, ids) else { continue };
            assert!(identity.uid <= MAX_ID && identity.gid <= MAX_ID, "{identity:?}");
            assert!(identity.groups.len() <= 1024 && identity.groups.iter().all(|group| *group <= MAX_ID));
            assert!(identity.home.starts_with('/'), "{identity:?}");
            if let Some(ids) = ids {
                assert_eq!(ids.host(identity.uid), Some(identity.host_uid));
                assert!(identity.groups.iter().all(|group| ids.host(*group).is_some()));
            }
            let name = user.split(':').next().unwrap_or_default();
            let asked = name.bytes().all(|byte| byte == b'0');
            let listed = accounts(passwd).any(|account| account.uid == 0 && account.name == name);
            assert!(identity.uid != 0 || asked || listed, "{user:?} became root");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        # a comment\nbroken\n\
        evil:x:4294967296:0::/:/bin/sh\n\
        wrapped:x:4294967295:0::/:/bin/sh\n\
        app:x:1000:1001:An app,,,:/home/app:/bin/sh\n\
        bare:x:7:7::relative:\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:app,bare\nwheel:x:51:bare\nbig:x:99999999999:app\napp:x:1001:\n";

    const LISTS: Lists<'_> = Lists { passwd: PASSWD, group: GROUP };

    fn check(user: &str, expected: Result<(u32, u32, &[u32], &str), UserError>) {
        let expected = expected.map(|(uid, gid, groups, home)| Identity {
            uid,
            gid,
            host_uid: uid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        });
        assert_eq!(resolve(user, LISTS, None), expected, "{user:?}");
    }

    #[test]
    fn users_are_resolved_from_the_images_own_lists() {
        check("", Ok((0, 0, &[], "/root")));
        check("root", Ok((0, 0, &[], "/root")));
        check("app", Ok((1000, 1001, &[50], "/home/app")));
        check("1000", Ok((1000, 1001, &[50], "/home/app")));
        check("app:wheel", Ok((1000, 51, &[], "/home/app")));
        check("app:77", Ok((1000, 77, &[], "/home/app")));
        check("app:", Ok((1000, 1001, &[50], "/home/app")));
        check(":50", Ok((0, 50, &[], "/root")));
        check("bare", Ok((7, 7, &[50, 51], "/")));
        check("5000", Ok((5000, 0, &[], "/")));
        check("5000:5001", Ok((5000, 5001, &[], "/")));
        assert_eq!(resolve("", Lists { passwd: "", group: "" }, None).map(|identity| identity.uid), Ok(0));
    }

    #[test]
    fn unknown_names_and_overflowing_ids_are_refused() {
        check("nobody", Err(UserError::UnknownUser("nobody".into())));
        check("evil", Err(UserError::UnknownUser("evil".into())));
        check("wrapped", Err(UserError::UnknownUser("wrapped".into())));
        check("-1", Err(UserError::UnknownUser("-1".into())));
        check("app:nogroup", Err(UserError::UnknownGroup("nogroup".into())));
        check("app:big", Err(UserError::UnknownGroup("big".into())));
        for id in ["2147483648", "4294967295", "4294967296", "99999999999999999999"] {
            check(id, Err(UserError::OutOfRange(id.into())));
            check(&format!("0:{id}"), Err(UserError::OutOfRange(id.into())));
        }
        check("2147483647", Ok((2_147_483_647, 0, &[], "/")));
    }

    #[test]
    fn in_a_user_namespace_only_its_own_ids_will_do() {
        let ids = Some(IdRange { base: 0x4000_0000 });
        let of = |user: &str| resolve(user, LISTS, ids).map(|identity| (identity.uid, identity.host_uid));
        assert_eq!(of(""), Ok((0, 0x4000_0000)));
        assert_eq!(of("app"), Ok((1000, 0x4000_0000 + 1000)));
        assert_eq!(of("65535"), Ok((65_535, 0x4000_ffff)));
        assert_eq!(of("65536"), Err(UserError::Unmapped(65_536)));
        assert_eq!(of("0:65536"), Err(UserError::Unmapped(65_536)));
        let lists = Lists { passwd: PASSWD, group: "far:x:70000:app\nnear:x:50:app\n" };
        assert_eq!(resolve("app", lists, ids).map(|identity| identity.groups), Ok(vec![50]));
    }
}
