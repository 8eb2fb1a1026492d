//! What the parts of the engine share: how to reach the account, and what is wanted and seen, behind one lock.
//!
//! Each app's task publishes what it sees here; the server's calls read it and never wait for AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapit_engine::{Applied, EngineError};
use tapit_model::{
    AppName, InstanceKey, Lifecycle, Presence, ProcessKey, ProcessName, ProcessObserved, ProcessTarget, Revision,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::clock::Clock;
use super::pace::Pace;
use super::{TaskImages, actor};
use crate::account::Account;
use crate::api::SharedApi;
use crate::books::Books;
use crate::names::Install;
use crate::settings::EcsSettings;

pub struct Shared {
    pub install: Install,
    pub settings: EcsSettings,
    pub region: String,
    pub api: SharedApi,
    pub images: Arc<dyn TaskImages>,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    pub books: Arc<Books>,
    pub account: Account,
    pub state: Mutex<State>,
    pub tasks: Mutex<JoinSet<()>>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
pub struct State {
    pub apps: BTreeMap<AppName, AppState>,
    pub adopted: bool,
    /// Whether it is known which apps of an earlier server are in the account.
    pub searched: bool,
    pub closing: bool,
}

#[derive(Default)]
pub struct AppState {
    pub targets: BTreeMap<ProcessName, ProcessTarget>,
    /// Counts the changes of the targets.
    pub version: u64,
    pub seen: BTreeMap<ProcessName, ProcessObserved>,
    /// Processes that are to be removed and of which nothing is left.
    pub gone: BTreeSet<ProcessName>,
    /// Names of services that were found in the account and that no file tells of.
    pub found: BTreeSet<String>,
    /// Processes that run once, that an earlier server was told of, and that no file tells of: they may have run.
    pub unsure: BTreeSet<ProcessName>,
    pub trouble: Option<String>,
    /// For which the load balancer leads to it.
    pub hosts: Vec<String>,
    /// Calls that a look at its services takes.
    pub pages: usize,
    /// It has a task.
    is_tended: bool,
    pub call: Call,
    pub wake: Arc<Notify>,
}

/// What an app's task was woken for, besides new targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Call {
    #[default]
    Nothing,
    /// Something that it has asked for is there.
    Arrived,
    /// Something outside has changed: what waits may be tried again now.
    Nudge,
    /// Something in the account was changed by hand: look.
    Look,
}

impl Shared {
    pub fn new(parts: SharedParts) -> Self {
        let SharedParts { install, settings, region, api, images, clock, pace, books, account } = parts;
        let (changes, _) = watch::channel(0);
        Self {
            install,
            settings,
            region,
            api,
            images,
            clock,
            pace,
            books,
            account,
            state: Mutex::default(),
            tasks: Mutex::default(),
            changes,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Takes a target, and looks after its app from now on.
    pub fn take(self: &Arc<Self>, target: ProcessTarget) -> Applied {
        self.account.try_again();
        let mut state = self.state();
        let name = target.key.app.clone();
        let app = state.apps.entry(name.clone()).or_default();
        let held = app.targets.get(&target.key.process);
        if held.is_some_and(|held| held.revision > target.revision) {
            return Applied::Stale;
        }
        let is_same = held.is_some_and(|held| held.presence == target.presence);
        let (process, revision) = (target.key.process.clone(), target.revision);
        let acted = held.map(|held| held.revision);
        if let Some(seen) = app.seen.get_mut(&process)
            && is_same
            && acted == Some(seen.revision)
        {
            // It is so already.
            seen.revision = revision;
            app.targets.insert(process, target);
            drop(state);
            self.changed();
            return Applied::Accepted;
        }
        app.gone.remove(&process);
        app.targets.insert(process, target);
        app.version += 1;
        app.wake.notify_one();
        drop(state);
        self.start(&name);
        Applied::Accepted
    }

    /// Looks after an app, if nobody does yet.
    pub fn tend(self: &Arc<Self>, app: &AppName) {
        let is_new = !self.state().apps.contains_key(app);
        if is_new {
            self.start(app);
        }
    }

    /// Starts the task of an app, which has none.
    pub fn start(self: &Arc<Self>, app: &AppName) {
        let mut state = self.state();
        // Before the adoption it is not known yet what there is; afterwards each app is started.
        if state.closing || !state.adopted {
            return;
        }
        let entry = state.apps.entry(app.clone()).or_default();
        if std::mem::replace(&mut entry.is_tended, true) {
            return;
        }
        let wake = Arc::clone(&entry.wake);
        drop(state);
        self.spawn(actor::run(Arc::clone(self), app.clone(), wake));
    }

    /// States that nothing of a process may be left, unless it is wanted.
    pub fn disown(self: &Arc<Self>, key: ProcessKey) {
        let held = self.state().apps.get(&key.app).is_some_and(|app| app.targets.contains_key(&key.process));
        if !held {
            tracing::info!(process = %key, "a process that is not known any more; what is left of it is removed");
            let presence = Presence::Absent(Lifecycle::default());
            self.take(ProcessTarget { key, revision: Revision(0), presence });
        }
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    pub fn observe(&self) -> Vec<ProcessObserved> {
        let state = self.state();
        let all = state.apps.values().flat_map(|app| {
            let waiting = app.targets.values().filter(|target| !app.seen.contains_key(&target.key.process));
            let waiting = waiting.map(|target| unseen(target, self.clock.as_ref()));
            let listed = app.seen.values().cloned().chain(waiting);
            listed.filter(|seen| !app.gone.contains(&seen.key.process))
        });
        all.collect()
    }

    /// What was published of a process.
    pub fn seen(&self, key: &ProcessKey) -> Result<ProcessObserved, EngineError> {
        let state = self.state();
        let app = state.apps.get(&key.app).filter(|app| !app.gone.contains(&key.process));
        let seen = app.and_then(|app| app.seen.get(&key.process)).cloned();
        match seen {
            Some(seen) => Ok(seen),
            None => match app.and_then(|app| app.targets.get(&key.process)) {
                Some(target) => Ok(unseen(target, self.clock.as_ref())),
                None => Err(EngineError::UnknownProcess(key.clone())),
            },
        }
    }

    /// Whose instance it is.
    pub fn process_of(&self, instance: &InstanceKey) -> Result<ProcessKey, EngineError> {
        let state = self.state();
        let processes = state.apps.get(&instance.app).into_iter().flat_map(|app| app.seen.values());
        let mut owners = processes.filter(|process| process.instances.iter().any(|one| one.id == instance.id));
        let owner = owners.next().map(|process| process.key.clone());
        owner.ok_or_else(|| EngineError::UnknownInstance(instance.to_string()))
    }

    /// Wakes the task of one app.
    pub fn call(&self, app: &AppName, call: Call) {
        if let Some(app) = self.state().apps.get_mut(app) {
            app.call = app.call.max(call);
            app.wake.notify_one();
        }
    }

    pub fn nudge(&self) {
        self.account.try_again();
        for app in self.state().apps.values_mut() {
            app.call = app.call.max(Call::Nudge);
            app.wake.notify_one();
        }
    }
}

/// What a `Shared` is made from.
pub struct SharedParts {
    pub install: Install,
    pub settings: EcsSettings,
    pub region: String,
    pub api: SharedApi,
    pub images: Arc<dyn TaskImages>,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    pub books: Arc<Books>,
    pub account: Account,
}

/// A process that was not looked at yet.
fn unseen(target: &ProcessTarget, clock: &dyn Clock) -> ProcessObserved {
    ProcessObserved {
        key: target.key.clone(),
        revision: Revision(0),
        instances: Vec::new(),
        blocked: Vec::new(),
        failure: None,
        seen_at: clock.moment(),
    }
}
