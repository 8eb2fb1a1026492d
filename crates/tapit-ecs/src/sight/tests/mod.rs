//! Data in, text out: tasks as AWS tells of them on the left, instances as we tell of them on the right.

mod blocked;
mod failures;
mod places;
mod reasons;
mod retention;
mod runs;
mod states;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tapit_model::{
    AppName, Check, Confinement, CpuMillis, Digest, Formation, ImageRef, InstanceKind, InstanceObserved, Lifecycle,
    MemoryMib, Moment, PinnedImage, Port, ProcessKey, ProcessName, Restart, Seconds, Size, Timestamp,
};

use super::{Memory, Sight, Subject, observed};
use crate::api::{DesiredStatus, Provider, TargetHealth, TargetState, Task, TaskStatus};
use crate::look::Look;
use crate::names;
use crate::record::{Definition, Run};

use InstanceKind::{Demand, Spot};
use TaskStatus::{Pending, Running, Stopped};

/// Time on ECS's clock and on ours begins apart, so that nobody takes one for the other by chance.
const ECS_BEGINS: i64 = 500_000_000;
const OURS_BEGINS: i64 = 700_000_000;

/// One process and all that was seen of it so far.
struct Bench {
    key: ProcessKey,
    formation: Option<Formation>,
    definitions: BTreeMap<String, Definition>,
    given_up: Vec<String>,
    run: Option<Run>,
    look: Look,
    memory: Memory,
    /// Milliseconds since the beginning, on all clocks.
    passed: i64,
    /// Milliseconds that only we have seen pass.
    hidden: i64,
}

fn port() -> Port {
    Port::new(8080).expect("not zero")
}

fn formation(demand: u32, spot: u32) -> Formation {
    Formation {
        generation: 1,
        image: PinnedImage {
            reference: ImageRef::parse("app:v1").expect("legal"),
            digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal"),
            exposed: Vec::new(),
        },
        command: None,
        port: port(),
        check: Check::Tcp(port()),
        health_timeout: Seconds(60),
        size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
        demand,
        stand_ins: 0,
        spot,
        restart: Restart::Always,
        lifecycle: Lifecycle::default(),
        confinement: Confinement::default(),
        public: false,
        variables: Vec::new(),
        version: "v1".to_owned(),
    }
}

fn definition_arn(generation: u64) -> String {
    format!("definition:{generation}")
}

impl Bench {
    /// A process behind which nothing checks but ECS, with generations 1 to 3.
    fn new(demand: u32, spot: u32) -> Self {
        let app = AppName::parse("shop").expect("legal");
        let of = |generation| Definition { kind: Demand, generation, fingerprint: String::new() };
        Self {
            key: ProcessKey::new(&app, &ProcessName::parse("api").expect("legal")),
            formation: Some(formation(demand, spot)),
            definitions: (1..=3).map(|generation| (definition_arn(generation), of(generation))).collect(),
            given_up: Vec::new(),
            run: None,
            look: Look::default(),
            memory: Memory::default(),
            passed: 0,
            hidden: 0,
        }
    }

    /// The same behind a load balancer.
    fn public(demand: u32, spot: u32) -> Self {
        let mut bench = Self::new(demand, spot);
        bench.wanted().public = true;
        bench
    }

    fn wanted(&mut self) -> &mut Formation {
        self.formation.as_mut().expect("present")
    }

    fn pass(&mut self, seconds: i64) {
        self.passed += seconds * 1000;
    }

    /// A moment that ECS's clock, where it tells whole seconds only, does not show.
    fn within_the_second(&mut self) {
        self.hidden += 150;
    }

    fn ecs_now(&self) -> Timestamp {
        Timestamp(ECS_BEGINS + self.passed)
    }

    /// A task of generation 1 that ECS has just made.
    fn made(&mut self, id: &str, kind: InstanceKind) -> &mut Task {
        let number = u8::try_from(self.look.tasks.len() % 250).expect("small");
        self.look.tasks.push(Task {
            arn: arn(id),
            task_definition: definition_arn(1),
            group: format!("service:{}", names::service(&self.key.process, kind)),
            started_by: None,
            status: Pending,
            desired: DesiredStatus::Running,
            provider: Some(match kind {
                Demand => Provider::Fargate,
                Spot => Provider::FargateSpot,
            }),
            cpu: 256,
            memory_mib: 512,
            ip: Some(Ipv4Addr::new(10, 0, 0, number)),
            created_at: self.ecs_now(),
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            stopping_at: None,
            stopped_at: None,
            stop_code: None,
            stopped_reason: None,
            exit_code: None,
            container_reason: None,
            image_digest: None,
        });
        self.look.tasks.last_mut().expect("just made")
    }

    fn task(&mut self, id: &str) -> &mut Task {
        self.look.tasks.iter_mut().find(|task| task.arn == arn(id)).expect("made before")
    }

    fn runs(&mut self, id: &str) {
        let now = self.ecs_now();
        let task = self.task(id);
        task.status = Running;
        task.started_at = Some(now);
    }

    /// Made, running, and long enough to count as healthy.
    fn healthy(&mut self, ids: &[&str], kind: InstanceKind) {
        for id in ids {
            self.made(id, kind);
            self.runs(id);
        }
        self.see();
        self.pass(2);
        self.see();
    }

    /// Its container ends by itself.
    fn exits(&mut self, id: &str, code: i32) {
        self.stops(id, "EssentialContainerExited", "Essential container in task exited");
        self.task(id).exit_code = Some(code);
    }

    fn stops(&mut self, id: &str, code: &str, reason: &str) {
        let now = self.ecs_now();
        let task = self.task(id);
        task.status = Stopped;
        task.desired = DesiredStatus::Stopped;
        task.stopping_at = Some(now);
        task.stopped_at = Some(now);
        task.stop_code = Some(code.to_owned());
        task.stopped_reason = Some(reason.to_owned());
    }

    fn scheduler_stops(&mut self, id: &str) {
        self.stops(id, "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)");
    }

    fn target(&mut self, id: &str, state: TargetState, reason: Option<&str>) {
        let ip = self.task(id).ip.expect("has one");
        self.look.targets.retain(|target| target.ip != ip);
        self.look.targets.push(TargetHealth { ip, port: 8080, state, reason: reason.map(str::to_owned) });
    }

    /// Looks once.
    fn see(&mut self) -> Sight {
        let passed = self.passed + self.hidden;
        self.look.at = Timestamp(OURS_BEGINS + passed);
        self.look.moment = Moment(u64::try_from(passed).expect("time goes on") + 1_000_000);
        let subject = Subject {
            key: &self.key,
            formation: self.formation.as_ref(),
            definitions: &self.definitions,
            given_up: &self.given_up,
            run: self.run.as_ref(),
        };
        let memory = self.memory.after(&subject, &self.look);
        let again = memory.after(&subject, &self.look);
        assert_eq!(memory, again, "the same look again is no news");
        let json = serde_json::to_string(&memory).expect("can be written");
        self.memory = serde_json::from_str(&json).expect("can be read");
        assert_eq!(self.memory, memory, "what is kept is all there is");
        observed(&self.memory, &subject, &self.look)
    }

    /// One line for each instance.
    fn lines(&mut self) -> Vec<String> {
        self.see().instances.iter().map(line).collect()
    }
}

fn arn(id: &str) -> String {
    format!("arn:aws:ecs:eu-central-1:1:task/tapit-000000-shop/{id}")
}

fn line(instance: &InstanceObserved) -> String {
    let restarts = match instance.restarts {
        0 => String::new(),
        restarts => format!(" restarts={restarts}"),
    };
    let exit = instance.last_exit.map(|exit| format!(" ({})", exit.describe())).unwrap_or_default();
    let reason = instance.reason.as_ref().map(|reason| format!(": {:?}", reason.code)).unwrap_or_default();
    let kind = instance.kind.as_str();
    format!("{} {kind} {} {}{restarts}{exit}{reason}", instance.id, instance.generation, instance.state.as_str())
}
