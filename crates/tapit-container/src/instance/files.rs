//! Small files that must survive: written whole or not at all, read as if somebody else had written them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No file of ours comes near this; a larger one is not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("encoding {path}")]
    Encode { path: PathBuf, source: serde_json::Error },
    #[error("writing {path}")]
    Write { path: PathBuf, source: std::io::Error },
}

/// What was found in the place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<T> {
    Found(T),
    Missing,
    /// It cannot be read or is not what it should be; the text says how.
    Corrupt(String),
}

impl<T> Stored<T> {
    pub fn found(self) -> Option<T> {
        match self {
            Stored::Found(value) => Some(value),
            Stored::Missing | Stored::Corrupt(_) => None,
        }
    }
}

/// What a file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// The death of whoever wrote it. What describes a running container need not outlast the host, which ends it, and a
    /// start is not held up by the disk; a file that was torn then is read as corrupt, and what is left is removed.
    ServerEnd,
    /// A power cut as well.
    HostEnd,
}

/// Writes a value as JSON.
pub fn write_json<T: Serialize>(path: &Path, value: &T, survives: Survives) -> Result<(), FileError> {
    let encoded = serde_json::to_vec(value).map_err(|source| FileError::Encode { path: path.to_owned(), source })?;
    write(path, &encoded, survives).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Replaces a file as a whole: temporary file, perhaps sync, rename. Only the owner may read it, for orders hold secrets.
pub fn write(path: &Path, bytes: &[u8], survives: Survives) -> std::io::Result<()> {
    let temporary = temporary_of(path);
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        match survives {
            Survives::ServerEnd => {}
            Survives::HostEnd => file.sync_data()?,
        }
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report; a temporary file that stays is overwritten by the next attempt.
        let _ = fs::remove_file(&temporary);
    })
}

/// One writer per file, so a fixed name is enough and leaves no litter behind after a crash.
fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Stored<T> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Stored::Found(value),
            Err(error) => Stored::Corrupt(format!("{}: {error}", path.display())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::Missing,
        Err(error) => Stored::Corrupt(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_missing_found_or_corrupt_and_never_half_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.json");
        assert_eq!(read_json::<u32>(&path), Stored::Missing);
        write_json(&path, &7u32, Survives::HostEnd).expect("writes");
        assert_eq!(read_json::<u32>(&path), Stored::Found(7));
        for text in ["", "{", "\"x\"", "7 7", "\u{0}"] {
            fs::write(&path, text).expect("writes");
            assert!(matches!(read_json::<u32>(&path), Stored::Corrupt(_)), "{text:?}");
        }
        fs::create_dir(dir.path().join("d.json")).expect("a directory");
        assert!(matches!(read_json::<u32>(&dir.path().join("d.json")), Stored::Corrupt(_)));
        assert!(write_json(&dir.path().join("none/x.json"), &7u32, Survives::ServerEnd).is_err());
        let names: Vec<_> = fs::read_dir(dir.path()).expect("lists").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
