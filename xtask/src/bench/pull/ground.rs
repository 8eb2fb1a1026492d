//! A file system of the bench's own, in a file, where every store lies.
//!
//! So all of them meet the same disk, nobody else's writes are waited for, and what one round deletes does not slow the
//! next one: on a file system without a journal, ext4 avoids the inodes of files that were deleted in the last minutes,
//! which makes new files slow to create for as long.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::super::BenchError;
use crate::command::succeed;

/// Of the file, which has holes until something is written.
const SIZE: &str = "24G";

pub struct Ground(TempDir);

impl Ground {
    pub fn make() -> Result<Self, BenchError> {
        let home = tempfile::Builder::new().prefix("tapit-bench-pull-").tempdir_in("/var/tmp");
        let ground = Self(home.map_err(|source| BenchError::Image { source })?);
        let file = ground.0.path().join("disk");
        succeed(Command::new("truncate").args(["--size", SIZE]).arg(&file))?;
        succeed(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&file))?;
        std::fs::create_dir(ground.path("")).map_err(|source| BenchError::Image { source })?;
        succeed(Command::new("mount").args(["-o", "loop,noinit_itable"]).arg(&file).arg(ground.path("")))?;
        Ok(ground)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        let root = self.0.path().join("ground");
        if name.is_empty() { root } else { root.join(name) }
    }

    /// Waits until nothing is left to be written, so that nobody pays for the one before.
    pub fn settle(&self) -> Result<(), BenchError> {
        succeed(Command::new("sync").arg("--file-system").arg(self.path("")))?;
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // A program that is still ending may hold it for a moment; lazily it goes all the same.
        let gone = |path: &Path| Command::new("umount").arg("--lazy").arg(path).stderr(Stdio::null()).status();
        let _ = gone(&self.path(""));
    }
}
