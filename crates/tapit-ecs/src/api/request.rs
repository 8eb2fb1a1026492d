//! The calls.

use serde::{Deserialize, Serialize};
use tapit_model::Timestamp;

use super::nouns::*;

/// One call, with the answer that it is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// `Answer::Account`: who we are. Needs no permission.
    CallerIdentity,

    /// `Answer::Done`. One that is there already is taken for made.
    CreateCluster { name: String, tags: Tags },
    /// `Answer::Done`. `InUse` as long as services are in it.
    DeleteCluster { name: String },
    /// `Answer::Names`: 100 at once, of all clusters of the account.
    ListClusters { next: Option<String> },
    /// `Answer::TaskDefinition`. Each call makes another revision.
    RegisterTaskDefinition(Box<NewTaskDefinition>),
    /// `Answer::TaskDefinition`. By ARN, `family:revision`, or `family` for the newest that is active.
    DescribeTaskDefinition { name: String },
    /// `Answer::Names`: ARNs of the active revisions of a family, newest first, 100 at once.
    ListTaskDefinitions { family: String, next: Option<String> },
    /// `Answer::Done`.
    DeregisterTaskDefinition { arn: String },
    /// `Answer::Service`. `AlreadyExists` for a name that is active or draining.
    CreateService(Box<NewService>),
    /// `Answer::Service`. What is `None` stays.
    UpdateService(ServiceChange),
    /// `Answer::Done`: with force, its tasks are stopped by ECS.
    DeleteService { cluster: String, service: String },
    /// `Answer::Services`: at most 10 names. Those that are not there are left out of the answer.
    DescribeServices { cluster: String, services: Vec<String> },
    /// `Answer::Names`: the names of active services, 100 at once.
    ListServices { cluster: String, next: Option<String> },
    /// `Answer::Names`: ARNs of tasks, 100 at once.
    ListTasks { cluster: String, desired: DesiredStatus, next: Option<String> },
    /// `Answer::Tasks`: at most 100. Those that are not there are left out of the answer.
    DescribeTasks { cluster: String, tasks: Vec<String> },
    /// `Answer::Tasks`: the one task. The same token and words are the same task for as long as AWS remembers them, which is
    /// an hour beyond the task's life, and a day at most; the same token with other words is `AlreadyExists`. `Capacity`
    /// where nothing was started for want of room.
    RunTask(Box<NewTask>),
    /// `Answer::Done`. One that has stopped is taken for stopped.
    StopTask { cluster: String, task: String, reason: String },

    /// `Answer::Names`: id of the default VPC, or nothing.
    DescribeDefaultVpc,
    /// `Answer::Subnets`: by ids, or those of a VPC.
    DescribeSubnets(SubnetsOf),
    /// `Answer::Id`. `AlreadyExists` for a name that the VPC has.
    CreateSecurityGroup { name: String, vpc: String, description: String, tags: Tags },
    /// `Answer::Names`: the id of the group of that name in the VPC, or nothing.
    DescribeSecurityGroup { name: String, vpc: String },
    /// `Answer::Done`. A rule that is there already is taken for made.
    AuthorizeIngress { group: String, from: IngressFrom },
    /// `Answer::Done`. `InUse` as long as anything is in it; one that is not there is taken for deleted.
    DeleteSecurityGroup { group: String },

    /// `Answer::LoadBalancer`.
    CreateLoadBalancer { name: String, subnets: Vec<String>, security_groups: Vec<String>, tags: Tags },
    /// `Answer::LoadBalancer`, or `NotFound`.
    DescribeLoadBalancer(LoadBalancerBy),
    /// `Answer::Done`. One that is not there is taken for deleted.
    DeleteLoadBalancer { arn: String },
    /// `Answer::Id`: an HTTP listener that answers 404 where no rule applies. One that is there already is `AlreadyExists`.
    CreateListener { load_balancer: String, port: u16, tags: Tags },
    /// `Answer::Listeners`.
    DescribeListeners(ListenersOf),
    /// `Answer::Id`. One of the same name and settings is taken for made; with other settings it is `AlreadyExists`.
    CreateTargetGroup(Box<NewTargetGroup>),
    /// `Answer::Id`, or `NotFound`.
    DescribeTargetGroup { name: String },
    /// `Answer::Done`.
    ModifyTargetGroup { arn: String, health: TargetHealthCheck },
    /// `Answer::Done`: how long a target that leaves may answer what it has been sent.
    SetDeregistrationDelay { arn: String, seconds: u16 },
    /// `Answer::Done`. `InUse` as long as a rule names it; one that is not there is taken for deleted.
    DeleteTargetGroup { arn: String },
    /// `Answer::Targets`.
    DescribeTargetHealth { arn: String },
    /// `Answer::Id`. `AlreadyExists` for a priority that is taken.
    CreateRule { listener: String, priority: u16, hosts: Vec<String>, target_group: String, tags: Tags },
    /// `Answer::Rules`: 100 at once.
    DescribeRules { listener: String, next: Option<String> },
    /// `Answer::Done`. One that is not there is taken for deleted.
    DeleteRule { arn: String },

    /// `Answer::Done`. One that is there already is taken for made.
    CreateLogGroup { name: String, tags: Tags },
    /// `Answer::Done`.
    SetLogRetention { name: String, days: u16 },
    /// `Answer::Done`. One that is not there is taken for deleted.
    DeleteLogGroup { name: String },
    /// `Answer::LogEvents`, or `NotFound` for a stream that nothing was written to yet.
    GetLogEvents(LogEventsOf),

    /// `Answer::Id`: its ARN, or `NotFound`.
    GetRole { name: String },
    /// `Answer::Id`: a role that ECS tasks may assume. `AlreadyExists` for a name that is taken.
    CreateRole { name: String, description: String, tags: Tags },
    /// `Answer::Done`: AWS's own policy for execution roles.
    AttachExecutionPolicy { role: String },
    /// `Answer::Done`.
    DetachExecutionPolicy { role: String },
    /// `Answer::Done`. One that is not there is taken for deleted.
    DeleteRole { name: String },

    /// `Answer::Id`: its URI, `HOST/NAME`. One that is there already is taken for made.
    CreateRepository { name: String, tags: Tags },
    /// `Answer::Done`, with all images. One that is not there is taken for deleted.
    DeleteRepository { name: String },
    /// `Answer::Login`, good for 12 hours.
    RegistryLogin,
}

/// What is read of one log stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogEventsOf {
    pub group: String,
    pub stream: String,
    /// Where the last reading ended; without it from the end backwards.
    pub after: LogFrom,
    pub since: Option<Timestamp>,
    pub limit: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogFrom {
    /// The last ones.
    End,
    /// The first ones.
    Start,
    /// Those after a token that an answer has given.
    Token(String),
}
