//! What was last seen of each process, for telling differences after a restart.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use tapit_model::{InstanceObserved, ProcessKey};

use crate::error::StoreError;
use crate::load::Reader;
use crate::rows::{WriteError, encode};

const TABLE: &str = "instances";

pub(crate) fn replace(
    transaction: &Connection,
    key: &ProcessKey,
    instances: &[InstanceObserved],
) -> Result<(), WriteError> {
    let (app, process) = (key.app.as_str(), key.process.as_str());
    let stored = transaction
        .prepare_cached("SELECT 1 FROM processes WHERE app = ?1 AND process = ?2")?
        .query_row(params![app, process], |_| Ok(()))
        .optional()?;
    if stored.is_none() {
        return Ok(());
    }
    // Of a process with hundreds of instances one changes at a time: only what differs is written.
    let held = transaction
        .prepare_cached("SELECT id, body FROM instances WHERE app = ?1 AND process = ?2 ORDER BY position")?
        .query_map(params![app, process], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    transaction
        .prepare_cached("DELETE FROM instances WHERE app = ?1 AND process = ?2 AND position >= ?3")?
        .execute(params![app, process, instances.len()])?;
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO instances (app, process, position, id, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (position, instance) in instances.iter().enumerate() {
        let (id, body) = (instance.id.as_str(), encode(TABLE, instance)?);
        if held.get(position).is_none_or(|(held_id, held_body)| held_id != id || *held_body != body) {
            put.execute(params![app, process, position, id, body])?;
        }
    }
    Ok(())
}

pub(crate) fn all(
    connection: &Connection,
    path: &Path,
) -> Result<Vec<(ProcessKey, Vec<InstanceObserved>)>, StoreError> {
    let reader = Reader { connection, path, table: TABLE };
    let rows =
        reader.rows("SELECT app, process, id, body FROM instances ORDER BY app, process, position", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
        })?;
    let mut all: Vec<(ProcessKey, Vec<InstanceObserved>)> = Vec::new();
    for (app, process, id, body) in rows {
        let key = reader.key(&app, &process)?;
        let body: String = body;
        let instance: InstanceObserved = reader.parse(&format!("{key}/{id}"), &body)?;
        if instance.id.as_str() != id {
            return Err(reader.misfiled(format!("{key}/{id}")));
        }
        match all.last_mut() {
            Some((last, instances)) if *last == key => instances.push(instance),
            Some(_) | None => all.push((key, vec![instance])),
        }
    }
    Ok(all)
}
