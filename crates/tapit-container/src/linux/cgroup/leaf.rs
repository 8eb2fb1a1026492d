//! The cgroup of one instance: who is in it, killing all of it, removing it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{CgroupPath, Layout, LayoutError};
use crate::linux::pidfd::PidFd;

/// Killed processes leave their cgroup when they are gone, which takes the kernel a while.
const EMPTYING: Duration = Duration::from_secs(10);
/// v1 keeps an emptied directory busy for a moment.
const REMOVING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("reading {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} holds {text:?} instead of numbers")]
    Parse { path: PathBuf, text: String },
    #[error("processes in {path} outlive SIGKILL: {pids:?}")]
    Unkillable { path: PathBuf, pids: Vec<i32> },
    #[error("removing {path}")]
    Remove { path: PathBuf, source: io::Error },
}

#[derive(Debug, Clone)]
pub struct Leaf {
    pub(super) layout: &'static Layout,
    path: CgroupPath,
}

impl Leaf {
    pub fn new(path: &CgroupPath) -> Result<Self, LeafError> {
        Ok(Self { layout: Layout::get()?, path: path.clone() })
    }

    /// Its directory at the mount that holds a controller. The layout has been checked to have those that are asked for;
    /// a hierarchy that is missing all the same leads to a file that is not there, and so to an error that names it.
    pub(super) fn dir(&self, controller: &str) -> PathBuf {
        self.path.below(self.layout.mount_of(controller).unwrap_or(Path::new("/sys/fs/cgroup")))
    }

    /// Its directory in every hierarchy.
    pub(in crate::linux) fn dirs(&self) -> Vec<PathBuf> {
        self.layout.mounts().into_iter().map(|mount| self.path.below(mount)).collect()
    }

    /// Whether a process is in it now.
    pub fn holds(&self, pid: i32) -> bool {
        members(&self.dir("memory")).is_ok_and(|pids| pids.contains(&pid))
    }

    /// On v1, the file that takes requests for announcements and the one that announces a lack of memory.
    pub fn oom_files(&self) -> Option<(PathBuf, PathBuf)> {
        let memory = self.dir("memory");
        match self.layout {
            Layout::V1(_) => Some((memory.join("cgroup.event_control"), memory.join("memory.oom_control"))),
            Layout::V2 => None,
        }
    }

    /// Kills everything in it and waits until it is empty, in every hierarchy. Nothing to kill is success.
    pub fn kill(&self) -> Result<(), LeafError> {
        self.unleash();
        self.kill_members();
        for dir in self.dirs() {
            empty(&dir)?;
        }
        Ok(())
    }

    /// Removes it from every hierarchy. Not being there is success.
    pub fn remove(&self) -> Result<(), LeafError> {
        for dir in self.dirs() {
            remove_group(&dir)?;
        }
        Ok(())
    }
}

fn empty(dir: &Path) -> Result<(), LeafError> {
    let deadline = Instant::now() + EMPTYING;
    loop {
        // The runtime makes no groups below an instance's, but one that a privileged program made must not be spared.
        for group in groups(dir) {
            for pid in members(&group)? {
                kill_member(&group, pid);
            }
        }
        let left: Vec<i32> = groups(dir).iter().filter_map(|group| members(group).ok()).flatten().collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(LeafError::Unkillable { path: dir.to_owned(), pids: left });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills a process only if it is still a member once it is held: its id may have gone to somebody else's meanwhile.
fn kill_member(group: &Path, pid: i32) {
    let Ok(pidfd) = PidFd::open(pid) else { return };
    if members(group).is_ok_and(|pids| pids.contains(&pid)) {
        // It can only fail because the process is gone, which is what is wanted; the caller looks again.
        let _ = pidfd.signal(libc::SIGKILL);
    }
}

/// The group and all groups below it, deepest last.
fn groups(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut next = 0;
    while let Some(group) = found.get(next).cloned() {
        next += 1;
        let entries = fs::read_dir(group).into_iter().flatten().flatten();
        found.extend(entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
    }
    found
}

pub(super) fn members(dir: &Path) -> Result<Vec<i32>, LeafError> {
    let path = dir.join("cgroup.procs");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid > 0).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(source) => Err(LeafError::Read { path, source }),
    }
}

/// Removes a group with all groups below it, trying again while the kernel calls it busy.
pub(super) fn remove_group(dir: &Path) -> Result<(), LeafError> {
    let deadline = Instant::now() + REMOVING;
    loop {
        let mut result = Ok(());
        for group in groups(dir).iter().rev() {
            match fs::remove_dir(group) {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                Err(source) => result = Err(LeafError::Remove { path: group.clone(), source }),
            }
        }
        if result.is_ok() || Instant::now() >= deadline {
            return result;
        }
        std::thread::sleep(PAUSE);
    }
}

/// A group that vanishes while one of its files is open answers `ENODEV`.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}
