//! How often what may be called: AWS's figures, as data.

use super::bucket::Size;
use crate::api::Operation;

/// Of AWS's figures we use so much: others use the account, too, and a bucket of AWS's may be at a different level than
/// ours.
pub const HEADROOM_PERCENT: u32 = 80;

/// What shares a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    ClusterWrites,
    ClusterReads,
    DefinitionWrites,
    DefinitionReads,
    ServiceWrites,
    ServiceReads,
    TaskStarts,
    TaskWrites,
    TaskReads,
    BalancerReads,
    BalancerWrites,
    BalancerCreation,
    NetworkReads,
    NetworkWrites,
    LogReads,
    LogWrites,
    Roles,
    Repositories,
    Identity,
}

/// A bucket as AWS has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub class: Class,
    pub burst: f64,
    pub per_second: f64,
    /// Where the figures come from.
    pub source: &'static str,
}

const ECS: &str = "Amazon ECS API Reference, request throttling";
const FARGATE: &str = "Amazon ECS developer guide, AWS Fargate throttling quotas: starts on demand";
const ELB: &str = "Elastic Load Balancing user guide, request throttling";
const EC2: &str = "Amazon EC2 developer guide, request throttling: the general classes";
const LOGS: &str = "Amazon CloudWatch Logs user guide, quotas: the lowest of any region";
const NONE: &str = "AWS publishes none; chosen with care, as these are called a few times for each app";

/// One row for each class, in the order of the classes.
pub const RATES: &[Rate] = &[
    Rate { class: Class::ClusterWrites, burst: 20.0, per_second: 1.0, source: ECS },
    Rate { class: Class::ClusterReads, burst: 50.0, per_second: 20.0, source: ECS },
    Rate { class: Class::DefinitionWrites, burst: 20.0, per_second: 1.0, source: ECS },
    Rate { class: Class::DefinitionReads, burst: 50.0, per_second: 20.0, source: ECS },
    Rate { class: Class::ServiceWrites, burst: 50.0, per_second: 5.0, source: ECS },
    Rate { class: Class::ServiceReads, burst: 100.0, per_second: 20.0, source: ECS },
    Rate { class: Class::TaskStarts, burst: 100.0, per_second: 20.0, source: FARGATE },
    Rate { class: Class::TaskWrites, burst: 100.0, per_second: 40.0, source: ECS },
    Rate { class: Class::TaskReads, burst: 100.0, per_second: 20.0, source: ECS },
    Rate { class: Class::BalancerReads, burst: 40.0, per_second: 10.0, source: ELB },
    Rate { class: Class::BalancerWrites, burst: 20.0, per_second: 3.0, source: ELB },
    Rate { class: Class::BalancerCreation, burst: 10.0, per_second: 0.2, source: ELB },
    Rate { class: Class::NetworkReads, burst: 100.0, per_second: 20.0, source: EC2 },
    Rate { class: Class::NetworkWrites, burst: 50.0, per_second: 5.0, source: EC2 },
    Rate { class: Class::LogReads, burst: 10.0, per_second: 10.0, source: LOGS },
    Rate { class: Class::LogWrites, burst: 5.0, per_second: 5.0, source: LOGS },
    Rate { class: Class::Roles, burst: 10.0, per_second: 2.0, source: NONE },
    Rate { class: Class::Repositories, burst: 10.0, per_second: 2.0, source: NONE },
    Rate { class: Class::Identity, burst: 10.0, per_second: 2.0, source: NONE },
];

impl Rate {
    /// What we allow ourselves.
    pub fn ours(&self) -> Size {
        let share = f64::from(HEADROOM_PERCENT) / 100.0;
        Size { burst: self.burst * share, per_second: self.per_second * share }
    }
}

impl Class {
    /// Of `RATES`.
    pub(super) fn row(self) -> usize {
        self as usize
    }
}

/// Whose bucket a call takes from.
pub fn class(operation: Operation) -> Class {
    match operation {
        Operation::CreateCluster | Operation::DeleteCluster => Class::ClusterWrites,
        Operation::ListClusters => Class::ClusterReads,
        Operation::RegisterTaskDefinition | Operation::DeregisterTaskDefinition => Class::DefinitionWrites,
        Operation::DescribeTaskDefinition | Operation::ListTaskDefinitions => Class::DefinitionReads,
        Operation::CreateService | Operation::UpdateService | Operation::DeleteService => Class::ServiceWrites,
        Operation::DescribeServices | Operation::ListServices => Class::ServiceReads,
        Operation::RunTask => Class::TaskStarts,
        Operation::StopTask => Class::TaskWrites,
        Operation::ListTasks | Operation::DescribeTasks => Class::TaskReads,
        Operation::DescribeLoadBalancers
        | Operation::DescribeListeners
        | Operation::DescribeTargetGroups
        | Operation::DescribeTargetHealth
        | Operation::DescribeRules => Class::BalancerReads,
        Operation::DeleteLoadBalancer
        | Operation::CreateListener
        | Operation::CreateTargetGroup
        | Operation::ModifyTargetGroup
        | Operation::ModifyTargetGroupAttributes
        | Operation::DeleteTargetGroup
        | Operation::CreateRule
        | Operation::DeleteRule => Class::BalancerWrites,
        Operation::CreateLoadBalancer => Class::BalancerCreation,
        Operation::DescribeVpcs | Operation::DescribeSubnets | Operation::DescribeSecurityGroups => Class::NetworkReads,
        Operation::CreateSecurityGroup | Operation::AuthorizeIngress | Operation::DeleteSecurityGroup => {
            Class::NetworkWrites
        }
        Operation::GetLogEvents => Class::LogReads,
        Operation::CreateLogGroup | Operation::PutRetentionPolicy | Operation::DeleteLogGroup => Class::LogWrites,
        Operation::GetRole
        | Operation::CreateRole
        | Operation::AttachRolePolicy
        | Operation::DetachRolePolicy
        | Operation::DeleteRole => Class::Roles,
        Operation::CreateRepository | Operation::DeleteRepository | Operation::GetAuthorizationToken => {
            Class::Repositories
        }
        Operation::CallerIdentity => Class::Identity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_row_in_its_place() {
        for (at, rate) in RATES.iter().enumerate() {
            assert_eq!(rate.class.row(), at, "{:?}", rate.class);
        }
        for operation in Operation::ALL {
            assert!(class(*operation).row() < RATES.len(), "{operation}");
        }
    }

    #[test]
    fn no_rate_is_so_small_that_a_first_call_would_wait() {
        assert!(RATES.iter().all(|rate| rate.ours().burst >= 1.0 && rate.ours().per_second > 0.0));
    }
}
