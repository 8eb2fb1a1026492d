//! Finds out as whom a container's program runs, from the image's own user and group lists.
//!
//! The lists are parsed here and not by the C library, which would load code of the image to do it. They are the image's
//! to write, so every number is checked: one that overflows must not come out as root (CVE-2024-40635).

/// Ids beyond this are refused by other runtimes too, and some are special to the kernel.
const MAX_ID: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
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

/// Resolves `uid`, `name`, either with `:gid` or `:group`, or nothing, which is root.
pub fn resolve(user: &str, passwd: &str, group: &str) -> Result<Identity, UserError> {
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
    Ok(Identity { uid, gid, groups, home: home.to_owned() })
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

    fn check(user: &str, expected: Result<(u32, u32, &[u32], &str), UserError>) {
        let expected = expected.map(|(uid, gid, groups, home)| Identity {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        });
        assert_eq!(resolve(user, PASSWD, GROUP), expected, "{user:?}");
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
        assert_eq!(resolve("", "", "").map(|identity| identity.uid), Ok(0));
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
}
