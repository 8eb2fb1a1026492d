//! How many spares which process gets. Pure: the caller gathers the facts and acts.

use std::collections::BTreeMap;

use tapit_model::{BlockedCode, Formation, InstanceKind, Presence, ProcessKey, Restart, Timestamp};
use tapit_plan::host::Phase;

use crate::engine::state::{HostState, ProcessState};

/// What a spare is taken to cost before one was measured.
const PRESUMED_BYTES: u64 = 4 * 1024 * 1024;
/// Whatever the budget: each is a process and a mount that somebody has to look through.
const MOST: u64 = 64;
/// The public process has the traffic, so one more is kept for it.
const PUBLIC: u32 = 2;
const OTHER: u32 = 1;

/// What is known of a process that may have spares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub key: ProcessKey,
    pub public: bool,
    /// All of its instances are there and healthy.
    pub settled: bool,
    /// When its newest instance was made.
    pub newest: Option<Timestamp>,
}

/// A process gets spares while it runs, and none while its instances fail: those would be made to be thrown away.
pub fn candidate(key: &ProcessKey, process: &ProcessState) -> Option<(Candidate, Formation)> {
    let Presence::Present(formation) = &process.target.as_ref()?.presence else { return None };
    let rests = process.blocked.iter().any(|blocked| blocked.code == BlockedCode::BackOff);
    let once = formation.restart == Restart::Never;
    if formation.demand == 0 || once || rests || process.failure.is_some() {
        return None;
    }
    let live = || process.instances.values().filter(|instance| instance.is_live());
    let healthy = live().filter(|instance| {
        let wanted = instance.kind == InstanceKind::Demand && instance.generation == formation.generation;
        wanted && matches!(instance.life.phase, Phase::Healthy { .. })
    });
    let settled = healthy.count() >= formation.demand as usize;
    let newest = process.instances.values().map(|instance| instance.life.created_at).max();
    let candidate = Candidate { key: key.clone(), public: formation.public, settled, newest };
    Some((candidate, (**formation).clone()))
}

/// Whether an instance is being made or has yet to get healthy: spares would take the time that it needs.
pub fn is_busy(state: &HostState) -> bool {
    let mut instances = state.processes.values().flat_map(|process| process.instances.values());
    instances.any(|instance| matches!(instance.life.phase, Phase::Starting { .. }))
}

/// How many spares a budget of memory allows when the dearest so far has cost this much.
pub fn room(budget_bytes: u64, dearest_bytes: Option<u64>) -> usize {
    let each = dearest_bytes.unwrap_or(PRESUMED_BYTES).max(1);
    usize::try_from((budget_bytes / each).min(MOST)).unwrap_or(usize::MAX)
}

/// How many spares each process is to have. One for each comes before a second one for any; the public processes come first,
/// then those that have changed last, since they are the likeliest to change again.
pub fn shares(candidates: &[Candidate], room: usize) -> BTreeMap<ProcessKey, u32> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|a, b| (b.public, b.newest, &a.key).cmp(&(a.public, a.newest, &b.key)));
    let most = |candidate: &Candidate| if candidate.public { PUBLIC } else { OTHER };
    let rounds = (1..=PUBLIC).flat_map(|round| order.iter().filter(move |one| most(one) >= round));
    let mut shares = BTreeMap::new();
    for candidate in rounds.take(room) {
        *shares.entry(candidate.key.clone()).or_default() += 1;
    }
    shares
}

/// Whose spare is made next, if any is missing: each has as many as `held` says.
pub fn next(
    candidates: &[Candidate],
    shares: &BTreeMap<ProcessKey, u32>,
    held: impl Fn(&ProcessKey) -> u32,
) -> Option<ProcessKey> {
    let missing = |candidate: &&Candidate| {
        let share = shares.get(&candidate.key).copied().unwrap_or(0);
        candidate.settled && held(&candidate.key) < share
    };
    candidates.iter().filter(missing).min_by_key(|one| (held(&one.key), !one.public)).map(|one| one.key.clone())
}

#[cfg(test)]
mod tests {
    use tapit_model::{AppName, ProcessName};

    use super::*;

    fn key(process: &str) -> ProcessKey {
        let app = AppName::parse("shop").expect("a legal name");
        ProcessKey::new(&app, &ProcessName::parse(process).expect("a legal name"))
    }

    /// By name and the time of the newest instance; `default` is public.
    fn candidates(all: &[(&str, i64)]) -> Vec<Candidate> {
        let one = |(name, newest): &(&str, i64)| Candidate {
            key: key(name),
            public: *name == "default",
            settled: true,
            newest: Some(Timestamp(*newest)),
        };
        all.iter().map(one).collect()
    }

    #[track_caller]
    fn check(all: &[(&str, i64)], room: usize, expected: &[(&str, u32)]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, count)| (key(name), *count)).collect();
        assert_eq!(shares(&candidates(all), room), expected);
    }

    #[test]
    fn each_process_gets_a_spare_and_the_public_one_two() {
        check(&[("api", 1), ("default", 1), ("worker", 1)], 9, &[("api", 1), ("default", 2), ("worker", 1)]);
        check(&[], 9, &[]);
    }

    #[test]
    fn with_little_room_the_public_process_and_those_that_changed_last_come_first() {
        let all = [("api", 5), ("default", 1), ("worker", 9)];
        check(&all, 0, &[]);
        check(&all, 1, &[("default", 1)]);
        check(&all, 2, &[("default", 1), ("worker", 1)]);
        check(&all, 3, &[("api", 1), ("default", 1), ("worker", 1)]);
        check(&all, 4, &[("api", 1), ("default", 2), ("worker", 1)]);
    }

    #[test]
    fn the_budget_is_divided_by_what_the_dearest_spare_has_cost() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(room(0, None), 0);
        assert_eq!(room(64 * MIB, None), 16);
        assert_eq!(room(64 * MIB, Some(2 * MIB)), 32);
        assert_eq!(room(64 * MIB, Some(100 * MIB)), 0);
        assert_eq!(room(u64::MAX, Some(0)), 64);
    }

    #[test]
    fn the_next_spare_is_made_for_who_has_fewest_and_only_where_all_is_well() {
        let mut all = candidates(&[("api", 5), ("default", 1)]);
        let shares = shares(&all, 9);
        let none = |_: &ProcessKey| 0;
        assert_eq!(next(&all, &shares, none), Some(key("default")));
        assert_eq!(next(&all, &shares, |one| u32::from(*one == key("default"))), Some(key("api")));
        assert_eq!(next(&all, &shares, |_| 1), Some(key("default")));
        assert_eq!(next(&all, &shares, |_| 2), None);
        all[1].settled = false;
        assert_eq!(next(&all, &shares, none), Some(key("api")));
    }
}
