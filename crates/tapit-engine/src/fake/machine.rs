//! The fake's machine: instances that live by their scripts, one tick at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use tapit_model::{
    Blocked, EngineKind, Exit, Failure, Formation, InstanceId, InstanceKey, InstanceKind, InstanceObserved,
    InstanceState, LogLine, MemoryMib, Moment, Presence, ProcessKey, ProcessTarget, Reason, ReasonCode, Revision,
    Timestamp,
};

use super::script::{Ending, Script, Shelf};
use crate::Traffic;

/// A tick is a second of the fake's clock.
pub const TICK_MILLIS: u64 = 1000;

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub seen: InstanceObserved,
    pub serial: u64,
    pub slot: u32,
    pub script: Script,
    pub log: Vec<LogLine>,
    /// Moment of the last change of state.
    pub since: Moment,
}

impl Member {
    pub fn is_live(&self) -> bool {
        self.seen.state.is_live()
    }

    pub fn holds_memory(&self) -> bool {
        self.seen.state != InstanceState::Stopped
    }

    fn enter(&mut self, state: InstanceState, now: Moment) {
        self.seen.state = state;
        self.since = now;
    }

    pub fn drain(&mut self, why: ReasonCode, now: Moment) {
        let text = format!("told to stop ({why:?})");
        self.seen.reason = Some(Reason { code: why, text });
        self.enter(InstanceState::Draining, now);
    }
}

/// Failures in a row of one place, and when the last one was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub failures: u32,
    pub failed_at: Moment,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub target: Option<ProcessTarget>,
    /// Of the target that was followed last.
    pub planned: Option<Revision>,
    pub members: Vec<Member>,
    pub last_serial: u64,
    pub places: BTreeMap<(u64, InstanceKind, u32), Place>,
    pub blocked: Vec<Blocked>,
    pub failure: Option<Failure>,
}

impl Process {
    pub fn formation(&self) -> Option<&Formation> {
        match &self.target.as_ref()?.presence {
            Presence::Present(formation) => Some(formation),
            Presence::Absent(_) => None,
        }
    }

    /// Nothing is wanted and nothing is left, and that for a tick already, so that every end was there to be seen.
    pub fn is_gone(&self, now: Moment) -> bool {
        let long_stopped = |member: &Member| !member.holds_memory() && member.since < now;
        self.formation().is_none() && self.members.iter().all(long_stopped)
    }

    /// An end that nobody ordered.
    pub fn fail(&mut self, index: usize, ending: (Option<Exit>, Reason), now: Moment) {
        let (exit, reason) = ending;
        let generation = self.formation().map(|formation| formation.generation);
        let member = &mut self.members[index];
        let deadline_passed = reason.code == ReasonCode::Unhealthy && member.seen.healthy_at.is_none();
        let place = self.places.entry((member.seen.generation, member.seen.kind, member.slot)).or_default();
        place.failures += 1;
        place.failed_at = now;
        stop(member, exit, now);
        member.seen.reason = Some(reason.clone());
        if generation == Some(member.seen.generation) {
            let same = self.failure.as_ref().filter(|failure| failure.generation == member.seen.generation);
            self.failure = Some(Failure {
                generation: member.seen.generation,
                in_a_row: same.map_or(0, |failure| failure.in_a_row) + 1,
                deadline_passed,
                instance: member.seen.id.clone(),
                reason,
                exit,
            });
        }
    }

    /// One tick in the life of one instance.
    pub fn advance(&mut self, index: usize, now: Moment, traffic: &dyn Traffic) {
        let formation = self.formation().cloned();
        let member = &mut self.members[index];
        let age = now.since(member.since);
        let ticks = age / TICK_MILLIS;
        match member.seen.state {
            InstanceState::Starting => {
                let timeout = formation.map_or(u64::MAX, |formation| formation.health_timeout.millis());
                if let Some((after, ending)) = member.script.ends_after
                    && ticks >= u64::from(after)
                {
                    self.fail(index, (Some(ending.exit(stamp(now))), ending.reason()), now);
                } else if member.script.healthy_after.is_some_and(|after| ticks >= u64::from(after)) {
                    member.enter(InstanceState::Healthy, now);
                    member.seen.reason = None;
                    member.seen.healthy_at = Some(stamp(now));
                    if self.failure.as_ref().is_some_and(|failure| failure.generation == member.seen.generation) {
                        self.failure = None;
                    }
                } else if age >= timeout {
                    let text = "did not get healthy in time".to_owned();
                    self.fail(index, (None, Reason { code: ReasonCode::Unhealthy, text }), now);
                }
            }
            InstanceState::Draining => {
                let key = InstanceKey { app: self.key_app(), id: self.members[index].seen.id.clone() };
                let patience = formation.map_or(0, |formation| formation.lifecycle.drain_timeout.millis());
                if !traffic.is_routed(&key) && (traffic.in_flight(&key) == 0 || age >= patience) {
                    self.members[index].enter(InstanceState::Stopping, now);
                }
            }
            InstanceState::Stopping => stop(member, Some(Ending::Exit(143).exit(stamp(now))), now),
            InstanceState::Healthy
            | InstanceState::Pending
            | InstanceState::Pulling
            | InstanceState::Unhealthy
            | InstanceState::Stopped => {}
        }
    }

    fn key_app(&self) -> tapit_model::AppName {
        let target = self.target.as_ref().expect("a process with instances has a target");
        target.key.app.clone()
    }
}

fn stop(member: &mut Member, exit: Option<Exit>, now: Moment) {
    member.enter(InstanceState::Stopped, now);
    member.seen.stopped_at = Some(stamp(now));
    member.seen.last_exit = exit;
}

/// The fake's wall clock is its own clock.
pub(super) fn stamp(now: Moment) -> Timestamp {
    Timestamp(i64::try_from(now.0).unwrap_or(i64::MAX))
}

#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub now: Moment,
    pub capacity: MemoryMib,
    pub processes: BTreeMap<ProcessKey, Process>,
    pub shelf: Shelf,
    /// Serials outlive their processes.
    pub serials: BTreeMap<ProcessKey, u64>,
    /// What the engine says that it is.
    pub kind: EngineKind,
    pub log_lag: Duration,
}

impl Machine {
    pub fn used(&self) -> u64 {
        let members = self.processes.values().flat_map(|process| &process.members);
        members.filter(|member| member.holds_memory()).map(|member| member.seen.size.memory.mib()).sum()
    }

    pub fn member_mut(&mut self, instance: &InstanceKey) -> Option<&mut Member> {
        let of_app = self.processes.iter_mut().filter(|(key, _)| key.app == instance.app);
        of_app.flat_map(|(_, process)| &mut process.members).find(|member| member.seen.id == instance.id)
    }

    /// Ends a running instance as if it had done so itself. One that was told to stop has only been quicker.
    pub fn end(&mut self, instance: &InstanceKey, ending: Ending) -> bool {
        let now = self.now;
        for process in self.processes.iter_mut().filter(|(key, _)| key.app == instance.app).map(|(_, p)| p) {
            let running = |member: &Member| member.seen.id == instance.id && member.holds_memory();
            if let Some(index) = process.members.iter().position(running) {
                let exit = Some(ending.exit(stamp(now)));
                match process.members[index].is_live() {
                    true => process.fail(index, (exit, ending.reason()), now),
                    false => stop(&mut process.members[index], exit, now),
                }
                return true;
            }
        }
        false
    }

    /// Gives a notice to the newest live spot instances of a process.
    pub fn interrupt(&mut self, key: &ProcessKey, count: usize) -> Vec<InstanceId> {
        let now = self.now;
        let members = self.processes.get_mut(key).map(|process| process.members.iter_mut());
        let spot = |member: &&mut Member| member.seen.kind == InstanceKind::Spot && member.is_live();
        let mut newest: Vec<_> = members.into_iter().flatten().filter(spot).collect();
        newest.sort_by_key(|member| std::cmp::Reverse(member.serial));
        newest.truncate(count);
        newest.iter_mut().for_each(|member| member.drain(ReasonCode::Reclaimed, now));
        newest.iter().map(|member| member.seen.id.clone()).collect()
    }
}
