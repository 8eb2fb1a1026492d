//! The memory that the host should keep available, whatever runs on it: below it, spot instances are asked to leave.
//!
//! A task looks at `/proc/meminfo` and wakes the planner when its verdict changes. What lacks is told at once; that there
//! is enough again only after a while and with a margin, or an instance that needs what it has just given back would
//! come and go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tapit_model::{MemoryMib, Moment};
use tapit_plan::host::HostMemory;

use super::clock;
use super::shared::Shared;
use crate::doctor::available_mib;

const LOOK: Duration = Duration::from_secs(2);
/// For this long there must have been enough before spot instances may start again.
const CALM_MILLIS: u64 = 30_000;
/// Enough is this much of the reserve.
const MARGIN_PERCENT: u64 = 125;
/// Of the host's memory, unless somebody says otherwise, and at most `MOST`.
const SHARE_PERCENT: u64 = 5;
const MOST: MemoryMib = MemoryMib::from_mib(1024);

/// What is kept available on a host of this size.
pub fn usual(total: MemoryMib) -> MemoryMib {
    MemoryMib::from_mib((total.mib() * SHARE_PERCENT / 100).min(MOST.mib()))
}

/// The verdict so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub memory: HostMemory,
    /// Since when there has been enough, if the verdict is not ample yet.
    calm_since: Option<Moment>,
}

impl Verdict {
    pub const AMPLE: Self = Self { memory: HostMemory::Ample, calm_since: None };

    /// The verdict after another look.
    fn next(self, reserve: MemoryMib, available: MemoryMib, now: Moment) -> Self {
        let lacking = reserve.mib().saturating_sub(available.mib());
        if lacking > 0 {
            return Self { memory: HostMemory::Short(MemoryMib::from_mib(lacking)), calm_since: None };
        }
        match self.memory {
            HostMemory::Ample => self,
            HostMemory::Tight | HostMemory::Short(_) => {
                let enough = available.mib() >= reserve.mib() * MARGIN_PERCENT / 100;
                let since = self.calm_since.unwrap_or(now);
                if enough && now.since(since) >= CALM_MILLIS {
                    Self::AMPLE
                } else {
                    Self { memory: HostMemory::Tight, calm_since: enough.then_some(since) }
                }
            }
        }
    }
}

/// Looks for as long as the engine lives. With a reserve of 0 nobody need look.
pub async fn watch(shared: Arc<Shared>, reserve: MemoryMib) {
    let mut verdict = Verdict::AMPLE;
    let mut look = tokio::time::interval(LOOK);
    while reserve.mib() > 0 {
        look.tick().await;
        // Without an answer nobody is asked to leave.
        let Some(available) = available(Path::new("/proc/meminfo")) else { continue };
        let before = verdict.memory;
        verdict = verdict.next(reserve, available, clock::moment());
        if verdict.memory != before {
            tell(before, verdict.memory, available);
            shared.state().host = verdict.memory;
            shared.nudge();
        }
    }
}

fn tell(before: HostMemory, now: HostMemory, available: MemoryMib) {
    match (before, now) {
        (HostMemory::Ample | HostMemory::Tight, HostMemory::Short(lacking)) => {
            tracing::warn!(%available, %lacking, "the host is short of memory; spot instances are reclaimed");
        }
        (HostMemory::Tight | HostMemory::Short(_), HostMemory::Ample) => {
            tracing::info!(%available, "the host has memory again; spot instances may start");
        }
        (HostMemory::Short(_), HostMemory::Short(_) | HostMemory::Tight)
        | (HostMemory::Ample | HostMemory::Tight, HostMemory::Ample | HostMemory::Tight) => {}
    }
}

fn available(meminfo: &Path) -> Option<MemoryMib> {
    available_mib(&std::fs::read_to_string(meminfo).ok()?).map(MemoryMib::from_mib)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: MemoryMib = MemoryMib::from_mib(1000);

    /// The verdicts after looks at (seconds, MiB available).
    fn looks(looks: &[(u64, u64)]) -> Vec<HostMemory> {
        let mut verdict = Verdict::AMPLE;
        let mut verdicts = Vec::new();
        for (seconds, mib) in looks {
            verdict = verdict.next(RESERVE, MemoryMib::from_mib(*mib), Moment(seconds * 1000));
            verdicts.push(verdict.memory);
        }
        verdicts
    }

    #[test]
    fn what_lacks_is_told_at_once_and_that_there_is_enough_after_a_while() {
        use HostMemory::{Ample, Short, Tight};
        let short = |mib| Short(MemoryMib::from_mib(mib));
        assert_eq!(looks(&[(0, 1000), (2, 999), (4, 400)]), [Ample, short(1), short(600)]);
        assert_eq!(looks(&[(0, 900), (2, 1250), (31, 1250), (32, 1250)]), [short(100), Tight, Tight, Ample]);
        // Hardly enough does not count as calm, and a new lack begins it anew.
        assert_eq!(looks(&[(0, 900), (2, 1249), (60, 1249)]), [short(100), Tight, Tight]);
        assert_eq!(
            looks(&[(0, 900), (2, 2000), (20, 990), (22, 2000), (40, 2000)]),
            [short(100), Tight, short(10), Tight, Tight]
        );
    }

    #[test]
    fn a_small_host_keeps_a_share_and_a_large_one_no_more_than_a_gigabyte() {
        assert_eq!(usual(MemoryMib::from_mib(2000)).mib(), 100);
        assert_eq!(usual(MemoryMib::from_mib(256 << 10)), MOST);
    }

    #[test]
    fn the_memory_of_this_host_can_be_read() {
        assert!(available(Path::new("/proc/meminfo")).is_some_and(|mib| mib.mib() > 0));
        assert_eq!(available(Path::new("/proc/none")), None);
    }
}
