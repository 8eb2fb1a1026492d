//! Whether the wanted generation fails: its failures in a row.
//!
//! ECS gives a deployment up by itself only where tasks never ran, and a first one never. So failures are counted here, and
//! what ECS has given up counts as enough of them.

use tapit_model::{Failure, Formation, InstanceId, InstanceKind, Reason, ReasonCode};

use super::memory::{Ending, Memory, Remembered};
use super::{Subject, id};
use crate::look::Look;

/// So many failures in a row are enough for the server to give a generation up.
const GIVEN_UP: u32 = 3;
/// So long a task may take to run at all, beyond the time to get healthy: ECS looks for room and fetches the image.
const TO_RUN_MILLIS: u64 = 600_000;

pub(super) fn failure(memory: &Memory, subject: &Subject<'_>, look: &Look) -> Option<Failure> {
    // What runs once has no generation to go back to: how it ended is all that there is to tell.
    let formation = subject.formation.filter(|_| !subject.runs_once())?;
    let tasks: Vec<(&str, &Remembered)> =
        memory.oldest_first().into_iter().filter(|(_, task)| task.generation == formation.generation).collect();
    let healthy = tasks.iter().filter_map(|(_, task)| task.healthy).map(|healthy| healthy.happening).max();
    let failed = |(arn, task): &(&str, &Remembered)| {
        let ending = task.failed().filter(|ending| healthy.is_none_or(|healthy| ending.happening > healthy))?;
        Some((ending.happening, ended(formation, arn, (task, ending))))
    };
    let failures: Vec<(u64, Failure)> = tasks.iter().filter_map(failed).collect();
    let in_a_row = u32::try_from(failures.len()).unwrap_or(u32::MAX);
    let last =
        failures.into_iter().max_by_key(|(happening, _)| *happening).map(|(_, last)| Failure { in_a_row, ..last });
    let late = tasks.iter().rev().find_map(|(arn, task)| overdue(formation, look, (arn, task)));
    let failure = match late {
        Some(late) => Some(Failure { in_a_row: in_a_row.saturating_add(1), ..late }),
        None => last,
    };
    if !is_given_up(subject, formation) {
        return failure;
    }
    let failure = failure.unwrap_or_else(|| given_up(formation, tasks.last().map(|(arn, _)| id(arn))));
    Some(Failure { in_a_row: failure.in_a_row.max(GIVEN_UP), ..failure })
}

fn ended(formation: &Formation, arn: &str, (task, ending): (&Remembered, &Ending)) -> Failure {
    let reason = task.reason.clone().unwrap_or_else(|| super::ended::order(ReasonCode::Crashed));
    Failure {
        generation: formation.generation,
        in_a_row: 1,
        deadline_passed: reason.code == ReasonCode::Unhealthy && task.healthy.is_none(),
        instance: id(arn),
        reason,
        exit: ending.exit,
    }
}

/// One that lives and should have been healthy by now. On spot, the wait for room is nobody's fault and has no end.
fn overdue(formation: &Formation, look: &Look, (arn, task): (&str, &Remembered)) -> Option<Failure> {
    if task.healthy.is_some() || task.ending.is_some() {
        return None;
    }
    let limit = formation.health_timeout.millis();
    let text = match (task.running_since, task.kind) {
        (Some(since), _) if look.moment.since(since) > limit => {
            let doubt = task.reason.as_ref().map(|reason| format!(": {}", reason.text)).unwrap_or_default();
            format!("did not get healthy within {} s{doubt}", formation.health_timeout.0)
        }
        (None, InstanceKind::Demand) if look.moment.since(task.first_seen) > limit.saturating_add(TO_RUN_MILLIS) => {
            format!("does not run after {} minutes; ECS tells no reason", look.moment.since(task.first_seen) / 60_000)
        }
        (Some(_), _) | (None, InstanceKind::Demand | InstanceKind::Spot) => return None,
    };
    Some(Failure {
        generation: formation.generation,
        in_a_row: 1,
        deadline_passed: true,
        instance: id(arn),
        reason: Reason { code: ReasonCode::Unhealthy, text },
        exit: None,
    })
}

fn is_given_up(subject: &Subject<'_>, formation: &Formation) -> bool {
    subject
        .given_up
        .iter()
        .filter_map(|arn| subject.definitions.get(arn))
        .any(|definition| definition.generation == formation.generation)
}

/// None of its failures is remembered.
fn given_up(formation: &Formation, instance: Option<InstanceId>) -> Failure {
    Failure {
        generation: formation.generation,
        in_a_row: GIVEN_UP,
        deadline_passed: false,
        instance: instance.unwrap_or_else(|| InstanceId::opaque("unknown")),
        reason: Reason {
            code: ReasonCode::StartFailed,
            text: "its tasks failed again and again, so ECS went back to the deployment before".to_owned(),
        },
        exit: None,
    }
}
