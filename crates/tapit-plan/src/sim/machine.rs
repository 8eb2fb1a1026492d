//! The machine: containers and what is written about them. It survives the death of the server.

use std::collections::{BTreeMap, BTreeSet};

use tapit_model::{Exit, MemoryMib, Moment, ProcessKey, Reason, Timestamp};

use super::behaviour::Behaviour;
use crate::host::{HostMemory, InstanceFacts, Phase};

/// A container, alive or dead.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub generation: u64,
    pub behaviour: Behaviour,
    /// Answers its health check from then on.
    pub ready_at: Option<Moment>,
    /// Does not answer its health check until then.
    pub sick_until: Moment,
    /// Ends then, with this status.
    pub ends_at: Option<(Moment, i32)>,
    pub was_told_to_stop: bool,
    /// MiB that it really uses.
    pub uses: u64,
    pub end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub status: i32,
    /// The engine hears of it no sooner.
    pub heard_at: Moment,
}

impl Container {
    pub(super) fn is_running(&self) -> bool {
        self.end.is_none()
    }

    pub(super) fn answers(&self, now: Moment) -> bool {
        self.is_running() && self.ready_at.is_some_and(|ready| ready <= now) && self.sick_until <= now
    }

    /// Makes it end no later than then.
    pub(super) fn ends_by(&mut self, at: Moment, status: i32) {
        if self.ends_at.is_none_or(|(earlier, _)| at < earlier) {
            self.ends_at = Some((at, status));
        }
    }
}

/// What the engine wrote about an instance.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub facts: InstanceFacts,
    pub healthy_since: Option<Moment>,
    /// Its health check has failed since then.
    pub failing_since: Option<Moment>,
    pub reason: Option<Reason>,
    pub exit: Option<Exit>,
    pub created_at: Timestamp,
    pub has_port: bool,
}

impl Record {
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.facts.phase, Phase::Stopped { .. })
    }
}

pub(super) struct Machine {
    pub capacity: MemoryMib,
    pub host: HostMemory,
    pub containers: BTreeMap<(ProcessKey, u64), Container>,
    pub records: BTreeMap<ProcessKey, BTreeMap<u64, Record>>,
    /// The highest serial that each process ever gave out.
    pub serials: BTreeMap<ProcessKey, u64>,
    /// Every container that ever was.
    pub ever: BTreeSet<(ProcessKey, u64)>,
    /// Every process that ever had a container.
    pub ran: BTreeSet<ProcessKey>,
    /// How late the engine hears of an end.
    pub deafness_millis: u64,
}

impl Machine {
    pub(super) fn new(capacity: MemoryMib) -> Self {
        Self {
            capacity,
            host: HostMemory::Ample,
            containers: BTreeMap::new(),
            records: BTreeMap::new(),
            serials: BTreeMap::new(),
            ever: BTreeSet::new(),
            ran: BTreeSet::new(),
            deafness_millis: 0,
        }
    }

    pub(super) fn record(&mut self, key: &ProcessKey, serial: u64) -> Option<&mut Record> {
        self.records.get_mut(key)?.get_mut(&serial)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (&ProcessKey, u64, &Container)> {
        let running = self.containers.iter().filter(|(_, container)| container.is_running());
        running.map(|((key, serial), container)| (key, *serial, container))
    }

    /// Memory that the records say is taken, in MiB.
    pub(super) fn used(&self) -> u64 {
        let records = self.records.values().flat_map(BTreeMap::values);
        records.filter(|record| !record.is_stopped()).map(|record| record.facts.size.memory.mib()).sum()
    }

    /// Ends the containers whose time has come.
    pub(super) fn tick(&mut self, now: Moment) {
        let deafness = self.deafness_millis;
        for container in self.containers.values_mut().filter(|container| container.is_running()) {
            if let Some((at, status)) = container.ends_at.filter(|(at, _)| *at <= now) {
                container.end = Some(End { status, heard_at: at.plus_millis(deafness) });
            }
        }
    }

    /// When something happens next by itself.
    pub(super) fn next_event(&self, now: Moment) -> Option<Moment> {
        let mut next: Option<Moment> = None;
        let mut consider = |at: Moment| {
            if at > now && next.is_none_or(|sooner| at < sooner) {
                next = Some(at);
            }
        };
        for ((key, serial), container) in &self.containers {
            if let Some(end) = container.end {
                let is_known = self.records.get(key).and_then(|r| r.get(serial)).is_none_or(Record::is_stopped);
                if !is_known {
                    consider(end.heard_at);
                }
                continue;
            }
            if let Some((at, _)) = container.ends_at {
                consider(at);
            }
            if let Some(at) = container.ready_at {
                consider(at);
            }
            consider(container.sick_until);
        }
        for record in self.records.values().flat_map(BTreeMap::values) {
            // The third failed check in a row is the verdict.
            if let Some(since) = record.failing_since {
                consider(since.plus_millis(super::watch::VERDICT_MILLIS));
            }
        }
        next
    }

    /// All containers are gone; what is written stays.
    pub(super) fn reboot(&mut self) {
        self.containers.clear();
    }
}
