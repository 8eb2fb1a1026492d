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

/// ECS finds no room. Of its events, the newest that tells of placing counts.
fn lacking(service: &Service, kind: InstanceKind, missing: u32) -> Option<Blocked> {
    let told = service.events.iter().map(|event| event.message.as_str());
    let placing = told.into_iter().find_map(|message| Placing::of(message).map(|placing| (placing, message)))?;
    let (Placing::Failed, message) = placing else { return None };
    if missing == 0 {
        return None;
    }
    let (noun, verb) = if missing == 1 { ("instance", "waits") } else { ("instances", "wait") };
    let lead = format!("{missing} {} {noun} {verb}", kind.as_str());
    let text = match (words::says(message, "capacity is unavailable"), kind) {
        (true, InstanceKind::Spot) => format!("{lead}: no spot capacity on Fargate now; ECS tries again by itself"),
        (true, InstanceKind::Demand) => format!("{lead}: no capacity on Fargate now; ECS tries again by itself"),
        (false, _) => {
            let meaning = words::meaning(message).unwrap_or("ECS cannot place them");
            words::with_theirs(&format!("{lead}: {meaning}"), message)
        }
    };
    Some(of_code(BlockedCode::Capacity, kind, (missing, text)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placing {
    Done,
    Failed,
}

impl Placing {
    /// `None`: the event tells of something else.
    fn of(message: &str) -> Option<Self> {
        let says = |what| words::says(message, what);
        if says("unable to place") || says("capacity is unavailable") {
            return Some(Placing::Failed);
        }
        (says("has started") || says("steady state")).then_some(Placing::Done)
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
