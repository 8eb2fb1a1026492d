//! What is to be done for a process that runs once: a definition, one task of its own, and then nothing ever again.
//!
//! ```text
//! no definition ─► register ─► run, with a token ─► its task ─► ended ─► deregister
//!                                  │ no answer         │ not wanted
//!                                  └─► the same again  └─► stop
//! ```
//! What may have run is never run again: where that cannot be told any more, it is taken for having run.

use tapit_model::{Formation, Moment, ProcessKey, ProcessName, Timestamp};

use super::process::{About, ProcessPlan, Revision, deregister, find};
use super::{Deed, Inputs, app};
use crate::api::{DesiredStatus, NewTask, Provider, Task, TaskStatus};
use crate::look::Look;
use crate::names;
use crate::record::{AppRecord, Asked, Made, ProcessRecord, Run};

/// AWS knows a token for an hour beyond the life of its task, so a repetition within an hour starts nothing twice. This
/// leaves a quarter of it to calls that wait for their turn.
const REMEMBERED_MS: u64 = 45 * 60 * 1000;
/// So long a task whose start nobody has answered may take to show.
const SHOWS_MS: u64 = 60_000;

/// Whether it was asked for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// What is refused has not run.
    First,
    /// An answer is missing, so whatever is refused now may run since then.
    Again,
}

impl Asked {
    /// AWS still knows the token. Either clock may be wrong, so none may say otherwise.
    fn is_remembered(&self, at: Timestamp, now: Moment) -> bool {
        let wall = u64::try_from(at.0.saturating_sub(self.at.0));
        // After a reboot of this host, moments begin anew.
        let since_boot = if self.moment <= now { now.since(self.moment) } else { 0 };
        wall.is_ok_and(|passed| passed < REMEMBERED_MS) && since_boot < REMEMBERED_MS
    }

    /// Its task would show by now, if there were one.
    fn would_show(&self, now: Moment) -> bool {
        self.moment > now || now.since(self.moment) >= SHOWS_MS
    }
}

pub(super) fn plan(about: &About<'_>) -> ProcessPlan {
    let mut plan = ProcessPlan { acted: true, ..ProcessPlan::default() };
    let is_wanted = about.formation.demand > 0;
    match &about.record.run {
        None if is_wanted => start(about, &mut plan),
        Some(Run::Asked(asked)) if is_wanted => repeat(about, asked, &mut plan),
        Some(Run::Asked(asked)) if asked.would_show(about.inputs.now) => plan.deeds.extend(tidy(about)),
        Some(Run::Asked(_) | Run::Sought) => plan.wait(),
        Some(Run::Task { arn, .. }) if !about.record.memory.is_over(arn) => {
            if !is_wanted {
                plan.deeds.extend(stop(about.name, about.record));
                plan.acted = plan.deeds.is_empty();
            }
        }
        None | Some(Run::Task { .. } | Run::Unknown { .. }) => plan.deeds.extend(tidy(about)),
    }
    plan.deeds.extend(strays(about.inputs, about.name, about.record));
    plan
}

fn start(about: &About<'_>, plan: &mut ProcessPlan) {
    plan.wait();
    let inputs = about.inputs;
    let arn = match about.definition(tapit_model::InstanceKind::Demand) {
        Revision::Registered(arn) => arn,
        Revision::ToBeMade(deed) => return plan.deeds.push(*deed),
        Revision::Unknown => return,
    };
    let Some(network) = about.network().filter(|_| app::is_ready(inputs.record)) else { return };
    let key = ProcessKey::new(inputs.app, about.name);
    let task = NewTask {
        cluster: inputs.install.cluster(inputs.app),
        task_definition: arn.to_owned(),
        group: names::group(about.name),
        provider: Provider::Fargate,
        network,
        client_token: inputs.install.run_token(&key, inputs.at, inputs.now),
        tags: inputs.install.process_tags(&key),
    };
    let asked = Box::new(Asked { task, at: inputs.at, moment: inputs.now });
    plan.deeds.push(Deed::RunTask { process: about.name.clone(), asked, attempt: Attempt::First });
}

fn repeat(about: &About<'_>, asked: &Asked, plan: &mut ProcessPlan) {
    plan.wait();
    let inputs = about.inputs;
    if inputs.record.cluster == Made::Yes && asked.is_remembered(inputs.at, inputs.now) {
        let (process, asked) = (about.name.clone(), Box::new(asked.clone()));
        plan.deeds.push(Deed::RunTask { process, asked, attempt: Attempt::Again });
    }
}

/// Its own task, unless it was told already.
fn stop(name: &ProcessName, record: &ProcessRecord) -> Option<Deed> {
    match &record.run {
        Some(Run::Task { arn, stop: Made::No }) if !record.memory.is_over(arn) => {
            Some(Deed::StopTask { process: name.clone(), arn: arn.clone() })
        }
        None | Some(Run::Task { .. } | Run::Asked(_) | Run::Sought | Run::Unknown { .. }) => None,
    }
}

/// Nothing is made from its definition any more.
fn tidy(about: &About<'_>) -> Vec<Deed> {
    match about.record.registering.keys().next() {
        Some(family) => vec![find(about.name, family)],
        None => about.record.definitions.keys().map(|arn| deregister(about.name, arn)).collect(),
    }
}

/// Tasks of the process's group that nobody knows of: of an earlier server, whose files were lost.
fn strays(inputs: &Inputs<'_>, name: &ProcessName, record: &ProcessRecord) -> Vec<Deed> {
    if record.run == Some(Run::Sought) {
        return Vec::new();
    }
    let own = own(record);
    let live = inputs.look.tasks.iter().filter(|task| is_of(task, name) && task.desired == DesiredStatus::Running);
    let foreign = live.filter(|task| own != Some(task.arn.as_str()));
    foreign.map(|task| Deed::StopTask { process: name.clone(), arn: task.arn.clone() }).collect()
}

fn own(record: &ProcessRecord) -> Option<&str> {
    match &record.run {
        Some(Run::Task { arn, .. }) => Some(arn),
        None | Some(Run::Asked(_) | Run::Sought | Run::Unknown { .. }) => None,
    }
}

fn is_of(task: &Task, name: &ProcessName) -> bool {
    names::process_of_group(&task.group).as_ref() == Some(name)
}

/// Of a process that is to be gone: what is to be stopped, and whether anything is left that will.
pub(super) fn remove(inputs: &Inputs<'_>, name: &ProcessName, record: &ProcessRecord) -> (Vec<Deed>, bool) {
    let deeds = stop(name, record).into_iter().chain(strays(inputs, name, record)).collect();
    let ends = inputs.look.tasks.iter().any(|task| is_of(task, name) && task.status != TaskStatus::Stopped);
    let waits = match &record.run {
        Some(Run::Asked(asked)) => !asked.would_show(inputs.now),
        Some(Run::Task { arn, .. }) => !record.memory.is_over(arn),
        None | Some(Run::Sought | Run::Unknown { .. }) => false,
    };
    (deeds, ends || waits)
}

/// Whether it runs once and never again.
pub(super) fn is_once(formation: &Formation) -> bool {
    match formation.restart {
        tapit_model::Restart::Never => true,
        tapit_model::Restart::Always => false,
    }
}

/// Notes which task came of what was asked for without an answer, and for what that can never be told. The look is one that
/// has asked for all tasks.
pub fn note_runs(record: &mut AppRecord, look: &Look) {
    if record.cluster == Made::No {
        // There was nowhere to look.
        return;
    }
    for (name, process) in &mut record.processes {
        let of_process = || look.tasks.iter().filter(|task| is_of(task, name));
        let run = match &process.run {
            Some(Run::Asked(asked)) => {
                let token = asked.task.client_token.as_str();
                let found = of_process().find(|task| task.started_by.as_deref() == Some(token));
                let forgotten = !asked.is_remembered(look.at, look.moment);
                found.map(found_run).or(forgotten.then(|| Run::Unknown { id: token.to_owned() }))
            }
            Some(Run::Sought) => {
                let found = of_process().max_by_key(|task| (task.created_at, task.arn.as_str()));
                let id = || names::hash(&format!("{name} {}", look.at.0), 32);
                Some(found.map_or_else(|| Run::Unknown { id: id() }, found_run))
            }
            None | Some(Run::Task { .. } | Run::Unknown { .. }) => None,
        };
        if run.is_some() {
            process.run = run;
        }
    }
}

fn found_run(task: &Task) -> Run {
    Run::Task { arn: task.arn.clone(), stop: Made::No }
}
