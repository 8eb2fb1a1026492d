//! Opening: sceptical of what lies at the path, and atomic in making it.
//!
//! A new database is made under another name and renamed into place, so a file at the path is always complete. That is
//! what allows an empty or short file to be refused as damaged: taking it for a fresh one would mean that nothing is
//! wanted, and every container would be stopped.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Fault, StoreError};
use crate::schema;

/// How long a call waits for another program that holds the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite takes a file shorter than its own header for an empty database.
const HEADER_BYTES: u64 = 100;

/// A log larger than this is cut back after a checkpoint.
const LOG_LIMIT_BYTES: u32 = 16 * 1024 * 1024;

/// What a transaction survives. Both kinds keep the file whole, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Durability {
    /// On disk when the commit returns.
    #[default]
    PowerLoss,
    /// In the kernel's hands: kept when the server is killed, perhaps undone by a power cut.
    ServerCrash,
}

impl Durability {
    pub(crate) fn set(self, connection: &Connection) -> rusqlite::Result<()> {
        let synchronous = match self {
            Durability::PowerLoss => "FULL",
            Durability::ServerCrash => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)
    }
}

pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() < HEADER_BYTES => {
            let what = format!("it has only {} bytes", meta.len());
            return Err(StoreError::Corrupt { path: path.to_owned(), what });
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => create(path)?,
        Err(source) => return Err(StoreError::Create { path: path.to_owned(), source }),
    }
    let mut connection = connect(path)?;
    check(&connection, path)?;
    configure(&connection).map_err(Fault::at(path, "set up the connection"))?;
    schema::migrate(&mut connection).map_err(Fault::at(path, "bring the tables up to date"))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(Fault::at(path, "open a connection"))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(Fault::at(path, "set the busy timeout"))?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_LIMIT_BYTES, |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Refuses odd statements hidden in a tampered schema.
    connection.pragma_update(None, "trusted_schema", false)?;
    Durability::default().set(connection)
}

/// Everything that must hold before the first write.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let fault = Fault::at(path, "read the header");
    let application = schema::application_id(connection).map_err(&fault)?;
    if application != schema::APPLICATION_ID {
        return Err(StoreError::NotOurs { path: path.to_owned() });
    }
    let (found, known) = (schema::version(connection).map_err(&fault)?, schema::known_version());
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(Fault::at(path, "check the pages"))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        what => Err(StoreError::Corrupt { path: path.to_owned(), what: what.to_owned() }),
    }
}

fn create(path: &Path) -> Result<(), StoreError> {
    let log = beside(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|meta| meta.len() > 0) {
        return Err(StoreError::Missing { path: path.to_owned(), log });
    }
    let fresh = beside(path, ".new");
    let failed = |source| StoreError::Create { path: path.to_owned(), source };
    // Leftovers of a creation that was interrupted.
    for leftover in [fresh.clone(), beside(&fresh, "-journal")] {
        match std::fs::remove_file(&leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    // The mode is given at birth: variables are secrets, and SQLite gives its log the mode of the file.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    let mut connection = connect(&fresh)?;
    schema::migrate(&mut connection).map_err(Fault::at(&fresh, "make the tables"))?;
    connection.close().map_err(|(_, error)| Fault::at(&fresh, "close")(error))?;
    File::open(&fresh).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
