//! Reading the world back, sceptically: every row must parse, and be filed under its own key.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;
use tapit_model::{App, Generation, Process, ProcessKey, Revision, Rollout, TaskId, World};

use crate::error::{Fault, StoreError};

/// Reads rows of one table.
pub(crate) struct Reader<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) path: &'a Path,
    pub(crate) table: &'static str,
}

impl Reader<'_> {
    /// The rows of a query, each mapped while its columns are at hand.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let read =
            || self.connection.prepare_cached(sql)?.query_map(params, map)?.collect::<rusqlite::Result<Vec<T>>>();
        read().map_err(Fault::at(self.path, "read rows"))
    }

    /// Key and body of every row; the key is columns joined by `/`, which no name holds.
    fn bodies<T: DeserializeOwned>(&self, sql: &str, key_of: impl Fn(&T) -> String) -> Result<Vec<T>, StoreError> {
        let rows = self.rows(sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.into_iter()
            .map(|(key, body)| {
                let value: T = self.parse(&key, &body)?;
                if key_of(&value) == key { Ok(value) } else { Err(self.misfiled(key)) }
            })
            .collect()
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, key: &str, body: &str) -> Result<T, StoreError> {
        serde_json::from_str(body).map_err(|source| self.unreadable(key.to_owned(), source))
    }

    pub(crate) fn unreadable(&self, key: String, source: serde_json::Error) -> StoreError {
        StoreError::UnreadableRow { path: self.path.to_owned(), table: self.table, key, source }
    }

    pub(crate) fn misfiled(&self, key: String) -> StoreError {
        StoreError::MisfiledRow { path: self.path.to_owned(), table: self.table, key }
    }

    pub(crate) fn key(&self, app: &str, process: &str) -> Result<ProcessKey, StoreError> {
        let name = || format!("{app}/{process}");
        let parsed = serde_json::from_value(serde_json::json!({ "app": app, "process": process }));
        parsed.map_err(|source| self.unreadable(name(), source))
    }
}

pub(crate) fn world(connection: &Connection, path: &Path) -> Result<World, StoreError> {
    // One transaction, so that all tables are read as of one moment.
    let moment = connection.unchecked_transaction().map_err(Fault::at(path, "begin to read"))?;
    let reader = |table| Reader { connection: &moment, path, table };

    let apps: Vec<App> =
        reader("apps").bodies("SELECT app, body FROM apps", |app: &App| app.name.as_str().to_owned())?;
    let processes: Vec<Process> = reader("processes")
        .bodies("SELECT app || '/' || process, body FROM processes", |process: &Process| process.key.to_string())?;
    let generations: Vec<Generation> = reader("generations")
        .bodies("SELECT app || '/' || process || '/' || number, body FROM generations", |generation: &Generation| {
            format!("{}/{}", generation.key, generation.number)
        })?;
    let rollouts: Vec<Rollout> = reader("rollouts")
        .bodies("SELECT app || '/' || process, body FROM rollouts", |rollout: &Rollout| rollout.key.to_string())?;
    let marks = marks(&reader("marks"))?;
    let next_rollout = counter(&reader("counters"), "next_rollout")?;
    let next_task = TaskId(counter(&reader("counters"), "next_task")?);

    Ok(World {
        apps: apps.into_iter().map(|app| (app.name.clone(), app)).collect(),
        processes: processes.into_iter().map(|process| (process.key.clone(), process)).collect(),
        generations: generations.into_iter().map(|row| ((row.key.clone(), row.number), row)).collect(),
        rollouts: rollouts.into_iter().map(|rollout| (rollout.key.clone(), rollout)).collect(),
        marks,
        next_rollout,
        next_task,
    })
}

fn marks(reader: &Reader<'_>) -> Result<BTreeMap<ProcessKey, (u64, Revision)>, StoreError> {
    let rows = reader.rows("SELECT app, process, generation, revision FROM marks", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.into_iter()
        .map(|(app, process, generation, revision)| Ok((reader.key(&app, &process)?, (generation, Revision(revision)))))
        .collect()
}

fn counter(reader: &Reader<'_>, name: &str) -> Result<u64, StoreError> {
    let rows = reader.rows("SELECT value FROM counters WHERE name = ?1", [name], |row| row.get(0))?;
    rows.first().copied().ok_or_else(|| reader.misfiled(name.to_owned()))
}
