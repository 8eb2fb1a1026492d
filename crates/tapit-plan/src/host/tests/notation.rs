//! States and plans as text, so that a test is text in, text out.
//!
//! ```text
//! capacity 1024                                      a header line; MiB
//! host_lacks 128                                     another; or host_tight; ample without it
//! web g2 demand=2 spot=1 size=256 public next=9      a process and its target; `web absent` for an absent one
//! web g1 demand=1 once                               one whose instances are never replaced
//!   1 g1 demand/0 healthy@-90s routed                an instance: serial, generation, kind/slot, phase@age, flags
//!   2 g2 demand/1 stopped@-5s crashed restarts=2 healthy_for=3s
//! ```
//! Times are seconds before now. A plan is printed one action, verdict or `look again` a line, in the order of the plan.

use std::fmt::Write;

use tapit_model::{
    AppName, Blocked, Check, Confinement, CpuMillis, Digest, Formation, ImageRef, InstanceId, InstanceKind, Lifecycle,
    MemoryMib, Moment, PinnedImage, Port, Presence, ProcessKey, ProcessName, ProcessTarget, ReasonCode, Restart,
    Revision, Seconds, Size,
};

use crate::host::{Action, Ended, HostInputs, HostMemory, HostPlan, InstanceFacts, Phase, ProcessInputs, plan_host};

pub(crate) const NOW: Moment = Moment(1_000_000);

/// Plans the state and compares; white space around lines does not count.
#[track_caller]
pub(crate) fn check(state: &str, plan: &str) {
    assert_eq!(print(&plan_host(&parse(state))), lines(plan));
}

/// The texts of everything blocked.
pub(crate) fn blocked_texts(state: &str) -> Vec<String> {
    let verdicts = plan_host(&parse(state)).verdicts;
    verdicts.into_iter().flat_map(|verdict| verdict.blocked).map(|blocked| blocked.text).collect()
}

fn lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

pub(crate) fn parse(text: &str) -> HostInputs {
    let mut inputs = HostInputs {
        now: NOW,
        capacity: MemoryMib::from_mib(1_000_000),
        host: HostMemory::Ample,
        processes: Vec::new(),
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "capacity" {
            inputs.capacity = MemoryMib::from_mib(words[1].parse().expect(line));
        } else if words[0] == "host_lacks" {
            inputs.host = HostMemory::Short(MemoryMib::from_mib(words[1].parse().expect(line)));
        } else if words[0] == "host_tight" {
            inputs.host = HostMemory::Tight;
        } else if words[0].parse::<u64>().is_ok() {
            let process = inputs.processes.last_mut().expect("an instance stands below its process");
            let size = process.formation().map_or(size_of(128), |formation| formation.size);
            process.instances.push(instance(&process.target.key.process, size, &words));
        } else {
            inputs.processes.push(process(&words));
        }
    }
    inputs
}

fn process(words: &[&str]) -> ProcessInputs {
    let app = AppName::parse("shop").expect("legal");
    let key = ProcessKey::new(&app, &ProcessName::parse(words[0]).expect(words[0]));
    let mut next_serial = 100;
    let mut formation = Formation {
        generation: 1,
        image: PinnedImage {
            reference: ImageRef::parse("shop/web:v1").expect("legal"),
            digest: Digest::parse(&format!("sha256:{}", "0".repeat(64))).expect("legal"),
            exposed: Vec::new(),
        },
        command: None,
        port: Port::MIN,
        check: Check::Tcp(Port::MIN),
        health_timeout: Seconds(60),
        size: size_of(128),
        demand: 0,
        stand_ins: 0,
        spot: 0,
        restart: Restart::Always,
        lifecycle: Lifecycle { drain_timeout: Seconds(30), stop_timeout: Seconds(20) },
        confinement: Confinement::default(),
        public: false,
        variables: Vec::new(),
        version: "v1".to_owned(),
    };
    let mut absent = false;
    for word in &words[1..] {
        match word.split_once('=') {
            Some(("demand", n)) => formation.demand = n.parse().expect(word),
            Some(("stand_ins", n)) => formation.stand_ins = n.parse().expect(word),
            Some(("spot", n)) => formation.spot = n.parse().expect(word),
            Some(("size", n)) => formation.size = size_of(n.parse().expect(word)),
            Some(("next", n)) => next_serial = n.parse().expect(word),
            Some(_) => panic!("{word}"),
            None if *word == "public" => formation.public = true,
            None if *word == "once" => formation.restart = Restart::Never,
            None if *word == "absent" => absent = true,
            None => formation.generation = generation(word),
        }
    }
    let presence = if absent { Presence::Absent(formation.lifecycle) } else { Presence::Present(Box::new(formation)) };
    let target = ProcessTarget { key, revision: Revision(1), presence };
    ProcessInputs { target, next_serial, instances: Vec::new() }
}

fn instance(process: &ProcessName, size: Size, words: &[&str]) -> InstanceFacts {
    let serial = words[0].parse().expect(words[0]);
    let (kind, slot) = words[2].split_once('/').expect(words[2]);
    let (phase, age) = words[3].split_once('@').unwrap_or((words[3], "-100s"));
    let since = Moment(NOW.0 - seconds(age.trim_start_matches('-')));
    let why = words.get(4).map_or(ReasonCode::Crashed, |word| reason(word));
    let phase = match phase {
        "starting" => Phase::Starting { since },
        "healthy" => Phase::Healthy { since },
        "unhealthy" => Phase::Unhealthy { since },
        "draining" => Phase::Draining { since, why },
        "stopping" => Phase::Stopping { since, why, killed: words.contains(&"killed") },
        "stopped" => Phase::Stopped { at: since, ended: Ended { why, healthy_for: None } },
        other => panic!("{other}"),
    };
    let mut facts = InstanceFacts {
        id: InstanceId::of_serial(process, serial),
        serial,
        generation: generation(words[1]),
        kind: if kind == "spot" { InstanceKind::Spot } else { InstanceKind::Demand },
        slot: slot.parse().expect(slot),
        size,
        restarts: 0,
        phase,
        routed: words.contains(&"routed"),
        in_flight: 0,
        outgrown: words.contains(&"outgrown"),
    };
    for (key, value) in words.iter().filter_map(|word| word.split_once('=')) {
        match key {
            "restarts" => facts.restarts = value.parse().expect(value),
            "in_flight" => facts.in_flight = value.parse().expect(value),
            "size" => facts.size = size_of(value.parse().expect(value)),
            "healthy_for" => {
                if let Phase::Stopped { ended, .. } = &mut facts.phase {
                    ended.healthy_for = Some(seconds(value));
                }
            }
            other => panic!("{other}"),
        }
    }
    facts
}

fn size_of(mib: u64) -> Size {
    Size { memory: MemoryMib::from_mib(mib), cpu: CpuMillis::from_millis(100) }
}

fn generation(word: &str) -> u64 {
    word.strip_prefix('g').expect(word).parse().expect(word)
}

fn seconds(text: &str) -> u64 {
    Seconds::parse(text).expect(text).millis()
}

const REASONS: [(ReasonCode, &str); 10] = [
    (ReasonCode::Surplus, "surplus"),
    (ReasonCode::Replaced, "replaced"),
    (ReasonCode::RolledBack, "rolled_back"),
    (ReasonCode::Deleted, "deleted"),
    (ReasonCode::Reclaimed, "reclaimed"),
    (ReasonCode::Crashed, "crashed"),
    (ReasonCode::Completed, "completed"),
    (ReasonCode::Unhealthy, "unhealthy"),
    (ReasonCode::Lost, "lost"),
    (ReasonCode::StartFailed, "start_failed"),
];

fn reason(word: &str) -> ReasonCode {
    REASONS.iter().find(|(_, name)| *name == word).map_or(ReasonCode::Crashed, |(code, _)| *code)
}

fn reason_name(code: ReasonCode) -> &'static str {
    REASONS.iter().find(|(known, _)| *known == code).map_or("other", |(_, name)| name)
}

pub(crate) fn print(plan: &HostPlan) -> String {
    let mut out = Vec::new();
    for (key, action) in &plan.actions {
        out.push(format!("{}: {}", key.process, print_action(action)));
    }
    for verdict in &plan.verdicts {
        let process = &verdict.key.process;
        out.extend(verdict.blocked.iter().map(|blocked| format!("{process}: {}", print_blocked(blocked))));
        if let Some(failure) = &verdict.failure {
            let deadline = if failure.deadline_passed { " deadline" } else { "" };
            out.push(format!("{process}: failed {} in a row, last {}{deadline}", failure.in_a_row, failure.id));
        }
    }
    out.extend(plan.look_again.map(|moment| format!("look again +{}s", moment.since(NOW) as f64 / 1000.0)));
    out.join("\n")
}

fn print_action(action: &Action) -> String {
    match action {
        Action::Start(order) => {
            let mut text = format!(
                "start {} g{} {}/{} size={}",
                order.id,
                order.generation,
                order.kind.as_str(),
                order.slot,
                order.size.memory.mib()
            );
            if order.restarts > 0 {
                write!(text, " restarts={}", order.restarts).expect("a String takes everything");
            }
            text
        }
        Action::Drain { id, why } => format!("drain {id} {}", reason_name(*why)),
        Action::Terminate { id } => format!("terminate {id}"),
        Action::Kill { id } => format!("kill {id}"),
        Action::Resize { id, size } => format!("resize {id} {}", size.memory.mib()),
        Action::Forget { id } => format!("forget {id}"),
    }
}

fn print_blocked(blocked: &Blocked) -> String {
    let (kind, count) = if blocked.demand > 0 { ("demand", blocked.demand) } else { ("spot", blocked.spot) };
    format!("blocked {} {count} {kind}", blocked.code.as_str())
}
