//! Gives each app a network and a range of user ids of its own when its first instance is to start, and takes them back
//! when the app has no process and no instance any more.
//!
//! ```text
//! (none) ── join ──► remembered ── made ──► ready: bridge, book, rules, names answered ── sweep ──► (none)
//!                       ▲ read at start-up
//! ```
//!
//! Changes are made one after another (`building`), off the async threads. A lot is in the book before an instance has any
//! of it; a bridge tells by its name whose it is, and one that is in no book is removed by the next server.
//! `start` joins, `adopt` tells what running instances have, `stopped` gives addresses back. What a network is on the host
//! is for `linux::net`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapit_engine::EngineError;
use tapit_model::{AppName, describe};
use tokio::sync::Notify;

use super::dns::{self, Listening, Upstreams};
use super::lots::{self, Lot, Lots};
use super::shared::Shared;
use super::spares;
use crate::instance::{IdRange, Order};
use crate::linux::net::{self, AddressPool, AppNet, Attach, HostNet, Subnet};

/// The firewall of others is looked at this often.
const TICK: Duration = Duration::from_secs(30);
const NO_ADDRESS: &str = "no free address is left in the app's network; delete instances that are not needed";

pub struct Apps {
    net: HostNet,
    /// `D/network.json`.
    path: PathBuf,
    /// Held while lots are made or removed; taken before the others.
    building: tokio::sync::Mutex<()>,
    /// Everything was removed, and nothing is made any more. Locked while something is: the thread that makes it goes on
    /// where the task that asked for it was cut short.
    removed: Mutex<bool>,
    held: Mutex<BTreeMap<AppName, Held>>,
    /// An app may have become unused.
    sweep: Notify,
    pub upstreams: Upstreams,
}

struct Held {
    lot: Lot,
    net: AppNet,
    addresses: AddressPool,
    stage: Stage,
}

enum Stage {
    Remembered,
    Ready {
        /// Names are answered as long as it is there; `None` when that could not be, to be tried again.
        names: Option<Listening>,
    },
}

/// What an instance gets of its app's lot.
pub struct Share {
    pub attach: Attach,
    pub ids: IdRange,
}

impl Apps {
    /// Reads the book and puts the rules in force for what it holds, which also shows whether the kernel can do it at all.
    pub fn open(data_dir: &Path, tag: &str) -> Result<Self, EngineError> {
        let failed = |error| EngineError::act("preparing the network", error);
        let net = HostNet::new(tag).map_err(failed)?;
        let path = data_dir.join("network.json");
        let lots = lots::read(&path, tag);
        lots::write(&path, tag, &lots).map_err(|error| EngineError::act("preparing the network", error))?;
        let held = lots.into_iter().map(|(app, lot)| (app, Held::remembered(&net, lot))).collect();
        let apps = Self {
            net,
            path,
            building: tokio::sync::Mutex::default(),
            removed: Mutex::default(),
            held: Mutex::new(held),
            sweep: Notify::new(),
            upstreams: Upstreams::of_the_host(),
        };
        apps.enforce().map_err(failed)?;
        Ok(apps)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<AppName, Held>> {
        // Every change under it is a single step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn removed(&self) -> MutexGuard<'_, bool> {
        // A word that is either said or not.
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address for one more instance of an app whose network is there; `None` where it is not, or is full.
    pub fn take(&self, app: &AppName) -> Option<Ipv4Addr> {
        match self.held().get_mut(app)? {
            Held { addresses, stage: Stage::Ready { .. }, .. } => addresses.take(),
            Held { stage: Stage::Remembered, .. } => None,
        }
    }

    /// Whether `take` would answer one.
    pub fn has_room(&self, app: &AppName) -> bool {
        let held = self.held();
        matches!(held.get(app), Some(Held { addresses, stage: Stage::Ready { .. }, .. }) if addresses.has_room())
    }

    /// Gives an address back. One that is not the app's is none of its business.
    pub fn give_back(&self, app: &AppName, ip: Ipv4Addr) {
        let was_last = self.held().get_mut(app).is_some_and(|held| {
            held.addresses.free(ip);
            held.addresses.is_empty()
        });
        // An app of which others are left has nothing to take back.
        if was_last {
            self.sweep.notify_one();
        }
    }

    /// How an instance with an address of the app is attached, and which ids it has.
    pub fn share(&self, app: &AppName, ip: Ipv4Addr) -> Option<Share> {
        let held = self.held();
        let held = held.get(app)?;
        Some(Share { attach: held.net.attach(ip), ids: held.lot.ids })
    }

    /// Whether an address lies in the network of some app.
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        self.held().values().any(|held| held.lot.subnet.contains(address))
    }

    /// What a running instance has is true, whatever the book says. For adoption alone, before anything is made.
    pub fn recognise(&self, order: &Order) {
        let Some(attach) = &order.network else { return };
        // One on the bridge of an older server keeps what it has until it is replaced.
        let Some(number) = self.net.number_of(&attach.bridge) else { return };
        let subnet = Subnet::around(attach.ip, attach.prefix);
        let app = &order.key.app;
        let mut held = self.held();
        let known = held.get(app).is_some_and(|held| held.lot.number == number && held.lot.subnet == subnet);
        if !known {
            held.retain(|_, other| other.lot.number != number && !other.lot.subnet.overlaps(&subnet));
            held.remove(app);
            let lots = book(&held);
            let Some(ids) = order.ids.or_else(|| lots::free_ids(&lots, self.net.tag())) else { return };
            held.insert(app.clone(), Held::remembered(&self.net, Lot { number, subnet, ids }));
        }
        if let Some(held) = held.get_mut(app) {
            held.lot.ids = order.ids.unwrap_or(held.lot.ids);
            held.addresses.reserve(attach.ip);
        }
    }

    /// After all instances are known: makes the networks that are in use be there, removes those that nobody knows, and
    /// writes the book anew.
    pub async fn settle(shared: &Arc<Shared>) -> Result<(), EngineError> {
        let _building = shared.apps.building.lock().await;
        let task = Arc::clone(shared);
        let settled = tokio::task::spawn_blocking(move || task.apps.settle_blocking()).await;
        let settled = settled.map_err(|error| EngineError::act("preparing the network", error))?;
        let used = settled.map_err(|text| EngineError::act("preparing the network", std::io::Error::other(text)))?;
        for app in used {
            listen(shared, &app);
        }
        Ok(())
    }

    /// Answers the apps that are in use.
    fn settle_blocking(&self) -> Result<Vec<AppName>, String> {
        let used: Vec<_> = {
            let held = self.held();
            let used = held.iter().filter(|(_, held)| !held.addresses.is_empty());
            used.map(|(app, held)| (app.clone(), held.net.clone())).collect()
        };
        self.write()?;
        for number in self.net.numbers().map_err(|e| describe(&e))? {
            if !self.held().values().any(|held| held.lot.number == number) {
                let nobodys = self.net.app(number, Subnet::around(Ipv4Addr::UNSPECIFIED, 32));
                self.net.dissolve(&nobodys).map_err(|e| describe(&e))?;
            }
        }
        for (_, net) in &used {
            // One at a time, so that other servers have their turn.
            self.net.begin().and_then(|mut change| change.establish(net)).map_err(|e| describe(&e))?;
        }
        self.enforce().map_err(|e| describe(&e))?;
        Ok(used.into_iter().map(|(app, _)| app).collect())
    }

    fn enforce(&self) -> Result<(), net::NetError> {
        self.net.enforce(&self.nets())?;
        self.pass_docker();
        Ok(())
    }

    /// Tells the rules that are in force of the present networks.
    fn renew(&self) -> Result<(), net::NetError> {
        self.net.renew(&self.nets())?;
        self.pass_docker();
        Ok(())
    }

    fn nets(&self) -> Vec<AppNet> {
        self.held().values().map(|held| held.net.clone()).collect()
    }

    /// Nothing fails for it that would not fail without Docker.
    fn pass_docker(&self) {
        if let Err(error) = self.net.pass_docker() {
            tracing::warn!(error = describe(&error), "letting instances pass Docker's firewall");
        }
    }

    fn write(&self) -> Result<(), String> {
        let lots = book(&self.held());
        lots::write(&self.path, self.net.tag(), &lots).map_err(|error| describe(&error))
    }

    /// Makes the network of an app, its rules included.
    fn make(&self, app: &AppName) -> Result<(), String> {
        let removed = self.removed();
        if *removed {
            return Err("the server removes everything".to_owned());
        }
        let lots = book(&self.held());
        let known = lots.get(app);
        let number = known.map_or_else(|| lots::free_number(&lots), |lot| lot.number);
        let ids = known.map(|lot| lot.ids).or_else(|| lots::free_ids(&lots, self.net.tag()));
        let ids = ids.ok_or("every range of user ids belongs to another app")?;
        let mut change = self.net.begin().map_err(|e| describe(&e))?;
        let subnet = change.choose(number, known.map(|lot| lot.subnet)).map_err(|e| describe(&e))?;
        let held = Held::remembered(&self.net, Lot { number, subnet, ids });
        let net = held.net.clone();
        self.held().insert(app.clone(), held);
        change.establish(&net).map_err(|e| describe(&e))?;
        drop(change);
        // Not while other servers wait for their turn, since the disk may be slow.
        self.write()?;
        self.renew().map_err(|e| describe(&e))
    }

    /// Takes out of the map what nobody has an address of. Of the others the start of an instance may be under way.
    fn take_unused(&self, used: &BTreeSet<&AppName>) -> BTreeMap<AppName, Held> {
        let mut held = self.held();
        let all = std::mem::take(&mut *held).into_iter();
        let (unused, kept) = all.partition(|(app, held)| held.addresses.is_empty() && !used.contains(app));
        *held = kept;
        unused
    }

    fn dissolve(&self, unused: BTreeMap<AppName, Held>) -> Result<(), String> {
        if let Err(error) = unused.values().try_for_each(|held| self.net.dissolve(&held.net)) {
            // As before an instance has joined, so the next look finds them again. Nobody can have joined meanwhile.
            let again = unused.into_iter().map(|(app, Held { lot, .. })| (app, Held::remembered(&self.net, lot)));
            self.held().extend(again);
            return Err(describe(&error));
        }
        self.write()?;
        self.renew().map_err(|e| describe(&e))
    }

    /// Everything of this server on the host.
    pub fn remove(&self) -> Result<(), EngineError> {
        *self.removed() = true;
        self.held().clear();
        self.net.remove().map_err(|error| EngineError::act("removing the network", error))
    }

    /// One of the processes may have been the last of its app.
    pub fn look_for_unused(&self) {
        self.sweep.notify_one();
    }
}

impl Held {
    fn remembered(net: &HostNet, lot: Lot) -> Self {
        Self {
            lot,
            net: net.app(lot.number, lot.subnet),
            addresses: AddressPool::new(lot.subnet),
            stage: Stage::Remembered,
        }
    }
}

fn book(held: &BTreeMap<AppName, Held>) -> Lots {
    held.iter().map(|(app, held)| (app.clone(), held.lot)).collect()
}

/// An address for one more instance of an app, whose network is made if it is not there. The error is for the user.
pub async fn join(shared: &Arc<Shared>, app: &AppName) -> Result<Ipv4Addr, String> {
    if let Some(ip) = shared.apps.take(app) {
        return Ok(ip);
    }
    let _building = shared.apps.building.lock().await;
    let ready = matches!(shared.apps.held().get(app), Some(Held { stage: Stage::Ready { .. }, .. }));
    if !ready {
        let (task, of) = (Arc::clone(shared), app.clone());
        let made = tokio::task::spawn_blocking(move || task.apps.make(&of)).await;
        let made = made.map_err(|error| error.to_string()).and_then(|made| made);
        made.map_err(|error| format!("making the app's network: {error}"))?;
        listen(shared, app);
    }
    shared.apps.take(app).or_else(|| spares::give_up(shared, app)).ok_or_else(|| NO_ADDRESS.to_owned())
}

/// Answers names at the app's gateway from now on. Where that cannot be, instances run without, and it is tried again.
fn listen(shared: &Arc<Shared>, app: &AppName) {
    let mut held = shared.apps.held();
    let Some(held) = held.get_mut(app) else { return };
    if matches!(held.stage, Stage::Ready { names: Some(_) }) {
        return;
    }
    let names = dns::listen(shared, app, held.lot.subnet)
        .inspect_err(|error| tracing::warn!(%app, error = describe(error), "answering names"))
        .ok();
    held.stage = Stage::Ready { names };
}

/// Takes back what nobody uses any more, and keeps the way open past the firewall of others.
pub async fn tend(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.apps.sweep.notified() => sweep(&shared).await,
            () = tokio::time::sleep(TICK) => {
                sweep(&shared).await;
                look_again(&shared).await;
            }
        }
    }
}

async fn sweep(shared: &Arc<Shared>) {
    let _building = shared.apps.building.lock().await;
    let unused = {
        let state = shared.state();
        if !state.adopted || state.closing {
            return;
        }
        shared.apps.take_unused(&state.processes.keys().map(|key| &key.app).collect())
    };
    let task = Arc::clone(shared);
    let dissolved = tokio::task::spawn_blocking(move || {
        if !unused.is_empty() {
            task.apps.dissolve(unused)?;
        }
        task.retire_serials().map_err(|error| format!("the directories of deleted processes: {error}"))
    })
    .await;
    let error = match dissolved {
        Ok(Ok(())) => return,
        Ok(Err(text)) => text,
        Err(error) => error.to_string(),
    };
    tracing::warn!(error, "removing what no app uses any more");
}

async fn look_again(shared: &Arc<Shared>) {
    let task = Arc::clone(shared);
    // Whoever flushes the host's rules flushes ours too, and with them what keeps apps apart.
    let building = shared.apps.building.lock().await;
    let enforced = tokio::task::spawn_blocking(move || {
        let removed = task.apps.removed();
        if *removed { Ok(()) } else { task.apps.renew() }
    })
    .await;
    drop(building);
    if let Ok(Err(error)) = enforced {
        tracing::warn!(error = describe(&error), "putting the firewall rules of the apps in force");
    }
    let unheard: Vec<_> = {
        let held = shared.apps.held();
        let unheard = held.iter().filter(|(_, held)| matches!(held.stage, Stage::Ready { names: None }));
        unheard.map(|(app, _)| app.clone()).collect()
    };
    for app in unheard {
        listen(shared, &app);
    }
}
