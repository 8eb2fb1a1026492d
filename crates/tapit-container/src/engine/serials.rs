//! The highest serial that each process ever gave out, one small file per process.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const FILE: &str = "last_serial";

/// Writes are one at a time, so that a lower serial never overwrites a higher one.
#[derive(Default)]
pub struct Serials {
    writing: Mutex<()>,
}

impl Serials {
    pub fn remember(&self, dir: &Path, serial: u64) -> std::io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::create_dir_all(dir)?;
        if last(dir) >= serial {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(serial.to_string().as_bytes())?;
        file.persist(dir.join(FILE))?;
        Ok(())
    }
}

/// The highest serial recorded in a process's directory; 0 when none is.
pub fn last(dir: &Path) -> u64 {
    std::fs::read_to_string(dir.join(FILE)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
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
}
