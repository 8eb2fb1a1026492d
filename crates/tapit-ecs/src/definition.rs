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
