//! The tables, as a list of migrations that only ever grows.

use rusqlite::Connection;

/// `tapi` in ASCII, in the file's header: tells our files from other SQLite databases.
pub(crate) const APPLICATION_ID: u32 = 0x7461_7069;

/// Each entry brings a database from the version of its index to the next one. Released entries are never edited.
///
/// Columns hold what rows are found by; the row itself is JSON, so that a new field needs no migration. Foreign keys are
/// checked at the end of a transaction, since the changes of one may come in any order.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE apps (
        app TEXT NOT NULL PRIMARY KEY,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE processes (
        app TEXT NOT NULL REFERENCES apps (app) DEFERRABLE INITIALLY DEFERRED,
        process TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (app, process)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE generations (
        app TEXT NOT NULL,
        process TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (app, process, number),
        FOREIGN KEY (app, process) REFERENCES processes (app, process) DEFERRABLE INITIALLY DEFERRED
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rollouts (
        app TEXT NOT NULL,
        process TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (app, process),
        FOREIGN KEY (app, process) REFERENCES processes (app, process) DEFERRABLE INITIALLY DEFERRED
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE instances (
        app TEXT NOT NULL,
        process TEXT NOT NULL,
        position INTEGER NOT NULL,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (app, process, position),
        FOREIGN KEY (app, process) REFERENCES processes (app, process) DEFERRABLE INITIALLY DEFERRED
    ) STRICT, WITHOUT ROWID;
    -- The last numbers that a process of this name had; they outlive the process.
    CREATE TABLE marks (
        app TEXT NOT NULL,
        process TEXT NOT NULL,
        generation INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        PRIMARY KEY (app, process)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE counters (
        name TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO counters (name, value) VALUES ('next_rollout', 0);
    -- AUTOINCREMENT: an id is never given twice, also not after the newest event was trimmed.
    CREATE TABLE events (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        app TEXT NOT NULL,
        process TEXT,
        instance TEXT,
        kind TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_by_app ON events (app, id);
    CREATE INDEX events_by_process ON events (app, process, id);
",
    "
    INSERT INTO counters (name, value) VALUES ('next_task', 0);
",
];

/// The version that this binary writes.
pub(crate) fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(crate) fn application_id(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Applies what is missing, each migration in one transaction together with its number.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let present = version(connection)?;
    for (number, migration) in (1..=known_version()).zip(MIGRATIONS).filter(|(number, _)| *number > present) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
