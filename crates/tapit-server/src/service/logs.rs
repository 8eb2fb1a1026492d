//! Logs: the end of what an app's instances wrote, merged by time, and what they write from then on.
//!
//! Pages are made when the client takes them and not before, so a slow client holds up nobody and costs no memory. The
//! place in each instance's log travels with the pages: a client that lost its connection, also to a server that died,
//! goes on where it was.

mod follow;
mod merge;
mod places;

use std::sync::Arc;

use futures_util::StreamExt;
use tapit_engine::{EngineError, LogPart, LogReading};
use tapit_model::{Code, InstanceId, InstanceKey, InstanceState, ProcessName, Refusal, describe};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{known_app, unknown_process};
use crate::api::{LogPages, LogQuery, LogTime};
use crate::clock;
use crate::hub::Hub;
use follow::Follower;
use merge::{Merged, Origin, pages};
use places::Places;

/// How many clients may read logs at a time: each has some pages in memory.
pub const READERS: usize = 64;

/// An instance whose log is asked for.
#[derive(Debug, Clone)]
struct Source {
    process: ProcessName,
    key: InstanceKey,
    stopped: bool,
}

pub async fn open(hub: &Arc<Hub>, readers: &Arc<Semaphore>, query: LogQuery) -> Result<LogPages, Refusal> {
    let permit = Arc::clone(readers).try_acquire_owned().map_err(|_| {
        let text = format!("{READERS} logs are being read already, which is the most at a time; end one and try again");
        Refusal::new(Code::Unavailable, text)
    })?;
    known(hub, &query)?;
    match &query.time {
        LogTime::Past => {
            let (merged, _) = history(hub, &query).await?;
            Ok(hold(permit, futures_util::stream::iter(pages(merged, None).map(Ok)).boxed()))
        }
        LogTime::Onwards { resume: None } => {
            let (merged, places) = history(hub, &query).await?;
            let first = pages(merged, Some(places.encode()));
            let rest = Follower::new(Arc::clone(hub), query, places).pages();
            Ok(hold(permit, futures_util::stream::iter(first.map(Ok)).chain(rest).boxed()))
        }
        LogTime::Onwards { resume: Some(resume) } => {
            let places = Places::decode(resume).ok_or_else(|| Refusal::usage("resume= is not what a server gave"))?;
            Ok(hold(permit, Follower::new(Arc::clone(hub), query, places).pages().boxed()))
        }
    }
}

/// The place among the readers is free again when the stream is dropped.
fn hold(permit: OwnedSemaphorePermit, pages: LogPages) -> LogPages {
    pages
        .map(move |page| {
            let _held = &permit;
            page
        })
        .boxed()
}

/// What is asked for must be there, now or still.
fn known(hub: &Hub, query: &LogQuery) -> Result<(), Refusal> {
    hub.ledger.read(|world| {
        known_app(world, &query.app)?;
        match &query.process {
            Some(process) if world.everything_of(&query.app).all(|row| row.key.process != *process) => {
                Err(unknown_process(world, &query.app, process))
            }
            Some(_) | None => Ok(()),
        }
    })
}

/// The instances that the query is about, as the engine sees them now.
async fn sources(hub: &Hub, query: &LogQuery) -> Result<Vec<Source>, EngineError> {
    let observed = hub.engine.observe().await?;
    let mine = observed.into_iter().filter(|seen| {
        seen.key.app == query.app && query.process.as_ref().is_none_or(|process| *process == seen.key.process)
    });
    let all = mine.flat_map(|seen| {
        let tapit_model::ProcessKey { app, process } = seen.key;
        seen.instances.into_iter().map(move |instance| Source {
            process: process.clone(),
            key: InstanceKey { app: app.clone(), id: instance.id },
            stopped: instance.state == InstanceState::Stopped,
        })
    });
    Ok(all.filter(|source| query.instance.as_ref().is_none_or(|id| *id == source.key.id)).collect())
}

/// The last lines of all of them together, and the place in each log behind its last line.
async fn history(hub: &Hub, query: &LogQuery) -> Result<(Merged, Places), Refusal> {
    let sources = sources(hub, query).await.map_err(|error| unreadable(&error))?;
    if let Some(id) = &query.instance
        && sources.is_empty()
    {
        return Err(unknown_instance(hub, query, id).await);
    }
    let part = LogPart::Last { lines: query.lines, since: query.since.map(|since| since.at(clock::now())) };
    let mut merged = Merged::new(query.lines);
    let mut places = Places::default();
    for source in sources {
        match hub.engine.logs(&source.key, &part).await {
            Ok(LogReading { lines, next }) => {
                merged.add(&Origin { process: source.process, instance: source.key.id.clone() }, lines);
                places.set(source.key.id, next);
            }
            // Forgotten since it was listed.
            Err(EngineError::UnknownInstance(_)) => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok((merged, places))
}

fn unreadable(error: &EngineError) -> Refusal {
    Refusal::failed(format!("the log cannot be read: {}", describe(error)))
}

async fn unknown_instance(hub: &Hub, query: &LogQuery, id: &InstanceId) -> Refusal {
    let all = LogQuery { instance: None, ..query.clone() };
    let there = sources(hub, &all).await.unwrap_or_default();
    let names: Vec<&str> = there.iter().map(|source| source.key.id.as_str()).collect();
    let owner = match &query.process {
        Some(process) => format!("process {process}"),
        None => format!("app {}", query.app),
    };
    let guess = tapit_model::nearest(id.as_str(), names.iter().copied());
    let guess = guess.map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    let there = if names.is_empty() { "it has none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    Refusal::not_found(format!("{owner} has no instance {id}; {guess}{there}"))
}
