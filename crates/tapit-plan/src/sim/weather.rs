//! Time, traffic and everything that breaks.

use tapit_model::{
    InstanceKind, Lifecycle, MemoryMib, Moment, Presence, ProcessKey, ProcessTarget, ReasonCode, Revision,
};

use super::Sim;
use super::server::{Held, Server};
use crate::app::{AppInputs, plan_app};
use crate::host::HostMemory;

/// Without anything else the engine looks again after this long.
const IDLE_MILLIS: u64 = 30_000;

impl Sim {
    /// On to the next event, to a time shortly after now, or (when nothing is about to happen) hours ahead.
    pub(super) fn let_time_pass(&mut self) {
        let own = self.server.as_ref().map_or(Some(self.back_at), Server::next_event);
        let next = [own, self.machine.next_event(self.now)].into_iter().flatten().filter(|at| *at > self.now).min();
        let until_next = next.map_or(IDLE_MILLIS, |at| at.since(self.now)).max(1);
        let millis = if self.calm || self.rng.percent(70) {
            until_next.min(IDLE_MILLIS)
        } else if until_next > IDLE_MILLIS && self.rng.percent(30) {
            until_next.min(8 * 3_600_000)
        } else {
            self.rng.between(1, 5_000)
        };
        self.now = self.now.plus_millis(millis);
        self.elapsed += millis;
        let now = self.now;
        if let Some(server) = &mut self.server {
            server.router.tick(now);
        }
    }

    /// What may break in one step.
    pub(super) fn weather(&mut self) {
        if self.rng.per_mille(15) {
            self.kill_server("by kill -9");
        }
        if self.rng.per_mille(3) {
            self.reboot();
        }
        if self.rng.per_mille(30) {
            self.wall_skew = 86_400_000 * (self.rng.below(3) as i64 - 1);
        }
        if self.rng.per_mille(15) {
            self.machine.capacity = MemoryMib::from_mib(512 * self.rng.between(1, 8));
            self.note(format!("capacity {}", self.machine.capacity.mib()));
        }
        if self.rng.per_mille(20) {
            self.machine.host = match self.rng.below(4) {
                0 => HostMemory::Tight,
                1 => HostMemory::Short(MemoryMib::from_mib(self.rng.between(1, 1024))),
                _ => HostMemory::Ample,
            };
            self.note(format!("host {:?}", self.machine.host));
        }
        if self.rng.percent(10) {
            self.machine.deafness_millis = if self.rng.percent(50) { 0 } else { self.rng.below(20_000) };
        }
        if self.rng.percent(6) {
            self.hurt_a_container();
        }
        if self.rng.percent(3) {
            self.sicken_many();
        }
        if self.rng.percent(4) {
            self.interrupt_spot();
        }
    }

    fn hurt_a_container(&mut self) {
        let running: Vec<(ProcessKey, u64)> =
            self.machine.running().map(|(key, serial, _)| (key.clone(), serial)).collect();
        let Some(chosen) = self.rng.pick(&running).cloned() else { return };
        let (now, crashes) = (self.now, self.rng.percent(60));
        let sick_until = now.plus_millis(self.rng.between(500, 90_000));
        let Some(container) = self.machine.containers.get_mut(&chosen) else { return };
        if crashes {
            container.ends_by(now, 139);
        } else {
            container.sick_until = sick_until;
        }
        self.note(format!("{} {} {}", chosen.0, chosen.1, if crashes { "crashes" } else { "sickens" }));
    }

    /// A database is down: all instances of a process fail their checks.
    fn sicken_many(&mut self) {
        let keys: Vec<ProcessKey> = self.machine.records.keys().cloned().collect();
        let Some(chosen) = self.rng.pick(&keys).cloned() else { return };
        let until = self.now.plus_millis(self.rng.between(500, 120_000));
        for ((key, _), container) in &mut self.machine.containers {
            if *key == chosen {
                container.sick_until = until;
            }
        }
        self.note(format!("all of {chosen} sicken"));
    }

    fn interrupt_spot(&mut self) {
        if self.server.is_none() {
            return;
        }
        let is_spot = |facts: &crate::host::InstanceFacts| facts.kind == InstanceKind::Spot && facts.is_live();
        let records = self.machine.records.iter().flat_map(|(key, records)| records.values().map(move |r| (key, r)));
        let spots: Vec<(ProcessKey, u64)> =
            records.filter(|(_, r)| is_spot(&r.facts)).map(|(key, r)| (key.clone(), r.facts.serial)).collect();
        if let Some((key, serial)) = self.rng.pick(&spots).cloned() {
            self.note(format!("{key} {serial} is interrupted"));
            self.drain(&key, serial, ReasonCode::Reclaimed);
        }
    }

    /// The server dies with everything in its memory. It may take a while until somebody starts it again.
    pub(super) fn kill_server(&mut self, when: &str) {
        if self.server.take().is_some() {
            self.seen.server_deaths += 1;
            self.back_at = self.now.plus_millis(if self.rng.percent(50) { 0 } else { self.rng.below(90_000) });
            self.note(format!("the server dies {when}"));
        }
    }

    /// Now and then the server dies at a given place. Answers whether it did.
    pub(super) fn may_die(&mut self, when: &str) -> bool {
        let dies = !self.calm && self.rng.percent(2);
        if dies {
            self.kill_server(when);
        }
        dies
    }

    fn reboot(&mut self) {
        self.note("the machine reboots".to_owned());
        self.kill_server("in a reboot");
        self.seen.reboots += 1;
        // The clock of timers starts anew, and with it what they count.
        self.too_many.clear();
        self.rebooted = true;
        self.machine.reboot();
        self.now = Moment(5_000);
        self.back_at = self.now;
    }

    /// The new server states the whole world to its engine before it looks at anything: what the planner orders without
    /// an observation. Instances of a process that is not named are to go.
    pub(super) fn start_server(&mut self) {
        self.note("the server starts".to_owned());
        self.adopt();
        let mut server = Server::default();
        for app in self.store.apps.keys() {
            let (now, moment, world, images) = (self.wall(), self.now, &self.store, &server.images);
            let plan = plan_app(&AppInputs { now, moment, world, app, observed: &[], images });
            server.held.extend(plan.targets.into_iter().map(|target| (target.key.clone(), Held::new(target))));
        }
        for (key, _) in self.machine.records.iter().filter(|(_, records)| !records.is_empty()) {
            let target = ProcessTarget {
                key: key.clone(),
                revision: Revision(0),
                presence: Presence::Absent(Lifecycle::default()),
            };
            server.held.entry(key.clone()).or_insert_with(|| Held::new(target));
        }
        self.server = Some(server);
    }

    /// Requests from outside, to anybody in the router's table.
    pub(super) fn send_requests(&mut self) -> Result<(), String> {
        let Some(server) = &self.server else { return Ok(()) };
        let backends: Vec<String> = server.router.backends().map(str::to_owned).collect();
        let Some(chosen) = self.rng.pick(&backends).cloned() else { return Ok(()) };
        let is_told = |((key, serial), c): (&(ProcessKey, u64), &super::machine::Container)| {
            c.was_told_to_stop && format!("{}/{}.{serial}", key.app, key.process) == chosen
        };
        if self.machine.containers.iter().any(is_told) {
            return Err(format!("a request is sent to {chosen} after its SIGTERM"));
        }
        self.seen.requests_from_outside += 1;
        let millis = if self.rng.percent(80) { self.rng.below(300) } else { self.rng.below(50_000) };
        let ends_at = self.now.plus_millis(millis);
        if let Some(server) = &mut self.server {
            server.router.send(&chosen, ends_at);
        }
        Ok(())
    }

    /// No faults any more: what was sick is well, what was due hours ahead does not happen, and the server is up.
    pub(super) fn calm_down(&mut self) {
        self.note("calm".to_owned());
        self.calm = true;
        self.machine.deafness_millis = 0;
        self.machine.host = HostMemory::Ample;
        if self.rng.percent(50) {
            // There is room for everybody again, so that nobody need stand in for anybody.
            self.machine.capacity = MemoryMib::from_mib(64 * 1024);
        }
        let now = self.now;
        for container in self.machine.containers.values_mut().filter(|container| container.is_running()) {
            container.sick_until = now;
            if !container.was_told_to_stop && !container.behaviour.is_hopeless() {
                container.ends_at = None;
            }
        }
        if self.server.is_none() {
            self.back_at = now;
        }
    }
}
