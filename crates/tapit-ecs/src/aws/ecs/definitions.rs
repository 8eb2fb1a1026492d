//! Task definitions: one container on Fargate.

use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, KernelCapabilities, KeyValuePair, LinuxParameters, LogConfiguration, LogDriver,
    NetworkMode, PortMapping, SortOrder, TaskDefinitionStatus, TransportProtocol,
};

use super::{Ecs, PAGE, lacking, read, refused, told, written};
use crate::api::{Answer, ApiError, Container, NewTaskDefinition, Operation};

impl Ecs {
    pub async fn register(&self, new: NewTaskDefinition) -> Result<Answer, ApiError> {
        let operation = Operation::RegisterTaskDefinition;
        let sent = self
            .client
            .register_task_definition()
            .family(new.family)
            .requires_compatibilities(Compatibility::Fargate)
            .network_mode(NetworkMode::Awsvpc)
            .cpu(new.cpu.to_string())
            .memory(new.memory_mib.to_string())
            .set_execution_role_arn(new.execution_role)
            .set_task_role_arn(new.task_role)
            .container_definitions(container(new.container)?)
            .set_tags(Some(written(&new.tags)).filter(|tags| !tags.is_empty()))
            .send()
            .await;
        let registered = sent.map_err(told(operation))?.task_definition;
        let registered = registered.ok_or_else(|| lacking(operation, "the task definition"))?;
        Ok(Answer::TaskDefinition(Box::new(read::definition(operation, registered)?)))
    }

    pub async fn describe_task_definition(&self, name: String) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeTaskDefinition;
        let sent = self.client.describe_task_definition().task_definition(name).send().await;
        let described = sent.map_err(told(operation))?.task_definition;
        let described = described.ok_or_else(|| lacking(operation, "the task definition"))?;
        Ok(Answer::TaskDefinition(Box::new(read::definition(operation, described)?)))
    }

    pub async fn list_task_definitions(&self, family: String, next: Option<String>) -> Result<Answer, ApiError> {
        let sent = self
            .client
            .list_task_definitions()
            .family_prefix(&family)
            .status(TaskDefinitionStatus::Active)
            .sort(SortOrder::Desc)
            .max_results(PAGE)
            .set_next_token(next)
            .send()
            .await;
        let listed = sent.map_err(told(Operation::ListTaskDefinitions))?;
        // AWS calls it a prefix and compares whole names; others take it at its word.
        let names = listed.task_definition_arns.unwrap_or_default();
        let names = names.into_iter().filter(|arn| family_of(arn) == Some(&family)).collect();
        Ok(Answer::Names { names, next: listed.next_token })
    }

    pub async fn deregister(&self, arn: String) -> Result<Answer, ApiError> {
        let sent = self.client.deregister_task_definition().task_definition(arn).send().await;
        sent.map(|_| Answer::Done).map_err(told(Operation::DeregisterTaskDefinition))
    }
}

/// `…/FAMILY:REVISION` → `FAMILY`
fn family_of(arn: &str) -> Option<&str> {
    Some(arn.rsplit('/').next()?.rsplit_once(':')?.0)
}

fn container(new: Container) -> Result<ContainerDefinition, ApiError> {
    let environment = new.environment.into_iter();
    let environment = environment.map(|(name, value)| KeyValuePair::builder().name(name).value(value).build());
    let port = new
        .port
        .map(|port| PortMapping::builder().container_port(i32::from(port)).protocol(TransportProtocol::Tcp).build());
    let capabilities = (!new.cap_add.is_empty())
        .then(|| KernelCapabilities::builder().set_add(Some(new.cap_add)).build())
        .map(|capabilities| LinuxParameters::builder().capabilities(capabilities).build());
    // A container waits for no log service: what does not fit in the buffer any more is lost.
    let log = LogConfiguration::builder()
        .log_driver(LogDriver::Awslogs)
        .options("awslogs-group", new.log_group)
        .options("awslogs-region", new.log_region)
        .options("awslogs-stream-prefix", new.log_prefix)
        .options("mode", "non-blocking")
        .options("max-buffer-size", "25m")
        .build()
        .map_err(|error| refused(Operation::RegisterTaskDefinition, error.to_string()))?;
    Ok(ContainerDefinition::builder()
        .name(new.name)
        .image(new.image)
        .essential(true)
        .set_command(Some(new.command).filter(|command| !command.is_empty()))
        .set_environment(Some(environment.collect()))
        .set_port_mappings(port.map(|port| vec![port]))
        .set_linux_parameters(capabilities)
        .set_docker_labels(Some(new.labels.into_iter().collect()))
        .stop_timeout(i32::from(new.stop_timeout))
        .log_configuration(log)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_an_arn_is_what_stands_before_the_revision() {
        assert_eq!(family_of("arn:aws:ecs:eu-west-1:1:task-definition/tapit-a-b:12"), Some("tapit-a-b"));
        assert_eq!(family_of("nonsense"), None);
    }
}
