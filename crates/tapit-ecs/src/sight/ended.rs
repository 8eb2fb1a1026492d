//! Why a task ended, or ends.
//!
//! What the task itself tells comes first. Where it only says that the scheduler stopped it, the reason is what was wanted
//! of the process when that was seen.

use tapit_model::{Exit, Reason, ReasonCode, Timestamp};

use super::Subject;
use super::words;
use crate::api::Task;
use crate::quote::with_theirs;

/// A shell and ECS alike give a signal as an exit status: this and the signal's number.
const SIGNAL_BASE: i32 = 128;
const LAST_SIGNAL: i32 = 64;
const OUT_OF_MEMORY: &str = "OutOfMemory";

/// What ended a task, as ECS groups it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopCode {
    Reclaimed,
    Exited,
    NotStarted,
    Scheduler,
    /// StopTask was called, by whomever.
    Called,
    /// Not told yet, or a word that is not known.
    Unknown,
}

fn stop_code(task: &Task) -> StopCode {
    match task.stop_code.as_deref() {
        // The events say the one, the API the other.
        Some("SpotInterruption" | "TerminationNotice") => StopCode::Reclaimed,
        Some("EssentialContainerExited") => StopCode::Exited,
        Some("TaskFailedToStart") => StopCode::NotStarted,
        Some("ServiceSchedulerInitiated") => StopCode::Scheduler,
        Some("UserInitiated") => StopCode::Called,
        Some(_) | None => StopCode::Unknown,
    }
}

/// The reason as far as the task tells it; `None`: its scheduler stopped it, or it is not told yet.
pub(super) fn told(subject: &Subject<'_>, task: &Task) -> Option<Reason> {
    let reason = of_task(task)?;
    if !subject.runs_once() {
        return Some(reason);
    }
    let text = match reason.code == ReasonCode::Completed {
        true => words::COMPLETED_ONCE.to_owned(),
        false => reason.text.replace(words::STARTS_ANOTHER, words::IS_NOT_REPEATED),
    };
    Some(Reason { text, ..reason })
}

fn of_task(task: &Task) -> Option<Reason> {
    let said = said(task);
    if words::says(&said, "spot task was interrupted") {
        return Some(order(ReasonCode::Reclaimed));
    }
    if words::says(&said, "performing maintenance") {
        return Some(reason(ReasonCode::Reclaimed, words::MAINTENANCE, &said));
    }
    match stop_code(task) {
        StopCode::Reclaimed => Some(order(ReasonCode::Reclaimed)),
        StopCode::NotStarted => Some(not_started(&said)),
        StopCode::Exited => Some(exited(task, &said)),
        StopCode::Scheduler if words::says(&said, "health check") => {
            Some(reason(ReasonCode::Unhealthy, words::UNHEALTHY, &said))
        }
        StopCode::Called if words::says(&said, "by hand") || words::says(&said, "stopped by user") => {
            Some(by_hand(&said))
        }
        StopCode::Unknown if words::is_start_failure(&said) => Some(not_started(&said)),
        StopCode::Scheduler | StopCode::Called | StopCode::Unknown => None,
    }
}

/// Why a scheduler stops an instance of this generation now.
pub(super) fn ordered(subject: &Subject<'_>, generation: u64, task: &Task) -> Reason {
    let Some(formation) = subject.formation else { return order(ReasonCode::Deleted) };
    if formation.demand == 0 && formation.spot == 0 {
        return if subject.runs_once() { asked_to_stop() } else { order(ReasonCode::Disabled) };
    }
    if generation > formation.generation || subject.given_up.contains(&task.task_definition) {
        return order(ReasonCode::RolledBack);
    }
    if generation < formation.generation {
        return order(ReasonCode::Replaced);
    }
    let said = said(task);
    match stop_code(task) {
        // Somebody gave a reason of his own; a scheduler that calls it speaks of scaling.
        StopCode::Called if !words::says(&said, "scaling") => by_hand(&said),
        StopCode::Reclaimed
        | StopCode::Exited
        | StopCode::NotStarted
        | StopCode::Scheduler
        | StopCode::Called
        | StopCode::Unknown => order(ReasonCode::Surplus),
    }
}

/// Of what runs once there is no count to lower.
fn asked_to_stop() -> Reason {
    Reason { code: ReasonCode::Surplus, text: words::ASKED.to_owned() }
}

/// The words for a stop that was ordered.
pub(super) fn order(code: ReasonCode) -> Reason {
    Reason { code, text: words::of_order(code).to_owned() }
}

/// How the container ended, as far as it is told.
pub(super) fn exit(task: &Task, at: Timestamp) -> Option<Exit> {
    let oom = is_out_of_memory(task);
    match task.exit_code {
        Some(code) if (SIGNAL_BASE + 1..=SIGNAL_BASE + LAST_SIGNAL).contains(&code) => {
            Some(Exit { code: None, signal: Some(code - SIGNAL_BASE), oom, at })
        }
        Some(code) => Some(Exit { code: Some(code), signal: None, oom, at }),
        None => oom.then_some(Exit { code: None, signal: None, oom, at }),
    }
}

fn exited(task: &Task, said: &str) -> Reason {
    let Some(exit) = exit(task, task.created_at) else {
        return if words::is_start_failure(said) {
            not_started(said)
        } else {
            reason(ReasonCode::Crashed, words::CRASHED, said)
        };
    };
    match (exit.oom, exit.code) {
        (true, _) => Reason { code: ReasonCode::OutOfMemory, text: words::out_of_memory(&exit) },
        (false, Some(0)) => Reason { code: ReasonCode::Completed, text: words::COMPLETED.to_owned() },
        (false, _) => Reason { code: ReasonCode::Crashed, text: format!("{}: {}", words::CRASHED, exit.describe()) },
    }
}

fn not_started(said: &str) -> Reason {
    reason(ReasonCode::StartFailed, words::start_failure(said), said)
}

fn by_hand(said: &str) -> Reason {
    reason(ReasonCode::Reclaimed, words::BY_HAND, said)
}

fn reason(code: ReasonCode, text: &str, said: &str) -> Reason {
    Reason { code, text: with_theirs(text, said) }
}

fn is_out_of_memory(task: &Task) -> bool {
    let texts = [task.container_reason.as_deref(), task.stopped_reason.as_deref()];
    texts.into_iter().flatten().any(|text| text.contains(OUT_OF_MEMORY))
}

/// AWS's own words: of the container, which tells more, or of the task.
fn said(task: &Task) -> String {
    let texts = [task.container_reason.as_deref(), task.stopped_reason.as_deref()];
    let mut texts: Vec<&str> = texts.into_iter().flatten().map(str::trim).filter(|text| !text.is_empty()).collect();
    texts.dedup();
    texts.join("; ")
}
