//! What instances use now, as the kernel counts it. Read on demand, for `show`, `top` and the metrics.

use serde::{Deserialize, Serialize};

/// One reading of one instance. Totals count from its start; rates are the reader's to draw from two readings.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// When it was read, in milliseconds of a clock that never jumps; to be compared with other readings only.
    pub read_at_millis: u64,
    /// Of one cpu since the last reading by `show`; `None` on the first.
    pub cpu_percent: Option<f64>,
    pub cpu_usec: u64,
    /// Periods (of 100 ms) in which it wanted cpu, and those of them in which its cap held it back.
    pub cpu_periods: u64,
    pub cpu_throttled_periods: u64,
    pub cpu_throttled_usec: u64,
    /// Without file pages that were not used of late and can be dropped at any time.
    pub memory_bytes: u64,
    /// What cannot be taken from it: all but its pages of files. More than the limit of this is an end out of memory.
    pub memory_unreclaimable_bytes: u64,
    /// Pages of files, which the kernel drops when memory is short.
    pub memory_cache_bytes: u64,
    /// The highest ever, all pages counted.
    pub memory_peak_bytes: u64,
    pub memory_limit_bytes: Option<u64>,
    /// Processes of it that the kernel has killed for lack of memory.
    pub oom_kills: u64,
    /// Processes and threads.
    pub pids: u64,
    pub pids_limit: Option<u64>,
    /// `None` where the kernel does not measure it: on cgroup v1, or with pressure accounting switched off.
    pub pressure: Option<Pressure>,
    /// `None` without an interface of its own.
    pub network: Option<NetworkUsage>,
}

/// The share of the last ten seconds, in percent, in which some of its processes waited for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pressure {
    pub cpu: f64,
    pub memory: f64,
    pub io: f64,
}

/// What went through its network interface, seen from inside: received is what came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkUsage {
    pub received_bytes: u64,
    pub received_packets: u64,
    pub received_dropped: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub sent_dropped: u64,
}

/// Whose usage is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageOf {
    Everything,
    App(crate::AppName),
    Process(crate::ProcessKey),
}

impl UsageOf {
    pub fn covers(&self, key: &crate::ProcessKey) -> bool {
        match self {
            UsageOf::Everything => true,
            UsageOf::App(app) => key.app == *app,
            UsageOf::Process(process) => key == process,
        }
    }
}
