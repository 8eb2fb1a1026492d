//! Stand-ins: demand instances in the place of spot instances that cannot be had (`spot_fallback`).
//!
//! ```text
//!              missing for spot_fallback                    healthy for 30 s
//! healthy ──► missing ─────────────────► missing, stood in ──► back ───────► healthy, paid back
//!    ▲           │ healthy                       ▲               │ missing
//!    └───────────┘                               └───────────────┘
//! ```
//!
//! Spot instances are told apart by number alone: the k-th has been missing since when at least k were. The count of spot
//! instances that is ordered never changes, so that the engine goes on trying.
//!
//! A rollout replaces spot instances, so while one runs nothing is noted and nothing is paid back; a shortage that began
//! before goes on. Nobody stands in for a program that fails: it would fail on demand as well.

use tapit_model::{
    Change, CountChange, Event, EventKind, Fallback, InstanceKind, Moment, Process, ProcessObserved, ProcessSpec,
    Revision, RolloutState, Seconds,
};

use super::types::{AppInputs, AppPlan};
use super::{sight, target};

/// So long must spot instances be healthy again before what stood in for them goes. Spot capacity that has only just come
/// back is often taken again at once, and a stand-in costs less than the gap that would be left. It is a time of its own
/// because `min_healthy_time` says how long a program takes to prove itself, and nothing of the capacity.
const BACK_MILLIS: u64 = 30_000;

/// Stand-ins raise the revision as far as an admitted change does; see the module doc of `app`.
const REVISION_STEP: u64 = 2;

/// Adds to the plan what changes for one process, and when to look again.
pub(super) fn settle(plan: &mut AppPlan, inputs: &AppInputs, process: &Process, observed: Option<&ProcessObserved>) {
    let Some(after) = process.spec.spot_fallback.filter(|_| !process.deleting && !process.spec.disabled) else {
        return;
    };
    // An engine that has not acted on this revision, nor on what stands in while its image is fetched, says nothing about it.
    let Some(seen) = observed.filter(|seen| seen.revision.0 + 1 >= process.revision.0) else { return };
    let look = Look { process, after, now: inputs.moment, seen, rolling: is_rolling(inputs, process) };
    let next = look.next();
    if next == process.fallback {
        plan.look_again = [plan.look_again, look.again()].into_iter().flatten().min();
        return;
    }
    let (before, now) = (process.fallback.stand_ins, next.stand_ins);
    if before != now {
        let (kind, text) = words(before, now, after);
        let (at, key) = (inputs.now, &process.key);
        let process = Some(key.process.clone());
        plan.events.push(Event { at, app: key.app.clone(), process, instance: None, kind, text });
    }
    plan.changes.push(Change::PutProcess(with(process, next)));
}

/// The notes that a process takes along to a new spec: what is not wanted any more needs nobody to stand in for it, from
/// this moment on.
pub(super) fn carried(process: &Process, spec: &ProcessSpec) -> Fallback {
    let wanted = spec.wanted(InstanceKind::Spot);
    if spec.spot_fallback.is_none() || wanted == 0 {
        return Fallback::default();
    }
    let mut next = process.fallback.clone();
    let fewer = process.spec.wanted(InstanceKind::Spot).saturating_sub(wanted) as usize;
    // Those that are missing go first; they were noted last.
    let kept = next.missing.len().saturating_sub(fewer);
    let rest = fewer.saturating_sub(next.missing.len());
    next.missing.truncate(kept);
    next.back.truncate(next.back.len().saturating_sub(rest));
    let places = sight::number(next.missing.len() + next.back.len());
    next.stand_ins = next.stand_ins.min(places);
    next
}

/// Whether the demand instances of a generation suffice: all are healthy, or only stand-ins are missing that there is no
/// room for. Missing capacity for them is as little a failure as missing spot capacity.
pub(super) fn suffices(process: &Process, generation: u64, seen: Option<&ProcessObserved>) -> bool {
    let healthy = sight::healthy(seen, generation, InstanceKind::Demand);
    let enough = healthy >= process.spec.wanted(InstanceKind::Demand);
    healthy >= process.wanted(InstanceKind::Demand) || (enough && sight::lacks_room(seen, InstanceKind::Demand))
}

fn is_rolling(inputs: &AppInputs, process: &Process) -> bool {
    inputs.world.rollouts.get(&process.key).is_some_and(|rollout| rollout.state == RolloutState::Running)
}

fn with(process: &Process, mut fallback: Fallback) -> Process {
    let mut revision = process.revision;
    if fallback.stand_ins != process.fallback.stand_ins {
        revision = Revision(revision.0 + REVISION_STEP);
        fallback.raised += REVISION_STEP;
    }
    Process { revision, fallback, ..process.clone() }
}

/// One process with all that the decision needs.
struct Look<'a> {
    process: &'a Process,
    after: Seconds,
    now: Moment,
    seen: &'a ProcessObserved,
    rolling: bool,
}

impl Look<'_> {
    fn next(&self) -> Fallback {
        let mut next = self.process.fallback.clone();
        let missing = self.missing();
        if !self.rolling {
            self.note(&mut next, missing);
            self.pay_back(&mut next);
        }
        next.stand_ins = next.stand_ins.max(self.due(&next).min(missing).min(self.room()));
        next
    }

    /// Spot instances of whatever generation serve.
    fn missing(&self) -> u32 {
        let is_up = |i: &&tapit_model::InstanceObserved| {
            i.kind == InstanceKind::Spot && i.state == tapit_model::InstanceState::Healthy
        };
        let healthy = sight::number(self.seen.instances.iter().filter(is_up).count());
        self.process.spec.wanted(InstanceKind::Spot).saturating_sub(healthy)
    }

    /// The most stand-ins that there may be beside the demand instances that were asked for.
    fn room(&self) -> u32 {
        CountChange::MAX.saturating_sub(self.process.spec.demand)
    }

    /// Enters who is missing now, and of those with a stand-in who is back.
    fn note(&self, next: &mut Fallback, missing: u32) {
        let Fallback { stand_ins, missing: gone, back, .. } = next;
        // A time in the future is of an earlier boot.
        gone.iter_mut().chain(back.iter_mut()).for_each(|since| *since = (*since).min(self.now));
        let (before, now) = (gone.len(), missing as usize);
        if now < before {
            let stood_in = (*stand_ins as usize).min(before).saturating_sub(now);
            gone.truncate(now);
            back.splice(0..0, std::iter::repeat_n(self.now, stood_in));
        } else {
            gone.resize(now, self.now);
            back.drain(..back.len().min(now - before));
        }
    }

    fn pay_back(&self, next: &mut Fallback) {
        while next.back.last().is_some_and(|since| self.now.since(*since) >= BACK_MILLIS) {
            next.back.pop();
            next.stand_ins = next.stand_ins.saturating_sub(1);
        }
    }

    /// So many have been missing for long enough.
    fn due(&self, notes: &Fallback) -> u32 {
        if self.is_failing() {
            return 0;
        }
        let long = |since: &&Moment| self.now.since(**since) >= self.after.millis();
        sight::number(notes.missing.iter().filter(long).count())
    }

    /// Every attempt fails and none was healthy since. Where there is no room for an attempt, the last failures say nothing.
    fn is_failing(&self) -> bool {
        let (seen, generation) = (Some(self.seen), target::generation(self.process));
        let healthy = |kind| sight::healthy(seen, generation, kind);
        sight::given_up(seen, generation).is_some()
            && healthy(InstanceKind::Demand) + healthy(InstanceKind::Spot) == 0
            && !sight::lacks_room(seen, InstanceKind::Spot)
    }

    /// When the next stand-in is due or can be paid back, as far as it is known already. What hinders one that is due now
    /// ends with something that is seen.
    fn again(&self) -> Option<Moment> {
        let notes = &self.process.fallback;
        let next_missing = notes.missing.get(notes.stand_ins as usize).map(|at| at.plus_millis(self.after.millis()));
        let next_back = notes.back.last().map(|at| at.plus_millis(BACK_MILLIS));
        [next_missing, next_back].into_iter().flatten().filter(|at| *at > self.now).min()
    }
}

fn words(before: u32, now: u32, after: Seconds) -> (EventKind, String) {
    let instances = |count: u32| if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") };
    if now > before {
        let runs = if now == 1 { "runs" } else { "run" };
        let text = format!("spot has been missing for {after}: {} {runs} on demand instead", instances(now));
        return (EventKind::FallbackStarted, text);
    }
    let rest = match now {
        0 => "none is left on demand in place of spot".to_owned(),
        1 => "1 instance on demand in place of spot stays".to_owned(),
        _ => format!("{now} instances on demand in place of spot stay"),
    };
    (EventKind::FallbackPaidBack, format!("spot is back for {}: {rest}", instances(before - now)))
}
