//! Following: what was written since the last look, page by page, for as long as somebody reads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tapit_engine::{EngineError, LogPart, LogReading};
use tapit_model::{InstanceId, LogLine, LogStream, ProcessKey, ProcessName, describe};
use tokio::time::Instant;

use super::merge::{Merged, Origin, pages};
use super::places::Places;
use super::{Source, sources};
use crate::api::{LogPage, LogQuery, LogsBroken};
use crate::clock;
use crate::hub::Hub;

/// Between two looks at logs in which nothing is written, and so many times what a look has taken: following an app of
/// hundreds of instances takes no more than a tenth of a cpu.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_PER_LOOK: u32 = 9;
const LONGEST_LOOK: Duration = Duration::from_millis(100);
/// The most lines that are read of one instance at a look, so that none keeps the others waiting.
const AT_ONCE: usize = 500;
/// The most bytes of one look.
const LOOK_BYTES: usize = 1024 * 1024;
/// An empty page after this long without a line shows both sides that the other one is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub struct Follower {
    hub: Arc<Hub>,
    query: LogQuery,
    places: Places,
    /// Stopped, and read to the end; since when.
    ended: BTreeMap<InstanceId, Instant>,
    /// Of these, those of which nothing comes late any more.
    done: BTreeSet<InstanceId>,
    /// Those seen at the last look that are not done.
    open: BTreeMap<InstanceId, ProcessName>,
    /// Made and not taken yet.
    ready: VecDeque<LogPage>,
    /// Which instance is read first, so that a flood of one does not starve those behind it.
    turn: usize,
}

/// What a look at all logs has found.
struct Look {
    merged: Merged,
    /// There may be more already.
    more: bool,
}

impl Follower {
    pub fn new(hub: Arc<Hub>, query: LogQuery, places: Places) -> Self {
        let (ended, done, open) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { hub, query, places, ended, done, open, ready: VecDeque::new(), turn: 0 }
    }

    /// Made as they are taken; dropping the stream ends the following.
    pub fn pages(self) -> impl Stream<Item = Result<LogPage, LogsBroken>> + Send + use<> {
        futures_util::stream::unfold(Some(self), async |follower| {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(page)) => Some((Ok(page), Some(follower))),
                Ok(None) => None,
                Err(broken) => Some((Err(broken), None)),
            }
        })
    }

    /// `None`: nothing will ever follow.
    async fn next(&mut self) -> Result<Option<LogPage>, LogsBroken> {
        let begun = Instant::now();
        loop {
            if let Some(page) = self.ready.pop_front() {
                return Ok(Some(page));
            }
            if self.hub.is_closing() {
                return Err(LogsBroken("the server ends".to_owned()));
            }
            let looked = Instant::now();
            let look = self.look().await.map_err(|error| LogsBroken(describe(&error)))?;
            // A disk that was slow once must not make the next look late.
            let took = looked.elapsed().min(LONGEST_LOOK);
            if !look.merged.is_empty() {
                self.ready.extend(pages(look.merged, Some(self.places.encode())));
                continue;
            }
            if self.is_over() {
                return Ok(None);
            }
            if begun.elapsed() >= SIGN_OF_LIFE {
                return Ok(Some(LogPage { lines: Vec::new(), resume: None }));
            }
            if !look.more {
                tokio::time::sleep(PAUSE.max(took * PAUSE_PER_LOOK)).await;
            }
        }
    }

    async fn look(&mut self) -> Result<Look, EngineError> {
        let mut sources = sources(&self.hub, &self.query).await?;
        let listed: BTreeSet<_> = sources.iter().map(|source| source.key.id.clone()).collect();
        let mut look = Look { merged: Merged::new(usize::MAX), more: false };
        self.miss(&listed, &mut look);
        self.places.keep(|id| listed.contains(id));
        self.done.retain(|id| listed.contains(id));
        self.ended.retain(|id, _| listed.contains(id));
        sources.retain(|source| !self.done.contains(&source.key.id));
        self.open = sources.iter().map(|source| (source.key.id.clone(), source.process.clone())).collect();
        let first = self.turn % sources.len().max(1);
        sources.rotate_left(first);
        let mut bytes = 0;
        for source in sources {
            if bytes >= LOOK_BYTES {
                look.more = true;
                break;
            }
            self.turn = self.turn.wrapping_add(1);
            bytes += self.read(source, &mut look).await?;
        }
        Ok(look)
    }

    /// Reads on in one log. Answers how many bytes came.
    async fn read(&mut self, source: Source, look: &mut Look) -> Result<usize, EngineError> {
        let id = source.key.id.clone();
        let part = LogPart::Next { after: self.places.get(&id).cloned(), limit: AT_ONCE };
        let LogReading { lines, next } = match self.hub.engine.logs(&source.key, &part).await {
            Ok(reading) => reading,
            // Forgotten since it was listed; the next look misses it.
            Err(EngineError::UnknownInstance(_)) => return Ok(0),
            Err(error) => return Err(error),
        };
        look.more |= lines.len() >= AT_ONCE;
        // It was listed as stopped before the log was read, so what was not there then comes late or never.
        if lines.is_empty() && source.stopped {
            let since = *self.ended.entry(id.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= self.hub.engine.log_lag() {
                self.done.insert(id.clone());
                self.open.remove(&id);
            }
        }
        let bytes = lines.iter().map(|line| line.text.len()).sum();
        self.places.set(id.clone(), next);
        look.merged.add(&Origin { process: source.process, instance: id }, lines);
        Ok(bytes)
    }

    /// Tells of instances that were forgotten before they were read to their end.
    fn miss(&mut self, listed: &BTreeSet<InstanceId>, look: &mut Look) {
        for (id, process) in std::mem::take(&mut self.open) {
            if !listed.contains(&id) {
                let text = "is forgotten by now; what it may have written last was not read in time".to_owned();
                let line = LogLine { at: clock::now(), stream: LogStream::Tapit, text };
                look.merged.add(&Origin { process, instance: id }, vec![line]);
            }
        }
    }

    /// Everything that was asked for has ended, and nothing can come to it.
    fn is_over(&self) -> bool {
        let query = &self.query;
        let can_come = || match &query.instance {
            Some(_) => false,
            None => self.hub.ledger.read(|world| {
                let Some(process) = &query.process else { return world.apps.contains_key(&query.app) };
                // Nothing more comes of a task that has ended.
                let row = world.processes.get(&ProcessKey::new(&query.app, process));
                row.is_some_and(|row| !row.has_ended())
            }),
        };
        self.open.is_empty() && !can_come()
    }
}
