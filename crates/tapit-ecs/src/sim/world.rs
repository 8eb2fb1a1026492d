//! Everything that is in the account, and its time.
//!
//! What happens to one noun is said in the noun's own file, as methods of `World`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tapit_model::Timestamp;

use super::balancer::Balancers;
use super::behaviour::Script;
use super::capacity::Capacity;
use super::cluster::Cluster;
use super::definition::Family;
use super::due::{Due, Happening};
use super::log::LogGroup;
use super::network::Networks;
use super::repository::Repositories;
use super::role::Role;
use super::setup::Setup;
use super::target::TargetGroup;
use super::task::{Task, TaskId};

#[derive(Debug, Clone)]
pub(super) struct World {
    pub setup: Arc<Setup>,
    /// In milliseconds.
    pub now: i64,
    serial: u64,
    pub due: Due,
    pub script: Script,
    pub clusters: BTreeMap<String, Cluster>,
    pub families: BTreeMap<String, Family>,
    pub tasks: BTreeMap<TaskId, Task>,
    pub capacity: Capacity,
    pub networks: Networks,
    pub balancers: Balancers,
    /// By ARN.
    pub target_groups: BTreeMap<String, TargetGroup>,
    pub logs: BTreeMap<String, LogGroup>,
    pub roles: BTreeMap<String, Role>,
    pub repositories: Repositories,
    /// Requests that are under way to an address.
    pub in_flight: BTreeMap<Ipv4Addr, u32>,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        Self {
            now: setup.start.0,
            serial: 0,
            due: Due::default(),
            script: Script::default(),
            clusters: BTreeMap::new(),
            families: BTreeMap::new(),
            tasks: BTreeMap::new(),
            capacity: Capacity::of(&setup),
            networks: Networks::of(&setup),
            balancers: Balancers::default(),
            target_groups: BTreeMap::new(),
            logs: BTreeMap::new(),
            roles: BTreeMap::new(),
            repositories: Repositories::default(),
            in_flight: BTreeMap::new(),
            setup: Arc::new(setup),
        }
    }

    pub fn timestamp(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Lets everything happen that is due, each at its own time, so that it does not matter how time was moved.
    pub fn run_until(&mut self, now: i64) {
        while let Some((at, what)) = self.due.next(now) {
            self.now = self.now.max(at);
            match what {
                Happening::Schedule(service) => self.schedule(&service),
                Happening::ForgetService(service) => self.forget_service(&service),
                Happening::Step { task, turn, step } => self.step(&task, turn, step),
            }
        }
        self.now = self.now.max(now);
    }

    /// The next number of this account.
    pub fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A new name of so many hexadecimal digits, without an order that anybody could rely on.
    pub fn name(&mut self, digits: usize) -> String {
        let number = self.next();
        let whole: String = (0..2).map(|half| format!("{:016x}", mix(self.setup.seed, number * 2 + half))).collect();
        whole.chars().take(digits).collect()
    }

    /// `arn:aws:SERVICE:REGION:ACCOUNT:REST`
    pub fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{rest}", self.setup.region, self.setup.account)
    }
}

/// Spreads numbers evenly: the finishing steps of SplitMix64.
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
