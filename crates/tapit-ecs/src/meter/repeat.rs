//! Whether a failed call is made again by itself, and when. Pure, but for the one source of chance.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::api::{ApiFault, Operation};

/// Of one call, at most. Whoever made it plans again anyhow, so more would only be patience in the wrong place.
pub const TRIES: u32 = 4;
/// Before the first repetition, at most; each further one waits up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Whether the same call may succeed in a moment, and does no harm if it was carried out already.
pub fn is_worth_it(operation: Operation, fault: ApiFault) -> bool {
    match fault {
        // Nothing was carried out.
        ApiFault::Throttled => true,
        // Each registration that is carried out is another revision, and of a task that may run it must be known that no
        // answer has told; every other call finds what it has made before.
        ApiFault::Unavailable => !matches!(operation, Operation::RegisterTaskDefinition | Operation::RunTask),
        // Those take longer than anybody should wait here, or somebody to change something.
        ApiFault::InUse
        | ApiFault::NotFound
        | ApiFault::AlreadyExists
        | ApiFault::NotActive
        | ApiFault::Denied
        | ApiFault::Credentials
        | ApiFault::Quota
        | ApiFault::Capacity
        | ApiFault::Invalid => false,
    }
}

/// How long to wait after so many failures before this one. Chance, from 0 to 1, keeps those apart that failed together.
pub fn pause(earlier: u32, chance: f64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << earlier.min(16)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

/// From 0 to 1. Good enough to keep calls apart, and no more than that.
pub fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 32) as f64 / u32::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_chance_takes_up_to_half() {
        let pauses = |chance| (0..6).map(|earlier| pause(earlier, chance).as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(1.0), [800, 1_600, 3_200, 6_400, 8_000, 8_000]);
        assert_eq!(pauses(0.0), [400, 800, 1_600, 3_200, 4_000, 4_000]);
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }

    #[test]
    fn chance_stays_in_its_range_and_differs() {
        let values: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!(values.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
