//! One thing to do in the account, and how it is asked for. What the answer means is said in `fold`.

use tapit_model::{InstanceKind, ProcessName};

use super::{Attempt, Inputs};
use crate::api::{
    IngressFrom, NewService, NewTargetGroup, NewTaskDefinition, Request, ServiceChange, TargetHealthCheck,
};
use crate::names;
use crate::record::{Asked, Definition, Told};

/// Below the two minutes that a spot task is given; more than a request takes.
const DEREGISTRATION_SECONDS: u16 = 30;
const LOG_DAYS: u16 = 30;
/// What ECS tells of a task that was stopped by us. `sight` takes some words for a stop by somebody else.
const STOPPED: &str = "not wanted any more";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    CreateCluster,
    CreateLogGroup,
    SetLogRetention,
    CreateSecurityGroup,
    FindSecurityGroup,
    AdmitItself {
        group: String,
    },
    AdmitBalancer {
        group: String,
        from: String,
    },
    CreateTargetGroup {
        port: u16,
        health: TargetHealthCheck,
    },
    FindTargetGroup,
    ChangeHealthCheck {
        group: String,
        health: TargetHealthCheck,
    },
    SetDeregistrationDelay {
        group: String,
    },
    FindRule {
        listener: String,
        next: Option<String>,
    },
    CreateRule {
        listener: String,
        priority: u16,
        hosts: Vec<String>,
        group: String,
    },
    Register {
        process: ProcessName,
        what: Definition,
        definition: Box<NewTaskDefinition>,
    },
    /// The newest revision of a family, where a registration was left without an answer.
    FindDefinition {
        process: ProcessName,
        family: String,
    },
    /// A revision that a service runs and the record does not know.
    LearnDefinition {
        process: ProcessName,
        kind: InstanceKind,
        arn: String,
    },
    Deregister {
        process: ProcessName,
        arn: String,
    },
    CreateService {
        process: ProcessName,
        kind: InstanceKind,
        service: Box<NewService>,
    },
    ChangeService {
        process: ProcessName,
        kind: InstanceKind,
        change: ServiceChange,
        told: Told,
    },
    DeleteService {
        process: ProcessName,
        kind: InstanceKind,
    },
    /// In the very words that are recorded: by other ones AWS would not know a repetition.
    RunTask {
        process: ProcessName,
        asked: Box<Asked>,
        attempt: Attempt,
    },
    StopTask {
        process: ProcessName,
        arn: String,
    },
    DeleteRule {
        arn: String,
    },
    DeleteTargetGroup {
        arn: String,
    },
    DeleteSecurityGroup {
        group: String,
    },
    DeleteLogGroup,
    DeleteRepository,
    DeleteCluster,
}

impl Deed {
    /// The process that waits for it; `None`: all of the app.
    pub fn process(&self) -> Option<&ProcessName> {
        match self {
            Deed::Register { process, .. }
            | Deed::FindDefinition { process, .. }
            | Deed::LearnDefinition { process, .. }
            | Deed::Deregister { process, .. }
            | Deed::CreateService { process, .. }
            | Deed::ChangeService { process, .. }
            | Deed::DeleteService { process, .. }
            | Deed::RunTask { process, .. }
            | Deed::StopTask { process, .. } => Some(process),
            Deed::CreateCluster
            | Deed::CreateLogGroup
            | Deed::SetLogRetention
            | Deed::CreateSecurityGroup
            | Deed::FindSecurityGroup
            | Deed::AdmitItself { .. }
            | Deed::AdmitBalancer { .. }
            | Deed::CreateTargetGroup { .. }
            | Deed::FindTargetGroup
            | Deed::ChangeHealthCheck { .. }
            | Deed::SetDeregistrationDelay { .. }
            | Deed::FindRule { .. }
            | Deed::CreateRule { .. }
            | Deed::DeleteRule { .. }
            | Deed::DeleteTargetGroup { .. }
            | Deed::DeleteSecurityGroup { .. }
            | Deed::DeleteLogGroup
            | Deed::DeleteRepository
            | Deed::DeleteCluster => None,
        }
    }

    /// Making it twice would make two: that it is about to be made must be on the disk before.
    pub fn is_intent(&self) -> bool {
        matches!(self, Deed::Register { .. } | Deed::RunTask { .. })
    }

    pub fn request(&self, inputs: &Inputs<'_>) -> Request {
        let (install, app) = (inputs.install, inputs.app);
        let cluster = || install.cluster(app);
        let tags = || install.app_tags(app);
        match self {
            Deed::CreateCluster => Request::CreateCluster { name: cluster(), tags: tags() },
            Deed::CreateLogGroup => Request::CreateLogGroup { name: install.log_group(app), tags: tags() },
            Deed::SetLogRetention => Request::SetLogRetention { name: install.log_group(app), days: LOG_DAYS },
            Deed::CreateSecurityGroup => Request::CreateSecurityGroup {
                name: install.security_group(app),
                vpc: inputs.account.vpc.clone(),
                description: format!("Processes of the app {app}"),
                tags: tags(),
            },
            Deed::FindSecurityGroup => {
                Request::DescribeSecurityGroup { name: install.security_group(app), vpc: inputs.account.vpc.clone() }
            }
            Deed::AdmitItself { group } => {
                Request::AuthorizeIngress { group: group.clone(), from: IngressFrom::Itself }
            }
            Deed::AdmitBalancer { group, from } => {
                Request::AuthorizeIngress { group: group.clone(), from: IngressFrom::Group(from.clone()) }
            }
            Deed::CreateTargetGroup { port, health } => Request::CreateTargetGroup(Box::new(NewTargetGroup {
                name: install.target_group(app),
                vpc: inputs.account.vpc.clone(),
                port: *port,
                health: health.clone(),
                tags: tags(),
            })),
            Deed::FindTargetGroup => Request::DescribeTargetGroup { name: install.target_group(app) },
            Deed::ChangeHealthCheck { group, health } => {
                Request::ModifyTargetGroup { arn: group.clone(), health: health.clone() }
            }
            Deed::SetDeregistrationDelay { group } => {
                Request::SetDeregistrationDelay { arn: group.clone(), seconds: DEREGISTRATION_SECONDS }
            }
            Deed::FindRule { listener, next } => {
                Request::DescribeRules { listener: listener.clone(), next: next.clone() }
            }
            Deed::CreateRule { listener, priority, hosts, group } => Request::CreateRule {
                listener: listener.clone(),
                priority: *priority,
                hosts: hosts.clone(),
                target_group: group.clone(),
                tags: tags(),
            },
            Deed::Register { definition, .. } => Request::RegisterTaskDefinition(definition.clone()),
            Deed::FindDefinition { family, .. } => Request::DescribeTaskDefinition { name: family.clone() },
            Deed::LearnDefinition { arn, .. } => Request::DescribeTaskDefinition { name: arn.clone() },
            Deed::Deregister { arn, .. } => Request::DeregisterTaskDefinition { arn: arn.clone() },
            Deed::CreateService { service, .. } => Request::CreateService(service.clone()),
            Deed::ChangeService { change, .. } => Request::UpdateService(change.clone()),
            Deed::DeleteService { process, kind } => {
                Request::DeleteService { cluster: cluster(), service: names::service(process, *kind) }
            }
            Deed::RunTask { asked, .. } => Request::RunTask(Box::new(asked.task.clone())),
            Deed::StopTask { arn, .. } => {
                Request::StopTask { cluster: cluster(), task: arn.clone(), reason: STOPPED.to_owned() }
            }
            Deed::DeleteRule { arn } => Request::DeleteRule { arn: arn.clone() },
            Deed::DeleteTargetGroup { arn } => Request::DeleteTargetGroup { arn: arn.clone() },
            Deed::DeleteSecurityGroup { group } => Request::DeleteSecurityGroup { group: group.clone() },
            Deed::DeleteLogGroup => Request::DeleteLogGroup { name: install.log_group(app) },
            Deed::DeleteRepository => Request::DeleteRepository { name: install.repository(app) },
            Deed::DeleteCluster => Request::DeleteCluster { name: cluster() },
        }
    }
}
