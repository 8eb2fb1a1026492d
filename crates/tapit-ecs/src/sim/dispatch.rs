//! From a request to the noun that it is about.

use super::refusal::Answered;
use super::world::World;
use crate::api::{Answer, Request};

impl World {
    pub fn carry_out(&mut self, request: &Request) -> Answered {
        match request {
            Request::CallerIdentity => self.caller_identity(),
            Request::CreateCluster { name, tags: _ } => self.create_cluster(name),
            Request::DeleteCluster { name } => self.delete_cluster(name),
            Request::ListClusters { next } => self.list_clusters(next.as_ref()),
            Request::RegisterTaskDefinition(new) => self.register_task_definition(new),
            Request::DescribeTaskDefinition { name } => self.describe_task_definition(name),
            Request::ListTaskDefinitions { family, next } => self.list_task_definitions(family, next.as_ref()),
            Request::DeregisterTaskDefinition { arn } => self.deregister_task_definition(arn),
            Request::CreateService(new) => self.create_service(new),
            Request::UpdateService(change) => self.update_service(change),
            Request::DeleteService { cluster, service } => self.delete_service(cluster, service),
            Request::DescribeServices { cluster, services } => self.describe_services(cluster, services),
            Request::ListServices { cluster, next } => self.list_services(cluster, next.as_ref()),
            Request::ListTasks { cluster, desired, next } => self.list_tasks(cluster, *desired, next.as_ref()),
            Request::DescribeTasks { cluster, tasks } => self.describe_tasks(cluster, tasks),
            Request::RunTask(new) => self.run_task(new),
            Request::StopTask { cluster, task, reason } => self.stop_task(cluster, task, reason),
            Request::DescribeDefaultVpc => self.describe_default_vpc(),
            Request::DescribeSubnets(of) => self.describe_subnets(of),
            Request::CreateSecurityGroup { name, vpc, description: _, tags: _ } => {
                self.create_security_group(name, vpc)
            }
            Request::DescribeSecurityGroup { name, vpc } => self.describe_security_group(name, vpc),
            Request::AuthorizeIngress { group, from } => self.authorize_ingress(group, from),
            Request::DeleteSecurityGroup { group } => self.delete_security_group(group),
            Request::CreateLoadBalancer { .. } => self.create_load_balancer(request),
            Request::DescribeLoadBalancer(by) => self.describe_load_balancer(by),
            Request::DeleteLoadBalancer { arn } => self.delete_load_balancer(arn),
            Request::CreateListener { load_balancer, port, tags: _ } => self.create_listener(load_balancer, *port),
            Request::DescribeListeners(of) => self.describe_listeners(of),
            Request::CreateTargetGroup(new) => self.create_target_group(new),
            Request::DescribeTargetGroup { name } => self.describe_target_group(name),
            Request::ModifyTargetGroup { arn, health } => self.modify_target_group(arn, health),
            Request::SetDeregistrationDelay { arn, seconds } => self.set_deregistration_delay(arn, *seconds),
            Request::DeleteTargetGroup { arn } => self.delete_target_group(arn),
            Request::DescribeTargetHealth { arn } => self.describe_target_health(arn),
            Request::CreateRule { .. } => self.create_rule(request),
            Request::DescribeRules { listener, next } => self.describe_rules(listener, next.as_ref()),
            Request::DeleteRule { arn } => self.delete_rule(arn),
            Request::CreateLogGroup { name, tags: _ } => self.create_log_group(name),
            Request::SetLogRetention { name, days } => self.set_log_retention(name, *days),
            Request::DeleteLogGroup { name } => self.delete_log_group(name),
            Request::GetLogEvents(of) => self.get_log_events(of),
            Request::GetRole { name } => self.get_role(name),
            Request::CreateRole { name, description: _, tags: _ } => self.create_role(name),
            Request::AttachExecutionPolicy { role } => self.attach_execution_policy(role),
            Request::DetachExecutionPolicy { role } => self.detach_execution_policy(role),
            Request::DeleteRole { name } => self.delete_role(name),
            Request::CreateRepository { name, tags: _ } => self.create_repository(name),
            Request::DeleteRepository { name } => self.delete_repository(name),
            Request::RegistryLogin => self.registry_login(),
        }
    }

    fn caller_identity(&self) -> Answered {
        let arn = format!("arn:aws:iam::{}:user/tester", self.setup.account);
        Ok(Answer::Account { account: self.setup.account.clone(), arn })
    }
}
