//! The directory that a layer becomes: finds where a path leads, and keeps overlayfs' marks.
//!
//! The root of this process is the layer's directory. A parent that the layer does not name itself is looked up in the
//! lower layers: a directory there is made here with the same owner and mode, so that it does not lose them, and a
//! symlink there (`bin -> usr/bin`) is followed, so that the layer does not hide it. Paths handed out hold no symlink,
//! and nobody else writes here, so plain calls on them do what they say.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;

use super::below::{Below, Found, is_whiteout};
use super::copy_up;
use super::sys;
use super::trouble::Trouble;
use crate::images::split::Attic;

const MAX_PATH: usize = 4096;
const MAX_NAME: usize = 255;
const MAX_SYMLINKS: u32 = 40;

pub type Time = (i64, u32);

/// The names of a path in an archive. A leading slash and `.` mean nothing; `..` is refused.
pub fn names(path: &[u8]) -> Result<Vec<&[u8]>, Trouble> {
    let shown = || String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned();
    if path.len() > MAX_PATH || path.contains(&0) {
        return Err(Trouble::bad(format!("the path {:?} is too long or holds a NUL byte", shown())));
    }
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&&b".."[..]) {
        return Err(Trouble::bad(format!("the path {:?} leads upwards", shown())));
    }
    if names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(Trouble::bad(format!("the path {:?} has a name of more than {MAX_NAME} bytes", shown())));
    }
    Ok(names)
}

/// What stood at a path before something is put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Nothing,
    Directory,
    /// A whiteout or anything but a directory: the lower layers' directory of this name stays hidden.
    Cover,
}

/// One step of a walk.
struct Step {
    path: PathBuf,
    /// An opaque directory is on the way: the lower layers show nothing here.
    hidden: bool,
}

pub struct Tree {
    below: Below,
    opaque: BTreeSet<PathBuf>,
    /// Set last, because every entry made in a directory changes its time.
    directory_times: BTreeMap<PathBuf, Time>,
    /// What files hold that are replaced goes here.
    attic: Attic,
    /// Files whose content is not recorded under their name: hard links, and what was copied from the lower layers.
    unrecorded: HashSet<PathBuf>,
    /// Bytes that may still be copied from the lower layers.
    pub room: u64,
    /// Entries that may still be made without being named: one path can lead through two thousand directories.
    pub entries: u64,
}

impl Tree {
    pub fn new(below: Below, attic: Attic) -> Self {
        let directory_times = BTreeMap::new();
        Self { below, opaque: BTreeSet::new(), directory_times, attic, unrecorded: HashSet::new(), room: 0, entries: 0 }
    }

    /// Gives the root the owner and mode that it has below; the archive may say otherwise later.
    pub fn start(&mut self) -> Result<(), Trouble> {
        match self.below.look(Path::new("/"))? {
            Found::Directory(metadata) => self.dress(Path::new("/"), &metadata),
            Found::Nothing | Found::Symlink(..) | Found::File(_) | Found::Other => set_mode(Path::new("/"), 0o755),
        }
    }

    /// The real directory that a path leads to, made where it is missing.
    pub fn directory(&mut self, names: &[&[u8]]) -> Result<PathBuf, Trouble> {
        let mut todo: VecDeque<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
        let mut trail = vec![Step { path: PathBuf::from("/"), hidden: self.opaque.contains(Path::new("/")) }];
        let mut symlinks = 0;
        while let Some(name) = todo.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                // Only a symlink's target can say so; above the root is the root.
                b".." => {
                    if trail.len() > 1 {
                        trail.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let (path, hidden) = match trail.last() {
                Some(at) => (at.path.join(std::ffi::OsString::from_vec(name)), at.hidden),
                None => return Err(Trouble::bad("a path leads above the root")),
            };
            match self.step(&path, hidden)? {
                Walk::Into { hidden } => trail.push(Step { path, hidden }),
                Walk::Link(target) => {
                    symlinks += 1;
                    if symlinks > MAX_SYMLINKS {
                        return Err(Trouble::bad(format!("{} leads through too many symlinks", path.display())));
                    }
                    if target.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    for part in target.split(|byte| *byte == b'/').rev() {
                        todo.push_front(part.to_vec());
                    }
                }
            }
        }
        trail.pop().map(|step| step.path).ok_or_else(|| Trouble::bad("a path leads above the root"))
    }

    fn step(&mut self, path: &Path, hidden: bool) -> Result<Walk, Trouble> {
        let blocked = || Trouble::bad(format!("{} is not a directory, but has entries", path.display()));
        match lstat(path)? {
            Some(here) if here.is_dir() => Ok(Walk::Into { hidden: hidden || self.opaque.contains(path) }),
            Some(here) if here.is_symlink() => {
                let target = fs::read_link(path).map_err(|error| Trouble::at("read the symlink", path, error))?;
                Ok(Walk::Link(target.into_os_string().into_vec()))
            }
            Some(here) if is_whiteout(&here) => {
                self.clear(path)?;
                self.imply(path, Before::Cover)?;
                Ok(Walk::Into { hidden: true })
            }
            Some(_) => Err(blocked()),
            None if hidden => self.imply(path, Before::Nothing).map(|()| Walk::Into { hidden }),
            None => match self.below.look(path)? {
                Found::Nothing => self.imply(path, Before::Nothing).map(|()| Walk::Into { hidden }),
                Found::Directory(metadata) => {
                    self.imply(path, Before::Nothing)?;
                    self.dress(path, &metadata)?;
                    Ok(Walk::Into { hidden })
                }
                Found::Symlink(target, _) => Ok(Walk::Link(target)),
                Found::File(_) | Found::Other => Err(blocked()),
            },
        }
    }

    /// Makes a directory that the archive does not name.
    fn imply(&mut self, path: &Path, before: Before) -> Result<(), Trouble> {
        self.spend_entry()?;
        self.make_directory(path, before)
    }

    fn spend_entry(&mut self) -> Result<(), Trouble> {
        let left = self.entries.checked_sub(1);
        self.entries = left.ok_or_else(|| {
            Trouble::bad(
                "it has more entries than one image may have, with the directories that its paths lead through",
            )
        })?;
        Ok(())
    }

    /// Makes a directory, opaque where something covered the lower layers' one.
    pub fn make_directory(&mut self, path: &Path, before: Before) -> Result<(), Trouble> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o755).create(path).map_err(|error| Trouble::at("make the directory", path, error))?;
        match before {
            Before::Cover => self.make_opaque(path),
            Before::Nothing | Before::Directory => Ok(()),
        }
    }

    /// Makes room at a path, but for a directory that is to stay one.
    pub fn make_room(&mut self, path: &Path, keep_directory: Keep) -> Result<Before, Trouble> {
        let Some(here) = lstat(path)? else {
            return Ok(Before::Nothing);
        };
        match (here.is_dir(), keep_directory) {
            (true, Keep::Directory) => return Ok(Before::Directory),
            (true, Keep::Nothing) | (false, Keep::Directory | Keep::Nothing) => self.clear(path)?,
        }
        Ok(Before::Cover)
    }

    /// Removes what is at a path of this layer.
    fn clear(&mut self, path: &Path) -> Result<(), Trouble> {
        self.keep_content(path)?;
        let is_dir = lstat(path)?.is_some_and(|here| here.is_dir());
        // Which needs no more descriptors than a process has, however deep the directory is.
        crate::linux::tree::remove(path).map_err(|error| Trouble::host("replace", tapit_model::describe(&error)))?;
        if is_dir {
            self.forget(path);
        }
        Ok(())
    }

    /// Forgets what was noted of a directory and of all in it. Paths below one follow it at once: to look at all of them
    /// would take hours for an archive that replaces as many directories as it has.
    fn forget(&mut self, path: &Path) {
        let path = path.to_owned();
        let below = |other: &&PathBuf| other.starts_with(&path);
        let opaque: Vec<PathBuf> = self.opaque.range::<PathBuf, _>(&path..).take_while(below).cloned().collect();
        for other in &opaque {
            self.opaque.remove(other);
        }
        let times = self.directory_times.range::<PathBuf, _>(&path..).map(|(other, _)| other);
        let times: Vec<PathBuf> = times.take_while(below).cloned().collect();
        for other in &times {
            self.directory_times.remove(other);
        }
    }

    /// Before something is removed: the layer could not be written again without the content that it was packed with.
    fn keep_content(&mut self, path: &Path) -> Result<(), Trouble> {
        let mut doomed = vec![path.to_owned()];
        while let Some(path) = doomed.pop() {
            let Some(here) = lstat(&path)? else { continue };
            if here.is_dir() {
                let failed = |error| Trouble::at("list", &path, error);
                for entry in fs::read_dir(&path).map_err(failed)? {
                    doomed.push(entry.map_err(failed)?.path());
                }
            } else if here.is_file() && !self.unrecorded.remove(&path) && here.len() > 0 {
                let mut content = File::open(&path).map_err(|error| Trouble::at("open", &path, error))?;
                let name = path.strip_prefix("/").unwrap_or(&path);
                self.attic.keep(name, &mut content).map_err(Trouble::recording)?;
            }
        }
        Ok(())
    }

    /// Makes a hard link; `path` must be free.
    pub fn link(&mut self, target: &Path, path: &Path) -> Result<(), Trouble> {
        fs::hard_link(target, path).map_err(|error| Trouble::at("make the hard link", path, error))?;
        self.unrecorded.insert(path.to_owned());
        Ok(())
    }

    /// Copies a file or symlink of the lower layers here, where it is not there yet. `false`: they show none.
    pub fn copy_up(&mut self, path: &Path) -> Result<bool, Trouble> {
        if path.ancestors().skip(1).any(|above| self.opaque.contains(above)) {
            return Ok(false);
        }
        self.spend_entry()?;
        let copied = copy_up::copy(&self.below, path, self.room)?;
        match copied {
            Some(bytes) => {
                self.room -= bytes;
                self.unrecorded.insert(path.to_owned());
            }
            None => self.entries += 1,
        }
        Ok(copied.is_some())
    }

    /// Hides a name of the lower layers. What this layer has there itself stays: a whiteout speaks of those below.
    pub fn hide(&mut self, directory: &Path, name: &[u8]) -> Result<(), Trouble> {
        let path = directory.join(std::ffi::OsString::from_vec(name.to_vec()));
        match lstat(&path)? {
            None => mknod(&path, SFlag::S_IFCHR, Mode::empty(), 0)
                .map_err(|error| Trouble::at("make the whiteout", &path, error.into())),
            Some(here) if here.is_dir() => self.make_opaque(&path),
            Some(_) => Ok(()),
        }
    }

    /// Hides everything that the lower layers have in a directory.
    pub fn hide_all(&mut self, directory: &Path) -> Result<(), Trouble> {
        if directory != Path::new("/") {
            return self.make_opaque(directory);
        }
        // Overlayfs merges the roots of its layers whatever they are marked with.
        let names = std::mem::take(&mut self.below.names);
        names.iter().try_for_each(|name| {
            self.spend_entry()?;
            self.hide(directory, name)
        })
    }

    fn make_opaque(&mut self, path: &Path) -> Result<(), Trouble> {
        sys::set_xattr(path, c"trusted.overlay.opaque", b"y")
            .map_err(|error| Trouble::at("hide what is below", path, error))?;
        self.opaque.insert(path.to_owned());
        Ok(())
    }

    pub fn remember_time(&mut self, directory: &Path, time: Time) {
        self.directory_times.insert(directory.to_owned(), time);
    }

    pub fn finish(&self) -> Result<(), Trouble> {
        self.directory_times.iter().try_for_each(|(path, time)| set_time(path, *time))
    }

    fn dress(&mut self, path: &Path, like: &Metadata) -> Result<(), Trouble> {
        chown(path, Some(like.uid()), Some(like.gid()))
            .map_err(|error| Trouble::at("give an owner to", path, error))?;
        set_mode(path, like.mode())?;
        let nanoseconds = u32::try_from(like.mtime_nsec()).unwrap_or(0);
        self.remember_time(path, (like.mtime(), nanoseconds));
        Ok(())
    }
}

enum Walk {
    Into { hidden: bool },
    Link(Vec<u8>),
}

/// What may stay where something is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Directory,
    Nothing,
}

pub fn lstat(path: &Path) -> Result<Option<Metadata>, Trouble> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Trouble::at("look at", path, error)),
    }
}

/// For anything but a symlink, whose mode means nothing.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), Trouble> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
        .map_err(|error| Trouble::at("set the mode of", path, error))
}

pub fn set_time(path: &Path, (seconds, nanoseconds): Time) -> Result<(), Trouble> {
    let time = TimeSpec::new(seconds, nanoseconds.into());
    utimensat(None, path, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(|error| Trouble::at("set the time of", path, error.into()))
}
