//! Control groups: the server's parent group and one leaf below it per instance, on v1 and on v2.
//!
//! The runtime makes an instance's leaf and puts its first process there; everything else (the parent, counters, resizing,
//! killing, removal) is done here. v1 and v2 are told apart as the runtime tells them apart, since both must speak of the
//! same directories: a cgroup2 mount at `/sys/fs/cgroup` is v2, anything else v1, also when a v2 mount stands beside it.

mod counters;
mod delegate;
mod end;
mod layout;
mod leaf;
mod limits;
mod place;
mod prime;
mod root;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use counters::{Counters, Cpu, Memory};
pub(in crate::linux) use layout::v1_mounts;
pub use layout::{Layout, LayoutError};
pub use leaf::{Leaf, LeafError};
pub use limits::{LimitError, Limits, PERIOD_USEC};
pub use place::Standing;
pub use prime::prime;
pub use root::{Root, RootError};

/// Groups that the parent may be below.
const MOST_ABOVE: usize = 8;

/// A cgroup by its path from the mount of each hierarchy: `/tapit-1a2b3c/shop.web.7`, or further down where the parent
/// is in somebody's group: `/system.slice/tapit.service/tapit-1a2b3c/shop.web.7`.
///
/// Parsing is the only way in, so it never leads out of the hierarchy or to its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the path of a cgroup of ours: /PARENT/LEAF of letters, digits, dots, hyphens and underscores is, with other groups before it"
)]
pub struct CgroupPathError(String);

impl CgroupPath {
    pub fn parse(text: &str) -> Result<Self, CgroupPathError> {
        let charset = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        // Groups above are named by others; systemd's units may hold these too.
        let theirs = |b: u8| charset(b) || matches!(b, b'@' | b':' | b'\\');
        let legal = |name: &str, legal: &dyn Fn(u8) -> bool| {
            !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(legal)
        };
        let names: Vec<&str> = text.strip_prefix('/').unwrap_or_default().split('/').collect();
        match names.as_slice() {
            [above @ .., parent, leaf]
                if above.len() <= MOST_ABOVE
                    && above.iter().all(|name| legal(name, &theirs))
                    && legal(parent, &charset)
                    && legal(leaf, &charset) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(CgroupPathError(text.chars().take(300).collect())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory below the mount of a hierarchy.
    fn below(&self, mount: &Path) -> PathBuf {
        mount.join(&self.0[1..])
    }
}

impl TryFrom<String> for CgroupPath {
    type Error = CgroupPathError;
    fn try_from(text: String) -> Result<Self, CgroupPathError> {
        Self::parse(&text)
    }
}

impl From<CgroupPath> for String {
    fn from(path: CgroupPath) -> String {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_path_is_one_of_plain_names_that_leads_down() {
        let good = [
            "/tapit-1a2b3c/shop.web.7",
            "/a/b",
            "/system.slice/tapit.service/tapit-1a2b3c/shop.web.7",
            r"/system.slice/system-my\x2dapp.slice/tapit@blue:1.service/t/x",
        ];
        for good in good {
            assert!(CgroupPath::parse(good).is_ok(), "{good}");
        }
        let deep = "/x".repeat(MOST_ABOVE + 3);
        let bad = [
            "",
            "/",
            "/a",
            "a/b",
            "/a/",
            "//a",
            "/a/..",
            "/../b",
            "/a/../b/c",
            "/a/.b",
            "/a/b c",
            "/a/b\n",
            "/a@/b",
            &deep,
        ];
        for bad in bad {
            assert!(CgroupPath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
