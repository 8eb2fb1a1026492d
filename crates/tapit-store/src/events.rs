//! The log of events: appended with the change that they tell of, bounded per app and in all.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use tapit_model::{AppName, Event, EventKind, InstanceId, ProcessName, Timestamp};

use crate::error::StoreError;
use crate::load::Reader;
use crate::rows::WriteError;

const TABLE: &str = "events";

/// Bounds on the log. Trimming goes a step below the bound, so that it is paid for once in a step of events and not with
/// every one.
#[derive(Debug, Clone, Copy)]
struct Retention {
    most: u64,
    step: u64,
}

const PER_APP: Retention = Retention { most: 10_000, step: 500 };
/// Apps that come and go under ever new names leave their events behind; this bounds them.
const IN_ALL: Retention = Retention { most: 200_000, step: 5_000 };

/// Which events to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    pub app: Option<AppName>,
    pub process: Option<ProcessName>,
    /// Only events after this id, the oldest of them first in line for `limit`; without it, the newest.
    pub after_id: Option<u64>,
    pub limit: u32,
}

/// How many events there are, kept in memory so that an append need not count.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventTally {
    per_app: BTreeMap<String, u64>,
    total: u64,
}

impl EventTally {
    pub(crate) fn count(connection: &Connection) -> rusqlite::Result<Self> {
        let mut query = connection.prepare("SELECT app, count(*) FROM events GROUP BY app")?;
        let per_app: BTreeMap<String, u64> =
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let total = per_app.values().sum();
        Ok(Self { per_app, total })
    }

    /// Appends events and trims; the tally that holds once the transaction is committed.
    pub(crate) fn append(&self, transaction: &Connection, events: &[Event]) -> Result<Self, WriteError> {
        let mut after = self.clone();
        for event in events {
            insert(transaction, event)?;
            *after.per_app.entry(event.app.as_str().to_owned()).or_default() += 1;
            after.total += 1;
        }
        let touched: Vec<&str> = events.iter().map(|event| event.app.as_str()).collect();
        for (app, count) in after.per_app.iter_mut().filter(|(app, _)| touched.contains(&app.as_str())) {
            if *count > PER_APP.most {
                let removed = trim_app(transaction, app, *count - (PER_APP.most - PER_APP.step))?;
                *count -= removed;
                after.total -= removed;
            }
        }
        if after.total > IN_ALL.most {
            trim_all(transaction, after.total - (IN_ALL.most - IN_ALL.step))?;
            after = Self::count(transaction)?;
        }
        Ok(after)
    }
}

fn insert(transaction: &Connection, event: &Event) -> Result<(), WriteError> {
    transaction
        .prepare_cached("INSERT INTO events (at, app, process, instance, kind, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            event.at.0,
            event.app.as_str(),
            event.process.as_ref().map(ProcessName::as_str),
            event.instance.as_ref().map(InstanceId::as_str),
            event.kind.as_str(),
            event.text,
        ])?;
    Ok(())
}

fn trim_app(transaction: &Connection, app: &str, surplus: u64) -> Result<u64, WriteError> {
    let removed = transaction
        .prepare_cached("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE app = ?1 ORDER BY id LIMIT ?2)")?
        .execute(params![app, surplus])?;
    Ok(removed as u64)
}

fn trim_all(transaction: &Connection, surplus: u64) -> Result<(), WriteError> {
    transaction
        .prepare_cached("DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?1)")?
        .execute(params![surplus])?;
    Ok(())
}

pub(crate) fn list(
    connection: &Connection,
    path: &Path,
    filter: &EventFilter,
) -> Result<Vec<(u64, Event)>, StoreError> {
    let mut conditions = vec!["TRUE"];
    let mut values: Vec<Value> = Vec::new();
    if let Some(app) = &filter.app {
        conditions.push("app = ?");
        values.push(app.as_str().to_owned().into());
    }
    if let Some(process) = &filter.process {
        conditions.push("process = ?");
        values.push(process.as_str().to_owned().into());
    }
    let order = match filter.after_id {
        Some(after) => {
            conditions.push("id > ?");
            values.push(i64::try_from(after).unwrap_or(i64::MAX).into());
            "ASC"
        }
        None => "DESC",
    };
    values.push(i64::from(filter.limit).into());
    let sql = format!(
        "SELECT id, at, app, process, instance, kind, text FROM events WHERE {} ORDER BY id {order} LIMIT ?",
        conditions.join(" AND ")
    );
    let reader = Reader { connection, path, table: TABLE };
    let mut events = reader
        .rows(&sql, params_from_iter(values), Row::read)?
        .into_iter()
        .map(|row| row.parse(&reader))
        .collect::<Result<Vec<_>, _>>()?;
    if filter.after_id.is_none() {
        events.reverse();
    }
    Ok(events)
}

/// The columns of one event, not yet trusted.
struct Row {
    id: u64,
    at: i64,
    app: String,
    process: Option<String>,
    instance: Option<String>,
    kind: String,
    text: String,
}

impl Row {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            at: row.get(1)?,
            app: row.get(2)?,
            process: row.get(3)?,
            instance: row.get(4)?,
            kind: row.get(5)?,
            text: row.get(6)?,
        })
    }

    fn parse(self, reader: &Reader<'_>) -> Result<(u64, Event), StoreError> {
        let unreadable = |source| reader.unreadable(self.id.to_string(), source);
        let app = AppName::deserialize(self.app.as_str().into_deserializer()).map_err(unreadable)?;
        let process = self
            .process
            .as_deref()
            .map(|name| ProcessName::deserialize(name.into_deserializer()))
            .transpose()
            .map_err(unreadable)?;
        let kind = EventKind::deserialize(self.kind.as_str().into_deserializer()).map_err(unreadable)?;
        let instance = self.instance.as_deref().map(InstanceId::opaque);
        Ok((self.id, Event { at: Timestamp(self.at), app, process, instance, kind, text: self.text }))
    }
}
