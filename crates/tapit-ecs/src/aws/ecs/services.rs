//! Services: how many tasks of what run where.

use aws_sdk_ecs::config::Config;
use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CapacityProviderStrategyItem,
    DeploymentCircuitBreaker, DeploymentConfiguration, LoadBalancer, NetworkConfiguration, PropagateTags,
};

use super::super::config::{SLOW_ANSWER, timeouts};
use super::{Ecs, PAGE, SERVICES_AT_ONCE, failures, lacking, last, read, refused, told, written};
use crate::api::{Answer, ApiError, Breaker, Network, NewService, Operation, Provider, ServiceChange, ServiceTarget};

/// None fewer than wanted while a deployment goes on, and no more than twice as many.
const MINIMUM_PERCENT: i32 = 100;
const MAXIMUM_PERCENT: i32 = 200;

impl Ecs {
    pub async fn create_service(&self, new: NewService) -> Result<Answer, ApiError> {
        let operation = Operation::CreateService;
        let wrong = |text: String| refused(operation, text);
        let grace = new.target.as_ref().map(|target| seconds(target.grace_seconds));
        let sent = self
            .client
            .create_service()
            .cluster(new.cluster)
            .service_name(new.name)
            .task_definition(new.task_definition)
            .desired_count(count(operation, new.desired)?)
            .capacity_provider_strategy(strategy(new.provider).map_err(wrong)?)
            .network_configuration(network(new.network).map_err(wrong)?)
            .deployment_configuration(deployment(new.breaker))
            .set_load_balancers(new.target.map(|target| vec![balancer(target)]))
            .set_health_check_grace_period_seconds(grace)
            // Tasks are moved by nobody but us; and they carry the tags of their service.
            .availability_zone_rebalancing(AvailabilityZoneRebalancing::Disabled)
            .propagate_tags(PropagateTags::Service)
            .client_token(new.client_token)
            .set_tags(Some(written(&new.tags)).filter(|tags| !tags.is_empty()))
            .send()
            .await;
        let created = sent.map_err(told(operation))?.service.ok_or_else(|| lacking(operation, "the service"))?;
        Ok(Answer::Service(Box::new(read::service(operation, created)?)))
    }

    pub async fn update_service(&self, change: ServiceChange) -> Result<Answer, ApiError> {
        let operation = Operation::UpdateService;
        let desired = change.desired.map(|desired| count(operation, desired)).transpose()?;
        let grace = change.target.as_ref().map(|target| seconds(target.grace_seconds));
        let sent = self
            .client
            .update_service()
            .cluster(change.cluster)
            .service(change.service)
            .set_desired_count(desired)
            .set_task_definition(change.task_definition)
            .set_deployment_configuration(change.breaker.map(deployment))
            .set_load_balancers(change.target.map(|target| vec![balancer(target)]))
            .set_health_check_grace_period_seconds(grace)
            .customize()
            .config_override(Config::builder().timeout_config(timeouts(SLOW_ANSWER)))
            .send()
            .await;
        let updated = sent.map_err(told(operation))?.service.ok_or_else(|| lacking(operation, "the service"))?;
        Ok(Answer::Service(Box::new(read::service(operation, updated)?)))
    }

    pub async fn delete_service(&self, cluster: String, service: String) -> Result<Answer, ApiError> {
        let sent = self
            .client
            .delete_service()
            .cluster(cluster)
            .service(service)
            .force(true)
            .customize()
            .config_override(Config::builder().timeout_config(timeouts(SLOW_ANSWER)))
            .send()
            .await;
        sent.map(|_| Answer::Done).map_err(told(Operation::DeleteService))
    }

    pub async fn describe_services(&self, cluster: String, services: Vec<String>) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeServices;
        if !(1..=SERVICES_AT_ONCE).contains(&services.len()) {
            let text = format!("{} services at once; ECS describes 1 to {SERVICES_AT_ONCE}", services.len());
            return Err(refused(operation, text));
        }
        let sent = self.client.describe_services().cluster(cluster).set_services(Some(services)).send().await;
        let described = sent.map_err(told(operation))?;
        failures(operation, described.failures)?;
        let services = described.services.unwrap_or_default().into_iter();
        Ok(Answer::Services(services.map(|service| read::service(operation, service)).collect::<Result<_, _>>()?))
    }

    pub async fn list_services(&self, cluster: String, next: Option<String>) -> Result<Answer, ApiError> {
        let sent = self.client.list_services().cluster(cluster).max_results(PAGE).set_next_token(next).send().await;
        let listed = sent.map_err(told(Operation::ListServices))?;
        let names = listed.service_arns.unwrap_or_default().iter().map(|arn| last(arn)).collect();
        Ok(Answer::Names { names, next: listed.next_token })
    }
}

fn count(operation: Operation, count: u32) -> Result<i32, ApiError> {
    i32::try_from(count).map_err(|_| refused(operation, format!("{count} tasks")))
}

fn seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// One provider has the whole weight, so that the count is exact whatever becomes of it.
pub(super) fn strategy(provider: Provider) -> Result<CapacityProviderStrategyItem, String> {
    let name = match provider {
        Provider::Fargate => "FARGATE",
        Provider::FargateSpot => "FARGATE_SPOT",
    };
    let item = CapacityProviderStrategyItem::builder().capacity_provider(name).weight(1).build();
    item.map_err(|error| error.to_string())
}

pub(super) fn network(network: Network) -> Result<NetworkConfiguration, String> {
    let public = if network.assign_public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(network.subnets))
        .set_security_groups(Some(network.security_groups))
        .assign_public_ip(public)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

fn deployment(breaker: Breaker) -> DeploymentConfiguration {
    let on = match breaker {
        Breaker::Off => false,
        Breaker::RollsBack => true,
    };
    DeploymentConfiguration::builder()
        .minimum_healthy_percent(MINIMUM_PERCENT)
        .maximum_percent(MAXIMUM_PERCENT)
        .deployment_circuit_breaker(DeploymentCircuitBreaker::builder().enable(on).rollback(on).build())
        .build()
}

fn balancer(target: ServiceTarget) -> LoadBalancer {
    LoadBalancer::builder()
        .target_group_arn(target.target_group)
        .container_name(target.container)
        .container_port(i32::from(target.port))
        .build()
}
