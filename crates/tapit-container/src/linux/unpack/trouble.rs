//! What goes wrong while unpacking, told apart by who is to blame.

use std::fmt::Display;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::images::helper::Answer;
use crate::images::tarball::TarError;

#[derive(Debug)]
pub enum Trouble {
    /// The layer or archive: trying again is of no use.
    Bad(String),
    /// This host: disk full, I/O error, a missing privilege.
    Host(String),
}

impl Trouble {
    pub fn bad(text: impl Into<String>) -> Self {
        Self::Bad(text.into())
    }

    pub fn host(act: &str, error: impl Display) -> Self {
        Self::Host(format!("{act}: {error}"))
    }

    /// An act on a path that the archive names. Some errors can only come from what the archive asks for.
    pub fn at(act: &str, path: &Path, error: io::Error) -> Self {
        let text = format!("{act} {}: {error}", path.display());
        match error.raw_os_error().map(Errno::from_raw) {
            Some(
                Errno::ENAMETOOLONG
                | Errno::ELOOP
                | Errno::ENOTDIR
                | Errno::EISDIR
                | Errno::ENOENT
                | Errno::EEXIST
                | Errno::EINVAL
                | Errno::EFBIG
                | Errno::EMLINK,
            ) => Self::Bad(text),
            Some(_) | None => Self::Host(text),
        }
    }

    /// Reading fails with an errno when the host is to blame, and without one when a decoder or a budget refuses.
    pub fn reading(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => Self::host("read the archive", error),
            None => Self::Bad(error.to_string()),
        }
    }

    pub fn recording(error: io::Error) -> Self {
        Self::host("write down what the layer holds besides content", error)
    }

    pub fn answer(self) -> Answer {
        match self {
            Self::Bad(text) => Answer::Bad(text),
            Self::Host(text) => Answer::Host(text),
        }
    }
}

impl From<TarError> for Trouble {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Read(error) => Self::reading(error),
            TarError::Record(error) => Self::recording(error),
            TarError::Malformed(text) => Self::Bad(text),
        }
    }
}
