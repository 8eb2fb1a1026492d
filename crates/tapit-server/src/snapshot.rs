//! What was seen last, as the API answers it: replaced as a whole by each pass of the reconcile loop.

use std::collections::BTreeMap;

use tapit_model::{Blocked, BlockedCode, ProcessKey, ProcessObserved, Timestamp};

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub observed: Vec<ProcessObserved>,
    /// Of the planner and of the engine together.
    pub blocked: BTreeMap<ProcessKey, Vec<Blocked>>,
    /// When each reason was first seen, without a break since.
    pub blocked_since: BTreeMap<(ProcessKey, BlockedCode), Timestamp>,
}

impl Snapshot {
    pub fn process(&self, key: &ProcessKey) -> Option<&ProcessObserved> {
        self.observed.iter().find(|observed| observed.key == *key)
    }

    pub fn blocked(&self, key: &ProcessKey) -> &[Blocked] {
        self.blocked.get(key).map_or(&[], Vec::as_slice)
    }

    /// The next snapshot: reasons that were there before keep the time they were first seen.
    pub fn next(
        &self,
        observed: Vec<ProcessObserved>,
        blocked: BTreeMap<ProcessKey, Vec<Blocked>>,
        now: Timestamp,
    ) -> Self {
        let since = |key: &ProcessKey, code| self.blocked_since.get(&(key.clone(), code)).copied().unwrap_or(now);
        let blocked_since = blocked
            .iter()
            .flat_map(|(key, reasons)| reasons.iter().map(move |reason| (key, reason.code)))
            .map(|(key, code)| ((key.clone(), code), since(key, code)))
            .collect();
        Self { observed, blocked, blocked_since }
    }
}
