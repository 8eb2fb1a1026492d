//! Who took whose place.
//!
//! A service only knows how many tasks it wants. To count failures in a row, a task that ECS made after another one had
//! failed is taken for the one in its place: the oldest place first, within one generation and kind.

use tapit_model::{InstanceKind, Moment, Timestamp};

use super::memory::{Memory, Place, Remembered, Took};

struct Open {
    arn: String,
    kind: InstanceKind,
    generation: u64,
    made: When,
    left: When,
}

/// When something happened: by ECS's clock, some of whose times come in whole seconds, and when it was seen.
#[derive(Clone, Copy)]
struct When {
    at: Timestamp,
    seen: Moment,
}

impl When {
    /// Within one second ECS's clock may not tell, and then the order in which things were seen does.
    fn second(self) -> i64 {
        self.at.0.div_euclid(1000)
    }
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
        let left = When { at: ending.at, seen: ending.seen };
        Some(Open { arn: arn.to_owned(), kind, generation, made: made(task), left })
    });
    left.collect()
}

fn made(task: &Remembered) -> When {
    When { at: task.created_at, seen: task.first_seen }
}

fn pairs(memory: &Memory, open: &mut Vec<Open>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (arn, task) in memory.oldest_first().into_iter().filter(|(_, task)| task.took.is_none()) {
        let made = made(task);
        let fits = |place: &Open| {
            place.kind == task.kind
                && place.generation == task.generation
                && (place.made.at < made.at || (place.made.at == made.at && place.made.seen < made.seen))
                && (place.left.at < made.at || (place.left.second() == made.second() && place.left.seen <= made.seen))
        };
        if let Some(at) = open.iter().position(fits) {
            pairs.push((arn.to_owned(), open.remove(at).arn));
        }
    }
    pairs
}
