//! The task that looks after one app: look, plan, act, tell, wait.
//!
//! ```text
//!        ┌──────────────── wake-up, or time ◄───────────────────┐
//!        ▼                                                      │
//! account ─► look ─► plan ─► deeds ─► record ─► plan … ─► tell ─┴─► nothing left: end
//! ```
//!
//! It owns the app's record and what was last seen, so nothing of them needs a lock. Everything that fails is told, rests
//! for a while and is done again: the task ends only with its app or with the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tapit_model::{AppName, InstanceKind, InstanceState, Moment, Presence, ProcessName, ProcessTarget, Revision};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::locations::Locations;
use super::looking::{self, Eyes, Stir};
use super::pace;
use super::rests::{Rests, Trouble};
use super::shared::{Call, Shared};
use super::tell;
use crate::account::off_thread;
use crate::books::{BooksError, Lasts};
use crate::look::Look;
use crate::plan::{AppPlan, Deed};
use crate::record::{AccountRecord, AppRecord, Made};

/// Whatever is due: nothing here is worth a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
pub(super) const KINDS: [InstanceKind; 2] = [InstanceKind::Demand, InstanceKind::Spot];

pub(super) struct Actor {
    pub shared: Arc<Shared>,
    pub app: AppName,
    pub record: AppRecord,
    /// As it is on the disk; `None`: nobody has looked yet.
    saved: Option<AppRecord>,
    pub look: Look,
    pub eyes: Eyes,
    /// Deeds that failed.
    pub rests: Rests,
    /// Looks that failed.
    pub blind: Rests,
    pub locations: Locations,
    /// The newest targets that services were brought in line with.
    pub acted: BTreeMap<ProcessName, Revision>,
    /// Since when nothing is left of processes that are to be removed.
    gone_since: BTreeMap<ProcessName, Moment>,
    pub recovered: Made,
    /// Whether anything is under way, or waits for something.
    pub stir: Stir,
    /// Whether any instance is neither healthy nor stopped.
    pub instances: Stir,
    /// Of the targets of the last round.
    version: u64,
    /// Looks in a row that have shown nothing new.
    pub in_vain: u32,
    wake: Arc<Notify>,
}

/// What is wanted, as it was when a round began.
pub(super) struct Scene {
    pub version: u64,
    pub targets: BTreeMap<ProcessName, ProcessTarget>,
    pub found: BTreeSet<String>,
    pub unsure: BTreeSet<ProcessName>,
}

impl Scene {
    pub fn is_wanted(&self) -> bool {
        self.targets.values().any(|target| matches!(target.presence, Presence::Present(_)))
    }

    /// The process that the load balancer leads to, if it is to run.
    fn public(&self) -> Option<&ProcessName> {
        let mut public = self.targets.values().filter(|target| match &target.presence {
            Presence::Present(formation) => formation.public,
            Presence::Absent(_) => false,
        });
        public.next().map(|target| &target.key.process)
    }
}

enum Next {
    Ended,
    Wait(Duration),
}

pub async fn run(shared: Arc<Shared>, app: AppName, wake: Arc<Notify>) {
    let mut actor = Actor {
        shared,
        app,
        record: AppRecord::default(),
        saved: None,
        look: Look::default(),
        eyes: Eyes::default(),
        rests: Rests::default(),
        blind: Rests::default(),
        locations: Locations::default(),
        acted: BTreeMap::new(),
        gone_since: BTreeMap::new(),
        recovered: Made::No,
        stir: Stir::UnderWay,
        instances: Stir::UnderWay,
        version: 0,
        in_vain: 0,
        wake,
    };
    loop {
        let Some(scene) = actor.scene() else { return };
        match actor.round(&scene).await {
            Next::Ended => return,
            Next::Wait(wait) => actor.wait(wait).await,
        }
    }
}

impl Actor {
    /// `None`: it is to end.
    fn scene(&mut self) -> Option<Scene> {
        let mut state = self.shared.state();
        if state.closing {
            return None;
        }
        let app = state.apps.get_mut(&self.app)?;
        let call = std::mem::take(&mut app.call);
        let (targets, found, unsure) = (app.targets.clone(), app.found.clone(), app.unsure.clone());
        let scene = Scene { version: app.version, targets, found, unsure };
        drop(state);
        match call {
            Call::Nothing | Call::Arrived => {}
            Call::Nudge | Call::Look => {
                self.rests.clear();
                self.blind.clear();
                self.locations.try_again();
            }
        }
        if call == Call::Look {
            self.eyes.widen();
        }
        if scene.version != self.version {
            self.version = scene.version;
            self.rests.clear();
            self.blind.clear();
            self.in_vain = 0;
        }
        Some(scene)
    }

    /// Wakes up early for what makes a difference.
    async fn wait(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let wake = Arc::clone(&self.wake);
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                () = wake.notified() => {}
            }
            let mut state = self.shared.state();
            let closing = state.closing;
            let Some(app) = state.apps.get_mut(&self.app) else { return };
            // To somebody who waits for nothing a nudge says nothing.
            let matters = match app.call {
                Call::Nothing => false,
                Call::Nudge => self.stir == Stir::UnderWay,
                Call::Arrived | Call::Look => true,
            };
            if closing || matters || app.version != self.version {
                return;
            }
            app.call = Call::Nothing;
        }
    }

    async fn round(&mut self, scene: &Scene) -> Next {
        let mut troubles = Vec::new();
        let end = match self.work(scene, &mut troubles).await {
            Ok(end) => end,
            Err(error) => {
                tracing::error!(app = %self.app, error = %tapit_model::describe(&error), "keeping the engine's files");
                troubles.push(Trouble::of_provider(None, tapit_model::describe(&error)));
                End { plan: None, due: None }
            }
        };
        if end.plan.as_ref().is_some_and(|plan| plan.empty) && troubles.is_empty() && self.end(scene).await {
            return Next::Ended;
        }
        tell::publish(self, scene, end.plan.as_ref(), &troubles);
        Next::Wait(self.time_to_wait(&end))
    }

    /// Does all that can be done now. Troubles that are news are added to the list.
    async fn work(&mut self, scene: &Scene, troubles: &mut Vec<Trouble>) -> Result<End, BooksError> {
        self.read().await?;
        let (account, due) = self.account(scene, troubles).await;
        let Some(account) = account else { return Ok(End { plan: None, due }) };
        if !self.see(scene).await {
            troubles.extend(self.blind.troubles());
            self.save(Lasts::Server).await?;
            return Ok(End { plan: None, due: self.blind.until() });
        }
        self.forget_gone(scene);
        let mut plan = self.act(scene, &account).await?;
        if plan.deeds.iter().any(|deed| matches!(deed, Deed::CreateCluster)) && self.record.cluster == Made::Yes {
            // A cluster that was there already may hold what no file tells of.
            self.eyes.widen();
            if self.see(scene).await {
                plan = self.act(scene, &account).await?;
            }
        }
        self.remember(scene);
        self.save(Lasts::Server).await?;
        troubles.extend(self.rests.troubles());
        let due = [due, self.rests.until(), self.blind.until()].into_iter().flatten().min();
        Ok(End { plan: Some(plan), due })
    }

    async fn read(&mut self) -> Result<(), BooksError> {
        if self.saved.is_some() {
            return Ok(());
        }
        let (books, app) = (Arc::clone(&self.shared.books), self.app.clone());
        self.record = off_thread(move || books.read_app(&app)).await?.unwrap_or_default();
        self.saved = Some(self.record.clone());
        Ok(())
    }

    pub(super) async fn save(&mut self, lasts: Lasts) -> Result<(), BooksError> {
        if self.saved.as_ref() == Some(&self.record) {
            return Ok(());
        }
        let (books, app, record) = (Arc::clone(&self.shared.books), self.app.clone(), self.record.clone());
        let written = off_thread(move || books.write_app(&app, &record, lasts).map(|()| record)).await?;
        self.saved = Some(written);
        Ok(())
    }

    /// What is shared with other apps; without it nothing can be done. Only what is public waits for the load balancer.
    async fn account(&self, scene: &Scene, troubles: &mut Vec<Trouble>) -> (Option<AccountRecord>, Option<Moment>) {
        if !scene.is_wanted() {
            // To remove something, none of it is needed; it must not be made for that.
            return (Some(self.shared.account.known().unwrap_or_else(nothing)), None);
        }
        let base = match self.shared.account.base().await {
            Ok(base) => base,
            Err(trouble) => {
                let news = trouble.is_news.then_some(Trouble::of_provider(None, trouble.text));
                troubles.extend(news);
                return (None, Some(trouble.until));
            }
        };
        let Some(public) = scene.public() else { return (Some(base), None) };
        match self.shared.account.balancer().await {
            Ok(whole) => (Some(whole), None),
            Err(trouble) => {
                let news = trouble.is_news.then(|| Trouble::of_provider(Some(public.clone()), trouble.text));
                troubles.extend(news);
                (Some(base), Some(trouble.until))
            }
        }
    }

    /// A process that is gone stays known for a while, in case a service of it shows late; then it is forgotten.
    fn forget_gone(&mut self, scene: &Scene) {
        let now = self.shared.clock.moment();
        let late = pace::millis(self.shared.pace.whole);
        let due: Vec<ProcessName> = self
            .gone_since
            .iter()
            .filter(|(_, since)| now.since(**since) >= late)
            .map(|(name, _)| name.clone())
            .collect();
        if !scene.is_wanted() || due.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        let Some(app) = state.apps.get_mut(&self.app).filter(|app| app.version == scene.version) else { return };
        for name in due {
            app.targets.remove(&name);
            app.gone.remove(&name);
            app.seen.remove(&name);
            self.gone_since.remove(&name);
            self.acted.remove(&name);
            self.record.processes.remove(&name);
        }
    }

    pub(super) fn note_gone(&mut self, gone: &[ProcessName]) {
        let now = self.shared.clock.moment();
        self.gone_since.retain(|name, _| gone.contains(name));
        for name in gone {
            self.gone_since.entry(name.clone()).or_insert(now);
        }
    }

    /// Nothing is left: forgets the app, unless it is wanted again.
    async fn end(&mut self, scene: &Scene) -> bool {
        let (books, app) = (Arc::clone(&self.shared.books), self.app.clone());
        if let Err(error) = off_thread(move || books.remove_app(&app)).await {
            tracing::error!(app = %self.app, error = %tapit_model::describe(&error), "forgetting an app");
            return false;
        }
        self.record = AppRecord::default();
        self.saved = Some(AppRecord::default());
        self.recovered = Made::No;
        let mut state = self.shared.state();
        if state.apps.get(&self.app).is_some_and(|app| app.version != scene.version) {
            return false;
        }
        state.apps.remove(&self.app);
        drop(state);
        self.shared.changed();
        true
    }

    /// Pages of services that all apps together have.
    fn pages_of_all(&self) -> usize {
        let mut state = self.shared.state();
        if let Some(app) = state.apps.get_mut(&self.app) {
            app.pages = looking::pages(&self.look);
        }
        state.apps.values().map(|app| app.pages).sum()
    }

    fn time_to_wait(&self, end: &End) -> Duration {
        let pace = &self.shared.pace;
        let now = self.shared.clock.moment();
        // Where a call that failed is all that there is to do, it alone says when.
        let rests = !self.rests.is_empty() && self.instances == Stir::Still;
        let usual = match end.plan {
            Some(_) if self.stir == Stir::UnderWay && !rests => pace.busy_after(self.in_vain),
            Some(_) if !self.alone().is_empty() => pace.watching_among(self.in_vain, self.pages_of_all()),
            Some(_) | None => pace.idle_among(self.pages_of_all()),
        };
        // A place is only asked for again where something is planned.
        let places = end.plan.as_ref().and_then(|_| self.locations.until(now));
        let due = end.due.into_iter().chain(places).min();
        due.map_or(usual, |due| Duration::from_millis(due.since(now)).max(SHORTEST_WAIT).min(usual))
    }
}

/// How a round ended.
struct End {
    /// `None`: nothing could be planned.
    plan: Option<AppPlan>,
    /// When something that failed may be tried again.
    due: Option<Moment>,
}

/// An account of which nothing is known.
fn nothing() -> AccountRecord {
    AccountRecord {
        vpc: String::new(),
        subnets: Vec::new(),
        assign_public_ip: false,
        execution_role: String::new(),
        balancer: None,
    }
}

pub(super) fn is_settled(state: InstanceState) -> bool {
    match state {
        InstanceState::Healthy | InstanceState::Stopped => true,
        InstanceState::Pending
        | InstanceState::Pulling
        | InstanceState::Starting
        | InstanceState::Unhealthy
        | InstanceState::Draining
        | InstanceState::Stopping => false,
    }
}
