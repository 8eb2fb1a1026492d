//! Control groups: the server's parent group and one leaf below it per instance, on v1 and on v2.
//!
//! The runtime makes an instance's leaf and puts its first process there; everything else (the parent, counters, resizing,
//! killing, removal) is done here. v1 and v2 are told apart as the runtime tells them apart, since both must speak of the
//! same directories: a cgroup2 mount at `/sys/fs/cgroup` is v2, anything else v1, also when a v2 mount stands beside it.

mod end;
mod layout;
mod leaf;
mod limits;
mod root;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use layout::{Layout, LayoutError};
pub use leaf::{Counters, Leaf, LeafError};
pub use limits::{LimitError, Limits, PERIOD_USEC};
pub use root::{Root, RootError};

/// A cgroup by its path from the mount of each hierarchy: `/tapit-1a2b3c/shop.web.7`.
///
/// Parsing is the only way in, so it never leads out of the hierarchy or to its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the path of a cgroup of ours: /PARENT/LEAF of letters, digits, dots, hyphens and underscores is")]
pub struct CgroupPathError(String);

impl CgroupPath {
    pub fn parse(text: &str) -> Result<Self, CgroupPathError> {
        let legal = |name: &str| {
            let charset = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(charset)
        };
        match text.strip_prefix('/').and_then(|rest| rest.split_once('/')) {
            Some((parent, leaf)) if legal(parent) && legal(leaf) => Ok(Self(text.to_owned())),
            Some(_) | None => Err(CgroupPathError(text.chars().take(300).collect())),
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
    fn a_cgroup_path_has_two_plain_names() {
        for good in ["/tapit-1a2b3c/shop.web.7", "/a/b"] {
            assert!(CgroupPath::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/a", "a/b", "/a/", "//a", "/a/b/c", "/a/..", "/../b", "/a/.b", "/a/b c", "/a/b\n"] {
            assert!(CgroupPath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
