//! What was made for an app, and what is about to be: kept in a file, so that a server that dies between two calls goes on
//! where it was. What can be seen in the account at little cost (services, tasks) is not in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tapit_model::{InstanceKind, Moment, ProcessName, Timestamp};

use crate::api::NewTask;
use crate::sight::Memory;

/// One app's part of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppRecord {
    pub cluster: Made,
    pub log_group: Made,
    pub log_retention: Made,
    /// Its id.
    pub security_group: Option<String>,
    pub ingress_from_itself: Made,
    /// Security groups of the load balancer that are let in.
    pub ingress_from_balancer: BTreeSet<String>,
    pub target: TargetRecord,
    /// Names that something has already, so that it must be looked up.
    pub taken: BTreeSet<Taken>,
    /// At the end of the app: the registry's part is cleared up.
    pub repository_removed: Made,
    pub processes: BTreeMap<ProcessName, ProcessRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Taken {
    SecurityGroup,
    TargetGroup,
}

/// The way from the load balancer to the public process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetRecord {
    /// ARN of the target group.
    pub group: Option<String>,
    /// The check that it was given.
    pub health: Option<crate::api::TargetHealthCheck>,
    pub delay: Made,
    /// ARN of the listener's rule.
    pub rule: Option<String>,
    /// The hosts that it is for.
    pub hosts: Vec<String>,
    /// What the listener's rules were found to be, as long as none is known to be ours.
    pub search: RuleSearch,
}

/// A look through the rules of a listener, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleSearch {
    pub taken: BTreeSet<u16>,
    /// All hosts that rules are for.
    pub hosts: BTreeSet<String>,
    pub next: Option<String>,
    pub complete: Made,
}

/// Whether something is known to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Made {
    #[default]
    No,
    Yes,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessRecord {
    /// By ARN.
    pub definitions: BTreeMap<String, Definition>,
    /// Registrations that may have been carried out without an answer, by family: looked up before they are made again.
    pub registering: BTreeMap<String, Definition>,
    /// What services were told last, by kind; believed for a while where the account still shows something else.
    pub told: BTreeMap<InstanceKind, Told>,
    /// Of a process that runs once: what has come of it. `None`: it has not run, and nothing has asked for it.
    pub run: Option<Run>,
    /// ARNs of definitions that ECS has given up by itself.
    pub given_up: Vec<String>,
    /// What was seen of its instances.
    pub memory: Memory,
}

/// The one run of a process that is never started again.
///
/// ```text
/// nothing ─► Asked ─► Task
///    │  ▲     │  └──► Unknown ◄─┐
///    │  └─────┘ refused         │
///    └──────────────► Sought ───┴─► Task
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// AWS is asked to start it, or was asked and has not answered.
    Asked(Box<Asked>),
    /// A file was lost, and an earlier server may have started it: it is looked for.
    Sought,
    /// ARN of its task, and whether that was told to stop.
    Task { arn: String, stop: Made },
    /// It may have run, and nobody can tell any more, so it never will. What stands for its task's id.
    Unknown { id: String },
}

/// Word for word, so that AWS takes a repetition for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub task: NewTask,
    /// The first time, on both clocks: one may jump, and the other begins anew with the host.
    pub at: Timestamp,
    pub moment: Moment,
}

/// A revision of a task definition, by what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub kind: InstanceKind,
    pub generation: u64,
    /// Of everything in it.
    pub fingerprint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub at: Moment,
    pub desired: u32,
    pub task_definition: String,
}

/// What all apps of one server share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    pub vpc: String,
    pub subnets: Vec<String>,
    pub assign_public_ip: bool,
    /// ARN.
    pub execution_role: String,
    /// Once an app has a public process.
    pub balancer: Option<Balancer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balancer {
    pub arn: String,
    pub dns_name: String,
    /// ARN.
    pub listener: String,
    pub port: u16,
    /// Those that it is in: its traffic comes from them.
    pub security_groups: Vec<String>,
}
