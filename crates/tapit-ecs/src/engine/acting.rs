//! The part of an app's task that acts: plans, carries out what is planned, and plans again.

use std::collections::BTreeMap;

use tapit_model::{Formation, InstanceKind, Presence, ProcessName, Revision};

use super::actor::{Actor, Scene};
use super::carry;
use crate::books::{BooksError, Lasts};
use crate::plan::{self, AppPlan, Deed, Inputs, Wanted};
use crate::record::{AccountRecord, Definition};

/// Plans in a row without a look between them. Each has brought something about, so this many means that two parts of a
/// plan undo each other.
const PLANS_AT_MOST: u32 = 64;

impl Actor {
    /// Plans and acts until there is nothing to do or nothing comes of it.
    pub(super) async fn act(&mut self, scene: &Scene, account: &AccountRecord) -> Result<AppPlan, BooksError> {
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
            at: self.shared.clock.timestamp(),
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

    fn lacks_definition(&self, name: &ProcessName, formation: &Formation) -> bool {
        let counts = [(InstanceKind::Demand, formation.demand), (InstanceKind::Spot, formation.spot)];
        let record = self.record.processes.get(name);
        if record.is_some_and(|record| record.run.is_some()) {
            // What has run is not run again.
            return false;
        }
        counts.into_iter().filter(|(_, count)| *count > 0).any(|(kind, _)| {
            let is_it = |what: &Definition| what.kind == kind && what.generation == formation.generation;
            record.is_none_or(|record| !record.definitions.values().any(is_it))
        })
    }
}

/// Processes that are to be removed and whose services and tasks were all told to go.
fn ended(plan: &AppPlan, scene: &Scene) -> Vec<(ProcessName, Revision)> {
    let goes_on = |name: &ProcessName| {
        plan.deeds.iter().any(|deed| {
            matches!(deed, Deed::DeleteService { process, .. } | Deed::StopTask { process, .. } if process == name)
        })
    };
    let absent = scene.targets.iter().filter(|(_, target)| matches!(target.presence, Presence::Absent(_)));
    absent.filter(|(name, _)| !goes_on(name)).map(|(name, target)| (name.clone(), target.revision)).collect()
}
