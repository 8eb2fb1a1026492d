//! The server: everything that is lost when it dies, and the loop that follows the store.

use std::collections::BTreeMap;

use tapit_model::{
    AppName, Blocked, Change, Digest, ImageRef, InstanceKey, Moment, PinnedImage, ProcessKey, ProcessTarget,
    RolloutState, RouteTable, Timestamp,
};

use super::behaviour::Behaviour;
use super::router::Router;
use super::{Sim, check, observe};
use crate::app::{AppInputs, ImageProgress, Prepare, pin, plan_app, routes};
use crate::host::FailureVerdict;

/// What the engine holds of a process besides its records.
pub(super) struct Held {
    pub target: ProcessTarget,
    pub blocked: Vec<Blocked>,
    pub failure: Option<FailureVerdict>,
}

impl Held {
    pub(super) fn new(target: ProcessTarget) -> Self {
        Self { target, blocked: Vec::new(), failure: None }
    }
}

#[derive(Default)]
pub(super) struct Server {
    pub held: BTreeMap<ProcessKey, Held>,
    pub router: Router,
    pub images: BTreeMap<ImageRef, ImageProgress>,
    /// When each fetch ends.
    pulls: BTreeMap<ImageRef, Moment>,
    asked: Vec<Prepare>,
    /// A table that was made and is not published yet.
    pub late_table: Option<RouteTable>,
    pub blocked: BTreeMap<ProcessKey, Vec<Blocked>>,
    pub look_again: Option<Moment>,
    /// When the plan of an app said that it would differ.
    pub plan_again: BTreeMap<AppName, Moment>,
}

impl Server {
    pub(super) fn next_event(&self) -> Option<Moment> {
        let pulls = self.pulls.values().copied();
        let plans = self.plan_again.values().copied();
        pulls.chain(plans).chain(self.router.next_event()).chain(self.look_again).min()
    }
}

/// An app is planned until nothing more is to be committed; more rounds than this are a fault of the planner.
const ROUNDS: usize = 12;

impl Sim {
    pub(super) fn wall(&self) -> Timestamp {
        let millis = i64::try_from(self.elapsed).unwrap_or(i64::MAX);
        Timestamp(1_700_000_000_000_i64.saturating_add(millis).saturating_add(self.wall_skew))
    }

    /// One pass over all apps: outcomes into the store, targets to the engine, routes to the router.
    pub(super) fn reconcile(&mut self) -> Result<(), String> {
        if self.server.is_none() || (!self.calm && self.rng.percent(15)) {
            return Ok(());
        }
        self.finish_pulls()?;
        let late = self.server.as_mut().and_then(|server| server.late_table.take());
        if let (Some(table), Some(server)) = (late, self.server.as_mut()) {
            server.router.publish(table);
        }
        let mut all = Vec::new();
        for app in self.store.apps.keys().cloned().collect::<Vec<_>>() {
            all.extend(self.reconcile_app(&app)?);
            if self.server.is_none() {
                return Ok(());
            }
        }
        let table = routes(all);
        let is_late = !self.calm && self.rng.percent(20);
        if let Some(server) = &mut self.server {
            if is_late {
                server.late_table = Some(table);
            } else {
                server.router.publish(table);
            }
        }
        Ok(())
    }

    fn reconcile_app(&mut self, app: &AppName) -> Result<Option<tapit_model::Route>, String> {
        for _ in 0..ROUNDS {
            let Some(server) = &self.server else { return Ok(None) };
            let observed = observe::observe(&server.held, &self.machine, self.now);
            let images = &server.images;
            let plan = plan_app(&AppInputs {
                now: self.wall(),
                moment: self.now,
                world: &self.store,
                app,
                observed: &observed,
                images,
            });
            if !plan.changes.is_empty() {
                self.stand_ins_hold(&plan.changes)?;
                self.commit(&plan.changes)?;
                if !self.calm && self.rng.percent(2) {
                    self.kill_server("after a commit");
                    return Ok(None);
                }
                continue;
            }
            for target in plan.targets {
                self.apply(target);
            }
            for prepare in plan.prepare {
                self.prepare(prepare);
            }
            if let Some(server) = &mut self.server {
                server.blocked.retain(|key, _| key.app != *app);
                server.blocked.extend(plan.blocked);
                server.plan_again.remove(app);
                server.plan_again.extend(plan.look_again.map(|at| (app.clone(), at)));
            }
            self.stand_ins_are_paid_back(app, &observed)?;
            return Ok(plan.route);
        }
        Err(format!("the plan of app {app} still has changes after {ROUNDS} rounds"))
    }

    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            if let Change::PutRollout(rollout) = change {
                let news = self.store.rollouts.get(&rollout.key).is_none_or(|old| old.state != rollout.state);
                match rollout.state {
                    RolloutState::Succeeded if news => {
                        check::one_generation(&self.machine, &rollout.key, rollout.to)?;
                        self.seen.successes += 1;
                    }
                    RolloutState::RolledBack if news => self.seen.rollbacks += 1,
                    RolloutState::Running
                    | RolloutState::Succeeded
                    | RolloutState::RolledBack
                    | RolloutState::Failed
                    | RolloutState::Superseded => {}
                }
                self.note(format!("rollout {} of {}: {}", rollout.to, rollout.key, rollout.state.as_str()));
            }
            if let Change::PutProcess(row) = change {
                self.a_task_ends_once(row)?;
            }
            if let Change::RemoveProcess(key) = change
                && let Some((_, serial, _)) = self.machine.running().find(|(owner, _, _)| *owner == key)
            {
                return Err(format!("the row of {key} goes while its container {serial} runs"));
            }
            self.store.apply(change);
        }
        Ok(())
    }

    fn apply(&mut self, target: ProcessTarget) {
        let Some(server) = &mut self.server else { return };
        let held = server.held.get(&target.key);
        if held.is_some_and(|held| held.target == target || held.target.revision > target.revision) {
            return;
        }
        let resized = held.is_none_or(|held| size(&held.target) != size(&target));
        if let Some(records) = self.machine.records.get_mut(&target.key).filter(|_| resized) {
            records.values_mut().for_each(|record| record.facts.outgrown = false);
        }
        let line = match &target.presence {
            tapit_model::Presence::Absent(_) => format!("apply {} absent", target.key),
            tapit_model::Presence::Present(f) => format!(
                "apply {} r{} g{} demand={} spot={} size={}",
                target.key,
                target.revision.0,
                f.generation,
                f.demand,
                f.spot,
                f.size.memory.mib()
            ),
        };
        server.held.insert(target.key.clone(), Held::new(target));
        self.note(line);
    }

    fn prepare(&mut self, prepare: Prepare) {
        let until = self.now.plus_millis(self.rng.between(100, 60_000));
        let Some(server) = &mut self.server else { return };
        server.images.insert(prepare.image.clone(), ImageProgress::Preparing);
        server.pulls.insert(prepare.image.clone(), until);
        server.asked.push(prepare);
    }

    fn finish_pulls(&mut self) -> Result<(), String> {
        let Some(server) = &self.server else { return Ok(()) };
        let now = self.now;
        let due: Vec<ImageRef> = server.pulls.iter().filter(|(_, at)| **at <= now).map(|(i, _)| i.clone()).collect();
        for image in due {
            let behaviour = Behaviour::of(&image);
            let trouble = if behaviour == Behaviour::Flaky { 60 } else { 5 };
            if behaviour == Behaviour::Missing {
                self.pull_failed(&image, true);
            } else if !self.calm && self.rng.percent(trouble) {
                self.pull_failed(&image, false);
            } else {
                self.pulled(&image)?;
            }
        }
        Ok(())
    }

    fn pull_failed(&mut self, image: &ImageRef, for_good: bool) {
        let retry_at = self.now.plus_millis(self.rng.between(1_000, 20_000));
        let Some(server) = &mut self.server else { return };
        let before = match server.images.get(image) {
            Some(ImageProgress::Failed { attempts, .. }) => *attempts,
            Some(ImageProgress::Asked | ImageProgress::Preparing) | None => 0,
        };
        let text = "not had".to_owned();
        server.images.insert(image.clone(), ImageProgress::Failed { text, for_good, attempts: before + 1 });
        if for_good {
            server.pulls.remove(image);
        } else {
            server.pulls.insert(image.clone(), retry_at);
        }
        self.note(format!("pull of {image} failed"));
    }

    fn pulled(&mut self, image: &ImageRef) -> Result<(), String> {
        let Some(server) = &mut self.server else { return Ok(()) };
        server.images.remove(image);
        server.pulls.remove(image);
        let (mine, rest) = std::mem::take(&mut server.asked).into_iter().partition(|asked| asked.image == *image);
        server.asked = rest;
        let mine: Vec<Prepare> = mine;
        let digest =
            Digest::parse(&format!("sha256:{:064x}", self.rng.next())).ok_or("a digest that does not parse")?;
        for prepare in mine {
            let pinned = PinnedImage { reference: image.clone(), digest: digest.clone(), exposed: Vec::new() };
            let (changes, _) = pin(&self.store, &prepare, pinned, self.wall());
            self.commit(&changes)?;
        }
        Ok(())
    }
}

fn size(target: &ProcessTarget) -> Option<tapit_model::Size> {
    match &target.presence {
        tapit_model::Presence::Absent(_) => None,
        tapit_model::Presence::Present(formation) => Some(formation.size),
    }
}

/// The id of an instance as the router knows it.
pub(super) fn backend_id(key: &ProcessKey, id: &tapit_model::InstanceId) -> String {
    InstanceKey { app: key.app.clone(), id: id.clone() }.to_string()
}
