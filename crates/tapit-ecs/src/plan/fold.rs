//! What an answer means for the record.
//!
//! Answers that only say that somebody was quicker, or that the account does not show yet what it holds, are no failures:
//! the next look decides.

use tapit_model::{InstanceKind, Moment, ProcessName};

use super::Attempt;
use super::deed::Deed;
use crate::api::{Answer, ApiError, ApiFault, NewService, Operation, Rule, Task, TaskDefinition};
use crate::definition;
use crate::record::{AppRecord, Definition, Made, ProcessRecord, RuleSearch, Run, Taken, TargetRecord, Told};

/// How a call ended, and when.
#[derive(Debug)]
pub struct Answered {
    pub operation: Operation,
    pub result: Result<Answer, ApiError>,
    pub at: Moment,
}

impl Deed {
    /// Notes in the record that it is about to be done.
    pub fn intend(&self, record: &mut AppRecord) {
        if let Deed::Register { process, what, definition } = self {
            let process = record.processes.entry(process.clone()).or_default();
            process.registering.insert(definition.family.clone(), what.clone());
        }
        if let Deed::RunTask { process, asked, .. } = self {
            record.processes.entry(process.clone()).or_default().run = Some(Run::Asked(asked.clone()));
        }
    }

    /// Notes in the record what came of it. An error that is answered is one that people must be told; others only mean
    /// that the account must be looked at again.
    pub fn fold(&self, record: &mut AppRecord, answered: Answered) -> Result<(), ApiError> {
        let Answered { operation, result, at } = answered;
        match result {
            Ok(answer) => self.fold_answer(record, (operation, answer), at),
            Err(error) => self.fold_error(record, error, at),
        }
    }

    fn fold_answer(
        &self,
        record: &mut AppRecord,
        (operation, answer): (Operation, Answer),
        now: Moment,
    ) -> Result<(), ApiError> {
        match self {
            Deed::Register { process, what, definition } => {
                let found = answer.task_definition(operation)?;
                let process = record.processes.entry(process.clone()).or_default();
                process.registering.remove(&definition.family);
                process.definitions.insert(found.arn, what.clone());
            }
            Deed::FindDefinition { process, family } => {
                let process = record.processes.entry(process.clone()).or_default();
                fold_found(process, family, answer.task_definition(operation)?);
            }
            Deed::LearnDefinition { process, kind, arn } => {
                let what = learned(*kind, &answer.task_definition(operation)?);
                record.processes.entry(process.clone()).or_default().definitions.insert(arn.clone(), what);
            }
            Deed::RunTask { process, .. } => {
                let run = started(operation, answer.tasks(operation)?)?;
                record.processes.entry(process.clone()).or_default().run = Some(run);
            }
            Deed::CreateSecurityGroup => record.security_group = Some(answer.id(operation)?),
            Deed::FindSecurityGroup => {
                record.taken.remove(&Taken::SecurityGroup);
                record.security_group = answer.names(operation)?.0.into_iter().next();
            }
            Deed::CreateTargetGroup { health, .. } => {
                record.target.group = Some(answer.id(operation)?);
                record.target.health = Some(health.clone());
            }
            Deed::FindTargetGroup => {
                record.taken.remove(&Taken::TargetGroup);
                record.target.group = Some(answer.id(operation)?);
                // Its check is not known, so it is set.
                record.target.health = None;
            }
            Deed::FindRule { .. } => fold_rules(record, answer.rules(operation)?),
            Deed::CreateRule { hosts, .. } => {
                record.target.rule = Some(answer.id(operation)?);
                record.target.hosts = hosts.clone();
                record.target.search = RuleSearch::default();
            }
            Deed::CreateCluster
            | Deed::CreateLogGroup
            | Deed::SetLogRetention
            | Deed::AdmitItself { .. }
            | Deed::AdmitBalancer { .. }
            | Deed::ChangeHealthCheck { .. }
            | Deed::SetDeregistrationDelay { .. }
            | Deed::Deregister { .. }
            | Deed::CreateService { .. }
            | Deed::ChangeService { .. }
            | Deed::DeleteService { .. }
            | Deed::StopTask { .. }
            | Deed::DeleteRule { .. }
            | Deed::DeleteTargetGroup { .. }
            | Deed::DeleteSecurityGroup { .. }
            | Deed::DeleteLogGroup
            | Deed::DeleteRepository
            | Deed::DeleteCluster => self.fold_done(record, now),
        }
        Ok(())
    }

    /// Of deeds whose answer says nothing but that they are done.
    fn fold_done(&self, record: &mut AppRecord, now: Moment) {
        match self {
            Deed::CreateCluster => record.cluster = Made::Yes,
            Deed::CreateLogGroup => record.log_group = Made::Yes,
            Deed::SetLogRetention => record.log_retention = Made::Yes,
            Deed::AdmitItself { .. } => record.ingress_from_itself = Made::Yes,
            Deed::AdmitBalancer { from, .. } => {
                record.ingress_from_balancer.insert(from.clone());
            }
            Deed::ChangeHealthCheck { health, .. } => record.target.health = Some(health.clone()),
            Deed::SetDeregistrationDelay { .. } => record.target.delay = Made::Yes,
            Deed::Deregister { process, arn } => {
                if let Some(process) = record.processes.get_mut(process) {
                    process.definitions.remove(arn);
                    process.given_up.retain(|given_up| given_up != arn);
                }
            }
            Deed::CreateService { process, kind, service } => tell(record, process, *kind, told(service, now)),
            Deed::ChangeService { process, kind, told, .. } => {
                tell(record, process, *kind, Told { at: now, ..told.clone() });
            }
            Deed::DeleteService { process, kind } => {
                if let Some(process) = record.processes.get_mut(process) {
                    process.told.remove(kind);
                }
            }
            Deed::StopTask { process, arn: told } => {
                if let Some(Run::Task { arn, stop }) = record.processes.get_mut(process).and_then(|it| it.run.as_mut())
                    && arn == told
                {
                    *stop = Made::Yes;
                }
            }
            Deed::DeleteRule { .. } => {
                record.target.rule = None;
                record.target.hosts.clear();
                record.target.search = RuleSearch::default();
            }
            Deed::DeleteTargetGroup { .. } => record.target = TargetRecord::default(),
            Deed::DeleteSecurityGroup { .. } => {
                record.security_group = None;
                record.ingress_from_itself = Made::No;
                record.ingress_from_balancer.clear();
            }
            Deed::DeleteLogGroup => {
                record.log_group = Made::No;
                record.log_retention = Made::No;
            }
            Deed::DeleteRepository => record.repository_removed = Made::Yes,
            Deed::DeleteCluster => {
                record.cluster = Made::No;
                record.repository_removed = Made::No;
            }
            Deed::CreateSecurityGroup
            | Deed::FindSecurityGroup
            | Deed::CreateTargetGroup { .. }
            | Deed::FindTargetGroup
            | Deed::FindRule { .. }
            | Deed::CreateRule { .. }
            | Deed::Register { .. }
            | Deed::FindDefinition { .. }
            | Deed::LearnDefinition { .. }
            | Deed::RunTask { .. } => {}
        }
    }

    fn fold_error(&self, record: &mut AppRecord, error: ApiError, now: Moment) -> Result<(), ApiError> {
        match (self, error.fault) {
            (Deed::CreateSecurityGroup, ApiFault::AlreadyExists) => {
                record.taken.insert(Taken::SecurityGroup);
            }
            (Deed::CreateTargetGroup { .. }, ApiFault::AlreadyExists) => {
                record.taken.insert(Taken::TargetGroup);
            }
            (Deed::FindTargetGroup, ApiFault::NotFound) => {
                record.taken.remove(&Taken::TargetGroup);
            }
            // Somebody was quicker with that number.
            (Deed::CreateRule { .. }, ApiFault::AlreadyExists) => record.target.search = RuleSearch::default(),
            // The name is there, or still on its way out: what the account shows decides, once it shows it.
            (Deed::CreateService { process, kind, service }, ApiFault::AlreadyExists) => {
                tell(record, process, *kind, told(service, now));
            }
            // Somebody has removed the cluster, or ECS does not show it yet; making it again does no harm.
            (Deed::CreateService { .. }, ApiFault::NotFound) => record.cluster = Made::No,
            (Deed::Register { process, definition, .. }, fault) => {
                // Only this fault leaves open whether it was carried out.
                if fault != ApiFault::Unavailable
                    && let Some(process) = record.processes.get_mut(process)
                {
                    process.registering.remove(&definition.family);
                }
                return Err(error);
            }
            (Deed::RunTask { process, attempt, .. }, fault) => {
                // Any other fault tells that this call has started nothing.
                if fault != ApiFault::Unavailable
                    && *attempt == Attempt::First
                    && let Some(process) = record.processes.get_mut(process)
                {
                    process.run = None;
                }
                if fault == ApiFault::NotFound {
                    // As with a service: ECS does not show the cluster yet, or somebody has removed it.
                    record.cluster = Made::No;
                    return Ok(());
                }
                return Err(error);
            }
            (Deed::FindDefinition { process, family }, ApiFault::NotFound) => {
                if let Some(process) = record.processes.get_mut(process) {
                    process.registering.remove(family);
                }
            }
            (Deed::LearnDefinition { process, kind, arn }, ApiFault::NotFound | ApiFault::Invalid) => {
                let unknown = Definition { kind: *kind, generation: 0, fingerprint: String::new() };
                record.processes.entry(process.clone()).or_default().definitions.insert(arn.clone(), unknown);
            }
            (Deed::Deregister { .. }, ApiFault::NotFound | ApiFault::Invalid)
            | (Deed::DeleteService { .. }, ApiFault::NotFound | ApiFault::NotActive)
            | (Deed::StopTask { .. }, ApiFault::NotFound)
            | (Deed::DeleteCluster, ApiFault::NotFound) => self.fold_done(record, now),
            (Deed::ChangeService { process, kind, .. }, ApiFault::NotFound | ApiFault::NotActive) => {
                if let Some(process) = record.processes.get_mut(process) {
                    process.told.remove(kind);
                }
            }
            (
                Deed::DeleteTargetGroup { .. } | Deed::DeleteSecurityGroup { .. } | Deed::DeleteCluster,
                ApiFault::InUse,
            ) => {}
            (_, _) => return Err(error),
        }
        Ok(())
    }
}

/// The newest of a family: that of the registration that was left without an answer, or one from before.
fn fold_found(process: &mut ProcessRecord, family: &str, found: TaskDefinition) {
    if let Some(what) = process.registering.remove(family)
        && definition::fingerprint_of(&found.labels) == Some(what.fingerprint.as_str())
    {
        process.definitions.insert(found.arn, what);
    }
}

/// The task that has come of it. An answer without one tells nothing.
fn started(operation: Operation, tasks: Vec<Task>) -> Result<Run, ApiError> {
    let nothing = || ApiError { operation, fault: ApiFault::Unavailable, text: "an answer without a task".to_owned() };
    let task = tasks.into_iter().next().ok_or_else(nothing)?;
    Ok(Run::Task { arn: task.arn, stop: Made::No })
}

/// By its labels, what a definition was made from.
fn learned(kind: InstanceKind, found: &TaskDefinition) -> Definition {
    Definition {
        kind,
        generation: definition::generation_of(&found.labels).unwrap_or_default(),
        fingerprint: definition::fingerprint_of(&found.labels).unwrap_or_default().to_owned(),
    }
}

/// What the service is to be, once it is made.
fn told(service: &NewService, at: Moment) -> Told {
    Told { at, desired: service.desired, task_definition: service.task_definition.clone() }
}

fn tell(record: &mut AppRecord, process: &ProcessName, kind: InstanceKind, told: Told) {
    record.processes.entry(process.clone()).or_default().told.insert(kind, told);
}

/// One page of rules: ours is the one that leads to our target group.
fn fold_rules(record: &mut AppRecord, (rules, next): (Vec<Rule>, Option<String>)) {
    let target = &mut record.target;
    let ours = |rule: &&Rule| target.group.is_some() && rule.target_group == target.group;
    if let Some(rule) = rules.iter().find(ours) {
        target.rule = Some(rule.arn.clone());
        target.hosts = rule.hosts.clone();
        target.search = RuleSearch::default();
        return;
    }
    target.search.taken.extend(rules.iter().filter_map(|rule| rule.priority));
    target.search.hosts.extend(rules.into_iter().flat_map(|rule| rule.hosts));
    target.search.complete = if next.is_none() { Made::Yes } else { Made::No };
    target.search.next = next;
}
