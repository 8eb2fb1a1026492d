//! Commands in instances: which instance, and what its refusals mean.

use tapit_engine::{EngineError, ExecSession};
use tapit_model::{InstanceKey, InstanceObserved, InstanceState, ProcessKey, Refusal, describe};

use super::{known_app, unknown_process};
use crate::api::ExecAsked;
use crate::hub::Hub;

pub async fn exec(hub: &Hub, asked: ExecAsked) -> Result<ExecSession, Refusal> {
    let ExecAsked { app, process, instance, request } = asked;
    let key = ProcessKey::new(&app, &process);
    hub.ledger.read(|world| {
        known_app(world, &app)?;
        world.processes.get(&key).map(drop).ok_or_else(|| unknown_process(world, &app, &process))
    })?;
    let observed = hub.engine.observe().await.map_err(|error| refusal(&error))?;
    let instances = observed.into_iter().find(|seen| seen.key == key).map(|seen| seen.instances).unwrap_or_default();
    let id = match &instance {
        Some(id) => instances.iter().find(|one| one.id == *id).map(|one| one.id.clone()).ok_or_else(|| {
            Refusal::not_found(format!("process {process} has no instance {id}; {}", there(&instances)))
        })?,
        None => newest_healthy(&instances).ok_or_else(|| none_healthy(&key, &instances))?.id.clone(),
    };
    hub.engine.exec(&InstanceKey { app, id }, request).await.map_err(|error| refusal(&error))
}

/// Engines list instances in the order in which they were made.
fn newest_healthy(instances: &[InstanceObserved]) -> Option<&InstanceObserved> {
    instances.iter().rev().find(|one| one.state == InstanceState::Healthy)
}

fn none_healthy(key: &ProcessKey, instances: &[InstanceObserved]) -> Refusal {
    let hint = match instances.iter().rev().find(|one| one.state != InstanceState::Stopped) {
        Some(one) => format!("; name one that runs all the same, for example instance={}", one.id),
        None => String::new(),
    };
    Refusal::conflict(format!("no instance of process {} is healthy; {}{hint}", key.process, there(instances)))
}

fn there(instances: &[InstanceObserved]) -> String {
    let left = instances.iter().filter(|one| one.state != InstanceState::Stopped);
    let list: Vec<String> = left.map(|one| format!("{} ({})", one.id, one.state.as_str())).collect();
    if list.is_empty() { "it has none".to_owned() } else { format!("there are: {}", list.join(", ")) }
}

fn refusal(error: &EngineError) -> Refusal {
    let text = describe(error);
    match error {
        EngineError::UnknownProcess(_) | EngineError::UnknownInstance(_) => Refusal::not_found(text),
        EngineError::NotRunning(_) | EngineError::Unsupported { .. } => Refusal::conflict(text),
        EngineError::Image { .. }
        | EngineError::Archive { .. }
        | EngineError::UnknownPosition(_)
        | EngineError::Act { .. } => Refusal::failed(text),
    }
}
