//! Whether calls stayed within AWS's buckets, computed from nothing but the calls and their times. Pure.

use std::collections::BTreeMap;

use tapit_ecs::meter::{Class, RATES, class};
use tapit_ecs::sim::Call;

/// How calls of one class came, beside what AWS allows.
pub struct Use {
    pub class: Class,
    pub calls: usize,
    /// In any one second.
    pub most: usize,
    /// What was left in AWS's bucket when it was at its lowest; below zero, AWS would have refused calls.
    pub least_left: f64,
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { class, calls, most, least_left } = self;
        write!(f, "{:<18} {calls:>7} calls, {most:>3} a second at most, {least_left:>5.1} left", format!("{class:?}"))
    }
}

/// Of each class that was called.
pub fn used(calls: &[Call]) -> Vec<Use> {
    RATES
        .iter()
        .map(|rate| of(calls, rate.class, (rate.burst, rate.per_second)))
        .filter(|used| used.calls > 0)
        .collect()
}

fn of(calls: &[Call], of: Class, (burst, per_second): (f64, f64)) -> Use {
    let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
    let (mut left, mut least_left, mut then) = (burst, burst, None);
    let times = calls.iter().filter(|made| class(made.request.operation()) == of).map(|made| made.at.0);
    for at in times {
        *seconds.entry(at / 1000).or_default() += 1;
        let passed = (at - then.unwrap_or(at)) as f64 / 1000.0;
        left = (left + passed * per_second).min(burst) - 1.0;
        least_left = least_left.min(left);
        then = Some(at);
    }
    let (calls, most) = (seconds.values().sum(), seconds.values().copied().max().unwrap_or(0));
    Use { class: of, calls, most, least_left }
}

/// Prints all of it, and fails where AWS would have refused a call.
pub fn check(title: &str, calls: &[Call]) {
    let all = used(calls);
    println!("{title}: {} calls", calls.len());
    all.iter().for_each(|used| println!("  {used}"));
    let beyond: Vec<String> = all.iter().filter(|used| used.least_left < 0.0).map(Use::to_string).collect();
    assert!(beyond.is_empty(), "{title}: more than AWS allows: {beyond:?}");
}

#[test]
fn calls_beyond_a_bucket_are_noticed() {
    use tapit_ecs::api::Request;
    use tapit_model::Timestamp;
    let request = || Request::DeleteCluster { name: "shop".to_owned() };
    let made = |at| Call { number: 1, at: Timestamp(at), request: request() };
    let burst: Vec<Call> = (0..20).map(|_| made(0)).collect();
    let left = |calls: &[Call]| used(calls).first().map(|used| used.least_left);
    assert_eq!(left(&burst), Some(0.0));
    assert_eq!(left(&[burst.clone(), vec![made(1000)]].concat()), Some(0.0), "one a second comes back");
    assert_eq!(left(&[burst, vec![made(500)]].concat()), Some(-0.5));
}
