//! Simulated days of a server on a machine, driven through the real planners, checked after every step.
//!
//! A seed decides everything: what users ask for, how their images behave, what breaks and when. `run` plays one seed and
//! answers what it saw or, with a trace, what went wrong; `tests/simulator.rs` plays many. The engine, the router and the
//! store are small models of the real ones with the same rules about what is written before what: the store, the records
//! of instances and the containers survive the death of the server, everything else does not.
//!
//! It covers no clock but its own, no file, no network and no container.

mod behaviour;
mod check;
mod engine;
mod machine;
mod observe;
mod rng;
mod router;
mod server;
mod settled;
mod standins;
mod tasks;
mod user;
mod watch;
mod weather;

use std::collections::BTreeMap;

use tapit_model::{MemoryMib, Moment, ProcessKey, World};

use machine::Machine;
use rng::Rng;
use server::Server;

/// What a seed came to see. Summed up over many seeds it shows that nothing interesting was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    pub steps: u64,
    pub simulated_hours: u64,
    pub starts: u64,
    pub requests_from_outside: u64,
    pub requests_from_users: u64,
    pub server_deaths: u64,
    pub reboots: u64,
    pub successes: u64,
    pub rollbacks: u64,
    pub reclaimed: u64,
    pub stop_first: u64,
    /// Times that demand instances came to stand in for spot ones, and went again because spot was back.
    pub stood_in: u64,
    pub paid_back: u64,
    pub tasks_succeeded: u64,
    pub tasks_failed: u64,
    pub tasks_stopped: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Seen) {
        self.steps += other.steps;
        self.simulated_hours += other.simulated_hours;
        self.starts += other.starts;
        self.requests_from_outside += other.requests_from_outside;
        self.requests_from_users += other.requests_from_users;
        self.server_deaths += other.server_deaths;
        self.reboots += other.reboots;
        self.successes += other.successes;
        self.rollbacks += other.rollbacks;
        self.reclaimed += other.reclaimed;
        self.stop_first += other.stop_first;
        self.stood_in += other.stood_in;
        self.paid_back += other.paid_back;
        self.tasks_succeeded += other.tasks_succeeded;
        self.tasks_failed += other.tasks_failed;
        self.tasks_stopped += other.tasks_stopped;
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub seed: u64,
    pub step: u64,
    pub what: String,
    /// The last lines before it.
    pub trace: Vec<String>,
}

/// Lines of trace that are kept.
const TRACE: usize = 5_000;

/// After this much simulated time without faults and requests, everything must have settled.
const CALM_MILLIS: u64 = 2 * 3_600_000;
/// All must have been settled at two looks this far apart.
const LOOK_MILLIS: u64 = 300_000;
/// No calm takes more steps than this.
const CALM_STEPS: u64 = 20_000;

pub(crate) struct Sim {
    rng: Rng,
    now: Moment,
    /// Milliseconds that went by; unlike `now` it goes on over a reboot.
    elapsed: u64,
    /// What the wall clock is off by.
    wall_skew: i64,
    /// The machine was rebooted since the server last ran: containers without a trace are lost, not unmade.
    rebooted: bool,
    /// No faults and no requests any more.
    calm: bool,
    machine: Machine,
    store: World,
    /// Since when, in time that goes by, more stand in for spot instances than are missing.
    too_many: BTreeMap<ProcessKey, (u32, u64)>,
    server: Option<Server>,
    /// When a dead server is started again.
    back_at: Moment,
    seen: Seen,
    trace: Vec<String>,
}

/// Plays one seed: so many steps of anything, and then calm until all is settled.
pub fn run(seed: u64, steps: u64) -> Result<Seen, Box<Broken>> {
    let mut rng = Rng::new(seed);
    let capacity = MemoryMib::from_mib(512 * (2 + rng.below(7)));
    let mut sim = Sim {
        rng,
        now: Moment(1_000_000),
        elapsed: 0,
        wall_skew: 0,
        rebooted: false,
        calm: false,
        machine: Machine::new(capacity),
        store: World::default(),
        too_many: BTreeMap::new(),
        server: None,
        back_at: Moment::default(),
        seen: Seen::default(),
        trace: Vec::new(),
    };
    let outcome = sim.play(steps);
    let Sim { mut seen, trace, elapsed, .. } = sim;
    seen.simulated_hours = elapsed / 3_600_000;
    outcome.map(|()| seen).map_err(|what| Box::new(Broken { seed, step: seen.steps, what, trace }))
}

impl Sim {
    fn play(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            self.step()?;
        }
        self.calm_down();
        let (end, last) = (self.elapsed + CALM_MILLIS, self.seen.steps + CALM_STEPS);
        let mut settled_before = false;
        while self.elapsed < end && self.seen.steps < last {
            let next_look = self.elapsed + LOOK_MILLIS;
            while self.elapsed < next_look && self.seen.steps < last {
                self.step()?;
            }
            let is_settled = settled::check(self).is_ok();
            if is_settled && settled_before {
                return Ok(());
            }
            settled_before = is_settled;
        }
        settled::check(self)
    }

    fn step(&mut self) -> Result<(), String> {
        self.seen.steps += 1;
        self.let_time_pass();
        self.machine.tick(self.now);
        if !self.calm {
            self.user_may_ask()?;
            self.weather();
        }
        if self.server.is_none() && self.back_at <= self.now {
            self.start_server();
        }
        // Twice: the first round may have published routes or noticed exits that the second acts on.
        for _ in 0..2 {
            self.reconcile()?;
            self.run_engine()?;
            self.send_requests()?;
        }
        Ok(())
    }

    fn note(&mut self, line: String) {
        if self.trace.len() >= TRACE {
            self.trace.drain(..TRACE / 4);
        }
        self.trace.push(format!("[{} @{}] {line}", self.seen.steps, self.now.0));
    }
}
