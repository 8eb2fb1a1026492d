//! The real account: each request as a call of AWS's.
//!
//! Nothing outside this room names a type of the SDK. ECS, load balancing and STS are called through the SDK; of EC2, IAM,
//! CloudWatch Logs and ECR only a few calls are used and their crates are large, so those are written by `wire` over the
//! SDK's own HTTP client, signer and credentials (docs/decisions/0018). Makes each call once: counting, pacing and
//! repeating are the meter's.

mod config;
mod ec2;
mod ecr;
mod ecs;
mod elb;
mod fault;
mod iam;
mod logs;
mod partition;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;

pub use config::{ConnectError, connector};

use crate::api::{Answer, ApiError, EcsApi, Operation, Request};
use crate::doctor::{Decision, Policies, Simulated};
use crate::settings::EcsSettings;
use fault::told;
use wire::Wire;

/// An account in one region, with what it is called through.
#[derive(Debug)]
pub struct Aws {
    ecs: ecs::Ecs,
    elb: elb::Elb,
    sts: aws_sdk_sts::Client,
    ec2: ec2::Ec2,
    iam: iam::Iam,
    logs: logs::Logs,
    ecr: ecr::Ecr,
}

impl Aws {
    /// Finds region, credentials and endpoints as every tool of AWS's does (environment, profile, web identity, the
    /// container's or the machine's role; `AWS_ENDPOINT_URL` and its likes). Calls nothing yet, so credentials that are
    /// missing or wrong show with the first call.
    ///
    /// # Errors
    ///
    /// If there is no region.
    pub async fn connect(settings: &EcsSettings) -> Result<(Arc<Self>, String), ConnectError> {
        let connector = config::connector();
        let config = config::load(settings, &connector).await;
        let region = config.region().ok_or(ConnectError::NoRegion)?.to_string();
        Ok((Arc::new(Self::new(&config, connector)?), region))
    }

    /// With a configuration that is there already, over any connection.
    ///
    /// # Errors
    ///
    /// If the configuration lacks a region or credentials.
    pub fn new(config: &SdkConfig, connector: SharedHttpConnector) -> Result<Self, ConnectError> {
        let config = config.to_builder().http_client(config::client(&connector)).build();
        let wire = Arc::new(Wire::new(&config, connector)?);
        Ok(Self {
            ecs: ecs::Ecs::new(&config),
            elb: elb::Elb::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            ec2: ec2::Ec2::new(Arc::clone(&wire)),
            iam: iam::Iam::new(Arc::clone(&wire)),
            logs: logs::Logs::new(Arc::clone(&wire)),
            ecr: ecr::Ecr::new(wire),
        })
    }

    async fn caller_identity(&self) -> Result<Answer, ApiError> {
        let caller = self.sts.get_caller_identity().send().await.map_err(told(Operation::CallerIdentity))?;
        let account = caller.account.unwrap_or_default();
        Ok(Answer::Account { account, arn: caller.arn.unwrap_or_default() })
    }
}

#[async_trait]
impl EcsApi for Aws {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::CallerIdentity => self.caller_identity().await,

            Request::CreateCluster { name, tags } => self.ecs.create_cluster(name, tags).await,
            Request::DeleteCluster { name } => self.ecs.delete_cluster(name).await,
            Request::ListClusters { next } => self.ecs.list_clusters(next).await,
            Request::RegisterTaskDefinition(new) => self.ecs.register(*new).await,
            Request::DescribeTaskDefinition { name } => self.ecs.describe_task_definition(name).await,
            Request::ListTaskDefinitions { family, next } => self.ecs.list_task_definitions(family, next).await,
            Request::DeregisterTaskDefinition { arn } => self.ecs.deregister(arn).await,
            Request::CreateService(new) => self.ecs.create_service(*new).await,
            Request::UpdateService(change) => self.ecs.update_service(change).await,
            Request::DeleteService { cluster, service } => self.ecs.delete_service(cluster, service).await,
            Request::DescribeServices { cluster, services } => self.ecs.describe_services(cluster, services).await,
            Request::ListServices { cluster, next } => self.ecs.list_services(cluster, next).await,
            Request::ListTasks { cluster, desired, next } => self.ecs.list_tasks(cluster, desired, next).await,
            Request::DescribeTasks { cluster, tasks } => self.ecs.describe_tasks(cluster, tasks).await,
            Request::RunTask(new) => self.ecs.run_task(*new).await,
            Request::StopTask { cluster, task, reason } => self.ecs.stop_task(cluster, task, reason).await,

            Request::DescribeDefaultVpc => self.ec2.default_vpc().await,
            Request::DescribeSubnets(of) => self.ec2.subnets(of).await,
            Request::CreateSecurityGroup { name, vpc, description, tags } => {
                self.ec2.create_group(ec2::NewGroup { name, vpc, description, tags }).await
            }
            Request::DescribeSecurityGroup { name, vpc } => self.ec2.group(name, vpc).await,
            Request::AuthorizeIngress { group, from } => self.ec2.authorize(group, from).await,
            Request::DeleteSecurityGroup { group } => self.ec2.delete_group(group).await,

            Request::CreateLoadBalancer { name, subnets, security_groups, tags } => {
                self.elb.create_balancer(elb::NewBalancer { name, subnets, security_groups, tags }).await
            }
            Request::DescribeLoadBalancer(by) => self.elb.balancer(by).await,
            Request::DeleteLoadBalancer { arn } => self.elb.delete_balancer(arn).await,
            Request::CreateListener { load_balancer, port, tags } => {
                self.elb.create_listener(load_balancer, port, tags).await
            }
            Request::DescribeListeners(of) => self.elb.listeners(of).await,
            Request::CreateTargetGroup(new) => self.elb.create_target_group(*new).await,
            Request::DescribeTargetGroup { name } => self.elb.target_group(name).await,
            Request::ModifyTargetGroup { arn, health } => self.elb.modify_target_group(arn, health).await,
            Request::SetDeregistrationDelay { arn, seconds } => self.elb.set_delay(arn, seconds).await,
            Request::DeleteTargetGroup { arn } => self.elb.delete_target_group(arn).await,
            Request::DescribeTargetHealth { arn } => self.elb.target_health(arn).await,
            Request::CreateRule { listener, priority, hosts, target_group, tags } => {
                self.elb.create_rule(elb::NewRule { listener, priority, hosts, target_group, tags }).await
            }
            Request::DescribeRules { listener, next } => self.elb.rules(listener, next).await,
            Request::DeleteRule { arn } => self.elb.delete_rule(arn).await,

            Request::CreateLogGroup { name, tags } => self.logs.create_group(name, tags).await,
            Request::SetLogRetention { name, days } => self.logs.set_retention(name, days).await,
            Request::DeleteLogGroup { name } => self.logs.delete_group(name).await,
            Request::GetLogEvents(of) => self.logs.events(of).await,

            Request::GetRole { name } => self.iam.role(name).await,
            Request::CreateRole { name, description, tags } => self.iam.create_role(name, description, tags).await,
            Request::AttachExecutionPolicy { role } => self.iam.attach_execution_policy(role).await,
            Request::DetachExecutionPolicy { role } => self.iam.detach_execution_policy(role).await,
            Request::DeleteRole { name } => self.iam.delete_role(name).await,

            Request::CreateRepository { name, tags } => self.ecr.create_repository(name, tags).await,
            Request::DeleteRepository { name } => self.ecr.delete_repository(name).await,
            Request::RegistryLogin => self.ecr.login().await,
        }
    }
}

#[async_trait]
impl Policies for Aws {
    async fn simulate(&self, asked: &Simulated) -> Result<Vec<Decision>, ApiError> {
        self.iam.simulate(asked).await
    }
}

/// An error that is found before anything is sent.
fn refused(operation: Operation, text: impl Into<String>) -> ApiError {
    ApiError { operation, fault: crate::api::ApiFault::Invalid, text: text.into() }
}

/// An answer that lacks what AWS documents to be in it. The call may well have been carried out.
fn lacking(operation: Operation, what: &str) -> ApiError {
    ApiError { operation, fault: crate::api::ApiFault::Unavailable, text: format!("AWS's answer lacks {what}") }
}

/// What is to be gone, and is: also if it was never there.
fn gone(answer: Result<(), ApiError>) -> Result<Answer, ApiError> {
    match answer {
        Ok(()) => Ok(Answer::Done),
        Err(error) if error.fault == crate::api::ApiFault::NotFound => Ok(Answer::Done),
        Err(error) => Err(error),
    }
}

/// What is to be there, and is: also if it was there before.
fn there(answer: Result<(), ApiError>) -> Result<Answer, ApiError> {
    match answer {
        Ok(()) => Ok(Answer::Done),
        Err(error) if error.fault == crate::api::ApiFault::AlreadyExists => Ok(Answer::Done),
        Err(error) => Err(error),
    }
}
