//! How fast calls may follow each other, as AWS limits them: token buckets, each for some operations together.

use std::collections::BTreeSet;

use crate::api::Operation;

/// Calls beyond it are throttled, and take nothing from it.
#[derive(Debug, Clone)]
pub struct Rate {
    operations: BTreeSet<Operation>,
    /// In thousandths of a call.
    holds: i64,
    full: i64,
    per_second: i64,
    /// When it was refilled last, in milliseconds; `None`: it is full.
    at: Option<i64>,
}

impl Rate {
    /// So many calls at once, and so many more each second.
    pub fn of(operations: impl IntoIterator<Item = Operation>, burst: u32, per_second: u32) -> Self {
        let full = i64::from(burst) * 1000;
        let per_second = i64::from(per_second) * 1000;
        Self { operations: operations.into_iter().collect(), holds: full, full, per_second, at: None }
    }

    pub(super) fn allows(&mut self, operation: Operation, now: i64) -> bool {
        if !self.operations.contains(&operation) {
            return true;
        }
        let passed = now - self.at.unwrap_or(now);
        (self.holds, self.at) = ((self.holds + passed * self.per_second / 1000).min(self.full), Some(now));
        let allowed = self.holds >= 1000;
        if allowed {
            self.holds -= 1000;
        }
        allowed
    }
}
