//! Why something wanted does not happen now, in words that a person can act on.
//!
//! The words change only when the cause does: they hold whole waits, not what is left of them, so that a log of them
//! does not fill up by itself.

use tapit_model::{Blocked, BlockedCode, InstanceKind, MemoryMib};

use super::backoff::Place;

/// What kind of lack of memory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shortage {
    /// Enough is on its way: instances are ending, spot instances are being reclaimed.
    Coming,
    /// It will not fit until something changes.
    Lacking,
    /// There would be room for it, but the host itself is short of memory.
    Host,
}

/// Those that wait for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub count: u32,
    /// The most that one of them needs, in MiB.
    pub need: u64,
    /// MiB.
    pub free: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Host {
    pub capacity: MemoryMib,
    /// Instances of another generation stay because of it.
    pub keeps_old: bool,
}

pub(super) fn capacity(kind: InstanceKind, shortage: Shortage, short: &Short, host: Host) -> Blocked {
    let Short { count, need, free } = *short;
    let (need, free) = (MemoryMib::from_mib(need), MemoryMib::from_mib(free));
    let (noun, verb) = if count == 1 { ("instance", "needs") } else { ("instances", "need each") };
    let kind_name = kind.as_str();
    let facts = format!("{count} {kind_name} {noun} {verb} {need} GB; {free} GB of {} GB is free", host.capacity);
    let advice = match (shortage, kind) {
        (Shortage::Coming, InstanceKind::Demand) => "more is on its way, as other instances are ending",
        (Shortage::Host, InstanceKind::Demand | InstanceKind::Spot) => {
            "but the host itself is short of memory: spot instances start when other programs on it leave more available"
        }
        (Shortage::Coming | Shortage::Lacking, InstanceKind::Spot) => {
            "spot instances start when demand instances leave room"
        }
        (Shortage::Lacking, InstanceKind::Demand) if host.keeps_old => {
            "the old instances stay until there is room; scale another process down, set a smaller memory, or start the \
             server with a larger --capacity-memory. Setting demand_count=0 and back replaces them too, with an outage"
        }
        (Shortage::Lacking, InstanceKind::Demand) => {
            "scale another process down, set a smaller memory, or start the server with a larger --capacity-memory"
        }
    };
    blocked(BlockedCode::Capacity, kind, count, format!("{facts}; {advice}"))
}

/// One entry for all places of a kind that wait, with the longest wait.
pub(super) fn back_off(kind: InstanceKind, places: impl Iterator<Item = Place>) -> Option<Blocked> {
    let mut count = 0u32;
    let mut worst = Place::default();
    for place in places {
        count = count.saturating_add(1);
        if place.failures > worst.failures {
            worst = place;
        }
    }
    let (noun, verb) = if count == 1 { ("instance", "waits") } else { ("instances", "wait") };
    let text = format!(
        "{count} {} {noun} {verb} up to {} s after {} failures in a row; see the last exit and the logs",
        kind.as_str(),
        worst.wait_millis() / 1000,
        worst.failures,
    );
    (count > 0).then(|| blocked(BlockedCode::BackOff, kind, count, text))
}

fn blocked(code: BlockedCode, kind: InstanceKind, count: u32, text: String) -> Blocked {
    let (demand, spot) = match kind {
        InstanceKind::Demand => (count, 0),
        InstanceKind::Spot => (0, count),
    };
    Blocked { code, text, demand, spot }
}
