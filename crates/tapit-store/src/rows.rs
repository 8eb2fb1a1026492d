//! One `Change` as rows: the same meaning as `World::apply`, kept equal by a test on random sequences.

use std::path::Path;

use rusqlite::{Connection, params};
use serde::Serialize;
use tapit_model::{AppName, Change, Generation, Process, ProcessKey, Rollout};

use crate::error::{Fault, StoreError};

/// An error inside of a transaction, before it is told which database it was.
#[derive(Debug)]
pub(crate) enum WriteError {
    Sql(rusqlite::Error),
    Encode(&'static str, serde_json::Error),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        WriteError::Sql(error)
    }
}

impl WriteError {
    pub(crate) fn at(self, path: &Path, act: &'static str) -> StoreError {
        match self {
            WriteError::Sql(error) => Fault::at(path, act)(error),
            WriteError::Encode(table, source) => StoreError::Encode { path: path.to_owned(), table, source },
        }
    }
}

pub(crate) fn encode(table: &'static str, row: &impl Serialize) -> Result<String, WriteError> {
    serde_json::to_string(row).map_err(|error| WriteError::Encode(table, error))
}

pub(crate) fn apply(transaction: &Connection, change: &Change) -> Result<(), WriteError> {
    match change {
        Change::PutApp(app) => {
            let body = encode("apps", app)?;
            run(
                transaction,
                "INSERT INTO apps (app, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body",
                params![app.name.as_str(), body],
            )
        }
        Change::RemoveApp(name) => remove_app(transaction, name),
        Change::PutProcess(process) => put_process(transaction, process),
        Change::RemoveProcess(key) => remove_process(transaction, key),
        Change::PutGeneration(generation) => put_generation(transaction, generation),
        Change::RemoveGeneration(key, number) => run(
            transaction,
            "DELETE FROM generations WHERE app = ?1 AND process = ?2 AND number = ?3",
            params![key.app.as_str(), key.process.as_str(), number],
        ),
        Change::PutRollout(rollout) => put_rollout(transaction, rollout),
    }
}

fn run(transaction: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), WriteError> {
    transaction.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn remove_app(transaction: &Connection, name: &AppName) -> Result<(), WriteError> {
    run(transaction, "DELETE FROM apps WHERE app = ?1", params![name.as_str()])
}

fn put_process(transaction: &Connection, process: &Process) -> Result<(), WriteError> {
    let (app, name) = (process.key.app.as_str(), process.key.process.as_str());
    run(
        transaction,
        "INSERT INTO processes (app, process, body) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET body = excluded.body",
        params![app, name, encode("processes", process)?],
    )?;
    run(
        transaction,
        "INSERT INTO marks (app, process, generation, revision) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET generation = max(generation, excluded.generation),
             revision = max(revision, excluded.revision)",
        params![app, name, process.generation, process.revision.0],
    )?;
    let Some(task) = &process.task else { return Ok(()) };
    run(
        transaction,
        "UPDATE counters SET value = max(value, ?1) WHERE name = 'next_task'",
        params![task.id.0.saturating_add(1)],
    )
}

fn remove_process(transaction: &Connection, key: &ProcessKey) -> Result<(), WriteError> {
    for sql in [
        // The name of a task never comes again.
        "DELETE FROM marks WHERE app = ?1 AND process = ?2 AND EXISTS (
             SELECT 1 FROM processes WHERE app = ?1 AND process = ?2 AND json_extract(body, '$.task') IS NOT NULL)",
        "DELETE FROM instances WHERE app = ?1 AND process = ?2",
        "DELETE FROM rollouts WHERE app = ?1 AND process = ?2",
        "DELETE FROM generations WHERE app = ?1 AND process = ?2",
        "DELETE FROM processes WHERE app = ?1 AND process = ?2",
    ] {
        run(transaction, sql, params![key.app.as_str(), key.process.as_str()])?;
    }
    Ok(())
}

fn put_generation(transaction: &Connection, generation: &Generation) -> Result<(), WriteError> {
    let key = &generation.key;
    run(
        transaction,
        "INSERT INTO generations (app, process, number, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET body = excluded.body",
        params![key.app.as_str(), key.process.as_str(), generation.number, encode("generations", generation)?],
    )
}

fn put_rollout(transaction: &Connection, rollout: &Rollout) -> Result<(), WriteError> {
    let key = &rollout.key;
    run(
        transaction,
        "INSERT INTO rollouts (app, process, body) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET body = excluded.body",
        params![key.app.as_str(), key.process.as_str(), encode("rollouts", rollout)?],
    )?;
    run(
        transaction,
        "UPDATE counters SET value = max(value, ?1) WHERE name = 'next_rollout'",
        params![rollout.id.saturating_add(1)],
    )
}
