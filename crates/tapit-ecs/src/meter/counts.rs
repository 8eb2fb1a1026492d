//! How many calls were made, and what came of them.

use std::collections::BTreeMap;

use crate::api::{ApiFault, Operation};

/// Of one operation, since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Repetitions count, too.
    pub sent: u64,
    /// Of those, refused because there were too many.
    pub throttled: u64,
    /// Of those, failed for any other reason, which need not be a fault: what is looked for is often not there yet.
    pub failed: u64,
}

/// By operation; those that were never sent are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(BTreeMap<Operation, Count>);

impl Counts {
    pub fn of(&self, operation: Operation) -> Count {
        self.0.get(&operation).copied().unwrap_or_default()
    }

    pub fn total(&self) -> u64 {
        self.0.values().map(|count| count.sent).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Operation, Count)> {
        self.0.iter().map(|(operation, count)| (*operation, *count))
    }

    /// What was sent after an earlier count was taken.
    pub fn since(&self, earlier: &Counts) -> Counts {
        let more = self.iter().map(|(operation, count)| {
            let before = earlier.of(operation);
            let count = Count {
                sent: count.sent - before.sent,
                throttled: count.throttled - before.throttled,
                failed: count.failed - before.failed,
            };
            (operation, count)
        });
        Counts(more.filter(|(_, count)| count.sent > 0).collect())
    }

    pub(super) fn sent(&mut self, operation: Operation) {
        self.0.entry(operation).or_default().sent += 1;
    }

    pub(super) fn failed(&mut self, operation: Operation, fault: ApiFault) {
        let count = self.0.entry(operation).or_default();
        match fault == ApiFault::Throttled {
            true => count.throttled += 1,
            false => count.failed += 1,
        }
    }
}

/// One line for each operation, the most frequent first.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut lines: Vec<_> = self.iter().collect();
        lines.sort_by_key(|(operation, count)| (std::cmp::Reverse(count.sent), *operation));
        for (operation, count) in lines {
            write!(f, "{:>6}  {operation}", count.sent)?;
            if count.throttled > 0 {
                write!(f, ", {} throttled", count.throttled)?;
            }
            if count.failed > 0 {
                write!(f, ", {} failed", count.failed)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_by_frequency_and_can_be_subtracted() {
        let mut counts = Counts::default();
        counts.sent(Operation::ListTasks);
        let before = counts.clone();
        for _ in 0..3 {
            counts.sent(Operation::DescribeServices);
        }
        counts.sent(Operation::ListTasks);
        counts.failed(Operation::DescribeServices, ApiFault::Throttled);
        counts.failed(Operation::DescribeServices, ApiFault::Denied);
        assert_eq!(counts.to_string(), "     3  ecs:DescribeServices, 1 throttled, 1 failed\n     2  ecs:ListTasks\n");
        assert_eq!(counts.total(), 5);
        let since = counts.since(&before);
        assert_eq!((since.of(Operation::ListTasks).sent, since.total()), (1, 4));
        assert_eq!(counts.since(&counts).total(), 0);
    }
}
