//! The names of the calls: for counting, for limits of rate, for words to people, for permissions.

use super::request::Request;

macro_rules! operations {
    ($($pattern:pat => $variant:ident $permission:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation { $($variant,)* }

        impl Operation {
            pub const ALL: &[Operation] = &[$(Operation::$variant,)*];

            /// As policies name it: `ecs:CreateService`.
            pub fn permission(self) -> &'static str {
                match self { $(Operation::$variant => $permission,)* }
            }
        }

        impl Request {
            pub fn operation(&self) -> Operation {
                match self { $($pattern => Operation::$variant,)* }
            }
        }
    };
}

operations! {
    Request::CallerIdentity => CallerIdentity "sts:GetCallerIdentity"
    Request::CreateCluster { .. } => CreateCluster "ecs:CreateCluster"
    Request::DeleteCluster { .. } => DeleteCluster "ecs:DeleteCluster"
    Request::ListClusters { .. } => ListClusters "ecs:ListClusters"
    Request::RegisterTaskDefinition(_) => RegisterTaskDefinition "ecs:RegisterTaskDefinition"
    Request::DescribeTaskDefinition { .. } => DescribeTaskDefinition "ecs:DescribeTaskDefinition"
    Request::ListTaskDefinitions { .. } => ListTaskDefinitions "ecs:ListTaskDefinitions"
    Request::DeregisterTaskDefinition { .. } => DeregisterTaskDefinition "ecs:DeregisterTaskDefinition"
    Request::CreateService(_) => CreateService "ecs:CreateService"
    Request::UpdateService(_) => UpdateService "ecs:UpdateService"
    Request::DeleteService { .. } => DeleteService "ecs:DeleteService"
    Request::DescribeServices { .. } => DescribeServices "ecs:DescribeServices"
    Request::ListServices { .. } => ListServices "ecs:ListServices"
    Request::ListTasks { .. } => ListTasks "ecs:ListTasks"
    Request::DescribeTasks { .. } => DescribeTasks "ecs:DescribeTasks"
    Request::RunTask(_) => RunTask "ecs:RunTask"
    Request::StopTask { .. } => StopTask "ecs:StopTask"
    Request::DescribeDefaultVpc => DescribeVpcs "ec2:DescribeVpcs"
    Request::DescribeSubnets(_) => DescribeSubnets "ec2:DescribeSubnets"
    Request::CreateSecurityGroup { .. } => CreateSecurityGroup "ec2:CreateSecurityGroup"
    Request::DescribeSecurityGroup { .. } => DescribeSecurityGroups "ec2:DescribeSecurityGroups"
    Request::AuthorizeIngress { .. } => AuthorizeIngress "ec2:AuthorizeSecurityGroupIngress"
    Request::DeleteSecurityGroup { .. } => DeleteSecurityGroup "ec2:DeleteSecurityGroup"
    Request::CreateLoadBalancer { .. } => CreateLoadBalancer "elasticloadbalancing:CreateLoadBalancer"
    Request::DescribeLoadBalancer(_) => DescribeLoadBalancers "elasticloadbalancing:DescribeLoadBalancers"
    Request::DeleteLoadBalancer { .. } => DeleteLoadBalancer "elasticloadbalancing:DeleteLoadBalancer"
    Request::CreateListener { .. } => CreateListener "elasticloadbalancing:CreateListener"
    Request::DescribeListeners(_) => DescribeListeners "elasticloadbalancing:DescribeListeners"
    Request::CreateTargetGroup(_) => CreateTargetGroup "elasticloadbalancing:CreateTargetGroup"
    Request::DescribeTargetGroup { .. } => DescribeTargetGroups "elasticloadbalancing:DescribeTargetGroups"
    Request::ModifyTargetGroup { .. } => ModifyTargetGroup "elasticloadbalancing:ModifyTargetGroup"
    Request::SetDeregistrationDelay { .. } => ModifyTargetGroupAttributes "elasticloadbalancing:ModifyTargetGroupAttributes"
    Request::DeleteTargetGroup { .. } => DeleteTargetGroup "elasticloadbalancing:DeleteTargetGroup"
    Request::DescribeTargetHealth { .. } => DescribeTargetHealth "elasticloadbalancing:DescribeTargetHealth"
    Request::CreateRule { .. } => CreateRule "elasticloadbalancing:CreateRule"
    Request::DescribeRules { .. } => DescribeRules "elasticloadbalancing:DescribeRules"
    Request::DeleteRule { .. } => DeleteRule "elasticloadbalancing:DeleteRule"
    Request::CreateLogGroup { .. } => CreateLogGroup "logs:CreateLogGroup"
    Request::SetLogRetention { .. } => PutRetentionPolicy "logs:PutRetentionPolicy"
    Request::DeleteLogGroup { .. } => DeleteLogGroup "logs:DeleteLogGroup"
    Request::GetLogEvents(_) => GetLogEvents "logs:GetLogEvents"
    Request::GetRole { .. } => GetRole "iam:GetRole"
    Request::CreateRole { .. } => CreateRole "iam:CreateRole"
    Request::AttachExecutionPolicy { .. } => AttachRolePolicy "iam:AttachRolePolicy"
    Request::DetachExecutionPolicy { .. } => DetachRolePolicy "iam:DetachRolePolicy"
    Request::DeleteRole { .. } => DeleteRole "iam:DeleteRole"
    Request::CreateRepository { .. } => CreateRepository "ecr:CreateRepository"
    Request::DeleteRepository { .. } => DeleteRepository "ecr:DeleteRepository"
    Request::RegistryLogin => GetAuthorizationToken "ecr:GetAuthorizationToken"
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.permission())
    }
}
