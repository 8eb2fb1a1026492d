//! The part of an app's task that looks: at what no file tells of, at services and tasks, and what it means for instances.

use std::collections::BTreeSet;

use tapit_model::{InstanceKind, Presence, ProcessKey, ProcessName, ProcessTarget, Restart};

use super::actor::{Actor, KINDS, Scene};
use super::looking::{self, Sought, Strays};
use super::recover;
use crate::api::{ApiError, ApiFault, DesiredStatus};
use crate::look::Look;
use crate::names;
use crate::plan;
use crate::record::{Made, ProcessRecord, Run};
use crate::sight::Subject;

impl Actor {
    /// Finds what no file tells of, where something is to be removed, and looks. `false`: AWS does not let us.
    pub(super) async fn see(&mut self, scene: &Scene) -> bool {
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
                plan::note_runs(&mut self.record, &self.look);
                self.disown_strays(scene);
                if !self.has_unknown() {
                    self.remember(scene);
                }
                true
            }
            Err(error) => {
                tracing::warn!(app = %self.app, %error, "an app cannot be looked at");
                self.blind.failed((error.operation, None), error, now);
                false
            }
        }
    }

    async fn recover(&mut self, scene: &Scene) -> Result<(), ApiError> {
        if scene.is_wanted() {
            self.recovered = Made::No;
        } else if self.recovered == Made::No {
            recover::app(&self.shared, &self.app, &mut self.record).await?;
            self.recovered = Made::Yes;
        }
        for (name, target) in &scene.targets {
            if self.record.processes.contains_key(name) {
                continue;
            }
            if matches!(target.presence, Presence::Absent(_)) {
                recover::process(&self.shared, &target.key, &mut self.record).await?;
            } else if scene.unsure.contains(name) {
                recover::run(&self.shared, &target.key, &mut self.record).await?;
            }
        }
        Ok(())
    }

    async fn look(&mut self, scene: &Scene) -> Result<Look, ApiError> {
        let (at, moment) = (self.shared.clock.timestamp(), self.shared.clock.moment());
        let nothing = Look { at, moment, ..Look::default() };
        if self.record.cluster == Made::No {
            return Ok(nothing);
        }
        let sought = Sought {
            app: &self.app,
            services: self.services(scene),
            tasks: self.tasks(),
            alone: self.alone(),
            strays: self.strays(scene),
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

    /// ARNs of tasks that are not known to have stopped.
    fn tasks(&self) -> Vec<String> {
        let remembered = self.record.processes.values().flat_map(|process| process.memory.to_describe());
        let mut tasks: BTreeSet<String> = remembered.collect();
        tasks.extend(self.alone());
        tasks.into_iter().collect()
    }

    /// Those that no service looks after.
    pub(super) fn alone(&self) -> Vec<String> {
        let own = |process: &ProcessRecord| match &process.run {
            Some(Run::Task { arn, .. }) if !process.memory.is_over(arn) => Some(arn.clone()),
            None | Some(Run::Task { .. } | Run::Asked(_) | Run::Sought | Run::Unknown { .. }) => None,
        };
        self.record.processes.values().filter_map(own).collect()
    }

    fn strays(&self, scene: &Scene) -> Strays {
        let asked = |process: &ProcessRecord| matches!(process.run, Some(Run::Asked(_) | Run::Sought));
        let first = !scene.is_wanted() && !self.eyes.have_looked();
        if first || self.record.processes.values().any(asked) { Strays::Perhaps } else { Strays::None }
    }

    /// Tasks of processes that nobody wants or knows, as an earlier server has left them.
    fn disown_strays(&self, scene: &Scene) {
        let live = self.look.tasks.iter().filter(|task| task.desired == DesiredStatus::Running);
        let names: BTreeSet<_> = live.filter_map(|task| names::process_of_group(&task.group)).collect();
        for name in names.iter().filter(|name| !scene.targets.contains_key(*name)) {
            self.shared.disown(ProcessKey::new(&self.app, name));
        }
    }

    /// Names of the services that may be there.
    fn services(&self, scene: &Scene) -> BTreeSet<String> {
        let mut services = scene.found.clone();
        for (name, target) in &scene.targets {
            if let Presence::Present(formation) = &target.presence
                && formation.restart == Restart::Always
            {
                let counts = [(InstanceKind::Demand, formation.demand), (InstanceKind::Spot, formation.spot)];
                let wanted = counts.into_iter().filter(|(_, count)| *count > 0);
                services.extend(wanted.map(|(kind, _)| names::service(name, kind)));
            }
        }
        for (name, process) in self.record.processes.iter().filter(|(name, process)| !runs_once(scene, name, process)) {
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

    pub(super) fn remember(&mut self, scene: &Scene) {
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
}

fn runs_once(scene: &Scene, name: &ProcessName, process: &ProcessRecord) -> bool {
    let once = |target: &ProcessTarget| match &target.presence {
        Presence::Present(formation) => formation.restart == Restart::Never,
        Presence::Absent(_) => false,
    };
    process.run.is_some() || scene.targets.get(name).is_some_and(once)
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
        run: process.run.as_ref(),
    }
}
