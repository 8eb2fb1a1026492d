//! Why something wanted does not happen now.
//!
//! The words change only when the cause does, so that a log of them does not fill up by itself.

use tapit_model::{Blocked, BlockedCode, Formation, InstanceKind, InstanceState, ReasonCode};

use super::memory::{Memory, Place, Remembered};
use super::words;
use super::{KINDS, Subject};
use crate::api::Service;
use crate::look::Look;
use crate::names;
use crate::quote::with_theirs;

/// One failure is tried again at once on any engine.
const WORTH_TELLING: u32 = 2;

pub(super) fn blocked(memory: &Memory, subject: &Subject<'_>, look: &Look) -> Vec<Blocked> {
    let Some(formation) = subject.formation else { return Vec::new() };
    let of_kind = |kind: InstanceKind| {
        let tasks = of(memory, formation, kind);
        let wanted = subject.count(kind);
        let name = names::service(&subject.key.process, kind);
        let service = look.services.iter().find(|service| service.name == name);
        let lacking =
            service.and_then(|service| lacking(service, kind, missing(&tasks, wanted, InstanceState::is_live)));
        let healthy = |state| state == InstanceState::Healthy;
        lacking.into_iter().chain(failing(&tasks, kind, missing(&tasks, wanted, healthy)))
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}

fn of<'a>(memory: &'a Memory, formation: &Formation, kind: InstanceKind) -> Vec<&'a Remembered> {
    memory.tasks.values().filter(|task| task.kind == kind && task.generation == formation.generation).collect()
}

fn missing(tasks: &[&Remembered], wanted: u32, there: impl Fn(InstanceState) -> bool) -> u32 {
    let there = tasks.iter().filter(|task| there(task.state)).count();
    wanted.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX))
}

/// ECS does not start what is missing. Of its events, the newest that tells of starts counts.
fn lacking(service: &Service, kind: InstanceKind, missing: u32) -> Option<Blocked> {
    if missing == 0 {
        return None;
    }
    let told = service.events.iter().map(|event| event.message.as_str());
    let (start, message) = told.into_iter().find_map(|message| Start::of(message).map(|start| (start, message)))?;
    let (noun, verb) = if missing == 1 { ("instance", "waits") } else { ("instances", "wait") };
    let lead = format!("{missing} {} {noun} {verb}", kind.as_str());
    let (code, text) = match (start, kind) {
        (Start::Done, _) => return None,
        (Start::NoRoom, InstanceKind::Spot) => {
            (BlockedCode::Capacity, format!("{lead}: no spot capacity on Fargate now; ECS tries again by itself"))
        }
        (Start::NoRoom, InstanceKind::Demand) => {
            (BlockedCode::Capacity, format!("{lead}: no capacity on Fargate now; ECS tries again by itself"))
        }
        (Start::Unplaced, _) => (BlockedCode::Capacity, both(&lead, message)),
        (Start::Refused, _) => (BlockedCode::Provider, both(&lead, message)),
    };
    Some(of_code(code, kind, (missing, text)))
}

fn both(lead: &str, message: &str) -> String {
    let meaning = words::meaning(message).unwrap_or("ECS cannot start any");
    with_theirs(&format!("{lead}: {meaning}"), message)
}

/// What an event tells of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Done,
    NoRoom,
    /// There is no room that this account may use: a quota, say.
    Unplaced,
    /// For want of a right.
    Refused,
}

impl Start {
    /// `None`: it tells of something else.
    fn of(message: &str) -> Option<Self> {
        let says = |what| words::says(message, what);
        if says("capacity is unavailable") {
            return Some(Start::NoRoom);
        }
        if says("unable to place") {
            return Some(Start::Unplaced);
        }
        if says("failed to launch a task") {
            return Some(Start::Refused);
        }
        (says("has started") || says("steady state")).then_some(Start::Done)
    }
}

/// Its instances fail again and again, whether the next attempt runs already or not.
fn failing(tasks: &[&Remembered], kind: InstanceKind, missing: u32) -> Option<Blocked> {
    let failures = |task: &&Remembered| match (&task.ending, task.failed()) {
        (None, _) if task.state != InstanceState::Healthy => Some(task.restarts()),
        (_, Some(ending)) if ending.place == Place::Open => Some(task.failures_with(ending)),
        (_, _) => None,
    };
    let places: Vec<u32> = tasks.iter().filter_map(failures).filter(|failures| *failures >= WORTH_TELLING).collect();
    let worst = *places.iter().max()?;
    let count = u32::try_from(places.len()).unwrap_or(u32::MAX).min(missing);
    if count == 0 {
        return None;
    }
    let noun = if count == 1 { "instance" } else { "instances" };
    let kind_name = kind.as_str();
    let pace =
        if never_ran(tasks) { "ECS waits longer before each attempt" } else { "ECS starts it again without waiting" };
    let text =
        format!("{count} {kind_name} {noun} failed {worst} times in a row; {pace}; see the last exit and the logs");
    Some(of_code(BlockedCode::BackOff, kind, (count, text)))
}

/// ECS slows down only for tasks that do not get as far as to run.
fn never_ran(tasks: &[&Remembered]) -> bool {
    let failed = tasks.iter().filter(|task| task.failed().is_some());
    let last = failed.max_by_key(|task| task.ending.as_ref().map(|ending| ending.happening));
    last.and_then(|task| task.reason.as_ref()).is_some_and(|reason| reason.code == ReasonCode::StartFailed)
}

fn of_code(code: BlockedCode, kind: InstanceKind, (count, text): (u32, String)) -> Blocked {
    let (demand, spot) = match kind {
        InstanceKind::Demand => (count, 0),
        InstanceKind::Spot => (0, count),
    };
    Blocked { code, text, demand, spot }
}
