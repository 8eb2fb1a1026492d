//! Containers that are made and wait for their word, so that a start takes a moment only.
//!
//! ```text
//! Coming ──► Here ──► claimed by a start of its serial ──► running
//!     └────────┴────► Leaving ──► gone
//! ```
//!
//! A spare stands for the next serial of its process, so everything of it (name, address, variables) is what the planner's
//! next start of that process will ask for; `start` compares the two orders and discards a spare that differs. It is no
//! instance: it has no record, nothing of its image has run, `observe` and capacity do not know of it, and it ends with its
//! server. The actor calls `tend` after each plan and `claim` through `start`, so the two never meet.

mod claim;
mod plan;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapit_model::{
    AppName, Check, CpuMillis, Formation, InstanceId, InstanceKind, Lifecycle, MemoryMib, Moment, ProcessKey, Restart,
    Seconds, Size, describe,
};
use tapit_plan::host::StartOrder;
use tokio::sync::oneshot;

use super::order;
use super::shared::Shared;
use crate::instance::{self, Waiting};

pub use claim::{Claimed, Went};

/// The host must have been calm for this long before a spare is made.
const CALM_MILLIS: u64 = 2_000;
/// After one that could not be made.
const REST_MILLIS: u64 = 60_000;

/// The spares of all processes, by process and serial.
pub struct Spares {
    /// Bytes; 0: there are none.
    budget: u64,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    held: BTreeMap<Place, Spare>,
    /// What the dearest has cost.
    dearest: Option<u64>,
    /// None is made before this moment.
    not_before: Moment,
}

struct Spare {
    ip: Ipv4Addr,
    /// What it was made from, without what may differ.
    essence: Formation,
    stage: Stage,
}

enum Stage {
    Coming(oneshot::Receiver<Waiting>),
    Here(Box<Waiting>),
    /// It could not be made.
    Failed,
    /// Its files are being removed; the other end is dropped when they are.
    Leaving(oneshot::Receiver<()>),
}

impl Stage {
    fn is_leaving(&self) -> bool {
        matches!(self, Stage::Leaving(_))
    }
}

/// A process and the serial of an instance that does not exist yet.
type Place = (ProcessKey, u64);

impl Spares {
    pub fn new(budget: u64) -> Self {
        Self { budget, pool: Mutex::default() }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Entries are added and taken whole, so a panic elsewhere has left none in half.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A formation without what a container is not made from, or what can still be set when it starts.
fn essence(formation: &Formation) -> Formation {
    Formation {
        generation: 0,
        check: Check::Uptime(Seconds(0)),
        health_timeout: Seconds(0),
        demand: 0,
        stand_ins: 0,
        spot: 0,
        restart: Restart::Always,
        lifecycle: Lifecycle::default(),
        size: Size { memory: MemoryMib::from_mib(0), cpu: CpuMillis::from_millis(0) },
        ..formation.clone()
    }
}

/// Lets go of spares that nobody will want and makes one that is missing. Answers when to look again.
pub fn tend(shared: &Arc<Shared>, now: Moment) -> Option<Moment> {
    if shared.spares.budget == 0 {
        return None;
    }
    let (wanted, busy) = {
        let state = shared.state();
        let wanted = state.processes.iter().filter_map(|(key, process)| {
            let (candidate, formation) = plan::candidate(key, process)?;
            Some((candidate, formation, process.last_serial))
        });
        (wanted.collect::<Vec<_>>(), plan::is_busy(&state))
    };
    let candidates: Vec<_> = wanted.iter().map(|(candidate, ..)| candidate.clone()).collect();
    let mut pool = shared.spares.pool();
    pool.settle(now);
    let shares = plan::shares(&candidates, plan::room(shared.spares.budget, pool.dearest));
    pool.discard(shared, |(key, serial), spare| {
        let fits = |(candidate, formation, last): &&(plan::Candidate, Formation, u64)| {
            let share = u64::from(shares.get(&candidate.key).copied().unwrap_or(0));
            let next = *serial > *last && *serial <= last.saturating_add(share);
            candidate.key == *key && next && essence(formation) == spare.essence
        };
        !wanted.iter().any(|one| fits(&one))
    });
    if busy {
        pool.not_before = pool.not_before.max(now.plus_millis(CALM_MILLIS));
    }
    // One that cannot have any must not keep the others from theirs.
    let held = |key: &ProcessKey| if shared.apps.has_room(&key.app) { pool.count(key) } else { u32::MAX };
    let next = plan::next(&candidates, &shares, held)?;
    if pool.is_moving() {
        // The end of that nudges.
        return None;
    }
    if now < pool.not_before {
        return Some(pool.not_before);
    }
    let (_, formation, last) = wanted.into_iter().find(|(candidate, ..)| candidate.key == next)?;
    let serial = (last.saturating_add(1)..).find(|serial| !pool.held.contains_key(&(next.clone(), *serial)))?;
    pool.begin(shared, (next, serial), formation);
    None
}

impl Pool {
    /// Takes in those that are made, and forgets those that are gone.
    fn settle(&mut self, now: Moment) {
        for spare in self.held.values_mut() {
            let Stage::Coming(coming) = &mut spare.stage else { continue };
            match coming.try_recv() {
                Ok(waiting) => {
                    self.dearest = self.dearest.max(Some(waiting.memory_bytes()));
                    spare.stage = Stage::Here(Box::new(waiting));
                }
                Err(oneshot::error::TryRecvError::Closed) => {
                    self.not_before = now.plus_millis(REST_MILLIS);
                    spare.stage = Stage::Failed;
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
        self.held.retain(|_, spare| match &mut spare.stage {
            Stage::Leaving(gone) => gone.try_recv() == Err(oneshot::error::TryRecvError::Empty),
            Stage::Coming(_) | Stage::Here(_) | Stage::Failed => true,
        });
    }

    fn count(&self, key: &ProcessKey) -> u32 {
        let its = self.held.iter().filter(|((owner, _), spare)| owner == key && !spare.stage.is_leaving());
        u32::try_from(its.count()).unwrap_or(u32::MAX)
    }

    /// Something is on its way in or out: one at a time is enough, and a serial that is being cleared is not free yet.
    fn is_moving(&self) -> bool {
        self.held.values().any(|spare| !matches!(spare.stage, Stage::Here(_)))
    }

    fn discard(&mut self, shared: &Arc<Shared>, unwanted: impl Fn(&Place, &Spare) -> bool) {
        for (place, spare) in &mut self.held {
            let ended = match &spare.stage {
                Stage::Leaving(_) => continue,
                Stage::Here(waiting) => !waiting.is_alive(),
                Stage::Failed => true,
                Stage::Coming(_) => false,
            };
            if ended || unwanted(place, spare) {
                spare.stage = Stage::Leaving(remove(shared, place, Some(spare.ip)));
            }
        }
    }

    fn begin(&mut self, shared: &Arc<Shared>, place: Place, formation: Formation) {
        let Some(ip) = shared.apps.take(&place.0.app) else { return };
        let essence = essence(&formation);
        let (made, coming) = oneshot::channel();
        let (task, (key, serial)) = (Arc::clone(shared), place.clone());
        shared.tasks.spawn(async move {
            match make(&task, (&key, serial), (&formation, ip), &made).await {
                // Where nobody waits for it any more it is dropped, and ends.
                Ok(waiting) => drop(made.send(waiting)),
                // It was being removed.
                Err(_) if made.is_closed() => {}
                Err(text) => {
                    drop(made);
                    tracing::warn!(process = %key, error = text, "making a spare");
                }
            }
            task.nudge();
        });
        self.held.insert(place, Spare { ip, essence, stage: Stage::Coming(coming) });
    }
}

/// The intention comes first here as well: the directory with the order in it, which a later server finds and removes. The
/// serial is not used up by it: until it starts, nothing has happened under its name.
async fn make(
    shared: &Arc<Shared>,
    (key, serial): (&ProcessKey, u64),
    (formation, ip): (&Formation, Ipv4Addr),
    made: &oneshot::Sender<Waiting>,
) -> Result<Waiting, String> {
    // The semaphore is never closed, so the permit always comes.
    let _permit = shared.launches.acquire().await;
    let start = StartOrder {
        id: InstanceId::of_serial(&key.process, serial),
        serial,
        generation: formation.generation,
        kind: InstanceKind::Demand,
        slot: 0,
        restarts: 0,
        size: formation.size,
    };
    let image = shared.images.load(&formation.image.digest).await.map_err(|e| describe(&e))?;
    let order = order::order(shared, key, &order::Parts { start: &start, formation, image: &image, ip })?;
    let dir = shared.instance_dir(key, serial);
    {
        // Whoever removes it has the pool as well: it finds the directory, or there will be none.
        let _pool = shared.spares.pool();
        if made.is_closed() {
            return Err("it is not wanted any more".to_owned());
        }
        dir.create().map_err(|e| describe(&e))?;
    }
    instance::make(&shared.exe, &dir, &order).await.map_err(|e| describe(&e))
}

/// Ends whatever there is of a spare, removes its directory and frees its address.
fn remove(shared: &Arc<Shared>, (key, serial): &Place, ip: Option<Ipv4Addr>) -> oneshot::Receiver<()> {
    let (gone, leaving) = oneshot::channel::<()>();
    let (shared, dir) = (Arc::clone(shared), shared.instance_dir(key, *serial));
    let app = key.app.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = dir.remove() {
            tracing::error!(dir = %dir.path().display(), error = describe(&error), "removing a spare");
        }
        if let Some(ip) = ip {
            shared.apps.give_back(&app, ip);
        }
        drop(gone);
        shared.nudge();
    });
    leaving
}

/// Takes the address of one of an app's spares, for an instance that finds no other. It is free at once: a spare is attached
/// to the network only when it starts, and one that starts is not held here any more.
pub fn give_up(shared: &Arc<Shared>, app: &AppName) -> Option<Ipv4Addr> {
    let mut pool = shared.spares.pool();
    let mut its = pool.held.iter_mut().filter(|((key, _), spare)| key.app == *app && !spare.stage.is_leaving());
    let (place, spare) = its.next_back()?;
    spare.stage = Stage::Leaving(remove(shared, place, None));
    Some(spare.ip)
}

/// Removes all of them and waits until they are gone. For when nobody tends or claims any more.
pub async fn clear(shared: &Arc<Shared>) {
    let held = std::mem::take(&mut shared.spares.pool().held);
    let leaving: Vec<_> = held
        .into_iter()
        .map(|(place, spare)| match spare.stage {
            Stage::Leaving(gone) => gone,
            Stage::Coming(_) | Stage::Here(_) | Stage::Failed => remove(shared, &place, Some(spare.ip)),
        })
        .collect();
    for gone in leaving {
        // The other end is only ever dropped.
        let _ = gone.await;
    }
}
