//! ECS's answers in our nouns. A word that ECS has come up with since is an error, not a guess.

use std::net::Ipv4Addr;

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types;
use tapit_model::Timestamp;

use super::lacking;
use crate::api::{
    ApiError, Deployment, DesiredStatus, Operation, Provider, RolloutState, Service, ServiceEvent, ServiceStatus, Task,
    TaskDefinition, TaskStatus,
};

/// As many as anybody looks at.
const EVENTS: usize = 20;

pub fn definition(operation: Operation, from: types::TaskDefinition) -> Result<TaskDefinition, ApiError> {
    let active = match from.status {
        Some(types::TaskDefinitionStatus::Active) | None => true,
        Some(types::TaskDefinitionStatus::Inactive | types::TaskDefinitionStatus::DeleteInProgress) => false,
        Some(other) => return Err(unknown(operation, "status of a task definition", other.as_str())),
    };
    let labels = from.container_definitions.unwrap_or_default().into_iter().next();
    let labels = labels.and_then(|container| container.docker_labels).unwrap_or_default();
    Ok(TaskDefinition {
        arn: from.task_definition_arn.ok_or_else(|| lacking(operation, "the task definition's ARN"))?,
        family: from.family.ok_or_else(|| lacking(operation, "the task definition's family"))?,
        labels: labels.into_iter().collect(),
        active,
    })
}

pub fn service(operation: Operation, from: types::Service) -> Result<Service, ApiError> {
    let status = from.status.unwrap_or_default();
    let status = match status.as_str() {
        "ACTIVE" => ServiceStatus::Active,
        "DRAINING" => ServiceStatus::Draining,
        "INACTIVE" => ServiceStatus::Inactive,
        other => return Err(unknown(operation, "status of a service", other)),
    };
    let deployments = from.deployments.unwrap_or_default().into_iter();
    let mut deployments = deployments.map(|one| dated(operation, one)).collect::<Result<Vec<_>, _>>()?;
    deployments.sort_by_key(|(created, one)| (!one.primary, std::cmp::Reverse(*created)));
    let events = from.events.unwrap_or_default().into_iter().take(EVENTS).map(event);
    let target_group = from.load_balancers.unwrap_or_default().into_iter().find_map(|one| one.target_group_arn);
    Ok(Service {
        name: from.service_name.ok_or_else(|| lacking(operation, "the service's name"))?,
        status,
        desired: counted(from.desired_count),
        running: counted(from.running_count),
        pending: counted(from.pending_count),
        task_definition: from.task_definition.unwrap_or_default(),
        target_group,
        deployments: deployments.into_iter().map(|(_, one)| one).collect(),
        events: events.collect(),
    })
}

fn dated(operation: Operation, from: types::Deployment) -> Result<(Timestamp, Deployment), ApiError> {
    let state = match from.rollout_state {
        Some(types::DeploymentRolloutState::InProgress) | None => RolloutState::InProgress,
        Some(types::DeploymentRolloutState::Completed) => RolloutState::Completed,
        Some(types::DeploymentRolloutState::Failed) => RolloutState::Failed,
        Some(other) => return Err(unknown(operation, "state of a deployment", other.as_str())),
    };
    let created = from.created_at.map(time).unwrap_or_default();
    let deployment = Deployment {
        id: from.id.unwrap_or_default(),
        primary: from.status.as_deref() == Some("PRIMARY"),
        task_definition: from.task_definition.unwrap_or_default(),
        state,
        reason: from.rollout_state_reason,
        failed_tasks: counted(from.failed_tasks),
    };
    Ok((created, deployment))
}

fn event(from: types::ServiceEvent) -> ServiceEvent {
    ServiceEvent {
        id: from.id.unwrap_or_default(),
        at: from.created_at.map(time).unwrap_or_default(),
        message: from.message.unwrap_or_default(),
    }
}

pub fn task(operation: Operation, from: types::Task) -> Result<Task, ApiError> {
    let status = status(operation, from.last_status.as_deref().unwrap_or_default())?;
    // STOPPED is the only other word; a task that is on its way out for any reason has it.
    let desired = match from.desired_status.as_deref() {
        Some("STOPPED") => DesiredStatus::Stopped,
        Some(_) | None => DesiredStatus::Running,
    };
    let provider = match from.capacity_provider_name.as_deref() {
        Some("FARGATE") => Some(Provider::Fargate),
        Some("FARGATE_SPOT") => Some(Provider::FargateSpot),
        Some(_) | None => None,
    };
    let container = from.containers.unwrap_or_default().into_iter().next();
    let ip = address(&from.attachments.unwrap_or_default(), container.as_ref());
    let (exit_code, container_reason, image_digest) =
        container.map(|one| (one.exit_code, one.reason, one.image_digest)).unwrap_or_default();
    Ok(Task {
        arn: from.task_arn.ok_or_else(|| lacking(operation, "the task's ARN"))?,
        task_definition: from.task_definition_arn.ok_or_else(|| lacking(operation, "the task's definition"))?,
        group: from.group.unwrap_or_default(),
        started_by: from.started_by.filter(|by| !by.is_empty()),
        status,
        desired,
        provider,
        cpu: from.cpu.and_then(|cpu| cpu.parse().ok()).unwrap_or_default(),
        memory_mib: from.memory.and_then(|memory| memory.parse().ok()).unwrap_or_default(),
        ip,
        created_at: from.created_at.map(time).unwrap_or_default(),
        pull_started_at: from.pull_started_at.map(time),
        pull_stopped_at: from.pull_stopped_at.map(time),
        started_at: from.started_at.map(time),
        stopping_at: from.stopping_at.map(time),
        stopped_at: from.stopped_at.map(time),
        stop_code: from.stop_code.map(|code| code.as_str().to_owned()),
        stopped_reason: from.stopped_reason,
        exit_code,
        container_reason,
        image_digest,
    })
}

fn status(operation: Operation, word: &str) -> Result<TaskStatus, ApiError> {
    Ok(match word {
        "PROVISIONING" => TaskStatus::Provisioning,
        "PENDING" => TaskStatus::Pending,
        "ACTIVATING" => TaskStatus::Activating,
        "RUNNING" => TaskStatus::Running,
        "DEACTIVATING" => TaskStatus::Deactivating,
        "STOPPING" => TaskStatus::Stopping,
        "DEPROVISIONING" => TaskStatus::Deprovisioning,
        // What is left of a task for a moment after it was stopped.
        "STOPPED" | "DELETED" => TaskStatus::Stopped,
        other => return Err(unknown(operation, "status of a task", other)),
    })
}

/// Of the network interface, which is attached to the task before the container knows of it.
fn address(attachments: &[types::Attachment], container: Option<&types::Container>) -> Option<Ipv4Addr> {
    let details = attachments.iter().flat_map(types::Attachment::details);
    let attached = details.filter(|detail| detail.name() == Some("privateIPv4Address"));
    let own = container.into_iter().flat_map(types::Container::network_interfaces);
    let found = attached.filter_map(types::KeyValuePair::value);
    found.chain(own.filter_map(types::NetworkInterface::private_ipv4_address)).find_map(|text| text.parse().ok())
}

fn counted(count: i32) -> u32 {
    u32::try_from(count).unwrap_or_default()
}

fn time(at: DateTime) -> Timestamp {
    Timestamp(at.to_millis().unwrap_or_default())
}

fn unknown(operation: Operation, what: &str, word: &str) -> ApiError {
    lacking(operation, &format!("a known {what}: it says {word:?}"))
}
