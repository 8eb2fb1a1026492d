//! What is to be done for one process: two services, each with a definition and a count.
//!
//! ```text
//! no definition ─► register ─► no service ─► create ─► as wanted ◄─► change {definition, count}
//!                                  ▲                       │
//!                               inactive ◄── draining ◄── delete
//! ```

use tapit_model::{Formation, InstanceKind, Moment, Presence, ProcessKey, ProcessName};

use super::{Deed, Inputs, Wanted, app, task};
use crate::api::{
    Breaker, Network, NewService, Provider, RolloutState, Service, ServiceChange, ServiceStatus, ServiceTarget,
    TaskStatus,
};
use crate::definition;
use crate::names;
use crate::record::{Definition, ProcessRecord, Told};

/// So long what a service was told is believed rather than what the account shows: it shows changes late.
const BELIEVED_MS: u64 = 15_000;
const KINDS: [InstanceKind; 2] = [InstanceKind::Demand, InstanceKind::Spot];

/// One process's part of the plan.
#[derive(Debug, Default)]
pub(super) struct ProcessPlan {
    pub deeds: Vec<Deed>,
    pub acted: bool,
    pub gone: bool,
    pub busy: bool,
}

impl ProcessPlan {
    /// Something is missing that must come first.
    pub fn wait(&mut self) {
        self.busy = true;
        self.acted = false;
    }
}

pub(super) fn is_gone(service: &Service) -> bool {
    service.status == ServiceStatus::Inactive
}

pub(super) fn plan(inputs: &Inputs<'_>, name: &ProcessName, wanted: &Wanted) -> ProcessPlan {
    let nothing = ProcessRecord::default();
    let record = inputs.record.processes.get(name).unwrap_or(&nothing);
    match &wanted.presence {
        Presence::Absent(_) => remove(inputs, name, record),
        Presence::Present(formation) => {
            let about = About { inputs, name, record, formation, location: wanted.location.as_deref() };
            if task::is_once(formation) {
                return task::plan(&about);
            }
            let mut plan = ProcessPlan { acted: true, ..ProcessPlan::default() };
            for kind in KINDS {
                about.of_kind(kind, &mut plan);
            }
            plan.deeds.extend(learn(inputs, name, record));
            if plan.deeds.is_empty() && !plan.busy {
                plan.deeds.extend(about.unused());
            }
            plan
        }
    }
}

fn service<'a>(inputs: &Inputs<'a>, name: &ProcessName, kind: InstanceKind) -> Option<&'a Service> {
    let wanted = names::service(name, kind);
    inputs.look.services.iter().find(|service| service.name == wanted)
}

/// Tasks of the process that have not stopped.
fn has_tasks(inputs: &Inputs<'_>, name: &ProcessName) -> bool {
    let groups = KINDS.map(|kind| format!("service:{}", names::service(name, kind)));
    inputs.look.tasks.iter().any(|task| task.status != TaskStatus::Stopped && groups.contains(&task.group))
}

/// Routes first, then services with their tasks, then what they were made from.
fn remove(inputs: &Inputs<'_>, name: &ProcessName, record: &ProcessRecord) -> ProcessPlan {
    let mut plan = ProcessPlan::default();
    if name.is_public() && inputs.record.target.rule.is_some() {
        // Taken away by the app's part when another process stays, and here when none does.
        let rule = inputs.record.target.rule.clone().into_iter();
        if !inputs.is_wanted() {
            plan.deeds.extend(rule.map(|arn| Deed::DeleteRule { arn }));
        }
        plan.busy = true;
        return plan;
    }
    for kind in KINDS {
        match service(inputs, name, kind).map(|service| service.status) {
            Some(ServiceStatus::Active) => plan.deeds.push(Deed::DeleteService { process: name.clone(), kind }),
            Some(ServiceStatus::Draining) => plan.busy = true,
            Some(ServiceStatus::Inactive) => {}
            // It may have been made a moment ago and not be shown yet.
            None => plan.busy |= record.told.get(&kind).is_some_and(|told| is_believed(told.at, inputs.now)),
        }
    }
    let (stopped, is_left) = task::remove(inputs, name, record);
    plan.deeds.extend(stopped);
    if !plan.deeds.is_empty() || plan.busy {
        return plan;
    }
    let mut families = record.registering.keys();
    plan.deeds.extend(families.next().map(|family| find(name, family)));
    plan.deeds.extend(record.definitions.keys().map(|arn| deregister(name, arn)));
    plan.busy = is_left || has_tasks(inputs, name);
    plan.gone = plan.deeds.is_empty() && !plan.busy;
    plan
}

pub(super) fn find(name: &ProcessName, family: &str) -> Deed {
    Deed::FindDefinition { process: name.clone(), family: family.to_owned() }
}

pub(super) fn deregister(name: &ProcessName, arn: &str) -> Deed {
    Deed::Deregister { process: name.clone(), arn: arn.to_owned() }
}

/// Revisions that run and that the record does not know: without it, nobody could tell their generation.
fn learn(inputs: &Inputs<'_>, name: &ProcessName, record: &ProcessRecord) -> Vec<Deed> {
    let running = KINDS.into_iter().flat_map(|kind| {
        let services = service(inputs, name, kind).filter(|service| !is_gone(service)).into_iter();
        let arns = services.flat_map(|service| {
            let deployed = service.deployments.iter().map(|deployment| &deployment.task_definition);
            std::iter::once(&service.task_definition).chain(deployed)
        });
        arns.map(move |arn| (kind, arn))
    });
    let mut deeds: Vec<Deed> = Vec::new();
    for (kind, arn) in running.filter(|(_, arn)| !record.definitions.contains_key(*arn)) {
        let deed = Deed::LearnDefinition { process: name.clone(), kind, arn: arn.clone() };
        if !deeds.contains(&deed) {
            deeds.push(deed);
        }
    }
    deeds
}

fn is_believed(at: Moment, now: Moment) -> bool {
    // After a reboot of this host, moments begin anew.
    at <= now && now.since(at) < BELIEVED_MS
}

/// The revision that a kind's instances are to run.
pub(super) enum Revision<'a> {
    Registered(&'a str),
    /// What is to be done to have it.
    ToBeMade(Box<Deed>),
    /// Nobody can tell yet where ECS finds the image.
    Unknown,
}

/// One process that is to run.
pub(super) struct About<'a> {
    pub inputs: &'a Inputs<'a>,
    pub name: &'a ProcessName,
    pub record: &'a ProcessRecord,
    pub formation: &'a Formation,
    pub location: Option<&'a str>,
}

impl About<'_> {
    fn count(&self, kind: InstanceKind) -> u32 {
        match kind {
            InstanceKind::Demand => self.formation.demand,
            InstanceKind::Spot => self.formation.spot,
        }
    }

    fn of_kind(&self, kind: InstanceKind, plan: &mut ProcessPlan) {
        let seen = service(self.inputs, self.name, kind);
        match seen.map(|service| service.status) {
            Some(ServiceStatus::Draining) => {
                plan.busy = true;
                plan.acted &= self.count(kind) == 0;
            }
            Some(ServiceStatus::Active) => self.change(kind, seen, plan),
            Some(ServiceStatus::Inactive) | None => {
                let told = self.record.told.get(&kind).filter(|told| is_believed(told.at, self.inputs.now));
                if told.is_some() {
                    plan.busy = true;
                    plan.acted = false;
                } else if self.count(kind) > 0 {
                    plan.acted = false;
                    self.create(kind, plan);
                }
            }
        }
    }

    pub fn definition(&self, kind: InstanceKind) -> Revision<'_> {
        let ours = |what: &Definition| what.kind == kind && what.generation == self.formation.generation;
        if let Some((arn, _)) = self.record.definitions.iter().rev().find(|(_, what)| ours(what)) {
            return Revision::Registered(arn);
        }
        let key = ProcessKey::new(self.inputs.app, self.name);
        let family = self.inputs.install.family(&key, kind);
        if self.record.registering.contains_key(&family) {
            return Revision::ToBeMade(Box::new(find(self.name, &family)));
        }
        let Some(location) = self.location else { return Revision::Unknown };
        let new = definition::new(self.inputs, &key, kind, (self.formation, location));
        let fingerprint = definition::fingerprint_of(&new.container.labels).unwrap_or_default().to_owned();
        let what = Definition { kind, generation: self.formation.generation, fingerprint };
        let register = Deed::Register { process: self.name.clone(), what, definition: Box::new(new) };
        Revision::ToBeMade(Box::new(register))
    }

    fn create(&self, kind: InstanceKind, plan: &mut ProcessPlan) {
        let ready =
            if self.formation.public { app::is_public_ready(self.inputs) } else { app::is_ready(self.inputs.record) };
        plan.busy = true;
        let arn = match self.definition(kind) {
            Revision::Registered(arn) => arn,
            Revision::ToBeMade(deed) => return plan.deeds.push(*deed),
            Revision::Unknown => return,
        };
        let Some(network) = self.network().filter(|_| ready) else { return };
        let inputs = self.inputs;
        let key = ProcessKey::new(inputs.app, self.name);
        let service = NewService {
            cluster: inputs.install.cluster(inputs.app),
            name: names::service(self.name, kind),
            task_definition: arn.to_owned(),
            desired: self.count(kind),
            provider: match kind {
                InstanceKind::Demand => Provider::Fargate,
                InstanceKind::Spot => Provider::FargateSpot,
            },
            network,
            target: self.target(),
            // Nothing has run yet that it could go back to.
            breaker: Breaker::Off,
            client_token: inputs.install.client_token(&key, kind, self.formation.generation),
            tags: inputs.install.process_tags(&key),
        };
        plan.deeds.push(Deed::CreateService { process: self.name.clone(), kind, service: Box::new(service) });
    }

    /// Where its tasks run; `None`: its security group is not there yet.
    pub fn network(&self) -> Option<Network> {
        let inputs = self.inputs;
        let group = inputs.record.security_group.clone()?;
        let groups = std::iter::once(group).chain(inputs.settings.security_groups.iter().cloned());
        Some(Network {
            subnets: inputs.account.subnets.clone(),
            security_groups: groups.collect(),
            assign_public_ip: inputs.account.assign_public_ip,
        })
    }

    fn target(&self) -> Option<ServiceTarget> {
        let group = self.inputs.record.target.group.clone().filter(|_| self.formation.public)?;
        Some(ServiceTarget {
            target_group: group,
            container: definition::CONTAINER.to_owned(),
            port: self.formation.port.get(),
            // As long as the server gives it; ECS would end it earlier.
            grace_seconds: u32::try_from(self.formation.health_timeout.0).unwrap_or(u32::MAX),
        })
    }

    fn change(&self, kind: InstanceKind, seen: Option<&Service>, plan: &mut ProcessPlan) {
        let Some(seen) = seen else { return };
        if seen.target_group.is_some() != self.formation.public {
            // A service keeps its load balancer, or its lack of one, for as long as it lives.
            plan.deeds.push(Deed::DeleteService { process: self.name.clone(), kind });
            plan.acted = false;
            return;
        }
        let now = self.inputs.now;
        let told = self.record.told.get(&kind).filter(|told| is_believed(told.at, now));
        let late = |told: &&Told| told.desired != seen.desired || told.task_definition != seen.task_definition;
        let (desired, current) = match told.filter(late) {
            Some(told) => {
                plan.busy = true;
                plan.acted = false;
                (told.desired, told.task_definition.as_str())
            }
            None => (seen.desired, seen.task_definition.as_str()),
        };
        let count = self.count(kind);
        let definition = if count == 0 {
            // Nothing is to run, so any revision will do.
            None
        } else {
            match self.definition(kind) {
                Revision::Registered(arn) if arn == current || self.is_given_up(arn, seen) => None,
                Revision::Registered(arn) => Some(arn.to_owned()),
                Revision::ToBeMade(deed) => {
                    plan.deeds.push(*deed);
                    return plan.wait();
                }
                Revision::Unknown => return plan.wait(),
            }
        };
        plan.busy |= !is_steady(seen);
        if definition.is_none() && desired == count {
            return;
        }
        plan.acted = false;
        plan.deeds.push(self.order(kind, seen, (definition, current, (desired != count).then_some(count))));
    }

    /// ECS has gone back from it by itself; the server learns of it and decides.
    fn is_given_up(&self, arn: &str, seen: &Service) -> bool {
        let failed = seen
            .deployments
            .iter()
            .any(|deployment| deployment.task_definition == arn && deployment.state == RolloutState::Failed);
        failed || self.record.given_up.iter().any(|given_up| given_up == arn)
    }

    fn order(
        &self,
        kind: InstanceKind,
        seen: &Service,
        (definition, current, desired): (Option<String>, &str, Option<u32>),
    ) -> Deed {
        let completed = seen.deployments.iter().any(|deployment| deployment.state == RolloutState::Completed);
        let breaker = if completed && seen.running > 0 { Breaker::RollsBack } else { Breaker::Off };
        let told = Told {
            at: self.inputs.now,
            desired: desired.unwrap_or(seen.desired),
            task_definition: definition.clone().unwrap_or_else(|| current.to_owned()),
        };
        let change = ServiceChange {
            cluster: self.inputs.install.cluster(self.inputs.app),
            service: names::service(self.name, kind),
            desired,
            breaker: definition.as_ref().map(|_| breaker),
            // The port may be another one; with a new revision there is a new deployment anyway.
            target: definition.as_ref().and_then(|_| self.target()),
            task_definition: definition,
        };
        Deed::ChangeService { process: self.name.clone(), kind, change, told }
    }

    /// Revisions that nothing runs any more, once all is quiet.
    fn unused(&self) -> Vec<Deed> {
        let used = |arn: &str| {
            KINDS.into_iter().filter_map(|kind| service(self.inputs, self.name, kind)).any(|service| {
                service.task_definition == arn
                    || service.deployments.iter().any(|deployment| deployment.task_definition == arn)
            }) || self
                .inputs
                .look
                .tasks
                .iter()
                .any(|task| task.task_definition == arn && task.status != TaskStatus::Stopped)
        };
        let old = self.record.definitions.iter().filter(|(_, what)| what.generation < self.formation.generation);
        old.filter(|(arn, _)| !used(arn)).map(|(arn, _)| deregister(self.name, arn)).collect()
    }
}

/// The wanted deployment is complete, with as many tasks as wanted. One that was given up may stay listed.
pub fn is_steady(service: &Service) -> bool {
    let done = service.deployments.iter().all(|deployment| match deployment.state {
        RolloutState::Completed => deployment.primary,
        RolloutState::Failed => !deployment.primary,
        RolloutState::InProgress => false,
    });
    done && service.running == service.desired && service.pending == 0
}
