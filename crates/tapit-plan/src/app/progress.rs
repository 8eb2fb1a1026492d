//! How far a change has come: what `--wait` shows, and when it may return.

use std::collections::BTreeMap;

use tapit_model::{
    AppName, Blocked, BlockedCode, ImageSource, InstanceKind, InstanceObserved, InstanceState, Process, ProcessKey,
    ProcessObserved, Progress, Revision, Rollout, RolloutState, Task, TaskId, TaskState, Template, World,
};

use super::{fallback, sight, target, task};

/// What is known when the question is asked.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub world: &'a World,
    /// Of every app: room may come from instances that leave elsewhere.
    pub observed: &'a [ProcessObserved],
    /// What the app's last plan waited for.
    pub blocked: &'a BTreeMap<ProcessKey, Vec<Blocked>>,
}

/// What the question is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Process(&'a ProcessKey),
    /// All processes of the app, each at its newest revision.
    App(&'a AppName),
}

/// Judges the newest state; `revision` is the one that the change was admitted with. What was deleted is done well, but
/// for a task.
pub fn progress(seen: &Seen, subject: Subject, revision: Revision) -> Progress {
    match subject {
        Subject::Process(key) => match seen.world.processes.get(key) {
            Some(process) => match &process.task {
                Some(task) => of_task(seen, process, task),
                None => of_process(seen, process, revision),
            },
            None => gone(key),
        },
        Subject::App(name) if !seen.world.apps.contains_key(name) => done(format!("app {name} is gone")),
        Subject::App(name) => of_app(seen, name),
    }
}

/// Whoever waits for the end of a task is not told that it went well when nobody knows.
fn gone(key: &ProcessKey) -> Progress {
    match TaskId::of(&key.process) {
        Some(id) => given_up(format!("task {id} is gone; how it ended is not known any more")),
        None => done(format!("process {} is gone", key.process)),
    }
}

/// Settled when every process is, so that one failure does not hide how its siblings fare.
fn of_app(seen: &Seen, name: &AppName) -> Progress {
    let deleting = seen.world.apps.get(name).is_some_and(|app| app.deleting);
    let mut sum = Progress { settled: !deleting, ok: true, text: String::new(), log_tail: Vec::new() };
    let mut texts = Vec::new();
    for process in seen.world.processes_of(name) {
        // A rollback is the outcome of the change, never news from before it: ask for the revision that failed.
        let newest = process.asked_revision();
        let asked = if process.rolled_back { Revision(newest.0.saturating_sub(1)) } else { newest };
        let part = of_process(seen, process, asked);
        sum.settled &= part.settled;
        sum.ok &= part.ok;
        texts.push(format!("{}: {}", process.key.process, part.text));
        if sum.log_tail.is_empty() {
            sum.log_tail = part.log_tail;
        }
    }
    sum.ok &= sum.settled;
    let tasks = if deleting { seen.world.tasks_of(name).len() } else { 0 };
    if tasks > 0 {
        texts.push(format!("{tasks} one-off tasks left"));
    }
    sum.text = if texts.is_empty() { format!("app {name} has no process") } else { texts.join("; ") };
    sum
}

fn of_process(seen: &Seen, process: &Process, asked: Revision) -> Progress {
    let observed = sight::of(seen.observed, &process.key);
    if process.deleting {
        return moving(format!("{} instances left", sight::left(observed)));
    }
    let look = Look { process, observed, rollout: seen.world.rollouts.get(&process.key), asked };
    let mut progress = judge(seen, &look);
    // A rollback raises the revision by one and is an outcome, not somebody else's change.
    let own = if process.rolled_back { asked.0 + 1 } else { asked.0 };
    if process.asked_revision().0 > own {
        progress.text = format!("superseded by a newer change, which is judged here: {}", progress.text);
    }
    progress
}

/// Settled once it has ended.
fn of_task(seen: &Seen, process: &Process, task: &Task) -> Progress {
    let Some(end) = &task.end else {
        let state = task::task_state(process, task, sight::of(seen.observed, &process.key));
        // The last plan may be from before the request to stop.
        let waits = seen.blocked.get(&process.key).filter(|_| state == TaskState::Pending);
        let blocked = waits.and_then(|blocked| blocked.first());
        let why = blocked.map(|blocked| format!(": {}", blocked.text)).unwrap_or_default();
        return moving(format!("task {} is {}{why}", task.id, state.as_str()));
    };
    let text = end.describe(task.id);
    if end.state() == TaskState::Succeeded { done(text) } else { given_up(text) }
}

/// One process with all that its judgement needs.
struct Look<'a> {
    process: &'a Process,
    observed: Option<&'a ProcessObserved>,
    rollout: Option<&'a Rollout>,
    asked: Revision,
}

impl Look<'_> {
    fn wanted(&self, kind: InstanceKind) -> u32 {
        self.process.wanted(kind)
    }

    fn healthy(&self, kind: InstanceKind) -> u32 {
        sight::healthy(self.observed, target::generation(self.process), kind)
    }

    /// The engine holds the newest target; what it reports is about that.
    fn is_held(&self) -> bool {
        self.observed.is_some_and(|seen| seen.revision >= self.process.revision)
    }

    fn template<'a>(&self, seen: &Seen<'a>) -> Option<&'a Template> {
        let key = (self.process.key.clone(), target::generation(self.process));
        seen.world.generations.get(&key).map(|generation| &generation.template)
    }

    /// Running instances that a new size has not reached yet.
    fn resizing(&self, seen: &Seen) -> usize {
        let Some(size) = self.template(seen).map(|template| template.size) else { return 0 };
        let generation = target::generation(self.process);
        let behind = |i: &&InstanceObserved| i.generation == generation && i.state.is_live() && i.size != size;
        sight::instances(self.observed).iter().filter(behind).count()
    }

    fn rollout_in(&self, state: RolloutState) -> Option<&Rollout> {
        self.rollout.filter(|rollout| rollout.state == state)
    }
}

fn judge(seen: &Seen, look: &Look) -> Progress {
    let (demand, spot) = (look.wanted(InstanceKind::Demand), look.wanted(InstanceKind::Spot));
    if demand + spot == 0 {
        let empty = sight::left(look.observed) == 0;
        // An engine that was never given a target has nothing to stop.
        let told = look.observed.is_none() || look.is_held();
        return if empty && told { done("no instance runs, as asked".to_owned()) } else { moving(counts(seen, look)) };
    }
    // A rollback before the change that is asked about is no outcome of that change.
    if let Some(rollout) = look.rollout_in(RolloutState::RolledBack).filter(|_| look.process.rolled_back)
        && look.process.asked_revision() > look.asked
    {
        return failed("rolled back", rollout);
    }
    if let Some(rollout) = look.rollout_in(RolloutState::Failed) {
        return failed("failed", rollout);
    }
    if let Some(blocked) = hopeless(seen, look) {
        return given_up(format!("{}: {}", blocked.code.as_str(), blocked.text));
    }
    if look.rollout_in(RolloutState::Running).is_none() && look.is_held() {
        if let Some(failure) = sight::given_up(look.observed, target::generation(look.process)) {
            return given_up(sight::describe(failure));
        }
        if is_steady(seen, look) {
            return done(counts(seen, look));
        }
    }
    match starved(seen, look) {
        Some(blocked) => given_up(format!("{}; {}: {}", counts(seen, look), blocked.code.as_str(), blocked.text)),
        None => moving(counts(seen, look)),
    }
}

/// All wanted instances are healthy and of the wanted size, and no other is left; of spot, those that there is no room for
/// do not count, nor do those that would stand in for them.
fn is_steady(seen: &Seen, look: &Look) -> bool {
    let generation = target::generation(look.process);
    let alive = |kind| sight::count(look.observed, generation, kind, |state| state.is_live());
    let (demand, spot) = (look.wanted(InstanceKind::Demand), look.wanted(InstanceKind::Spot));
    let unfinished = sight::old(look.observed, generation) > 0
        || look.resizing(seen) > 0
        || sight::instances(look.observed).iter().any(sight::is_leaving)
        || alive(InstanceKind::Demand) > demand
        || alive(InstanceKind::Spot) > spot;
    let no_room = blocked(seen, look).any(|b| b.code == BlockedCode::Capacity && b.spot > 0);
    let spot_healthy = look.healthy(InstanceKind::Spot);
    !unfinished && fallback::suffices(look.process, generation, look.observed) && (spot_healthy >= spot || no_room)
}

fn blocked<'a>(seen: &Seen<'a>, look: &Look<'a>) -> impl Iterator<Item = &'a Blocked> {
    let planned = seen.blocked.get(&look.process.key).into_iter().flatten();
    planned.chain(look.observed.into_iter().flat_map(|seen| &seen.blocked))
}

/// Blocked by something that only the user can change. The last plan may be older than the last change, so it is
/// believed only where the world agrees: no image is known, or no rollout is at work any more that would fetch it.
fn hopeless<'a>(seen: &Seen<'a>, look: &Look<'a>) -> Option<&'a Blocked> {
    let unknown = look.template(seen).is_some_and(|template| template.image == ImageSource::Unknown);
    let at_work = look.rollout_in(RolloutState::Running).is_some() || !look.is_held();
    blocked(seen, look).find(|blocked| match blocked.code {
        BlockedCode::NoImage => unknown,
        BlockedCode::ImageUnavailable => !at_work,
        BlockedCode::Resolving
        | BlockedCode::Pulling
        | BlockedCode::Capacity
        | BlockedCode::BackOff
        | BlockedCode::Provider => false,
    })
}

/// Demand instances find no room and nothing is in motion that could make some, so none will come by itself.
fn starved<'a>(seen: &Seen<'a>, look: &Look<'a>) -> Option<&'a Blocked> {
    if lacks_stand_ins_alone(seen, look) || !look.is_held() || is_in_motion(seen, look) {
        return None;
    }
    blocked(seen, look).find(|blocked| blocked.code == BlockedCode::Capacity && blocked.demand > 0)
}

/// What was asked for runs, and only those that are to stand in for spot wait: spot capacity by another name.
fn lacks_stand_ins_alone(seen: &Seen, look: &Look) -> bool {
    let enough = look.healthy(InstanceKind::Demand) >= look.process.spec.wanted(InstanceKind::Demand);
    look.process.stand_ins() > 0 && enough && look.resizing(seen) == 0
}

/// Instances leave somewhere, or start here, or a healthy one is about to stand in for an old one.
fn is_in_motion(seen: &Seen, look: &Look) -> bool {
    let generation = target::generation(look.process);
    let mine = sight::instances(look.observed);
    let starting = mine.iter().any(|i| matches!(i.state, InstanceState::Starting | InstanceState::Pulling));
    let replacing = sight::old(look.observed, generation) > 0 && look.healthy(InstanceKind::Demand) > 0;
    starting || replacing || seen.observed.iter().flat_map(|process| &process.instances).any(sight::is_leaving)
}

/// `3/5 healthy, 1/2 spot healthy, 2 old left, 1 leaving`.
fn counts(seen: &Seen, look: &Look) -> String {
    let generation = target::generation(look.process);
    let (demand, spot) = (look.wanted(InstanceKind::Demand), look.wanted(InstanceKind::Spot));
    let mut parts = vec![format!("{}/{demand} healthy", look.healthy(InstanceKind::Demand))];
    let stand_ins = look.process.stand_ins();
    if stand_ins > 0 {
        parts.push(format!("{stand_ins} of them for spot"));
    }
    if spot > 0 {
        parts.push(format!("{}/{spot} spot healthy", look.healthy(InstanceKind::Spot)));
    }
    let instances = sight::instances(look.observed);
    let leaving = instances.iter().filter(|i| sight::is_leaving(i)).count();
    let old = instances.iter().filter(|i| i.generation != generation && i.state.is_live()).count();
    if old > 0 {
        parts.push(format!("{old} old running"));
    }
    if leaving > 0 {
        parts.push(format!("{leaving} draining"));
    }
    let resizing = look.resizing(seen);
    if resizing > 0 {
        parts.push(format!("{resizing} to resize"));
    }
    parts.join(", ")
}

fn failed(how: &str, rollout: &Rollout) -> Progress {
    let reason = rollout.reason.as_deref().unwrap_or("no reason is known");
    Progress { log_tail: rollout.log_tail.clone(), ..given_up(format!("{how}: {reason}")) }
}

fn done(text: String) -> Progress {
    Progress { settled: true, ok: true, text, log_tail: Vec::new() }
}

fn given_up(text: String) -> Progress {
    Progress { settled: true, ok: false, text, log_tail: Vec::new() }
}

fn moving(text: String) -> Progress {
    Progress { settled: false, ok: false, text, log_tail: Vec::new() }
}
