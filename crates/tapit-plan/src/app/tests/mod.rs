//! A small world that tests drive with lines as users type them, and read back as text.

mod admission;
mod engines;
mod fallback;
mod narration;
mod outcomes;
mod planning;
mod ports;
mod progressing;
mod recorded;
mod routing;
mod statuses;
mod task_ends;
mod task_words;
mod tasks;

use std::collections::BTreeMap;

use tapit_model::{
    AppName, Blocked, BlockedCode, Change, CommandLine, CpuMillis, Digest, EngineKind, Event, Exit, Failure, ImageRef,
    ImageSource, InstanceId, InstanceKind, InstanceObserved, InstanceState, MemoryMib, Moment, PinnedImage, Presence,
    ProcessKey, ProcessName, ProcessObserved, ProcessPatch, ProcessTarget, Reason, ReasonCode, Refusal, Request,
    Revision, Size, Task, TaskId, Timestamp, Words, World,
};

use super::types::{Admission, AppInputs, AppPlan, Grounds, ImageProgress};
use super::{admit, pin, plan_app, progress};

pub(super) const NOW: Timestamp = Timestamp(1_760_000_000_000);

#[derive(Default)]
pub(super) struct Bench {
    pub world: World,
    pub observed: Vec<ProcessObserved>,
    pub images: BTreeMap<ImageRef, ImageProgress>,
    pub blocked: BTreeMap<ProcessKey, Vec<Blocked>>,
    pub moment: Moment,
    pub engine: EngineKind,
}

impl Bench {
    /// A world after these lines, with every rollout done.
    pub fn settled(lines: &[&str]) -> Self {
        let mut bench = Self::default();
        for line in lines {
            bench.run(line);
            bench.settle();
        }
        bench
    }

    pub fn ask(&self, line: &str) -> Result<Admission, Refusal> {
        let grounds = Grounds { world: &self.world, observed: &self.observed, engine: self.engine, now: NOW };
        admit(&grounds, &request(line))
    }

    pub fn run(&mut self, line: &str) -> Admission {
        let admission = self.ask(line).expect(line);
        admission.changes.iter().for_each(|change| self.world.apply(change));
        admission
    }

    pub fn refusal(&self, line: &str) -> String {
        match self.ask(line) {
            Ok(admission) => panic!("{line} was admitted: {}", admission.message),
            Err(refusal) => format!("{:?}: {}", refusal.code, refusal.message),
        }
    }

    /// Plans the app `shop` and commits the outcomes.
    pub fn plan(&mut self) -> AppPlan {
        let app = AppName::parse("shop").expect("legal");
        let (world, observed, images) = (&self.world, self.observed.as_slice(), &self.images);
        let plan = plan_app(&AppInputs { now: NOW, moment: self.moment, world, app: &app, observed, images });
        plan.changes.iter().for_each(|change| self.world.apply(change));
        self.blocked = plan.blocked.clone();
        plan
    }

    /// Pins what the plan asks for, as images that expose these ports.
    pub fn pin(&mut self, plan: &AppPlan, exposed: &[u16]) -> Vec<Event> {
        let mut told = Vec::new();
        for prepare in &plan.prepare {
            let exposed = exposed.iter().filter_map(|port| (*port).try_into().ok()).collect();
            let image = PinnedImage { reference: prepare.image.clone(), digest: digest('a'), exposed };
            let (changes, events) = pin(&self.world, prepare, image, NOW);
            changes.iter().for_each(|change| self.world.apply(change));
            told.extend(events);
        }
        told
    }

    /// An engine that reaches every target at once.
    pub fn obey(&mut self, targets: &[ProcessTarget]) {
        for target in targets {
            self.observed.retain(|seen| seen.key != target.key);
            let Presence::Present(formation) = &target.presence else { continue };
            let kinds = [(InstanceKind::Demand, formation.demand), (InstanceKind::Spot, formation.spot)];
            let mut instances = Vec::new();
            for (kind, count) in kinds {
                for _ in 0..count {
                    let serial = 100 * formation.generation + instances.len() as u64 + 1;
                    let id = InstanceId::of_serial(&target.key.process, serial);
                    let mut instance = instance(id.as_str(), formation.generation, InstanceState::Healthy);
                    (instance.kind, instance.size) = (kind, formation.size);
                    instances.push(instance);
                }
            }
            self.observed.push(seen(&target.key, target.revision, instances));
        }
    }

    pub fn settle(&mut self) {
        for _ in 0..10 {
            let plan = self.plan();
            self.pin(&plan, &[3000]);
            self.obey(&plan.targets);
        }
        assert_eq!(self.plan().changes, [], "settled");
    }

    /// What the engine reports of a process, to be bent by a test. Its revision is the one that is wanted.
    pub fn look(&mut self, name: &str, instances: Vec<InstanceObserved>) -> &mut ProcessObserved {
        let key = key(name);
        let revision = self.world.processes.get(&key).map_or(Revision(0), |process| process.revision);
        self.observed.retain(|seen| seen.key != key);
        self.observed.push(seen(&key, revision, instances));
        self.observed.last_mut().expect("just pushed")
    }

    pub fn rollout(&self, name: &str) -> String {
        self.world.rollouts.get(&key(name)).map_or("none".to_owned(), |rollout| {
            let reason = rollout.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let (kind, state) = (rollout.kind, rollout.state.as_str());
            format!("{kind:?} {}>{} {state}{reason}", rollout.from, rollout.to)
        })
    }

    pub fn progress(&self, name: &str, revision: Revision) -> String {
        let seen = progress::Seen { world: &self.world, observed: &self.observed, blocked: &self.blocked };
        let key = key(name);
        words(&progress(&seen, progress::Subject::Process(&key), revision))
    }
}

pub(super) fn words(progress: &tapit_model::Progress) -> String {
    let state = match (progress.settled, progress.ok) {
        (false, _) => "going",
        (true, true) => "ok",
        (true, false) => "failed",
    };
    format!("{state}: {}", progress.text)
}

pub(super) fn key(name: &str) -> ProcessKey {
    let (app, process) = name.split_once('/').unwrap_or(("shop", name));
    ProcessKey::new(&AppName::parse(app).expect(app), &ProcessName::parse(process).expect(process))
}

pub(super) fn digest(hex: char) -> Digest {
    Digest::parse(&format!("sha256:{}", hex.to_string().repeat(64))).expect("legal")
}

pub(super) fn seen(key: &ProcessKey, revision: Revision, instances: Vec<InstanceObserved>) -> ProcessObserved {
    ProcessObserved { key: key.clone(), revision, instances, blocked: Vec::new(), failure: None, seen_at: Moment(0) }
}

pub(super) fn instance(id: &str, generation: u64, state: InstanceState) -> InstanceObserved {
    InstanceObserved {
        id: InstanceId::opaque(id),
        kind: InstanceKind::Demand,
        generation,
        state,
        reason: None,
        size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
        ip: Some(std::net::Ipv4Addr::new(10, 0, 0, 7)),
        port: Some(3000),
        created_at: NOW,
        started_at: Some(NOW),
        healthy_at: (state == InstanceState::Healthy).then_some(NOW),
        stopped_at: None,
        restarts: 0,
        last_exit: None,
    }
}

pub(super) fn spot(id: &str, generation: u64, state: InstanceState) -> InstanceObserved {
    InstanceObserved { kind: InstanceKind::Spot, ..instance(id, generation, state) }
}

pub(super) fn because(instance: InstanceObserved, code: ReasonCode, text: &str) -> InstanceObserved {
    InstanceObserved { reason: Some(Reason { code, text: text.to_owned() }), ..instance }
}

pub(super) fn exit(code: i32) -> Exit {
    Exit { code: Some(code), signal: None, oom: false, at: NOW }
}

pub(super) fn failure(generation: u64, in_a_row: u32) -> Failure {
    let reason = Reason { code: ReasonCode::Crashed, text: "the program ended".to_owned() };
    let instance = InstanceId::opaque("default.9");
    Failure { generation, in_a_row, deadline_passed: false, instance, reason, exit: Some(exit(1)) }
}

pub(super) fn no_room(demand: u32, spot: u32) -> Blocked {
    Blocked { code: BlockedCode::Capacity, text: "512 MB more are needed".to_owned(), demand, spot }
}

/// Reads `create process name=api memory=2` or `create task 'a command' memory=2` as the command line and the API would.
fn request(line: &str) -> Request {
    let command = CommandLine::parse(line).expect(line);
    let mut argv = command.argv().iter().map(String::as_str).peekable();
    let mut app = "shop";
    if argv.next_if_eq(&"-a").is_some() {
        app = argv.next().expect("an app");
    }
    let (verb, noun) = (argv.next().expect("a verb"), argv.next().expect("a noun"));
    let bare = argv.next_if(|word| noun == "task" && !word.contains('=')).map(|typed| ("command", typed));
    let pairs = argv.filter_map(|word| word.split_once('=')).chain(bare);
    let mut words: Words = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let process = words.remove("name").unwrap_or("default".to_owned());
    let task = words.remove("id").and_then(|id| TaskId::parse(&id));
    let (app, process) = (AppName::parse(app).expect(app), ProcessName::parse(&process).expect("a name"));
    let image = words.get("image").map(|image| (!image.is_empty()).then(|| ImageRef::parse(image).expect("an image")));
    let patch = || ProcessPatch::parse(&words, verb == "create").expect(line);
    match (verb, noun) {
        ("create", "app") => {
            let patch = ProcessPatch { image: None, ..patch() };
            Request::CreateApp { app, image: image.flatten(), patch }
        }
        ("set", "app") => Request::SetApp { app, image },
        ("delete", "app") => Request::DeleteApp { app },
        ("create", "process") => Request::CreateProcess { app, process, patch: patch() },
        ("set", "process") => Request::SetProcess { app, process, patch: patch() },
        ("restart", "process") => Request::RestartProcess { app, process },
        ("delete", "process") => Request::DeleteProcess { app, process },
        ("create", "task") => Request::CreateTask { app, patch: patch() },
        ("stop", "task") => Request::StopTask { app, task: task.expect("a number") },
        _ => panic!("no such command: {line}"),
    }
}

/// The changes, one line each.
pub(super) fn changes(list: &[Change]) -> String {
    list.iter().map(|change| line(change) + "\n").collect()
}

fn line(change: &Change) -> String {
    match change {
        Change::PutApp(app) => {
            let image = app.image.as_ref().map_or("none".to_owned(), ToString::to_string);
            format!("app {} image {image}{}", app.name, flag(app.deleting, " deleting"))
        }
        Change::RemoveApp(name) => format!("remove app {name}"),
        Change::PutProcess(p) => format!(
            "process {} r{} g{} runs {}{}{}{}{}{}",
            p.key.process,
            p.revision.0,
            p.generation,
            p.running_generation,
            flag(!p.configured, " unconfigured"),
            flag(p.rolled_back, " rolled back"),
            flag(p.spec.disabled, " disabled"),
            flag(p.deleting, " deleting"),
            p.task.as_ref().map(task).unwrap_or_default(),
        ),
        Change::RemoveProcess(key) => format!("remove process {}", key.process),
        Change::PutGeneration(g) => {
            let image = match &g.template.image {
                ImageSource::Unknown => "unknown".to_owned(),
                ImageSource::Named(image) => format!("{image}"),
                ImageSource::Pinned(pinned) => format!("{} pinned", pinned.reference),
            };
            format!("generation {} {image} {}/{}", g.number, g.template.size.memory, g.template.size.cpu)
        }
        Change::RemoveGeneration(_, number) => format!("remove generation {number}"),
        Change::PutRollout(r) => format!("rollout #{} {:?} {}>{} {}", r.id, r.kind, r.from, r.to, r.state.as_str()),
    }
}

fn task(task: &Task) -> String {
    let end = task.end.as_ref().map(|end| format!(" {}", end.state().as_str()));
    format!(", a task{}", end.unwrap_or_default())
}

fn flag(set: bool, text: &'static str) -> &'static str {
    if set { text } else { "" }
}

pub(super) fn kinds(events: &[Event]) -> String {
    events.iter().map(|event| format!("{:?}: {}\n", event.kind, event.text)).collect()
}
