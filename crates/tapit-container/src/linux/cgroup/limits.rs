//! Changes the limits of a running instance's cgroup in place.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::leaf::number;
use super::{Layout, Leaf, LeafError};

/// The quota is given per this many microseconds.
pub const PERIOD_USEC: u64 = 100_000;
/// The kernel refuses a smaller quota.
const MIN_QUOTA_USEC: u64 = 1000;
/// How long v2 may take to reclaim down to a lower limit.
const RECLAIMING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

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
    /// What is in use could not be reclaimed down to the new limit; the old one is in force.
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
    pub fn apply(&self, leaf: &Leaf) -> Result<(), LimitError> {
        let (memory, cpu) = (leaf.dir("memory"), leaf.dir("cpu"));
        match leaf.layout {
            Layout::V1(_) => {
                set_memory_v1(&memory, self.memory_bytes)?;
                write(&cpu.join("cpu.cfs_quota_us"), self.quota_usec())?;
                write(&cpu.join("cpu.shares"), self.cpu_shares)
            }
            Layout::V2 => {
                set_memory_v2(&memory, self.memory_bytes)?;
                write(&cpu.join("cpu.max"), format!("{} {PERIOD_USEC}", self.quota_usec()))?;
                write(&cpu.join("cpu.weight"), self.weight())
            }
        }
    }
}

/// The limit with swap may never be below the one without, so their order depends on the direction.
fn set_memory_v1(dir: &Path, wanted: u64) -> Result<(), LimitError> {
    let limit = dir.join("memory.limit_in_bytes");
    // Kernels can be built or booted without accounting of swap.
    let swap = Some(dir.join("memory.memsw.limit_in_bytes")).filter(|path| path.exists());
    let old = number(&limit)?;
    let does_not_fit = |error: LimitError| match error {
        LimitError::Write { ref source, .. } if source.raw_os_error() == Some(libc::EBUSY) => {
            let in_use = number(&dir.join("memory.usage_in_bytes")).unwrap_or(old);
            LimitError::DoesNotFit { in_use, wanted }
        }
        other => other,
    };
    let write_swap = || swap.as_deref().map_or(Ok(()), |path| write(path, wanted));
    if wanted > old {
        write_swap()?;
        return write(&limit, wanted);
    }
    write(&limit, wanted).map_err(does_not_fit)?;
    write_swap().map_err(|error| {
        // Raising it back cannot fail for lack of memory; the first error is the one that tells.
        let _ = write(&limit, old);
        does_not_fit(error)
    })
}

/// v2 kills rather than refuse, so the pressure is put on first by the mark that only throttles, and the hard limit
/// follows once the use is below it.
fn set_memory_v2(dir: &Path, wanted: u64) -> Result<(), LimitError> {
    let (high, current) = (dir.join("memory.high"), dir.join("memory.current"));
    write(&high, wanted)?;
    let deadline = Instant::now() + RECLAIMING;
    let fits = loop {
        let in_use = number(&current)?;
        if in_use <= wanted {
            break Ok(());
        }
        if Instant::now() >= deadline {
            break Err(LimitError::DoesNotFit { in_use, wanted });
        }
        std::thread::sleep(PAUSE);
    };
    let set = fits.and_then(|()| write(&dir.join("memory.max"), wanted));
    write(&high, "max")?;
    set
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
}
