//! Removes directory trees that a container has filled.
//!
//! A program may nest directories deeper than descriptors or stack last, so the removal never goes deep: a directory that
//! is found low down is moved up to the top and removed from there. Links are never followed.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

#[derive(Debug, thiserror::Error)]
#[error("removing {path}")]
pub struct TreeError {
    path: PathBuf,
    source: io::Error,
}

/// How many directories below the top are entered before what is found there is moved up.
const DEPTH: usize = 16;

/// Removes a file, a link or a directory with everything below it. Not being there is success.
pub fn remove(path: &Path) -> Result<(), TreeError> {
    let failed = |source: io::Error| TreeError { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(path).map_err(failed),
        Ok(_) => {}
    }
    let mut top = Dir::open(path, flags(), Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mut moved = 0;
    // Each round removes all but what it has moved up, and what was moved up was at least `DEPTH` deeper before.
    loop {
        let before = moved;
        let mut sweep = Sweep { top: top.as_raw_fd(), moved };
        sweep.clear(&mut top, 0).map_err(|errno| failed(errno.into()))?;
        moved = sweep.moved;
        if moved == before {
            break;
        }
        top = Dir::open(path, flags(), Mode::empty()).map_err(|errno| failed(errno.into()))?;
    }
    fs::remove_dir(path).map_err(failed)
}

fn flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

struct Sweep {
    top: i32,
    /// How many directories were moved up so far, which names the next one.
    moved: u64,
}

impl Sweep {
    fn clear(&mut self, dir: &mut Dir, depth: usize) -> Result<(), Errno> {
        let parent = dir.as_raw_fd();
        // Listed first: removing while listing may skip entries.
        let names: Vec<CString> =
            dir.iter().map(|entry| entry.map(|entry| entry.file_name().to_owned())).collect::<Result<_, _>>()?;
        for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            match unlinkat(Some(parent), name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR) if depth >= DEPTH => self.move_up(parent, name)?,
                Err(Errno::EISDIR) => {
                    let mut below = Dir::openat(Some(parent), name.as_c_str(), flags(), Mode::empty())?;
                    self.clear(&mut below, depth + 1)?;
                    drop(below);
                    unlinkat(Some(parent), name.as_c_str(), UnlinkatFlags::RemoveDir)?;
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn move_up(&mut self, parent: i32, name: &CStr) -> Result<(), Errno> {
        loop {
            self.moved += 1;
            let target = format!(".removing-{}", self.moved);
            match renameat(Some(parent), name, Some(self.top), target.as_str()) {
                // The name is taken by something that is not an empty directory; the next one may be free.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_any_depth_and_kind_is_removed_and_links_are_not_followed() {
        let outside = tempfile::tempdir().expect("a directory");
        let kept = outside.path().join("kept");
        fs::create_dir(&kept).expect("a directory");
        let tree = outside.path().join("tree");
        fs::create_dir(&tree).expect("a directory");
        std::os::unix::fs::symlink(&kept, tree.join("link")).expect("a link");
        fs::write(tree.join("file"), "x").expect("a file");
        fs::create_dir(tree.join(".removing-1")).expect("a directory");
        fs::write(tree.join(".removing-1/x"), "x").expect("a file");
        // Deeper than the descriptors a process may have, and than a path may be long.
        let mut dir = Dir::open(&tree, flags(), Mode::empty()).expect("opens");
        for _ in 0..3000 {
            nix::sys::stat::mkdirat(Some(dir.as_raw_fd()), "d", Mode::from_bits_truncate(0o700)).expect("makes");
            dir = Dir::openat(Some(dir.as_raw_fd()), "d", flags(), Mode::empty()).expect("opens");
        }
        drop(dir);
        remove(&tree).expect("removes");
        assert!(!tree.exists() && kept.exists());
        remove(&tree).expect("is a no-op");
        std::os::unix::fs::symlink(&kept, &tree).expect("a link");
        remove(&tree).expect("removes the link");
        assert!(kept.exists());
    }
}
