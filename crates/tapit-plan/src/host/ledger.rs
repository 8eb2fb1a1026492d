//! The memory of the host, in three purses: free now, on its way, and what spot instances could be asked for.
//!
//! A purse is claimed in that order. What was claimed is gone for everybody after, so a large instance that waits for
//! memory on its way is not starved by small ones behind it.

use std::cmp::Reverse;
use std::collections::VecDeque;

use tapit_model::{InstanceKind, MemoryMib, ReasonCode};

use super::HostMemory;
use super::draft::Draft;

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Now,
    /// Set aside from memory that is on its way.
    Later,
    /// Not even with all spot instances gone. Nothing was set aside: others may use what is too little for this one.
    Never,
}

/// A spot instance that could be reclaimed.
#[derive(Debug, Clone, Copy)]
struct Spare {
    draft: usize,
    index: usize,
    memory: u64,
}

/// All in MiB.
pub(super) struct Ledger {
    pub now: u64,
    later: u64,
    /// Held by instances that are on their way out.
    leaving: u64,
    /// What a waiting demand instance may hope for: all that healthy ones do not hold. One that only starts may fail, and
    /// in a crash loop it will, so its memory comes and goes.
    hope: u64,
    /// Newest first.
    spares: VecDeque<Spare>,
    /// The host keeps its reserve, so that spot instances may start.
    open_to_spot: bool,
}

impl Ledger {
    /// Counts what is there. Memory over capacity (it was lowered) is covered from what is on its way, and then by
    /// reclaiming spot instances; demand instances that run are left alone.
    pub(super) fn open(capacity: MemoryMib, drafts: &mut [Draft<'_>]) -> Self {
        let (mut used, mut leaving, mut starting) = (0u64, 0u64, 0u64);
        for draft in drafts.iter() {
            for (index, instance) in draft.process.instances.iter().enumerate().filter(|(_, i)| !i.is_stopped()) {
                let memory = instance.size.memory.mib();
                used = used.saturating_add(memory);
                if instance.is_ending() || draft.drains.has(index) {
                    leaving = leaving.saturating_add(memory);
                } else if instance.kind == InstanceKind::Demand && instance.is_starting() {
                    starting = starting.saturating_add(memory);
                }
            }
        }
        let over = used.saturating_sub(capacity.mib());
        let mut ledger = Self {
            leaving,
            now: capacity.mib().saturating_sub(used),
            later: leaving.saturating_sub(over),
            hope: 0,
            spares: spares(drafts),
            open_to_spot: true,
        };
        ledger.hope = ledger.reach().saturating_add(starting);
        let uncovered = over.saturating_sub(leaving);
        ledger.reclaim(uncovered, drafts);
        ledger.later = ledger.later.saturating_sub(uncovered);
        ledger
    }

    /// The host is short of memory, whoever takes it: spot instances are reclaimed for what those that are ending do not
    /// give back, and none starts.
    pub(super) fn relieve(&mut self, host: HostMemory, drafts: &mut [Draft<'_>]) {
        match host {
            HostMemory::Ample => {}
            HostMemory::Tight => self.open_to_spot = false,
            HostMemory::Short(lacking) => {
                self.open_to_spot = false;
                self.reclaim(lacking.mib().saturating_sub(self.leaving), drafts);
            }
        }
    }

    /// What could be had if all spot instances went.
    pub(super) fn reach(&self) -> u64 {
        let spare = self.spares.iter().fold(0u64, |sum, s| sum.saturating_add(s.memory));
        self.now.saturating_add(self.later).saturating_add(spare)
    }

    /// Claims memory for a demand instance; reclaims just as many spot instances as are needed for it, and none when
    /// even all of them would not suffice.
    pub(super) fn claim(&mut self, memory: u64, drafts: &mut [Draft<'_>]) -> Claim {
        if memory <= self.now {
            self.now -= memory;
            return Claim::Now;
        }
        if memory > self.reach() {
            return Claim::Never;
        }
        let lacking = memory.saturating_sub(self.now.saturating_add(self.later));
        self.reclaim(lacking, drafts);
        self.set_aside(memory);
        Claim::Later
    }

    /// Claims memory for a spot instance: only what is free now.
    pub(super) fn claim_spare(&mut self, memory: u64) -> Claim {
        if memory > self.now || !self.open_to_spot {
            return Claim::Never;
        }
        self.now -= memory;
        Claim::Now
    }

    /// Keeps what there is for a demand instance that waits, so that no spot instance slips in only to be reclaimed
    /// again. Makes nobody leave, and keeps nothing for one that has no hope.
    pub(super) fn reserve(&mut self, memory: u64) {
        if memory <= self.hope {
            self.set_aside(memory);
        }
    }

    /// A demand instance was asked to leave.
    pub(super) fn gain(&mut self, memory: u64) {
        self.later = self.later.saturating_add(memory);
    }

    /// Keeps this much, or all there is, for somebody who waits. What is on its way goes first, so that what is free now
    /// is left for those who can use it at once.
    pub(super) fn set_aside(&mut self, memory: u64) {
        let from_later = memory.min(self.later);
        self.later -= from_later;
        self.now = self.now.saturating_sub(memory.saturating_sub(from_later));
    }

    /// Reclaims spot instances, newest first, until `memory` more is on its way or none is left.
    fn reclaim(&mut self, memory: u64, drafts: &mut [Draft<'_>]) {
        let mut got = 0u64;
        while got < memory
            && let Some(spare) = self.spares.pop_front()
        {
            if let Some(draft) = drafts.get_mut(spare.draft) {
                draft.drains.add(spare.index, ReasonCode::Reclaimed);
            }
            got = got.saturating_add(spare.memory);
        }
        self.later = self.later.saturating_add(got);
    }
}

/// Live spot instances of the whole host, newest first. Serials only order the instances of one process, so the age is
/// that of the present phase: who has just begun to start or to serve loses least. Key and serial settle ties.
fn spares(drafts: &[Draft<'_>]) -> VecDeque<Spare> {
    let mut found = Vec::new();
    for (draft, of) in drafts.iter().enumerate() {
        for (index, instance) in of.process.instances.iter().enumerate() {
            if instance.kind == InstanceKind::Spot && instance.is_live() && !of.drains.has(index) {
                let order = (Reverse(instance.since()), draft, Reverse(instance.serial));
                found.push((order, Spare { draft, index, memory: instance.size.memory.mib() }));
            }
        }
    }
    found.sort_by_key(|(order, _)| *order);
    found.into_iter().map(|(_, spare)| spare).collect()
}
