//! What the server can be watched by, as Prometheus reads it.
//!
//! `gather` (in `service`) takes the measurements, `families` says which metrics are drawn from them, `text` writes them
//! down. All of this is pure; `docs/metrics.md` is made from the same table. Labels are names that users gave and ids of
//! instances that are there, so that their number is bounded by what runs.

mod families;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use tapit_model::{InstanceUsageView, RequestCounts, StatusView};

pub use text::exposition;

/// Everything that metrics are drawn from, taken at one moment.
#[derive(Debug, Clone)]
pub struct Measurements {
    pub status: StatusView,
    /// Seconds since 1970.
    pub started_at: f64,
    /// Cpu time of the server itself.
    pub server_cpu_seconds: f64,
    pub server_open_files: u64,
    pub processes: Vec<ProcessMeasure>,
    pub instances: Vec<InstanceUsageView>,
    /// By app, since the server started.
    pub requests: Vec<(String, RequestCounts)>,
}

#[derive(Debug, Clone)]
pub struct ProcessMeasure {
    pub app: String,
    pub process: String,
    pub status: &'static str,
    pub wanted_demand: u32,
    pub wanted_spot: u32,
    /// Of those that are not stopped, how many are in which state.
    pub instances: BTreeMap<&'static str, u32>,
    /// Why what is wanted is not so.
    pub blocked: Vec<&'static str>,
}
