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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tapit_model::{
    AppName, InstanceKind, InstanceState, Moment, Presence, ProcessKey, ProcessName, ProcessTarget, Revision,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::locations::Locations;
use super::looking::{self, Eyes, Sought, Stir};
use super::rests::{Rests, Trouble};
use super::shared::{Call, Shared};
use super::{carry, recover, tell};
use crate::account::off_thread;
use crate::api::ApiFault;
use crate::books::{BooksError, Lasts};
use crate::look::Look;
use crate::names;
use crate::plan::{self, AppPlan, Deed, Inputs, Wanted};
use crate::record::{AccountRecord, AppRecord, Made, ProcessRecord};
use crate::sight::Subject;

/// Plans in a row without a look between them. Each has brought something about, so this many means that two parts of a
/// plan undo each other.
const PLANS_AT_MOST: u32 = 64;
const KINDS: [InstanceKind; 2] = [InstanceKind::Demand, InstanceKind::Spot];

pub(super) struct Actor {
    pub shared: Arc<Shared>,
    pub app: AppName,
    pub record: AppRecord,
    /// As it is on the disk; `None`: nobody has looked yet.
    saved: Option<AppRecord>,
    pub look: Look,
    eyes: Eyes,
    /// Deeds that failed.
    rests: Rests,
    /// Looks that failed.
    blind: Rests,
    pub locations: Locations,
    /// The newest targets that services were brought in line with.
    pub acted: BTreeMap<ProcessName, Revision>,
    /// Since when nothing is left of processes that are to be removed.
    gone_since: BTreeMap<ProcessName, Moment>,
    recovered: Made,
    /// Whether anything is under way, or waits for something.
    pub stir: Stir,
    /// Whether any instance is neither healthy nor stopped.
    pub instances: Stir,
    /// Of the targets of the last round.
    version: u64,
    /// Looks in a row that have shown nothing new.
    in_vain: u32,
    wake: Arc<Notify>,
}

/// What is wanted, as it was when a round began.
pub(super) struct Scene {
    pub version: u64,
    pub targets: BTreeMap<ProcessName, ProcessTarget>,
    found: std::collections::BTreeSet<String>,
}

impl Scene {
    fn is_wanted(&self) -> bool {
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
        let scene = Scene { version: app.version, targets: app.targets.clone(), found: app.found.clone() };
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
                troubles.push(Trouble { process: None, text: tapit_model::describe(&error) });
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

    async fn save(&mut self, lasts: Lasts) -> Result<(), BooksError> {
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
                let news = trouble.is_news.then_some(Trouble { process: None, text: trouble.text });
                troubles.extend(news);
                return (None, Some(trouble.until));
            }
        };
        let Some(public) = scene.public() else { return (Some(base), None) };
        match self.shared.account.balancer().await {
            Ok(whole) => (Some(whole), None),
            Err(trouble) => {
                let news = trouble.is_news.then(|| Trouble { process: Some(public.clone()), text: trouble.text });
                troubles.extend(news);
                (Some(base), Some(trouble.until))
            }
        }
    }

    /// Finds what no file tells of, where something is to be removed, and looks. `false`: AWS does not let us.
    async fn see(&mut self, scene: &Scene) -> bool {
        let now = self.shared.clock.moment();
        if self.blind.until().is_some_and(|until| now < until) {
            return false;
        }
        let seen = match self.recover(scene).await {
            Ok(()) => self.look(scene).await,
            Err(error) => Err(error),
        };
        match seen {
            Ok(look) => {
                self.blind.clear();
                let is_news = looking::is_news(&look, &self.look);
                self.in_vain = if is_news { 0 } else { self.in_vain.saturating_add(1) };
                self.look = look;
                plan::note_given_up(&mut self.record, &self.look);
                if !self.has_unknown() {
                    self.remember(scene);
                }
                true
            }
            Err(error) => {
                self.blind.failed((error.operation, None), error, now);
                false
            }
        }
    }

    async fn recover(&mut self, scene: &Scene) -> Result<(), crate::api::ApiError> {
        if scene.is_wanted() {
            self.recovered = Made::No;
        } else if self.recovered == Made::No {
            recover::app(&self.shared, &self.app, &mut self.record).await?;
            self.recovered = Made::Yes;
        }
        for target in scene.targets.values().filter(|target| matches!(target.presence, Presence::Absent(_))) {
            if !self.record.processes.contains_key(&target.key.process) {
                recover::process(&self.shared, &target.key, &mut self.record).await?;
            }
        }
        Ok(())
    }

    async fn look(&mut self, scene: &Scene) -> Result<Look, crate::api::ApiError> {
        let (at, moment) = (self.shared.clock.timestamp(), self.shared.clock.moment());
        let nothing = Look { at, moment, ..Look::default() };
        if self.record.cluster == Made::No {
            return Ok(nothing);
        }
        let sought = Sought {
            app: &self.app,
            services: self.services(scene),
            tasks: self.record.processes.values().flat_map(|process| process.memory.to_describe()).collect(),
            target_group: self.record.target.group.clone(),
            stir: self.stir,
        };
        match self.eyes.look(&self.shared, &sought, &self.look).await {
            Err(error) if error.fault == ApiFault::NotFound => {
                // Somebody has removed the cluster, or it is so new that it does not show yet: it is made again.
                self.record.cluster = Made::No;
                Ok(nothing)
            }
            seen => seen,
        }
    }

    /// Names of the services that may be there.
    fn services(&self, scene: &Scene) -> std::collections::BTreeSet<String> {
        let mut services = scene.found.clone();
        for (name, target) in &scene.targets {
            if let Presence::Present(formation) = &target.presence {
                let counts = [(InstanceKind::Demand, formation.demand), (InstanceKind::Spot, formation.spot)];
                let wanted = counts.into_iter().filter(|(_, count)| *count > 0);
                services.extend(wanted.map(|(kind, _)| names::service(name, kind)));
            }
        }
        for (name, process) in &self.record.processes {
            let key = ProcessKey::new(&self.app, name);
            let known = KINDS.into_iter().filter(|kind| {
                process.told.contains_key(kind)
                    || process.definitions.values().any(|definition| definition.kind == *kind)
                    || process.registering.contains_key(&self.shared.install.family(&key, *kind))
            });
            services.extend(known.map(|kind| names::service(name, kind)));
        }
        services
    }

    /// Something runs of which nobody knows yet what it was made from.
    fn has_unknown(&self) -> bool {
        self.look.services.iter().any(|service| {
            let process = names::process_of_service(&service.name);
            let record = process.and_then(|(name, _)| self.record.processes.get(&name));
            record.is_none_or(|record| !record.definitions.contains_key(&service.task_definition))
        })
    }

    fn remember(&mut self, scene: &Scene) {
        for (name, target) in &scene.targets {
            let nothing = ProcessRecord::default();
            let process = self.record.processes.get(name).unwrap_or(&nothing);
            let subject = subject(target, process);
            let memory = process.memory.after(&subject, &self.look);
            if memory != process.memory {
                self.record.processes.entry(name.clone()).or_default().memory = memory;
            }
        }
    }

    /// Plans and acts until there is nothing to do or nothing comes of it.
    async fn act(&mut self, scene: &Scene, account: &AccountRecord) -> Result<AppPlan, BooksError> {
        let mut last = AppPlan::default();
        for _ in 0..PLANS_AT_MOST {
            let wanted = self.wanted(scene);
            let (plan, orders) = self.plan(&wanted, account);
            self.acted.extend(plan.acted.clone());
            self.acted.extend(ended(&plan, scene));
            last = plan;
            if orders.is_empty() {
                break;
            }
            let is_new_cluster = orders.iter().any(|order| matches!(order.deed, Deed::CreateCluster));
            if !self.carry(orders).await? || is_new_cluster {
                break;
            }
        }
        Ok(last)
    }

    fn plan(
        &mut self,
        wanted: &BTreeMap<ProcessName, Wanted>,
        account: &AccountRecord,
    ) -> (AppPlan, Vec<carry::Order>) {
        let now = self.shared.clock.moment();
        let inputs = Inputs {
            install: &self.shared.install,
            settings: &self.shared.settings,
            region: &self.shared.region,
            account,
            app: &self.app,
            wanted,
            record: &self.record,
            look: &self.look,
            now,
        };
        let plan = plan::plan_app(&inputs);
        let order = |deed: &Deed| carry::Order { request: deed.request(&inputs), deed: deed.clone() };
        let mut orders: Vec<_> = plan.deeds.iter().map(order).collect();
        let errands: Vec<_> = orders.iter().map(carry::Order::errand).collect();
        self.rests.keep(|errand| errands.contains(errand));
        orders.retain(|order| self.rests.may_go(&order.errand(), now));
        // What runs already must be known before anything is made beside it.
        let learns = |order: &carry::Order| matches!(order.deed, Deed::LearnDefinition { .. });
        if orders.iter().any(learns) {
            orders.retain(learns);
        }
        (plan, orders)
    }

    /// Whether anything came of it.
    async fn carry(&mut self, orders: Vec<carry::Order>) -> Result<bool, BooksError> {
        let (record, look) = (self.record.clone(), self.look.clone());
        if orders.iter().any(|order| order.deed.is_intent()) {
            orders.iter().for_each(|order| order.deed.intend(&mut self.record));
            self.save(Lasts::Machine).await?;
        }
        let mut some = false;
        for carried in carry::carry(&self.shared, orders).await {
            let (errand, at) = ((carried.answered.operation, carried.deed.process().cloned()), carried.answered.at);
            let removed_repository = matches!(carried.deed, Deed::DeleteRepository);
            match carry::settle(&mut self.record, &mut self.look, carried) {
                Ok(()) => {
                    self.rests.succeeded(&errand);
                    some = true;
                    if removed_repository {
                        self.shared.images.forget_app(&self.app);
                    }
                }
                Err(error) => {
                    tracing::warn!(app = %self.app, %error, "a call to AWS failed");
                    self.rests.failed(errand, error, at);
                }
            }
        }
        self.save(Lasts::Server).await?;
        Ok(some && (record != self.record || look != self.look))
    }

    fn wanted(&mut self, scene: &Scene) -> BTreeMap<ProcessName, Wanted> {
        let mut wanted = BTreeMap::new();
        let mut images = Vec::new();
        for (name, target) in &scene.targets {
            let location = match &target.presence {
                Presence::Present(formation) if self.lacks_definition(name, formation) => {
                    images.push(&formation.image);
                    self.locations.get(&self.shared, &self.app, &formation.image)
                }
                Presence::Present(_) | Presence::Absent(_) => None,
            };
            let (revision, presence) = (target.revision, target.presence.clone());
            wanted.insert(name.clone(), Wanted { revision, presence, location });
        }
        self.locations.keep(&images);
        wanted
    }

    fn lacks_definition(&self, name: &ProcessName, formation: &tapit_model::Formation) -> bool {
        let counts = [(InstanceKind::Demand, formation.demand), (InstanceKind::Spot, formation.spot)];
        let record = self.record.processes.get(name);
        counts.into_iter().filter(|(_, count)| *count > 0).any(|(kind, _)| {
            let is_it = |what: &crate::record::Definition| what.kind == kind && what.generation == formation.generation;
            record.is_none_or(|record| !record.definitions.values().any(is_it))
        })
    }

    /// A process that is gone stays known for a while, in case a service of it shows late; then it is forgotten.
    fn forget_gone(&mut self, scene: &Scene) {
        let now = self.shared.clock.moment();
        let late = super::pace::millis(self.shared.pace.whole);
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

    fn time_to_wait(&self, end: &End) -> Duration {
        let pace = &self.shared.pace;
        let now = self.shared.clock.moment();
        // Where a call that failed is all that there is to do, it alone says when.
        let rests = !self.rests.is_empty() && self.instances == Stir::Still;
        let usual = match end.plan {
            Some(_) if self.stir == Stir::UnderWay && !rests => pace.busy_after(self.in_vain),
            Some(_) | None => pace.idle,
        };
        let due = end.due.into_iter().chain(self.locations.until(now)).min();
        due.map_or(usual, |due| usual.min(Duration::from_millis(due.since(now).max(1))))
    }
}

/// How a round ended.
struct End {
    /// `None`: nothing could be planned.
    plan: Option<AppPlan>,
    /// When something that failed may be tried again.
    due: Option<Moment>,
}

/// A process as it is looked at.
pub(super) fn subject<'a>(target: &'a ProcessTarget, process: &'a ProcessRecord) -> Subject<'a> {
    Subject {
        key: &target.key,
        formation: match &target.presence {
            Presence::Present(formation) => Some(formation),
            Presence::Absent(_) => None,
        },
        definitions: &process.definitions,
        given_up: &process.given_up,
    }
}

/// Processes that are to be removed and whose services were all told to go.
fn ended(plan: &AppPlan, scene: &Scene) -> Vec<(ProcessName, Revision)> {
    let goes_on = |name: &ProcessName| {
        plan.deeds.iter().any(|deed| matches!(deed, Deed::DeleteService { process, .. } if process == name))
    };
    let absent = scene.targets.iter().filter(|(_, target)| matches!(target.presence, Presence::Absent(_)));
    absent.filter(|(name, _)| !goes_on(name)).map(|(name, target)| (name.clone(), target.revision)).collect()
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
