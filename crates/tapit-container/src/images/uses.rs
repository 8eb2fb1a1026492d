//! When each image was last used, and how it came: what decides which goes first when the disk is too small.
//!
//! Nothing else rests on it. What is lost here, in a crash or with the file, costs the right order and no image.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use tapit_model::{Digest, ImageOrigin, Timestamp};

use super::disk::{self, Layout};

const MAX_FILE: u64 = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Grows with every use of any image: the order of uses, which no clock can turn round.
    pub turn: u64,
    /// For people.
    pub at: Timestamp,
    pub origin: ImageOrigin,
}

/// The last use of each image.
#[derive(Debug, Default)]
pub struct Uses {
    last: u64,
    all: BTreeMap<Digest, Use>,
}

impl Uses {
    /// A file that is missing or cannot be understood means that nothing is known.
    pub fn read(layout: &Layout) -> Self {
        let path = layout.uses();
        let read = disk::read(&path, MAX_FILE).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        let all: BTreeMap<Digest, Use> = match read {
            Ok(all) => all,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "when images were last used cannot be read");
                }
                BTreeMap::new()
            }
        };
        Self { last: all.values().map(|one| one.turn).max().unwrap_or(0), all }
    }

    pub fn write(&self, layout: &Layout) -> io::Result<()> {
        if self.all.is_empty() {
            return disk::remove(&layout.uses());
        }
        disk::replace(&layout.uses(), &serde_json::to_vec(&self.all)?)
    }

    /// An image came, from somewhere new perhaps.
    pub fn came(&mut self, digest: &Digest, origin: ImageOrigin, at: Timestamp) {
        self.last += 1;
        self.all.insert(digest.clone(), Use { turn: self.last, at, origin });
    }

    /// Images are in use, all at the same time.
    pub fn touch<'a>(&mut self, digests: impl IntoIterator<Item = &'a Digest>, at: Timestamp) {
        self.last += 1;
        for digest in digests {
            if let Some(one) = self.all.get_mut(digest) {
                (one.turn, one.at) = (self.last, at);
            }
        }
    }

    pub fn forget(&mut self, digest: &Digest) {
        self.all.remove(digest);
    }

    pub fn of(&self, digest: &Digest) -> Option<&Use> {
        self.all.get(digest)
    }

    /// Enters images that nothing is known of, as the oldest of all.
    pub fn complete<'a>(&mut self, images: impl IntoIterator<Item = (&'a Digest, (ImageOrigin, Timestamp))>) {
        for (digest, (origin, at)) in images {
            self.all.entry(digest.clone()).or_insert(Use { turn: 0, at, origin });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: &str) -> Digest {
        Digest::parse(&format!("sha256:{}", digit.repeat(64))).expect("digest")
    }

    #[test]
    fn the_order_of_uses_outlives_the_server_and_its_clock() {
        let directory = tempfile::tempdir().expect("directory");
        let layout = Layout::create(directory.path()).expect("layout");
        let turns = |uses: &Uses| ["a", "b", "c"].map(|digit| uses.of(&digest(digit)).map(|one| one.turn));
        let mut uses = Uses::read(&layout);
        uses.came(&digest("a"), ImageOrigin::Pull, Timestamp(9_000));
        uses.came(&digest("b"), ImageOrigin::Build, Timestamp(1));
        uses.write(&layout).expect("written");
        let mut uses = Uses::read(&layout);
        let came = (ImageOrigin::Import, Timestamp(0));
        uses.complete([(&digest("a"), came), (&digest("c"), came)]);
        assert_eq!(turns(&uses), [Some(1), Some(2), Some(0)]);
        uses.touch([&digest("a"), &digest("d")], Timestamp(2));
        assert_eq!(turns(&uses), [Some(3), Some(2), Some(0)]);
        assert_eq!(uses.of(&digest("d")), None, "it is not held");
        assert_eq!(uses.of(&digest("a")).map(|one| one.origin), Some(ImageOrigin::Pull));
        for digit in ["a", "b", "c"] {
            uses.forget(&digest(digit));
        }
        uses.write(&layout).expect("written");
        assert!(!layout.uses().exists());
        std::fs::write(layout.uses(), "{").expect("damage");
        assert_eq!(turns(&Uses::read(&layout)), [None; 3]);
    }
}
