//! What calls speak of, in AWS's words and no more of each than is used.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use tapit_model::Timestamp;

/// Everything that is made carries these, so that it can be found and removed.
pub type Tags = BTreeMap<String, String>;

/// One container, since a process is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewTaskDefinition {
    pub family: String,
    /// In units: 1024 are one vCPU.
    pub cpu: u32,
    pub memory_mib: u64,
    pub execution_role: Option<String>,
    pub task_role: Option<String>,
    pub container: Container,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub image: String,
    /// Replaces the image's CMD; empty: the image's own.
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub port: Option<u16>,
    /// 2 to 120.
    pub stop_timeout: u16,
    /// Capabilities to add; Fargate takes SYS_PTRACE alone.
    pub cap_add: Vec<String>,
    pub log_group: String,
    pub log_region: String,
    /// The stream is `PREFIX/CONTAINER/TASK`.
    pub log_prefix: String,
    /// What the definition was made from; the only place where an account tells us of it again.
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// `…:task-definition/FAMILY:REVISION`
    pub arn: String,
    pub family: String,
    pub labels: BTreeMap<String, String>,
    /// No: it was deregistered.
    pub active: bool,
}

/// What capacity a service's tasks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Provider {
    Fargate,
    FargateSpot,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewService {
    pub cluster: String,
    pub name: String,
    pub task_definition: String,
    pub desired: u32,
    pub provider: Provider,
    pub network: Network,
    pub target: Option<ServiceTarget>,
    pub breaker: Breaker,
    /// At most 36 characters; the same for the same service.
    pub client_token: String,
    pub tags: Tags,
}

/// One task that no service looks after: it is never replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewTask {
    pub cluster: String,
    pub task_definition: String,
    /// What it is found by: at most 255 characters, and none that services or families have.
    pub group: String,
    pub provider: Provider,
    pub network: Network,
    /// At most 64 characters. The same for the same task, which tells of it as whom it was started by.
    pub client_token: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Network {
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub assign_public_ip: bool,
}

/// The target group that a service's tasks join.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceTarget {
    pub target_group: String,
    pub container: String,
    pub port: u16,
    /// So long a failing check does not count.
    pub grace_seconds: u32,
}

/// Whether ECS gives up a deployment that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Breaker {
    /// There is no earlier deployment to go back to, and one that is given up would never be tried again.
    Off,
    /// It goes back to the one before.
    RollsBack,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceChange {
    pub cluster: String,
    pub service: String,
    pub desired: Option<u32>,
    pub task_definition: Option<String>,
    pub breaker: Option<Breaker>,
    /// A new target group or port means a new deployment.
    pub target: Option<ServiceTarget>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceStatus {
    Active,
    /// Deleted, and tasks are left; the name is taken.
    Draining,
    /// Gone; the name is free.
    Inactive,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub status: ServiceStatus,
    pub desired: u32,
    pub running: u32,
    pub pending: u32,
    /// ARN of what the newest deployment runs.
    pub task_definition: String,
    pub target_group: Option<String>,
    /// The newest first.
    pub deployments: Vec<Deployment>,
    /// The newest first, at most 20 of them.
    pub events: Vec<ServiceEvent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RolloutState {
    InProgress,
    Completed,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: String,
    /// It is the one that is wanted, not one that goes.
    pub primary: bool,
    pub task_definition: String,
    pub state: RolloutState,
    pub reason: Option<String>,
    pub failed_tasks: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub id: String,
    pub at: Timestamp,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DesiredStatus {
    Running,
    Stopped,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskStatus {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// `…:task/CLUSTER/ID`
    pub arn: String,
    pub task_definition: String,
    /// `service:NAME`, or whatever it was started with.
    pub group: String,
    /// A deployment's id, or the token of whoever started it alone.
    pub started_by: Option<String>,
    pub status: TaskStatus,
    pub desired: DesiredStatus,
    /// `None` where it runs on no provider that we use.
    pub provider: Option<Provider>,
    /// In units, and MiB.
    pub cpu: u32,
    pub memory_mib: u64,
    /// Of its network interface, once it has one.
    pub ip: Option<Ipv4Addr>,
    pub created_at: Timestamp,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub stopping_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    /// As AWS spells it: `EssentialContainerExited`, `SpotInterruption` …
    pub stop_code: Option<String>,
    pub stopped_reason: Option<String>,
    pub exit_code: Option<i32>,
    /// Of its container: `OutOfMemoryError: …`, `CannotPullContainerError: …`
    pub container_reason: Option<String>,
    /// What ran, as far as ECS tells.
    pub image_digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SubnetsOf {
    Vpc(String),
    Ids(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    /// Instances get public addresses by themselves, so there is a way out without NAT.
    pub public: bool,
}

/// Who may reach the members of a security group, on all TCP ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IngressFrom {
    /// Its own members.
    Itself,
    Group(String),
    /// Anybody, on this port alone.
    World {
        port: u16,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoadBalancerBy {
    Name(String),
    Arn(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub arn: String,
    pub dns_name: String,
    pub vpc: String,
    pub security_groups: Vec<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListenersOf {
    LoadBalancer(String),
    Arn(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub arn: String,
    pub load_balancer: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewTargetGroup {
    /// At most 32 characters.
    pub name: String,
    pub vpc: String,
    pub port: u16,
    pub health: TargetHealthCheck,
    pub tags: Tags,
}

/// HTTP, every few seconds; any 2xx or 3xx will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TargetHealthCheck {
    pub path: String,
    /// Also 4xx, which is as far as a load balancer lets it go: whoever named no path only wants to know that it answers.
    pub any_status: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    pub ip: Ipv4Addr,
    pub port: u16,
    pub state: TargetState,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TargetState {
    Initial,
    Healthy,
    Unhealthy,
    Draining,
    /// Not in use by any listener, or not registered.
    Unused,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub arn: String,
    /// `None`: the default one.
    pub priority: Option<u16>,
    pub hosts: Vec<String>,
    pub target_group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    pub at: Timestamp,
    pub message: String,
}

/// For the registry of the account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLogin {
    /// `HOST`, without a scheme; with `plain_http`, where the answer named such a one.
    pub host: String,
    pub plain_http: bool,
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryLogin").field("host", &self.host).finish_non_exhaustive()
    }
}
