//! What can go wrong with the database, said so that a person knows what to do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the database {} was written by a newer tapit (its version is {found}, this one knows {known}); start the newer tapit, or restore a backup made before the upgrade",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{} is an SQLite database, but not one of tapit; give another data directory", path.display())]
    NotOurs { path: PathBuf },
    #[error(
        "the database {} is damaged or was cut short ({what}); nothing was changed: stop tapit, keep the file, and put a backup in its place",
        path.display()
    )]
    Corrupt { path: PathBuf, what: String },
    #[error(
        "the database {} is gone, but its log {} is still there; put the database (or a backup) back, or move the log away to start empty",
        path.display(),
        log.display()
    )]
    Missing { path: PathBuf, log: PathBuf },
    #[error(
        "the database {} has an unreadable row in table {table}, key {key:?}; put a backup in its place, or repair that row",
        path.display()
    )]
    UnreadableRow { path: PathBuf, table: &'static str, key: String, source: serde_json::Error },
    #[error(
        "the database {} has a row in table {table} that is filed under another key, {key:?}; put a backup in its place, or repair that row",
        path.display()
    )]
    MisfiledRow { path: PathBuf, table: &'static str, key: String },
    #[error("no space is left for the database {}; nothing was changed: free some space and try again", path.display())]
    DiskFull { path: PathBuf },
    #[error("the database {} cannot be written: the file or its file system is read-only", path.display())]
    ReadOnly { path: PathBuf },
    #[error("the database {} is in use by another program; stop it and try again", path.display())]
    InUse { path: PathBuf },
    #[error("cannot make the database file {}", path.display())]
    Create { path: PathBuf, source: std::io::Error },
    #[error("cannot turn a row for table {table} of the database {} into text", path.display())]
    Encode { path: PathBuf, table: &'static str, source: serde_json::Error },
    #[error("cannot {act} in the database {}", path.display())]
    Sql { path: PathBuf, act: &'static str, source: rusqlite::Error },
}

/// Turns errors of SQLite into ours.
pub(crate) struct Fault;

impl Fault {
    /// The faults that a person can mend have their own variant; what is left names the act.
    pub(crate) fn at(path: &Path, act: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = path.to_owned();
        move |source| {
            let path = path.clone();
            match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StoreError::Corrupt { path, what: source.to_string() }
                }
                Some(ErrorCode::DiskFull) => StoreError::DiskFull { path },
                Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
                Some(_) | None => StoreError::Sql { path, act, source },
            }
        }
    }
}
