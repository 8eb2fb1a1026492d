//! What the engine notices by itself: ends, health, and what an earlier server left.

use tapit_model::{Exit, ProcessKey, ReasonCode};

use super::Sim;
use super::machine::{Container, End};
use super::observe::reason;
use super::server::backend_id;
use crate::host::{Ended, Phase};

/// Health checks that fail for this long make an instance unhealthy.
pub(super) const VERDICT_MILLIS: u64 = 3_000;

impl Sim {
    /// Enters ends that nobody ordered with their reason, and the others with that of their order.
    pub(super) fn hear_of_ends(&mut self) {
        let heard = |container: &Container| container.end.filter(|end| end.heard_at <= self.now);
        let ended: Vec<(ProcessKey, u64, End)> = self
            .machine
            .containers
            .iter()
            .filter_map(|((key, serial), container)| Some((key.clone(), *serial, heard(container)?)))
            .collect();
        for (key, serial, end) in ended {
            let why = if end.status == 0 { ReasonCode::Completed } else { ReasonCode::Crashed };
            self.end(&key, serial, why, Some(end.status));
        }
    }

    pub(super) fn end(&mut self, key: &ProcessKey, serial: u64, unordered: ReasonCode, status: Option<i32>) {
        let (now, at) = (self.now, self.wall());
        let Some(record) = self.machine.record(key, serial) else { return };
        let why = match record.facts.phase {
            Phase::Stopped { .. } => return,
            Phase::Draining { why, .. } | Phase::Stopping { why, .. } => why,
            Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => unordered,
        };
        let healthy_for = record.healthy_since.map(|since| now.since(since));
        record.facts.phase = Phase::Stopped { at: now, ended: Ended { why, healthy_for } };
        record.failing_since = None;
        record.reason = Some(reason(why));
        record.exit = status.map(|code| Exit { code: Some(code), signal: None, oom: false, at });
        let id = backend_id(key, &record.facts.id);
        if let Some(server) = &mut self.server {
            server.router.withdraw(&id);
            server.router.hang_up(&id);
        }
        self.note(format!("{id} ended: {why:?}, status {status:?}"));
    }

    pub(super) fn check_health(&mut self) {
        let (now, mut notes) = (self.now, Vec::new());
        for (key, records) in &mut self.machine.records {
            for (serial, record) in records {
                let Some(container) = self.machine.containers.get(&(key.clone(), *serial)) else { continue };
                let answers = container.answers(now);
                let before = record.facts.phase;
                record.failing_since = (!answers).then(|| record.failing_since.unwrap_or(now));
                match before {
                    Phase::Starting { .. } if answers => {
                        record.healthy_since = Some(now);
                        record.facts.phase = Phase::Healthy { since: now };
                    }
                    Phase::Unhealthy { .. } if answers => record.facts.phase = Phase::Healthy { since: now },
                    Phase::Healthy { .. } if record.failing_since.is_some_and(|t| now.since(t) >= VERDICT_MILLIS) => {
                        record.facts.phase = Phase::Unhealthy { since: now };
                    }
                    Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => {}
                    Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => {
                        record.failing_since = None;
                    }
                }
                if record.facts.phase != before {
                    notes.push(format!("{key} {} is {:?}", record.facts.id, record.facts.phase));
                }
            }
        }
        notes.into_iter().for_each(|line| self.note(line));
    }

    /// Takes over what an earlier server left. A signal that was written may not have been sent, so it is sent again.
    pub(super) fn adopt(&mut self) {
        let keys: Vec<(ProcessKey, u64)> = self
            .machine
            .records
            .iter()
            .flat_map(|(key, records)| records.keys().map(|serial| (key.clone(), *serial)))
            .collect();
        for (key, serial) in keys {
            let container = self.machine.containers.get(&(key.clone(), serial)).map(|container| container.end);
            let Some(record) = self.machine.record(&key, serial).filter(|record| !record.is_stopped()) else {
                continue;
            };
            record.facts.outgrown = false;
            record.failing_since = None;
            match (container, record.facts.phase) {
                (Some(Some(end)), _) => {
                    let why = if end.status == 0 { ReasonCode::Completed } else { ReasonCode::Crashed };
                    self.end(&key, serial, why, Some(end.status));
                }
                (Some(None), Phase::Stopping { since, why, .. }) => {
                    record.facts.phase = Phase::Stopping { since, why, killed: false };
                    self.send_sigterm(&key, serial);
                }
                (Some(None), _) => {}
                (None, _) if self.rebooted => self.end(&key, serial, ReasonCode::Lost, None),
                (None, _) => {
                    self.note(format!("{key} {serial} was never started"));
                    if let Some(records) = self.machine.records.get_mut(&key) {
                        records.remove(&serial);
                    }
                }
            }
        }
        self.rebooted = false;
    }
}
