//! One look more: what is remembered afterwards.
//!
//! ```text
//! Pending ─► Pulling ─► Starting ─► Healthy ◄─► Unhealthy
//!    └──────────┴──────────┴───────────┴────────────┴──► Draining ─► Stopping ─► Stopped
//! ```
//! The account shows changes late and not always in order, so whatever has begun to end never lives again.

use std::collections::BTreeSet;

use tapit_model::{CpuMillis, InstanceKind, InstanceState, MemoryMib, Moment, Reason, ReasonCode, Size, Timestamp};

use super::memory::{Ending, Healthy, Memory, Place, Proof, Remembered};
use super::{KINDS, Subject, ended, health, places, retention, run};
use crate::api::{DesiredStatus, TargetState, Task, TaskStatus};
use crate::look::Look;
use crate::names;

/// Health for this long forgives all failures before.
const PROVEN_AFTER_MILLIS: u64 = 60_000;
/// So long a task that ECS does not know is waited for: what it shows comes late.
const LOST_AFTER_MILLIS: u64 = 30_000;
/// The same of what runs once, whose end is final: as long as AWS may take to show a change.
const LOST_ONCE_AFTER_MILLIS: u64 = 300_000;
const UNITS_PER_CPU: u64 = 1024;
const MILLIS_PER_CPU: u64 = 1000;

impl Memory {
    /// What is remembered after a look.
    pub fn after(&self, subject: &Subject<'_>, look: &Look) -> Memory {
        let mut next = self.clone();
        let tasks = tasks_of(subject, look);
        // Ends before health: of what happened between two looks, the good is taken for the later, so that a rollout is
        // rather given up one failure late than for failures that a healthy instance had disproved.
        let (ending, living): (Vec<_>, Vec<_>) = tasks.iter().partition(|(_, task)| is_ending(task));
        for (kind, task) in ending.into_iter().chain(living) {
            next.meet(subject, look, (kind, task));
        }
        let seen: BTreeSet<&str> = tasks.iter().map(|(_, task)| task.arn.as_str()).collect();
        next.expect(subject, look);
        next.miss(subject, look, &seen);
        places::take(&mut next);
        retention::forget(&mut next, subject);
        next
    }

    fn meet(&mut self, subject: &Subject<'_>, look: &Look, (kind, task): (InstanceKind, &Task)) {
        let mut remembered = match self.tasks.remove(&task.arn) {
            Some(remembered) => remembered,
            None if retention::is_forgotten(self, task) => return,
            None => first_sight(look.moment, kind, task),
        };
        if is_lost(&remembered) && task.status != TaskStatus::Stopped {
            // It was only not shown for a while.
            remembered.ending = None;
            remembered.stopped_at = None;
        }
        remembered.learn(subject, look.moment, task);
        if remembered.ending.is_some() || is_ending(task) {
            self.end(subject, look, (&mut remembered, task));
        } else {
            self.live(subject, look, (&mut remembered, task));
        }
        self.tasks.insert(task.arn.clone(), remembered);
    }

    fn live(&mut self, subject: &Subject<'_>, look: &Look, (remembered, task): (&mut Remembered, &Task)) {
        let (state, reason) = health::of(subject, look, (remembered, task));
        if state == InstanceState::Healthy && remembered.state != InstanceState::Healthy {
            let happening = self.next_happening();
            let at = remembered.healthy.map_or(look.at, |healthy| healthy.at);
            remembered.healthy = Some(Healthy { at, since: look.moment, happening });
        }
        remembered.state = state;
        remembered.reason = reason;
    }

    fn end(&mut self, subject: &Subject<'_>, look: &Look, (remembered, task): (&mut Remembered, &Task)) {
        if remembered.is_stopped() {
            return;
        }
        let told = ended::told(subject, task);
        let first = remembered.ending.is_none();
        let ending = remembered.ending.get_or_insert_with(|| Ending {
            happening: 0,
            at: task.stopping_at.or(task.stopped_at).unwrap_or(look.at),
            seen: look.moment,
            exit: None,
            proof: proof(remembered.healthy, look.moment),
            place: Place::Open,
        });
        ending.exit = ending.exit.or_else(|| ended::exit(task, ending.at));
        if first {
            ending.happening = self.next_happening();
        }
        remembered.reason = match (told, first) {
            (Some(told), _) => Some(told),
            // What was wanted when it began to end is why it ends, whatever is wanted by now.
            (None, true) => Some(ended::ordered(subject, remembered.generation, task)),
            (None, false) => remembered.reason.take(),
        };
        remembered.state = ending_state(remembered.state, task, look);
        if remembered.is_stopped() {
            remembered.stopped_at = Some(task.stopped_at.unwrap_or(look.at));
        }
    }

    /// Those that ECS does not know any more, as far as their end was not seen.
    fn miss(&mut self, subject: &Subject<'_>, look: &Look, seen: &BTreeSet<&str>) {
        let missing: Vec<String> = self
            .tasks
            .iter()
            .filter(|(arn, task)| !task.is_stopped() && !seen.contains(arn.as_str()))
            .map(|(arn, _)| arn.clone())
            .collect();
        let patience = if subject.runs_once() { LOST_ONCE_AFTER_MILLIS } else { LOST_AFTER_MILLIS };
        for arn in missing {
            let happening = self.happenings.saturating_add(1);
            let Some(task) = self.tasks.get_mut(&arn) else { continue };
            let since = *task.missing_since.insert(earlier(task.missing_since, look.moment));
            // Of a process that is to be gone there is nothing to wait for.
            if subject.formation.is_some() && look.moment.since(since) < patience {
                continue;
            }
            task.state = InstanceState::Stopped;
            task.stopped_at = Some(look.at);
            if task.ending.is_none() {
                let proof = proof(task.healthy, look.moment);
                task.ending =
                    Some(Ending { happening, at: look.at, seen: look.moment, exit: None, proof, place: Place::Open });
                task.reason = Some(lost(subject));
                self.happenings = happening;
            }
        }
    }
}

/// Of this process alone, the oldest first.
fn tasks_of<'a>(subject: &Subject<'_>, look: &'a Look) -> Vec<(InstanceKind, &'a Task)> {
    let groups = KINDS.map(|kind| (kind, names::service(&subject.key.process, kind)));
    let kind_of = |task: &Task| {
        if run::is_own(subject, task) {
            return Some(InstanceKind::Demand);
        }
        let service = task.group.strip_prefix("service:")?;
        groups.iter().find(|(_, name)| name == service).map(|(kind, _)| *kind)
    };
    let mut tasks: Vec<_> = look.tasks.iter().filter_map(|task| Some((kind_of(task)?, task))).collect();
    tasks.sort_by(|(_, a), (_, b)| (a.created_at, &a.arn).cmp(&(b.created_at, &b.arn)));
    tasks
}

fn first_sight(now: Moment, kind: InstanceKind, task: &Task) -> Remembered {
    let cpu = u64::from(task.cpu) * MILLIS_PER_CPU / UNITS_PER_CPU;
    let size = Size { memory: MemoryMib::from_mib(task.memory_mib), cpu: CpuMillis::from_millis(cpu) };
    Remembered::pending((kind, size), task.created_at, now)
}

impl Remembered {
    fn learn(&mut self, subject: &Subject<'_>, now: Moment, task: &Task) {
        self.missing_since = None;
        self.first_seen = earlier(Some(self.first_seen), now);
        self.ip = task.ip.or(self.ip);
        self.started_at = task.started_at.or(self.started_at);
        self.created_at = task.created_at;
        if self.generation == 0 {
            // What runs once has one generation, and its definition goes when it has ended.
            let once = subject.formation.filter(|_| subject.runs_once()).map(|formation| formation.generation);
            let told = || subject.definitions.get(&task.task_definition).map(|what| what.generation);
            self.generation = once.or_else(told).unwrap_or(0);
        }
        if task.status == TaskStatus::Running {
            self.running_since = Some(earlier(self.running_since, now));
        }
    }
}

/// Moments begin anew when this host is started again; one that is yet to come is of before.
fn earlier(then: Option<Moment>, now: Moment) -> Moment {
    then.filter(|then| *then <= now).unwrap_or(now)
}

fn is_ending(task: &Task) -> bool {
    task.desired == DesiredStatus::Stopped
        || match task.status {
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating | TaskStatus::Running => false,
            TaskStatus::Deactivating | TaskStatus::Stopping | TaskStatus::Deprovisioning | TaskStatus::Stopped => true,
        }
}

/// It drains as long as the load balancer says so; once told to stop, it stays so.
fn ending_state(before: InstanceState, task: &Task, look: &Look) -> InstanceState {
    let draining = || health::target(look, task.ip) == Some(TargetState::Draining);
    match task.status {
        TaskStatus::Stopped => InstanceState::Stopped,
        TaskStatus::Provisioning
        | TaskStatus::Pending
        | TaskStatus::Activating
        | TaskStatus::Running
        | TaskStatus::Deactivating
            if before != InstanceState::Stopping && draining() =>
        {
            InstanceState::Draining
        }
        TaskStatus::Provisioning
        | TaskStatus::Pending
        | TaskStatus::Activating
        | TaskStatus::Running
        | TaskStatus::Deactivating
        | TaskStatus::Stopping
        | TaskStatus::Deprovisioning => InstanceState::Stopping,
    }
}

fn proof(healthy: Option<Healthy>, now: Moment) -> Proof {
    match healthy {
        Some(healthy) if now.since(healthy.since) >= PROVEN_AFTER_MILLIS => Proof::Proven,
        Some(_) | None => Proof::Unproven,
    }
}

fn is_lost(remembered: &Remembered) -> bool {
    remembered.is_stopped() && remembered.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::Lost)
}

fn lost(subject: &Subject<'_>) -> Reason {
    match subject.formation {
        Some(_) => Reason {
            code: ReasonCode::Lost,
            text: "ECS does not know it any more: it ended more than an hour ago while nobody looked".to_owned(),
        },
        None => ended::order(ReasonCode::Deleted),
    }
}

/// For `retention`: when ECS says that a task ended, as far as it says so.
pub(super) fn ended_at(task: &Task) -> Option<Timestamp> {
    task.stopped_at.or(task.stopping_at)
}
