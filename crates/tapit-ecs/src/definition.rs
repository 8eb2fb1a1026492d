//! What a process's tasks are made from: one revision of a task definition for each generation and kind.
//!
//! The plan asks for it when a generation has no revision yet. Labels on the container carry what it was made from, so that
//! an account can tell a server without records what runs in it. Pure; whether the size is one that Fargate has was checked
//! before anything was called.

use std::collections::BTreeMap;

use tapit_model::{Check, Formation, InstanceKind, ProcessKey};
use tapit_plan::fargate::STOP_TIMEOUT;

use crate::api::{Container, NewTaskDefinition};
use crate::names;
use crate::plan::Inputs;

/// The one container of each task; a part of the name of its log stream.
pub const CONTAINER: &str = "app";

const GENERATION: &str = "tapit.generation";
const FINGERPRINT: &str = "tapit.fingerprint";
const FINGERPRINT_DIGITS: usize = 32;
const UNITS_PER_CPU: u64 = 1024;
const MILLIS_PER_CPU: u64 = 1000;

/// The definition of one kind of a formation's instances, with the image at the place where ECS finds it.
pub fn new(
    inputs: &Inputs<'_>,
    key: &ProcessKey,
    kind: InstanceKind,
    (formation, location): (&Formation, &str),
) -> NewTaskDefinition {
    let units = formation.size.cpu.millis() * UNITS_PER_CPU / MILLIS_PER_CPU;
    let container = Container {
        name: CONTAINER.to_owned(),
        image: location.to_owned(),
        command: formation.command.as_ref().map(|command| command.argv().to_vec()).unwrap_or_default(),
        environment: environment(key, kind, formation),
        port: port(formation),
        stop_timeout: stop_timeout(formation),
        cap_add: formation.confinement.cap_add.iter().map(|capability| capability.as_str().to_owned()).collect(),
        log_group: inputs.install.log_group(&key.app),
        log_region: inputs.region.to_owned(),
        log_prefix: log_prefix(key),
        labels: BTreeMap::from([(GENERATION.to_owned(), formation.generation.to_string())]),
    };
    let mut definition = NewTaskDefinition {
        family: inputs.install.family(key, kind),
        cpu: u32::try_from(units).unwrap_or(u32::MAX),
        memory_mib: formation.size.memory.mib(),
        execution_role: Some(inputs.account.execution_role.clone()),
        task_role: inputs.settings.task_role.clone(),
        container,
        tags: inputs.install.process_tags(key),
    };
    let fingerprint = fingerprint(&definition);
    definition.container.labels.insert(FINGERPRINT.to_owned(), fingerprint);
    definition
}

/// Streams are named `PREFIX/CONTAINER/TASK`.
pub fn log_prefix(key: &ProcessKey) -> String {
    key.process.to_string()
}

/// Of everything in a definition but the fingerprint itself.
fn fingerprint(definition: &NewTaskDefinition) -> String {
    // The plain form of a value is the same in each run, as its maps are sorted, and tells any two values apart.
    names::hash(&format!("{definition:?}"), FINGERPRINT_DIGITS)
}

pub fn fingerprint_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(FINGERPRINT).map(String::as_str)
}

pub fn generation_of(labels: &BTreeMap<String, String>) -> Option<u64> {
    labels.get(GENERATION)?.parse().ok()
}

/// Later ones win: the app's, ours. Those of the image are in the image.
///
/// `TAPIT_INSTANCE` is missing: a task's id is not known before it is there, and all tasks of a service are made from one
/// definition. The program finds its own through `ECS_CONTAINER_METADATA_URI_V4`, which ECS gives it.
fn environment(key: &ProcessKey, kind: InstanceKind, formation: &Formation) -> BTreeMap<String, String> {
    let own = [
        ("PORT", formation.port.to_string()),
        ("TAPIT_APP", key.app.to_string()),
        ("TAPIT_PROCESS", key.process.to_string()),
        ("TAPIT_INSTANCE_KIND", kind.as_str().to_owned()),
        ("TAPIT_VERSION", formation.version.clone()),
    ];
    let mut variables: BTreeMap<String, String> = formation.variables.iter().cloned().collect();
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// What a load balancer or a neighbour connects to; `None`: it listens nowhere.
fn port(formation: &Formation) -> Option<u16> {
    match &formation.check {
        Check::Tcp(port) | Check::Http { port, .. } => Some(port.get()),
        Check::Uptime(_) => formation.public.then(|| formation.port.get()),
    }
}

fn stop_timeout(formation: &Formation) -> u16 {
    let seconds = formation.lifecycle.stop_timeout.0.clamp(*STOP_TIMEOUT.start(), *STOP_TIMEOUT.end());
    u16::try_from(seconds).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tapit_model::{
        AppName, Capability, CommandLine, Confinement, CpuMillis, Digest, ImageRef, Lifecycle, MemoryMib, Moment,
        PinnedImage, Port, ProcessName, Restart, Seconds, Size, Timestamp,
    };

    use super::*;
    use crate::look::Look;
    use crate::names::Install;
    use crate::record::{AccountRecord, AppRecord};
    use crate::settings::EcsSettings;

    fn install() -> Install {
        Install::of(Path::new("/var/lib/tapit"))
    }

    fn key() -> ProcessKey {
        let app = AppName::parse("shop").expect("legal");
        ProcessKey::new(&app, &ProcessName::parse("api").expect("legal"))
    }

    fn formation() -> Formation {
        let port = Port::new(8080).expect("not zero");
        Formation {
            generation: 7,
            image: PinnedImage {
                reference: ImageRef::parse("app:v1").expect("legal"),
                digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal"),
                exposed: Vec::new(),
            },
            command: None,
            port,
            check: Check::Tcp(port),
            health_timeout: Seconds(60),
            size: Size { memory: MemoryMib::from_mib(1024), cpu: CpuMillis::from_millis(250) },
            demand: 1,
            stand_ins: 0,
            spot: 0,
            restart: Restart::Always,
            lifecycle: Lifecycle::default(),
            confinement: Confinement::default(),
            public: false,
            variables: vec![("COLOUR".to_owned(), "blue".to_owned()), ("PORT".to_owned(), "1".to_owned())],
            version: "v1".to_owned(),
        }
    }

    fn made(kind: InstanceKind, formation: &Formation) -> NewTaskDefinition {
        let key = key();
        let account = AccountRecord {
            vpc: String::new(),
            subnets: Vec::new(),
            assign_public_ip: true,
            execution_role: "role".to_owned(),
            balancer: None,
        };
        let inputs = Inputs {
            install: &install(),
            settings: &EcsSettings { task_role: Some("task-role".to_owned()), ..EcsSettings::default() },
            region: "eu-central-1",
            account: &account,
            app: &key.app,
            wanted: &BTreeMap::new(),
            record: &AppRecord::default(),
            look: &Look::default(),
            now: Moment(0),
            at: Timestamp(0),
        };
        new(&inputs, &key, kind, (formation, "registry/app@sha256:a"))
    }

    #[test]
    fn a_definition_says_everything_that_a_formation_does() {
        let made = made(InstanceKind::Spot, &formation());
        assert_eq!(made.family, format!("tapit-{}-shop_api_spot", install().as_str()));
        assert_eq!((made.cpu, made.memory_mib), (256, 1024));
        assert_eq!((made.execution_role.as_deref(), made.task_role.as_deref()), (Some("role"), Some("task-role")));
        assert_eq!(made.tags.get("tapit:process").map(String::as_str), Some("api"));
        let container = made.container;
        assert_eq!((container.name.as_str(), container.image.as_str()), ("app", "registry/app@sha256:a"));
        assert_eq!((container.port, container.stop_timeout), (Some(8080), 30));
        assert_eq!((container.command, container.cap_add), (Vec::new(), Vec::new()));
        assert_eq!((container.log_region.as_str(), container.log_prefix.as_str()), ("eu-central-1", "api"));
        assert!(container.log_group.starts_with("/tapit/") && container.log_group.ends_with("/shop"));
        let environment: Vec<String> =
            container.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            environment,
            [
                "COLOUR=blue",
                "PORT=8080",
                "TAPIT_APP=shop",
                "TAPIT_INSTANCE_KIND=spot",
                "TAPIT_PROCESS=api",
                "TAPIT_VERSION=v1"
            ]
        );
    }

    #[test]
    fn a_command_with_shell_operators_runs_in_the_shell_of_the_image() {
        let command = |text: &str| {
            let command = Some(CommandLine::parse(text).expect("legal"));
            made(InstanceKind::Demand, &Formation { command, ..formation() }).container.command
        };
        assert_eq!(command("serve --port 'a b'"), ["serve", "--port", "a b"]);
        assert_eq!(command("serve && exit"), ["/bin/sh", "-c", "serve && exit"]);
    }

    #[test]
    fn the_time_to_stop_is_one_that_fargate_waits() {
        for (wanted, given) in [(0, 2), (2, 2), (90, 90), (120, 120), (3600, 120)] {
            let lifecycle = Lifecycle { stop_timeout: Seconds(wanted), ..Lifecycle::default() };
            let made = made(InstanceKind::Demand, &Formation { lifecycle, ..formation() });
            assert_eq!(made.container.stop_timeout, given);
        }
    }

    #[test]
    fn a_process_that_listens_nowhere_has_no_port() {
        let quiet = Formation { check: Check::Uptime(Seconds(5)), ..formation() };
        assert_eq!(made(InstanceKind::Demand, &quiet).container.port, None);
    }

    #[test]
    fn labels_tell_what_it_was_made_from() {
        let of = |formation: &Formation| {
            let labels = made(InstanceKind::Demand, formation).container.labels;
            (generation_of(&labels), fingerprint_of(&labels).map(str::to_owned))
        };
        let (generation, fingerprint) = of(&formation());
        assert_eq!(generation, Some(7));
        assert_eq!((generation, fingerprint.clone()), of(&formation()), "the same for the same");
        let confinement = Confinement { cap_add: [Capability::SysPtrace].into(), ..Confinement::default() };
        for other in [
            Formation { generation: 8, ..formation() },
            Formation { version: "v2".to_owned(), ..formation() },
            Formation { confinement, ..formation() },
        ] {
            assert_ne!(of(&other).1, fingerprint);
        }
        // How many run is no matter of what they are made from.
        assert_eq!(of(&Formation { demand: 5, ..formation() }).1, fingerprint);
        let foreign = BTreeMap::from([(GENERATION.to_owned(), "many".to_owned())]);
        assert_eq!((generation_of(&foreign), fingerprint_of(&foreign)), (None, None));
    }
}
