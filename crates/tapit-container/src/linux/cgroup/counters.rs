//! What an instance's cgroup has counted, on v1 and on v2.
//!
//! Files are read by the functions at the top, their text is understood by the pure ones below, so that what v2 writes can
//! be checked on a host that has v1. A reading opens about ten files and holds no lock.

use std::fs;
use std::path::{Path, PathBuf};

use tapit_model::Pressure;

use super::Layout;
use super::leaf::{Leaf, LeafError};

/// What an instance uses, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counters {
    pub memory: Memory,
    pub memory_peak_bytes: u64,
    /// `None`: no limit.
    pub memory_limit_bytes: Option<u64>,
    pub oom_kills: u64,
    pub cpu: Cpu,
    pub pids: u64,
    pub pids_limit: Option<u64>,
    pub pressure: Option<Pressure>,
}

/// How the memory that is charged to a group divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    pub total_bytes: u64,
    /// Pages of files that were not used of late.
    pub idle_cache_bytes: u64,
    /// All pages of files; those of tmpfs and shared memory are not among them, since without swap they have nowhere to go.
    pub cache_bytes: u64,
    /// Kernel objects that can be dropped; v1 does not tell.
    pub slab_reclaimable_bytes: u64,
}

impl Memory {
    /// What it works with, as container tools show it.
    pub fn working_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.idle_cache_bytes)
    }

    /// What no pressure can take from it, since instances have no swap.
    pub fn unreclaimable_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.cache_bytes).saturating_sub(self.slab_reclaimable_bytes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu {
    pub used_usec: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_usec: u64,
}

impl Leaf {
    pub fn counters(&self) -> Result<Counters, LeafError> {
        let (memory, pids) = (self.dir("memory"), self.dir("pids"));
        let read = self.memory()?;
        let limit = match self.layout {
            Layout::V1(_) => memory.join("memory.limit_in_bytes"),
            Layout::V2 => memory.join("memory.max"),
        };
        let peak = match self.layout {
            Layout::V1(_) => number(&memory.join("memory.max_usage_in_bytes"))?,
            // Known since Linux 5.19.
            Layout::V2 => number(&memory.join("memory.peak")).unwrap_or(read.total_bytes),
        };
        Ok(Counters {
            memory: read,
            memory_peak_bytes: peak,
            memory_limit_bytes: bound(&limit)?,
            oom_kills: self.oom_kills()?,
            cpu: self.cpu()?,
            pids: number(&pids.join("pids.current"))?,
            pids_limit: bound(&pids.join("pids.max"))?,
            pressure: self.pressure(),
        })
    }

    /// How much memory it holds, and of which kind.
    pub fn memory(&self) -> Result<Memory, LeafError> {
        let dir = self.dir("memory");
        let stat = dir.join("memory.stat");
        match self.layout {
            Layout::V1(_) => memory_v1(number(&dir.join("memory.usage_in_bytes"))?, &read(&stat)?),
            Layout::V2 => memory_v2(number(&dir.join("memory.current"))?, &read(&stat)?),
        }
        .ok_or_else(|| parse(&stat, "no inactive_file and active_file"))
    }

    fn cpu(&self) -> Result<Cpu, LeafError> {
        let stat = self.dir("cpu").join("cpu.stat");
        let text = read(&stat)?;
        match self.layout {
            Layout::V1(_) => {
                let used = number(&self.dir("cpuacct").join("cpuacct.usage"))?;
                cpu_v1(used, &text).ok_or_else(|| parse(&stat, "no nr_periods"))
            }
            Layout::V2 => cpu_v2(&text).ok_or_else(|| parse(&stat, "no usage_usec")),
        }
    }

    /// The file that counts them, behind the word `oom_kill`.
    pub(in crate::linux) fn oom_counter(&self) -> PathBuf {
        let memory = self.dir("memory");
        match self.layout {
            Layout::V1(_) => memory.join("memory.oom_control"),
            Layout::V2 => memory.join("memory.events"),
        }
    }

    /// How many of its processes the kernel has killed for lack of memory.
    pub fn oom_kills(&self) -> Result<u64, LeafError> {
        let path = self.oom_counter();
        field(&read(&path)?, "oom_kill").ok_or_else(|| parse(&path, "no oom_kill"))
    }

    /// v1 measures none, and on v2 it can be switched off.
    fn pressure(&self) -> Option<Pressure> {
        match self.layout {
            Layout::V1(_) => None,
            Layout::V2 => {
                let dir = self.dir("cpu");
                let some = |name: &str| some_avg10(&fs::read_to_string(dir.join(name)).ok()?);
                Some(Pressure {
                    cpu: some("cpu.pressure")?,
                    memory: some("memory.pressure")?,
                    io: some("io.pressure")?,
                })
            }
        }
    }
}

fn read(path: &Path) -> Result<String, LeafError> {
    fs::read_to_string(path).map_err(|source| LeafError::Read { path: path.to_owned(), source })
}

pub(super) fn number(path: &Path) -> Result<u64, LeafError> {
    let text = read(path)?;
    text.trim().parse().map_err(|_| parse(path, &text))
}

fn bound(path: &Path) -> Result<Option<u64>, LeafError> {
    let text = read(path)?;
    limit(&text).ok_or_else(|| parse(path, &text))
}

fn parse(path: &Path, text: &str) -> LeafError {
    LeafError::Parse { path: path.to_owned(), text: text.chars().take(200).collect() }
}

/// The number behind a word at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let found = text.lines().filter_map(|line| line.split_once(' ')).find(|(word, _)| *word == name);
    found.and_then(|(_, value)| value.trim().parse().ok())
}

/// The words with `total_` count the groups below as well, as every other file does.
fn memory_v1(total_bytes: u64, stat: &str) -> Option<Memory> {
    let idle = field(stat, "total_inactive_file")?;
    let cache_bytes = idle + field(stat, "total_active_file")?;
    Some(Memory { total_bytes, idle_cache_bytes: idle, cache_bytes, slab_reclaimable_bytes: 0 })
}

fn memory_v2(total_bytes: u64, stat: &str) -> Option<Memory> {
    let idle = field(stat, "inactive_file")?;
    let cache_bytes = idle + field(stat, "active_file")?;
    let slab_reclaimable_bytes = field(stat, "slab_reclaimable").unwrap_or(0);
    Some(Memory { total_bytes, idle_cache_bytes: idle, cache_bytes, slab_reclaimable_bytes })
}

/// v1 counts in nanoseconds.
fn cpu_v1(used_nsec: u64, stat: &str) -> Option<Cpu> {
    Some(Cpu {
        used_usec: used_nsec / 1000,
        periods: field(stat, "nr_periods")?,
        throttled_periods: field(stat, "nr_throttled")?,
        throttled_usec: field(stat, "throttled_time")? / 1000,
    })
}

/// A kernel without bandwidth control has no periods; it has no caps either.
fn cpu_v2(stat: &str) -> Option<Cpu> {
    Some(Cpu {
        used_usec: field(stat, "usage_usec")?,
        periods: field(stat, "nr_periods").unwrap_or(0),
        throttled_periods: field(stat, "nr_throttled").unwrap_or(0),
        throttled_usec: field(stat, "throttled_usec").unwrap_or(0),
    })
}

/// `max`, or on v1 a number near the largest there is, is no limit.
fn limit(text: &str) -> Option<Option<u64>> {
    const V1_UNLIMITED: u64 = 1 << 62;
    match text.trim() {
        "max" => Some(None),
        number => number.parse().ok().map(|number| Some(number).filter(|number| *number < V1_UNLIMITED)),
    }
}

/// In percent.
fn some_avg10(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_memory_that_cannot_be_reclaimed_is_all_but_pages_of_files() {
        let stat = "cache 3000\nrss 5000\ninactive_file 1\nactive_file 1\ntotal_cache 3000\ntotal_rss 5000\n\
                    total_inactive_file 1200\ntotal_active_file 800\ntotal_unevictable 0\n";
        let memory = memory_v1(9000, stat).expect("complete");
        assert_eq!((memory.working_bytes(), memory.unreclaimable_bytes(), memory.cache_bytes), (7800, 7000, 2000));
        assert_eq!(memory_v1(9000, "total_inactive_file 1200\n"), None);
    }

    #[test]
    fn v2_memory_that_cannot_be_reclaimed_is_without_files_and_droppable_kernel_objects() {
        let stat = "anon 4096\nfile 2048\nkernel 900\nshmem 512\ninactive_anon 0\nactive_anon 4096\ninactive_file 1000\n\
                    active_file 536\nunevictable 0\nslab_reclaimable 300\nslab_unreclaimable 100\n";
        let memory = memory_v2(7044, stat).expect("complete");
        assert_eq!((memory.working_bytes(), memory.unreclaimable_bytes(), memory.cache_bytes), (6044, 5208, 1536));
        assert_eq!(
            memory_v2(10, "inactive_file 1000\nactive_file 0\n").map(|memory| memory.unreclaimable_bytes()),
            Some(0)
        );
        assert_eq!(memory_v2(10, "anon 4096\n"), None);
    }

    #[test]
    fn cpu_is_counted_in_microseconds_on_both() {
        let v1 = cpu_v1(5_000_000, "nr_periods 10\nnr_throttled 4\nthrottled_time 2000000\nwait_sum 7\n");
        let v2 = "usage_usec 5000\nuser_usec 4000\nsystem_usec 1000\ncore_sched.force_idle_usec 0\nnr_periods 10\n\
                  nr_throttled 4\nthrottled_usec 2000\nnr_bursts 0\nburst_usec 0\n";
        let expected = Cpu { used_usec: 5000, periods: 10, throttled_periods: 4, throttled_usec: 2000 };
        assert_eq!((v1, cpu_v2(v2)), (Some(expected), Some(expected)));
        assert_eq!(cpu_v2("usage_usec 1\nuser_usec 1\n").map(|cpu| cpu.periods), Some(0));
        assert_eq!((cpu_v1(1, ""), cpu_v2("user_usec 1\n")), (None, None));
    }

    #[test]
    fn no_limit_is_said_by_a_word_on_v2_and_by_the_largest_number_on_v1() {
        for (text, expected) in
            [("max\n", Some(None)), ("9223372036854771712\n", Some(None)), ("1024\n", Some(Some(1024)))]
        {
            assert_eq!(limit(text), expected, "{text}");
        }
        assert_eq!(limit("nonsense"), None);
    }

    #[test]
    fn pressure_is_the_short_average_of_some_waiting() {
        let text =
            "some avg10=1.53 avg60=0.20 avg300=0.04 total=123456\nfull avg10=9.99 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(some_avg10(text), Some(1.53));
        for bad in ["", "full avg10=1.00 total=0\n", "some total=1\n", "some avg10=x\n"] {
            assert_eq!(some_avg10(bad), None, "{bad}");
        }
    }

    #[test]
    fn events_of_memory_are_found_by_their_whole_name() {
        let events = "low 0\nhigh 3\nmax 7\noom 2\noom_kill 5\noom_group_kill 1\n";
        assert_eq!(field(events, "oom_kill"), Some(5));
        assert_eq!(field("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill"), Some(2));
    }
}
