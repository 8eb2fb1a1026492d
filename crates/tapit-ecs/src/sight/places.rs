//! Who took whose place.
//!
//! A service only knows how many tasks it wants. To count failures in a row, a task that ECS made after another one had
//! failed is taken for the one in its place: the oldest place first, within one generation and kind.

use tapit_model::{InstanceKind, Timestamp};

use super::memory::{Memory, Place, Took};

struct Open {
    arn: String,
    kind: InstanceKind,
    generation: u64,
    made_at: Timestamp,
    left_at: Timestamp,
}

pub(super) fn take(memory: &mut Memory) {
    let mut open = open(memory);
    for (arn, from) in pairs(memory, &mut open) {
        if let Some(ending) = memory.tasks.get_mut(&from).and_then(|task| task.ending.as_mut()) {
            ending.place = Place::Taken;
        }
        if let Some(task) = memory.tasks.get_mut(&arn) {
            task.took = Some(Took { from, exit: None, failures: 0 });
        }
    }
    hand_on(memory);
}

/// How the one before ended may be known in full only after another one stood in its place. The oldest first, since
/// failures add up along a row of them.
fn hand_on(memory: &mut Memory) {
    let oldest_first: Vec<String> = memory.oldest_first().into_iter().map(|(arn, _)| arn.to_owned()).collect();
    for arn in oldest_first {
        let known = |memory: &Memory| {
            let from = memory.tasks.get(&arn)?.took.as_ref()?.from.clone();
            let before = memory.tasks.get(&from)?;
            let ending = before.ending.as_ref()?;
            Some(Took { exit: ending.exit, failures: before.failures_with(ending), from })
        };
        if let Some(took) = known(memory)
            && let Some(task) = memory.tasks.get_mut(&arn)
        {
            task.took = Some(took);
        }
    }
}

/// Places that nobody has taken yet, the oldest first.
fn open(memory: &Memory) -> Vec<Open> {
    let left = memory.oldest_first().into_iter().filter_map(|(arn, task)| {
        let ending = task.failed().filter(|ending| ending.place == Place::Open)?;
        let (kind, generation) = (task.kind, task.generation);
        Some(Open { arn: arn.to_owned(), kind, generation, made_at: task.created_at, left_at: ending.at })
    });
    left.collect()
}

/// Some of ECS's times come in whole seconds, and then a replacement seems older than the end that it was made for.
fn second(at: Timestamp) -> i64 {
    at.0.div_euclid(1000)
}

fn pairs(memory: &Memory, open: &mut Vec<Open>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (arn, task) in memory.oldest_first().into_iter().filter(|(_, task)| task.took.is_none()) {
        let fits = |place: &Open| {
            place.kind == task.kind
                && place.generation == task.generation
                // None takes its own, also where all happened within one tick of ECS's clock.
                && place.made_at < task.created_at
                && second(place.left_at) <= second(task.created_at)
        };
        if let Some(at) = open.iter().position(fits) {
            pairs.push((arn.to_owned(), open.remove(at).arn));
        }
    }
    pairs
}
