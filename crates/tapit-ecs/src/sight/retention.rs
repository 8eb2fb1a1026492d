//! Which stopped instances are remembered, for `show`, for their logs and for counting.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use tapit_model::{InstanceKind, ReasonCode};

use super::fold::ended_at;
use super::memory::{Memory, Place, Remembered};
use super::{KINDS, Subject};
use crate::api::{Task, TaskStatus};

/// Stopped instances of a process that people may still want to read about.
const KEPT: usize = 10;

/// Forgets those that ended first. By the time of the end, not by age: one that ran for months and has just crashed is the
/// one to read about.
pub(super) fn forget(memory: &mut Memory, subject: &Subject<'_>) {
    let mut stopped: Vec<(&String, &Remembered)> = memory.tasks.iter().filter(|(_, task)| task.is_stopped()).collect();
    stopped.sort_by_key(|(arn, task)| Reverse((task.stopped_at, *arn)));
    let needed = needed(subject, &stopped);
    let old = stopped.into_iter().skip(KEPT).map(|(arn, _)| arn).filter(|arn| !needed.contains(*arn));
    let old: Vec<String> = old.cloned().collect();
    for arn in old {
        let Some(task) = memory.tasks.remove(&arn) else { continue };
        // That one was not seen again, and its time is of this host's clock.
        if task.reason.is_none_or(|reason| reason.code != ReasonCode::Lost) {
            memory.forgotten_until = memory.forgotten_until.max(task.stopped_at);
        }
    }
}

/// A task is listed for an hour after its end, so those that were forgotten are seen again.
pub(super) fn is_forgotten(memory: &Memory, task: &Task) -> bool {
    task.status == TaskStatus::Stopped
        && ended_at(task).is_some_and(|at| memory.forgotten_until.is_some_and(|until| at <= until))
}

/// Those whose failures are to be handed on to whoever takes their places: no more than there are places.
fn needed(subject: &Subject<'_>, stopped: &[(&String, &Remembered)]) -> BTreeSet<String> {
    let Some(formation) = subject.formation else { return BTreeSet::new() };
    let of_kind = |kind: InstanceKind| {
        let open = stopped.iter().filter(move |(_, task)| {
            task.kind == kind
                && task.generation == formation.generation
                && task.failed().is_some_and(|ending| ending.place == Place::Open)
        });
        open.take(subject.count(kind) as usize).map(|(arn, _)| (*arn).clone())
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}
