//! What AWS has to spare, and how many tasks it lets an account start at once.

use std::collections::BTreeMap;

use super::setup::Setup;
use crate::api::Provider;

pub(super) const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone.";

#[derive(Debug, Clone)]
pub(super) struct Capacity {
    /// Most tasks of a provider in this region; without an entry there is no end of it.
    pub limits: BTreeMap<Provider, u32>,
    used: BTreeMap<Provider, u32>,
    launches: BTreeMap<Provider, Bucket>,
}

/// In thousandths of a launch.
#[derive(Debug, Clone)]
struct Bucket {
    holds: i64,
    full: i64,
    per_second: i64,
    at: i64,
}

/// Whether a task may start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    Starts,
    TooFast,
    NoCapacity,
}

impl Capacity {
    pub fn of(setup: &Setup) -> Self {
        let full = i64::from(setup.quotas.launches) * 1000;
        let per_second = i64::from(setup.quotas.launches_per_second) * 1000;
        let bucket = || Bucket { holds: full, full, per_second, at: setup.start.0 };
        let launches = [Provider::Fargate, Provider::FargateSpot].map(|provider| (provider, bucket())).into();
        Self { limits: BTreeMap::new(), used: BTreeMap::new(), launches }
    }

    pub fn take(&mut self, provider: Provider, now: i64) -> Grant {
        let used = self.used.entry(provider).or_default();
        if self.limits.get(&provider).is_some_and(|limit| *used >= *limit) {
            return Grant::NoCapacity;
        }
        if let Some(bucket) = self.launches.get_mut(&provider) {
            let refilled = bucket.holds + (now - bucket.at) * bucket.per_second / 1000;
            (bucket.holds, bucket.at) = (refilled.min(bucket.full), now);
            if bucket.holds < 1000 {
                return Grant::TooFast;
            }
            bucket.holds -= 1000;
        }
        *used += 1;
        Grant::Starts
    }

    pub fn give_back(&mut self, provider: Provider) {
        let used = self.used.entry(provider).or_default();
        *used = used.saturating_sub(1);
    }
}
