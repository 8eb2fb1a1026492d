//! The highest serial that each process ever gave out, so that none is given out twice, also after the process was deleted.
//!
//! One small file per process while it is there. Of a process that is gone only a line in a book stays, and no directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tapit_model::{ProcessName, TaskId};

use crate::instance::{Survives, write};

const FILE: &str = "last_serial";
/// In the directory of all instances: `APP/PROCESS` to its last serial.
const BOOK: &str = "last_serials.json";

type Book = BTreeMap<String, u64>;

/// Writes are one at a time, so that a lower serial never overwrites a higher one.
#[derive(Default)]
pub struct Serials {
    writing: Mutex<()>,
}

impl Serials {
    pub fn remember(&self, dir: &Path, serial: u64) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::create_dir_all(dir)?;
        if last(dir) >= serial {
            return Ok(());
        }
        write(&dir.join(FILE), serial.to_string().as_bytes(), Survives::ServerEnd)
    }

    /// Moves the serial of a process that is gone into the book and removes its directories, unless something is in them. Of a
    /// task nothing is kept: its name never comes again.
    pub fn retire(&self, dir: &Path) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, Some((path, name))) = (own(dir), place(dir)) else { return Ok(()) };
        let mut book = read(&path);
        if !is_task(dir) && own > book.get(&name).copied().unwrap_or(0) {
            book.insert(name, own);
            write(&path, &serde_json::to_vec(&book)?, Survives::ServerEnd)?;
        }
        match std::fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // A directory that somebody needs is not empty, and stays.
        let _ = std::fs::remove_dir(dir).and_then(|()| dir.parent().map_or(Ok(()), std::fs::remove_dir));
        Ok(())
    }
}

/// The highest serial recorded for the process of a directory; 0 when none is.
pub fn last(dir: &Path) -> u64 {
    let retired = place(dir).and_then(|(path, name)| read(&path).get(&name).copied());
    own(dir).max(retired.unwrap_or(0))
}

fn own(dir: &Path) -> u64 {
    std::fs::read_to_string(dir.join(FILE)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn is_task(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| ProcessName::parse(name.to_str()?).ok());
    name.is_some_and(|name| TaskId::of(&name).is_some())
}

/// The book, and the name in it, of a process's directory.
fn place(dir: &Path) -> Option<(PathBuf, String)> {
    let (process, app) = (dir.file_name()?.to_str()?, dir.parent()?);
    Some((app.parent()?.join(BOOK), format!("{}/{process}", app.file_name()?.to_str()?)))
}

/// A book that cannot be read holds nothing.
fn read(path: &Path) -> Book {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_serial_never_overwrites_a_higher_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let serials = Serials::default();
        for (serial, expected) in [(1, 1), (5, 5), (3, 5), (6, 6)] {
            serials.remember(dir.path(), serial).expect("writable");
            assert_eq!(last(dir.path()), expected);
        }
        assert_eq!(last(&dir.path().join("missing")), 0);
    }

    #[test]
    fn of_a_process_that_is_gone_the_serial_stays_and_no_directory() {
        let instances = tempfile::tempdir().expect("temporary directory");
        let process = |name: &str| instances.path().join("shop").join(name);
        let serials = Serials::default();
        for (name, serial) in [("api", 7), ("web", 3)] {
            serials.remember(&process(name), serial).expect("writable");
        }
        std::fs::create_dir(process("web").join("3")).expect("an instance");
        for name in ["api", "web", "never"] {
            serials.retire(&process(name)).expect("writable");
        }
        assert!(!process("api").exists() && process("web").join("3").exists());
        assert_eq!((last(&process("api")), last(&process("web")), last(&process("never"))), (7, 3, 0));

        serials.remember(&process("api"), 8).expect("writable");
        std::fs::remove_dir(process("web").join("3")).expect("removes");
        for name in ["api", "web", "web"] {
            serials.retire(&process(name)).expect("writable");
        }
        assert!(!instances.path().join("shop").exists());
        assert_eq!((last(&process("api")), last(&process("web"))), (8, 3));
    }

    #[test]
    fn of_a_task_that_is_gone_nothing_stays() {
        let instances = tempfile::tempdir().expect("temporary directory");
        let task = instances.path().join("shop").join("task-7");
        let serials = Serials::default();
        serials.remember(&task, 1).expect("writable");
        serials.retire(&task).expect("writable");
        assert_eq!(std::fs::read_dir(instances.path()).expect("readable").count(), 0);
    }
}
