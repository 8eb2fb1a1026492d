//! Which pinned digests are those of images that are carried to the account: a pinned image does not say so itself, and
//! what was deleted here may still run there.
//!
//! A file that is lost or broken costs little: what is still held here is known without it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tapit_model::Digest;

/// As many as anybody rolls back to; beyond that those go that are not held here, oldest first.
const MAX: usize = 10_000;
const MAX_FILE: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum OriginsError {
    #[error("make the directory {path}")]
    Create { path: PathBuf, source: io::Error },
    #[error("read which images were carried to the account from {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write down which images are carried to the account in {path}")]
    Write { path: PathBuf, source: io::Error },
}

/// Oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    configurations: Vec<Digest>,
}

pub struct Origins {
    path: PathBuf,
    page: Page,
    all: BTreeSet<Digest>,
}

impl Origins {
    pub fn open(path: &Path) -> Result<Self, OriginsError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|source| OriginsError::Create { path: directory.to_owned(), source })?;
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
        let page: Page = match read {
            Ok(_) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "which images were carried to the account is not known");
                Page::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Page::default(),
            Err(source) => return Err(OriginsError::Read { path: path.to_owned(), source }),
        };
        let all = page.configurations.iter().cloned().collect();
        Ok(Self { path: path.to_owned(), page, all })
    }

    pub fn contains(&self, digest: &Digest) -> bool {
        self.all.contains(digest)
    }

    /// Notes a digest for good; nothing is written for one that is noted already.
    pub fn note(&mut self, digest: &Digest, held: &dyn Fn(&Digest) -> bool) -> Result<(), OriginsError> {
        if self.contains(digest) {
            return Ok(());
        }
        let mut configurations = self.page.configurations.clone();
        let mut surplus = (configurations.len() + 1).saturating_sub(MAX);
        configurations.retain(|old| {
            let goes = surplus > 0 && !held(old);
            surplus -= usize::from(goes);
            !goes
        });
        configurations.push(digest.clone());
        let page = Page { configurations };
        self.write(&page).map_err(|source| OriginsError::Write { path: self.path.clone(), source })?;
        self.all = page.configurations.iter().cloned().collect();
        self.page = page;
        Ok(())
    }

    fn write(&self, page: &Page) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(page)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        std::fs::File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::parse(&format!("sha256:{number:064x}")).expect("digest")
    }

    #[test]
    fn what_was_noted_is_known_after_a_restart() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("ecs").join("carried-images.json");
        let mut origins = Origins::open(&path).expect("opened");
        origins.note(&digest(1), &|_| false).expect("noted");
        assert!(origins.contains(&digest(1)) && !origins.contains(&digest(2)));
        let mut origins = Origins::open(&path).expect("opened again");
        assert!(origins.contains(&digest(1)));
        origins.note(&digest(2), &|_| false).expect("noted");
        assert!(Origins::open(&path).expect("opened again").contains(&digest(2)));
        let names: Vec<_> = std::fs::read_dir(path.parent().expect("parent")).expect("directory").collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }

    #[test]
    fn a_broken_file_is_an_empty_one() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("carried-images.json");
        std::fs::write(&path, "{").expect("broken");
        let mut origins = Origins::open(&path).expect("opened");
        origins.note(&digest(1), &|_| false).expect("noted");
        assert!(Origins::open(&path).expect("opened again").contains(&digest(1)));
    }

    #[test]
    fn with_too_many_the_oldest_goes_that_is_not_held_here() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("carried-images.json");
        let configurations = (0..MAX).map(digest).collect();
        std::fs::write(&path, serde_json::to_vec(&Page { configurations }).expect("JSON")).expect("full");
        let mut origins = Origins::open(&path).expect("opened");
        origins.note(&digest(MAX), &|held| *held == digest(0)).expect("noted");
        assert!(origins.contains(&digest(0)), "it is held here");
        assert!(!origins.contains(&digest(1)));
        assert!(origins.contains(&digest(2)) && origins.contains(&digest(MAX)));
    }
}
