//! What a task may be given besides its size.
//!
//! Counts need no check: a service may have 5,000 tasks by AWS's default quota, and a process has 1,000 of each kind at
//! most on any engine.

use std::ops::RangeInclusive;

use tapit_model::{Capability, ProcessSpec, Seconds};

use super::size;

/// From SIGTERM to SIGKILL, in seconds.
pub const STOP_TIMEOUT: RangeInclusive<u64> = 2..=120;

/// From the notice of an interruption of a spot task, which is SIGTERM as well, to its end.
pub const SPOT_NOTICE: Seconds = Seconds(120);

/// In a deployment, ECS takes a task without a load balancer for healthy once it has run for this long.
pub const UNCHECKED_HEALTHY: Seconds = Seconds(40);

/// Whether a task may be given this capability beyond the default ones.
pub fn can_add(capability: Capability) -> bool {
    capability == Capability::SysPtrace
}

/// Why a process cannot run there as it is configured, one sentence each, and what to give instead.
pub fn faults(spec: &ProcessSpec) -> Vec<String> {
    let stop = spec.lifecycle.stop_timeout;
    let stop = (!STOP_TIMEOUT.contains(&stop.0)).then(|| {
        format!(
            "stop_timeout={}s is not a time that Fargate waits; give {} to {} seconds",
            stop.0,
            STOP_TIMEOUT.start(),
            STOP_TIMEOUT.end()
        )
    });
    let userns = (!spec.confinement.userns)
        .then(|| "userns=false is not possible on Fargate: how tasks are kept apart is AWS's to choose".to_owned());
    let refused: Vec<_> =
        spec.confinement.cap_add.iter().filter(|one| !can_add(**one)).map(|one| one.as_str()).collect();
    let cap_add = (!refused.is_empty())
        .then(|| format!("cap_add={} is not possible on Fargate, which adds SYS_PTRACE alone", refused.join(",")));
    size::fault(spec.size).into_iter().chain(stop).chain(userns).chain(cap_add).collect()
}
