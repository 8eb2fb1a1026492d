//! Which calls were made, how often, and what came of them.

use std::collections::{BTreeMap, VecDeque};

use tapit_model::Timestamp;

use crate::api::{ApiFault, Operation, Request};

/// So many changes are remembered in full; all calls are counted.
const REMEMBERED: usize = 50_000;

/// One call that reached the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// From 1.
    pub number: u64,
    pub at: Timestamp,
    pub request: Request,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    CarriedOut,
    /// It was carried out, and the caller does not know.
    AnswerLost,
    Refused(ApiFault),
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    pub made: u64,
    pub counts: BTreeMap<Operation, u64>,
    /// Those that change something, the oldest first.
    pub changes: VecDeque<(Call, Outcome)>,
}

impl Calls {
    pub fn begin(&mut self, at: Timestamp, request: Request) -> Call {
        self.made += 1;
        *self.counts.entry(request.operation()).or_default() += 1;
        Call { number: self.made, at, request }
    }

    pub fn end(&mut self, call: Call, outcome: Outcome) {
        if is_read(call.request.operation()) {
            return;
        }
        if self.changes.len() == REMEMBERED {
            self.changes.pop_front();
        }
        self.changes.push_back((call, outcome));
    }
}

pub(super) fn is_read(operation: Operation) -> bool {
    match operation {
        Operation::CallerIdentity
        | Operation::ListClusters
        | Operation::DescribeTaskDefinition
        | Operation::ListTaskDefinitions
        | Operation::DescribeServices
        | Operation::ListServices
        | Operation::ListTasks
        | Operation::DescribeTasks
        | Operation::DescribeVpcs
        | Operation::DescribeSubnets
        | Operation::DescribeSecurityGroups
        | Operation::DescribeLoadBalancers
        | Operation::DescribeListeners
        | Operation::DescribeTargetGroups
        | Operation::DescribeTargetHealth
        | Operation::DescribeRules
        | Operation::GetLogEvents
        | Operation::GetRole
        | Operation::GetAuthorizationToken => true,
        Operation::CreateCluster
        | Operation::DeleteCluster
        | Operation::RegisterTaskDefinition
        | Operation::DeregisterTaskDefinition
        | Operation::CreateService
        | Operation::UpdateService
        | Operation::DeleteService
        | Operation::RunTask
        | Operation::StopTask
        | Operation::CreateSecurityGroup
        | Operation::AuthorizeIngress
        | Operation::DeleteSecurityGroup
        | Operation::CreateLoadBalancer
        | Operation::DeleteLoadBalancer
        | Operation::CreateListener
        | Operation::CreateTargetGroup
        | Operation::ModifyTargetGroup
        | Operation::ModifyTargetGroupAttributes
        | Operation::DeleteTargetGroup
        | Operation::CreateRule
        | Operation::DeleteRule
        | Operation::CreateLogGroup
        | Operation::PutRetentionPolicy
        | Operation::DeleteLogGroup
        | Operation::CreateRole
        | Operation::AttachRolePolicy
        | Operation::DetachRolePolicy
        | Operation::DeleteRole
        | Operation::CreateRepository
        | Operation::DeleteRepository => false,
    }
}
