//! How many requests went through the router during each process's newest rollout.

use std::collections::BTreeMap;

use tapit_model::{ProcessKey, RequestCounts, Rollout, RolloutState};

/// Cumulative counts of a route at the start of a rollout and, once it has ended, at its end. Kept in memory: after a
/// restart of the server a rollout's count starts again.
#[derive(Debug, Clone)]
struct Window {
    rollout: u64,
    start: RequestCounts,
    end: Option<RequestCounts>,
}

#[derive(Debug, Default)]
pub struct RequestWindows {
    windows: BTreeMap<ProcessKey, Window>,
}

impl RequestWindows {
    /// Notes where the counts stand for this rollout; called on every pass.
    pub fn note(&mut self, rollout: &Rollout, counts: &RequestCounts) {
        let window = self.windows.entry(rollout.key.clone()).or_insert_with(|| Window {
            rollout: rollout.id,
            start: counts.clone(),
            end: None,
        });
        if window.rollout != rollout.id {
            *window = Window { rollout: rollout.id, start: counts.clone(), end: None };
        }
        if rollout.state != RolloutState::Running && window.end.is_none() {
            window.end = Some(counts.clone());
        }
    }

    pub fn retain(&mut self, keep: impl Fn(&ProcessKey) -> bool) {
        self.windows.retain(|key, _| keep(key));
    }

    /// The requests of this rollout, with `counts` as they stand now.
    pub fn of(&self, rollout: &Rollout, counts: &RequestCounts) -> RequestCounts {
        let zero = RequestCounts { sent: 0, ok: 0, failed: 0, retried: 0 };
        let Some(window) = self.windows.get(&rollout.key).filter(|window| window.rollout == rollout.id) else {
            return zero;
        };
        let end = window.end.as_ref().unwrap_or(counts);
        RequestCounts {
            sent: end.sent.saturating_sub(window.start.sent),
            ok: end.ok.saturating_sub(window.start.ok),
            failed: end.failed.saturating_sub(window.start.failed),
            retried: end.retried.saturating_sub(window.start.retried),
        }
    }
}

#[cfg(test)]
mod tests {
    use tapit_model::{AppName, ProcessName, RolloutKind, Timestamp};

    use super::*;

    fn counts(sent: u64) -> RequestCounts {
        RequestCounts { sent, ok: sent, failed: 0, retried: 0 }
    }

    fn rollout(id: u64, state: RolloutState) -> Rollout {
        let key = ProcessKey::new(&AppName::parse("shop").expect("name"), &ProcessName::public());
        let kind = RolloutKind::Restart;
        let (started_at, finished_at, reason, last_exit) = (Timestamp(0), None, None, None);
        Rollout { id, key, kind, state, from: 1, to: 2, started_at, finished_at, reason, last_exit, log_tail: vec![] }
    }

    #[test]
    fn a_rollouts_requests_are_those_between_its_start_and_its_end() {
        let mut windows = RequestWindows::default();
        windows.note(&rollout(1, RolloutState::Running), &counts(10));
        assert_eq!(windows.of(&rollout(1, RolloutState::Running), &counts(17)).sent, 7);
        windows.note(&rollout(1, RolloutState::Succeeded), &counts(20));
        assert_eq!(windows.of(&rollout(1, RolloutState::Succeeded), &counts(99)).sent, 10);
        windows.note(&rollout(2, RolloutState::Running), &counts(99));
        assert_eq!(windows.of(&rollout(2, RolloutState::Running), &counts(100)).sent, 1);
    }
}
