//! What this machine has and lacks for running containers: the one source of `tapit doctor` and of a server's warnings.
//!
//! Each check looks, judges and says what to do; it changes nothing on the host. What must be tried to be known (making
//! namespaces, a bridge) is tried in a helper process, in namespaces that go with it. Texts are made by pure functions from
//! what was read.

mod cgroups;
mod confinement;
mod host;
mod network;

pub(crate) use host::available_mib;

use std::path::Path;

use serde::Serialize;

use crate::linux::probe::{self, Finding};

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// Containers run without it, at a cost.
    Lacking,
    /// No container can run.
    Missing,
    /// Only root can tell.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub feature: &'static str,
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What it costs, and how to mend it; empty where there is nothing to mend.
    pub advice: String,
}

impl Check {
    fn ok(feature: &'static str, detail: impl Into<String>) -> Self {
        Self { feature, state: State::Ok, detail: detail.into(), advice: String::new() }
    }

    fn lacking(feature: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { feature, state: State::Lacking, detail: detail.into(), advice: advice.into() }
    }

    fn missing(feature: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { feature, state: State::Missing, detail: detail.into(), advice: advice.into() }
    }

    fn unknown(feature: &'static str) -> Self {
        let detail = "only root can tell; run it with sudo".to_owned();
        Self { feature, state: State::Unknown, detail, advice: String::new() }
    }
}

/// Looks at everything. `exe` is the program that is run again for what must be tried: one that calls `child_main` first;
/// `dir` is a directory where containers are to have their files, or one on the same filesystem.
pub fn examine(exe: &Path, dir: &Path) -> Vec<Check> {
    let mut checks = host::checks();
    checks.extend(cgroups::checks());
    checks.extend(network::checks(exe));
    if is_root() {
        checks.extend(confinement::checks(&probe::findings(exe, dir)));
    } else {
        checks.push(Check::unknown("confinement"));
    }
    checks
}

/// Whether containers can run here: nothing that they need is known to be missing.
pub fn can_run(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Missing)
}

/// What a server says of its host at start-up, one sentence each: what is there to be mended. `findings` is what it has
/// found out of the walls, which it must know anyhow.
pub fn warnings(findings: &[Finding]) -> Vec<String> {
    let mut checks = host::checks();
    checks.extend(cgroups::checks());
    checks.extend(network::firewall());
    checks.extend(confinement::checks(findings));
    checks.iter().filter_map(warning).collect()
}

fn warning(check: &Check) -> Option<String> {
    match check.state {
        State::Lacking | State::Missing => Some(format!("{}: {}; {}", check.feature, check.detail, check.advice)),
        State::Ok | State::Unknown => None,
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_can_run_as_long_as_nothing_that_they_need_is_missing() {
        let lacking = Check::lacking("swap", "none is counted", "boot with swapaccount=1");
        let checks = vec![Check::ok("kernel", "6.1"), lacking.clone(), Check::unknown("network")];
        assert!(can_run(&checks));
        assert_eq!(warning(&lacking).as_deref(), Some("swap: none is counted; boot with swapaccount=1"));
        assert_eq!(checks.iter().filter_map(warning).count(), 1);
        assert!(!can_run(&[Check::missing("cgroups", "none", "mount them")]));
    }

    #[test]
    fn what_is_not_in_order_comes_with_advice() {
        for check in host::checks().into_iter().chain(cgroups::checks()) {
            let mended = matches!(check.state, State::Ok | State::Unknown);
            assert_eq!(check.advice.is_empty(), mended, "{check:?}");
            assert!(!check.detail.is_empty(), "{check:?}");
        }
    }
}
