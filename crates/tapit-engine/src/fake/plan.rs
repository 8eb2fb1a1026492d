//! What the fake does about the difference between its targets and its instances. Simple on purpose, and a second
//! opinion on the contract: it shares nothing with the planner of the embedded engine.

use std::cmp::Reverse;

use tapit_model::{
    Blocked, BlockedCode, Formation, InstanceId, InstanceKey, InstanceKind, InstanceObserved, InstanceState, LogLine,
    LogStream, Moment, ProcessKey, ReasonCode, Restart,
};

use super::machine::{Machine, Member, Place, stamp};
use crate::Traffic;

/// Stopped instances that a process remembers.
const KEPT: usize = 10;
const LONGEST_WAIT_MILLIS: u64 = 60_000;

/// A place in a formation that nobody fills.
struct Gap {
    key: ProcessKey,
    kind: InstanceKind,
    slot: u32,
    formation: Formation,
    place: Place,
    /// Every instance of its kind serves: one of them may make room.
    all_serve: bool,
}

fn wanted(formation: &Formation, kind: InstanceKind) -> usize {
    match kind {
        InstanceKind::Demand => formation.demand as usize,
        InstanceKind::Spot => formation.spot as usize,
    }
}

/// An old one goes once it serves nobody, or once enough others serve.
fn retire_old(members: &mut [Member], to: (InstanceKind, &Formation), now: Moment, serves: &impl Fn(&Member) -> bool) {
    let (kind, formation) = to;
    let mut serving = members.iter().filter(|m| m.seen.kind == kind && serves(m)).count();
    let old = |m: &&mut Member| m.seen.kind == kind && m.is_live() && m.seen.generation != formation.generation;
    for member in members.iter_mut().filter(old) {
        let is_serving = serves(member);
        // A healthy one that is not routed may just not be known to the router yet.
        let idle = !is_serving && member.seen.state != InstanceState::Healthy;
        if idle || serving - usize::from(is_serving) >= wanted(formation, kind) {
            serving -= usize::from(is_serving);
            let rolled_back = member.seen.generation > formation.generation;
            member.drain(if rolled_back { ReasonCode::RolledBack } else { ReasonCode::Replaced }, now);
        }
    }
}

/// Those that serve nobody go first, then the newest.
fn drop_surplus(
    members: &mut [Member],
    to: (InstanceKind, &Formation),
    now: Moment,
    serves: &impl Fn(&Member) -> bool,
) {
    let (kind, formation) = to;
    let new = |m: &&mut Member| m.seen.kind == kind && m.is_live() && m.seen.generation == formation.generation;
    let mut new: Vec<_> = members.iter_mut().filter(new).collect();
    new.sort_by_key(|member| (serves(member), Reverse(member.serial)));
    let surplus = new.len().saturating_sub(wanted(formation, kind));
    new.into_iter().take(surplus).for_each(|member| member.drain(ReasonCode::Surplus, now));
}

impl Machine {
    /// One second passes.
    pub fn tick(&mut self, traffic: &dyn Traffic) {
        self.now = self.now.plus_millis(super::TICK_MILLIS);
        for process in self.processes.values_mut() {
            for index in 0..process.members.len() {
                process.advance(index, self.now, traffic);
            }
        }
        let mut gaps = Vec::new();
        let keys: Vec<_> = self.processes.keys().cloned().collect();
        for key in &keys {
            gaps.extend(self.follow(key, traffic));
        }
        // Demand of all processes comes before spot of any.
        gaps.sort_by_key(|gap| gap.kind);
        for gap in gaps {
            self.fill(gap);
        }
        for drained in self.draining() {
            traffic.withdraw(&drained);
        }
        let now = self.now;
        self.processes.retain(|_, process| !process.is_gone(now));
    }

    fn draining(&self) -> Vec<InstanceKey> {
        let of = |(key, member): (&ProcessKey, &Member)| {
            let gone = !member.is_live();
            gone.then(|| InstanceKey { app: key.app.clone(), id: member.seen.id.clone() })
        };
        let all = self.processes.iter().flat_map(|(key, process)| process.members.iter().map(move |m| (key, m)));
        all.filter_map(of).collect()
    }

    /// Retires what is not wanted any more; answers what is missing.
    fn follow(&mut self, key: &ProcessKey, traffic: &dyn Traffic) -> Vec<Gap> {
        let now = self.now;
        let Some(process) = self.processes.get_mut(key) else { return Vec::new() };
        process.planned = process.target.as_ref().map(|target| target.revision);
        let Some(formation) = process.formation().cloned() else {
            let live = process.members.iter_mut().filter(|member| member.is_live());
            live.for_each(|member| member.drain(ReasonCode::Deleted, now));
            return Vec::new();
        };
        process.blocked.clear();
        process.places.retain(|(generation, _, _), _| *generation == formation.generation);
        if process.failure.as_ref().is_some_and(|failure| failure.generation != formation.generation) {
            process.failure = None;
        }
        let serves = |member: &Member| {
            let routed = || traffic.is_routed(&InstanceKey { app: key.app.clone(), id: member.seen.id.clone() });
            member.seen.state == InstanceState::Healthy && (!formation.public || routed())
        };
        let mut gaps = Vec::new();
        let done = formation.restart == Restart::Never && process.last_serial > 0;
        for kind in [InstanceKind::Demand, InstanceKind::Spot] {
            let wanted = wanted(&formation, kind);
            retire_old(&mut process.members, (kind, &formation), now, &serves);
            drop_surplus(&mut process.members, (kind, &formation), now, &serves);
            let live: Vec<_> = process.members.iter().filter(|m| m.seen.kind == kind && m.is_live()).collect();
            let new = live.iter().filter(|m| m.seen.generation == formation.generation);
            let taken: Vec<u32> = new.map(|member| member.slot).collect();
            let surge = if live.len() > taken.len() { (wanted / 4).max(1) } else { 0 };
            let missing = wanted.saturating_sub(taken.len()).min((wanted + surge).saturating_sub(live.len()));
            let all_serve = live.iter().all(|member| serves(member));
            for slot in (0..).filter(|slot| !taken.contains(slot)).take(if done { 0 } else { missing }) {
                let place = process.places.get(&(formation.generation, kind, slot)).copied().unwrap_or_default();
                gaps.push(Gap { key: key.clone(), kind, slot, formation: formation.clone(), place, all_serve });
            }
        }
        self.resize(key, &formation);
        self.forget(key);
        gaps
    }

    /// In place, where the new size fits.
    fn resize(&mut self, key: &ProcessKey, formation: &Formation) {
        let mut free = self.capacity.mib().saturating_sub(self.used());
        let members = self.processes.get_mut(key).map(|process| process.members.iter_mut());
        let current = |m: &&mut Member| m.is_live() && m.seen.generation == formation.generation;
        for member in members.into_iter().flatten().filter(current) {
            let grows = formation.size.memory.mib().saturating_sub(member.seen.size.memory.mib());
            if grows <= free {
                free -= grows;
                member.seen.size = formation.size;
            }
        }
    }

    fn forget(&mut self, key: &ProcessKey) {
        let Some(process) = self.processes.get_mut(key) else { return };
        let stopped = process.members.iter().filter(|member| !member.holds_memory()).count();
        let mut over = stopped.saturating_sub(KEPT);
        process.members.retain(|member| {
            let forgotten = over > 0 && !member.holds_memory();
            over -= usize::from(forgotten);
            !forgotten
        });
    }

    fn fill(&mut self, gap: Gap) {
        let wait = match gap.place.failures {
            0 | 1 => 0,
            failures => (1000 << (failures - 2).min(16)).min(LONGEST_WAIT_MILLIS),
        };
        if gap.place.failures > 1 && self.now.since(gap.place.failed_at) < wait {
            return self.block(&gap, BlockedCode::BackOff);
        }
        let need = gap.formation.size.memory.mib();
        let free = self.capacity.mib().saturating_sub(self.used());
        if need <= free {
            return self.start(&gap);
        }
        if gap.kind == InstanceKind::Demand && !self.reclaim(need - free) {
            self.stop_first(&gap);
        }
        self.block(&gap, BlockedCode::Capacity);
    }

    /// Asks spot instances of the whole machine to leave, newest first. What is on its way out already counts. False:
    /// not even all of them would make enough room, so none is asked.
    fn reclaim(&mut self, lacking: u64) -> bool {
        let now = self.now;
        let members = || self.processes.values().flat_map(|process| &process.members);
        let leaving: u64 =
            members().filter(|m| m.holds_memory() && !m.is_live()).map(|m| m.seen.size.memory.mib()).sum();
        let spot = |m: &&Member| m.seen.kind == InstanceKind::Spot && m.is_live();
        let spare: u64 = members().filter(spot).map(|m| m.seen.size.memory.mib()).sum();
        if leaving + spare < lacking {
            return false;
        }
        let mut lacking = lacking.saturating_sub(leaving);
        let members = self.processes.values_mut().flat_map(|process| &mut process.members);
        let mut spares: Vec<_> = members.filter(|m| m.seen.kind == InstanceKind::Spot && m.is_live()).collect();
        spares.sort_by_key(|member| Reverse((member.since, member.serial)));
        for member in spares {
            if lacking == 0 {
                break;
            }
            lacking = lacking.saturating_sub(member.seen.size.memory.mib());
            member.drain(ReasonCode::Reclaimed, now);
        }
        true
    }

    /// Without room for a surge, one old instance makes room for a new one, if another one stays.
    fn stop_first(&mut self, gap: &Gap) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&gap.key) else { return };
        let of_kind = |m: &&Member| m.seen.kind == gap.kind && m.holds_memory();
        let at_rest = process.members.iter().filter(of_kind).all(|m| m.seen.state == InstanceState::Healthy);
        let count = process.members.iter().filter(of_kind).count();
        let old =
            |m: &&mut Member| m.seen.kind == gap.kind && m.is_live() && m.seen.generation != gap.formation.generation;
        if gap.all_serve
            && at_rest
            && count > 1
            && let Some(oldest) = process.members.iter_mut().filter(old).min_by_key(|member| member.serial)
        {
            oldest.drain(ReasonCode::Replaced, now);
        }
    }

    fn start(&mut self, gap: &Gap) {
        let now = self.now;
        let script = self.shelf.script(&gap.formation.image.digest);
        let Some(process) = self.processes.get_mut(&gap.key) else { return };
        let serial = process.last_serial + 1;
        process.last_serial = serial;
        self.serials.insert(gap.key.clone(), serial);
        let before = |m: &&Member| {
            !m.is_live() && (m.seen.generation, m.seen.kind, m.slot) == (gap.formation.generation, gap.kind, gap.slot)
        };
        let last_exit = process.members.iter().rfind(before).and_then(|member| member.seen.last_exit);
        let seen = InstanceObserved {
            id: InstanceId::of_serial(&gap.key.process, serial),
            kind: gap.kind,
            generation: gap.formation.generation,
            state: InstanceState::Starting,
            reason: None,
            size: gap.formation.size,
            ip: Some(std::net::Ipv4Addr::LOCALHOST),
            port: Some(gap.formation.port.get()),
            created_at: stamp(now),
            started_at: Some(stamp(now)),
            healthy_at: None,
            stopped_at: None,
            restarts: gap.place.failures,
            last_exit,
        };
        let script = script.unwrap_or_else(super::Script::never_healthy);
        let line = |text: &String| LogLine { at: stamp(now), stream: LogStream::Stdout, text: text.clone() };
        let log = script.log.iter().map(line).collect();
        process.members.push(Member { seen, serial, slot: gap.slot, script, log, since: now });
    }

    fn block(&mut self, gap: &Gap, code: BlockedCode) {
        let Some(process) = self.processes.get_mut(&gap.key) else { return };
        let counts = match gap.kind {
            InstanceKind::Demand => (1, 0),
            InstanceKind::Spot => (0, 1),
        };
        let same = process.blocked.iter_mut().find(|b| b.code == code && (b.demand > 0) == (counts.0 > 0));
        match same {
            Some(blocked) => {
                blocked.demand += counts.0;
                blocked.spot += counts.1;
            }
            None => {
                let text = format!("{} instances wait ({})", gap.kind.as_str(), code.as_str());
                process.blocked.push(Blocked { code, text, demand: counts.0, spot: counts.1 });
            }
        }
    }
}
