//! What a server is told about the account that it runs processes in.

use serde::{Deserialize, Serialize};

/// As given on the command line or in the environment; whatever is left out is found or made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EcsSettings {
    /// Otherwise as the standard chain says.
    pub region: Option<String>,
    /// Empty: those of the default VPC.
    pub subnets: Vec<String>,
    /// Beyond the one that each app has.
    pub security_groups: Vec<String>,
    /// ARN of a listener of an application load balancer; otherwise one is made.
    pub listener: Option<String>,
    /// Apps answer as `APP.DOMAIN`; without it one app answers under the load balancer's own name.
    #[serde(default)]
    pub domain: Option<String>,
    /// ARN of the role that ECS pulls images and writes logs with; otherwise one is made.
    pub execution_role: Option<String>,
    /// ARN of the role that the processes themselves have.
    pub task_role: Option<String>,
    /// Otherwise yes where all subnets are public: without NAT there is no other way out.
    pub assign_public_ip: Option<bool>,
}
