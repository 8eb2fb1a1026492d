//! Changes the limits of a running instance's cgroup in place.
//!
//! A lower memory limit is written only when what the instance cannot give back fits into it with some room to spare. To
//! ask the kernel instead would be wrong on both versions: v1 refuses, but not before it has dropped every page of a file
//! that the instance had cached; v2 does not refuse, it kills.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::counters::{Memory, number};
use super::{Layout, Leaf, LeafError};

/// The quota is given per this many microseconds.
pub const PERIOD_USEC: u64 = 100_000;
/// The kernel refuses a smaller quota.
const MIN_QUOTA_USEC: u64 = 1000;
/// How long v2 may take to reclaim down to a lower limit.
const RECLAIMING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);
/// Of a limit: what must be free below it once it is in force. An instance that was just squeezed in would die of its next
/// allocation, and pages are charged in batches, so that the counter lags behind.
const ROOM_DIVISOR: u64 = 32;

/// The limits that can be changed while the container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub cpu_millis: u64,
    pub cpu_shares: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error("writing {value} to {path}")]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error(transparent)]
    Read(#[from] LeafError),
    /// What is in use cannot be reclaimed down to the new limit; the old one is in force.
    #[error("{in_use} bytes of memory are in use, which does not fit into {wanted}")]
    DoesNotFit { in_use: u64, wanted: u64 },
}

impl Limits {
    pub fn quota_usec(&self) -> u64 {
        (self.cpu_millis.saturating_mul(PERIOD_USEC) / 1000).max(MIN_QUOTA_USEC)
    }

    /// The v2 weight for v1 shares, on the scale that container runtimes agree on: 1,024 shares are weight 100.
    fn weight(&self) -> u64 {
        let log = (self.cpu_shares.clamp(2, 262_144) as f64).log2();
        let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
        (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
    }

    /// Puts them in force. Memory goes first, because only that can fail for a reason that the caller must act on.
    /// Whatever state an earlier change that was cut short has left, this ends it.
    pub fn apply(&self, leaf: &Leaf) -> Result<(), LimitError> {
        let cpu = leaf.dir("cpu");
        match leaf.layout {
            Layout::V1(_) => {
                set_memory_v1(leaf, self.memory_bytes)?;
                write(&cpu.join("cpu.cfs_quota_us"), self.quota_usec())?;
                write(&cpu.join("cpu.shares"), self.cpu_shares)
            }
            Layout::V2 => {
                set_memory_v2(leaf, self.memory_bytes)?;
                write(&cpu.join("cpu.max"), format!("{} {PERIOD_USEC}", self.quota_usec()))?;
                write(&cpu.join("cpu.weight"), self.weight())
            }
        }
    }
}

/// Whether a group may be given a limit below the one that it has.
fn fits(memory: Memory, wanted: u64) -> Result<(), LimitError> {
    let in_use = memory.unreclaimable_bytes();
    if in_use.saturating_add(wanted / ROOM_DIVISOR) <= wanted {
        Ok(())
    } else {
        Err(LimitError::DoesNotFit { in_use, wanted })
    }
}

/// The two limits of v1: without swap, and with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knob {
    Memory,
    WithSwap,
}

/// The limit with swap may never be below the one without, at no moment.
fn order_v1(old: u64, wanted: u64) -> [Knob; 2] {
    if wanted > old { [Knob::WithSwap, Knob::Memory] } else { [Knob::Memory, Knob::WithSwap] }
}

fn set_memory_v1(leaf: &Leaf, wanted: u64) -> Result<(), LimitError> {
    let dir = leaf.dir("memory");
    let limit = dir.join("memory.limit_in_bytes");
    let with_swap = dir.join("memory.memsw.limit_in_bytes");
    let old = number(&limit)?;
    if wanted < old {
        fits(leaf.memory()?, wanted)?;
    }
    for knob in order_v1(old, wanted) {
        let path = match knob {
            Knob::Memory => &limit,
            // Kernels can be built or booted without accounting of swap.
            Knob::WithSwap if !with_swap.exists() => continue,
            Knob::WithSwap => &with_swap,
        };
        write(path, wanted).map_err(|error| {
            // Raising it back cannot fail for lack of memory; the first error is the one that tells.
            let _ = write(&limit, old);
            match error {
                LimitError::Write { ref source, .. } if source.raw_os_error() == Some(libc::EBUSY) => {
                    let in_use = leaf.memory().map_or(old, |memory| memory.unreclaimable_bytes());
                    LimitError::DoesNotFit { in_use, wanted }
                }
                other => other,
            }
        })?;
    }
    Ok(())
}

/// v2 kills rather than refuse, so the pressure is put on first by the mark that only throttles, and the hard limit
/// follows once the use is below it.
fn set_memory_v2(leaf: &Leaf, wanted: u64) -> Result<(), LimitError> {
    let dir = leaf.dir("memory");
    let (high, max) = (dir.join("memory.high"), dir.join("memory.max"));
    let old = limit_v2(&max)?;
    let set = if wanted < old { shrink_v2(leaf, wanted) } else { Ok(()) }.and_then(|()| write(&max, wanted));
    // Also where nothing was shrunk: a server that was killed in the middle of it has left the mark behind.
    write(&high, "max")?;
    set
}

fn limit_v2(max: &Path) -> Result<u64, LimitError> {
    match number(max) {
        Ok(limit) => Ok(limit),
        // The word for no limit.
        Err(LeafError::Parse { .. }) => Ok(u64::MAX),
        Err(error) => Err(error.into()),
    }
}

fn shrink_v2(leaf: &Leaf, wanted: u64) -> Result<(), LimitError> {
    let dir = leaf.dir("memory");
    let deadline = Instant::now() + RECLAIMING;
    fits(leaf.memory()?, wanted)?;
    write(&dir.join("memory.high"), wanted)?;
    loop {
        let memory = leaf.memory()?;
        fits(memory, wanted)?;
        if memory.total_bytes <= wanted {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(LimitError::DoesNotFit { in_use: memory.total_bytes, wanted });
        }
        // Known since Linux 5.19, and may fall short; without it the kernel reclaims when the group allocates.
        let _ = write(&dir.join("memory.reclaim"), memory.total_bytes - wanted);
        std::thread::sleep(PAUSE);
    }
}

fn write(path: &Path, value: impl ToString) -> Result<(), LimitError> {
    let value = value.to_string();
    let open = OpenOptions::new().write(true).open(path);
    open.and_then(|mut file| file.write_all(value.as_bytes())).map_err(|source| LimitError::Write {
        path: path.to_owned(),
        value,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_given_in_the_units_of_the_kernel() {
        let limits = |cpu_millis, cpu_shares| Limits { memory_bytes: 1 << 20, cpu_millis, cpu_shares };
        assert_eq!([250, 2000, 10, 1].map(|cpu| limits(cpu, 2).quota_usec()), [25_000, 200_000, 1000, 1000]);
        assert_eq!(
            [2, 1024, 262_144, 0, u64::MAX].map(|shares| limits(1, shares).weight()),
            [1, 100, 10_000, 1, 10_000]
        );
    }

    #[test]
    fn only_what_cannot_be_reclaimed_keeps_a_limit_from_being_lowered() {
        const MIB: u64 = 1 << 20;
        let memory = |total: u64, cache: u64| Memory {
            total_bytes: total * MIB,
            idle_cache_bytes: 0,
            cache_bytes: cache * MIB,
            slab_reclaimable_bytes: 0,
        };
        assert!(fits(memory(500, 480), 32 * MIB).is_ok(), "pages of files are dropped");
        assert!(fits(memory(31, 0), 32 * MIB).is_ok());
        for (total, cache, wanted) in [(500, 400, 64), (32, 0, 32), (64, 32, 32), (63, 0, 64)] {
            let in_use = (total - cache) * MIB;
            let refused = fits(memory(total, cache), wanted * MIB);
            assert!(
                matches!(refused, Err(LimitError::DoesNotFit { in_use: said, .. }) if said == in_use),
                "{total} {cache} {wanted}: {refused:?}"
            );
        }
        assert!(fits(memory(0, 0), 0).is_ok());
    }

    #[test]
    fn the_limit_with_swap_is_never_below_the_one_without() {
        for (mut memory, mut with_swap) in [(64, 64), (64, 128), (32, 64)] {
            for wanted in [16, 32, 48, 64, 96, 128, 256] {
                for knob in order_v1(memory, wanted) {
                    match knob {
                        Knob::Memory => memory = wanted,
                        Knob::WithSwap => with_swap = wanted,
                    }
                    assert!(memory <= with_swap, "{memory} {with_swap} on the way to {wanted}");
                }
                assert_eq!((memory, with_swap), (wanted, wanted));
            }
        }
    }
}
