//! Calls of Elastic Load Balancing: the way from the world to a process.

mod read;

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, FixedResponseActionConfig, HostHeaderConditionConfig, IpAddressType,
    LoadBalancerSchemeEnum, LoadBalancerTypeEnum, Matcher, PathPatternConditionConfig, ProtocolEnum, RuleCondition,
    Tag, TargetGroupAttribute, TargetTypeEnum,
};

use super::{gone, lacking, told};
use crate::api::{
    Answer, ApiError, ApiFault, ListenersOf, LoadBalancerBy, NewTargetGroup, Operation, Tags, TargetHealthCheck,
};

/// Seconds between two checks of a target, which is the shortest that AWS has, and for how long one may take.
const CHECK_EVERY: i32 = 5;
const CHECK_TAKES: i32 = 4;
/// Checks in a row until a target counts as healthy, or not any more; the fewest that AWS has.
const CHECKS: i32 = 2;
/// Rules at once.
const PAGE: i32 = 100;

#[derive(Debug)]
pub struct Elb {
    client: Client,
}

#[derive(Debug)]
pub struct NewBalancer {
    pub name: String,
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub tags: Tags,
}

#[derive(Debug)]
pub struct NewRule {
    pub listener: String,
    pub priority: u16,
    pub hosts: Vec<String>,
    pub target_group: String,
    pub tags: Tags,
}

impl Elb {
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    pub async fn create_balancer(&self, new: NewBalancer) -> Result<Answer, ApiError> {
        let operation = Operation::CreateLoadBalancer;
        let sent = self
            .client
            .create_load_balancer()
            .name(new.name)
            .set_subnets(Some(new.subnets))
            .set_security_groups(Some(new.security_groups))
            .scheme(LoadBalancerSchemeEnum::InternetFacing)
            .r#type(LoadBalancerTypeEnum::Application)
            .ip_address_type(IpAddressType::Ipv4)
            .set_tags(written(&new.tags))
            .send()
            .await;
        let made = sent.map_err(told(operation))?.load_balancers.unwrap_or_default().pop();
        let made = made.ok_or_else(|| lacking(operation, "the load balancer"))?;
        Ok(Answer::LoadBalancer(read::balancer(operation, made, new.tags)?))
    }

    /// Two calls: AWS tells of tags apart from what carries them.
    pub async fn balancer(&self, by: LoadBalancerBy) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeLoadBalancers;
        let described = self.client.describe_load_balancers();
        let described = match &by {
            LoadBalancerBy::Name(name) => described.names(name),
            LoadBalancerBy::Arn(arn) => described.load_balancer_arns(arn),
        };
        let found = described.send().await.map_err(told(operation))?.load_balancers.unwrap_or_default().pop();
        let found = found.ok_or_else(|| not_found(operation, format!("no load balancer is {by:?}")))?;
        let arn = found.load_balancer_arn.clone().unwrap_or_default();
        let tags = self.client.describe_tags().resource_arns(arn).send().await.map_err(told(operation))?;
        let tags = tags.tag_descriptions.unwrap_or_default().into_iter().flat_map(|one| one.tags.unwrap_or_default());
        let tags = tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
        Ok(Answer::LoadBalancer(read::balancer(operation, found, tags)?))
    }

    pub async fn delete_balancer(&self, arn: String) -> Result<Answer, ApiError> {
        let sent = self.client.delete_load_balancer().load_balancer_arn(arn).send().await;
        gone(sent.map(drop).map_err(told(Operation::DeleteLoadBalancer)))
    }

    pub async fn create_listener(&self, balancer: String, port: u16, tags: Tags) -> Result<Answer, ApiError> {
        let operation = Operation::CreateListener;
        let nothing = FixedResponseActionConfig::builder()
            .status_code("404")
            .content_type("text/plain")
            .message_body("No such app.\n")
            .build();
        let action = Action::builder().r#type(ActionTypeEnum::FixedResponse).fixed_response_config(nothing).build();
        let sent = self
            .client
            .create_listener()
            .load_balancer_arn(balancer)
            .protocol(ProtocolEnum::Http)
            .port(i32::from(port))
            .default_actions(action)
            .set_tags(written(&tags))
            .send()
            .await;
        let made = sent.map_err(told(operation))?.listeners.unwrap_or_default().pop();
        id(operation, made.and_then(|listener| listener.listener_arn))
    }

    pub async fn listeners(&self, of: ListenersOf) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeListeners;
        let described = self.client.describe_listeners();
        let described = match of {
            ListenersOf::LoadBalancer(arn) => described.load_balancer_arn(arn),
            ListenersOf::Arn(arn) => described.listener_arns(arn),
        };
        let found = described.send().await.map_err(told(operation))?.listeners.unwrap_or_default();
        let found = found.into_iter().map(|from| read::listener(operation, from));
        Ok(Answer::Listeners(found.collect::<Result<_, _>>()?))
    }

    pub async fn create_target_group(&self, new: NewTargetGroup) -> Result<Answer, ApiError> {
        let operation = Operation::CreateTargetGroup;
        let sent = self
            .client
            .create_target_group()
            .name(new.name)
            .vpc_id(new.vpc)
            .protocol(ProtocolEnum::Http)
            .port(i32::from(new.port))
            .target_type(TargetTypeEnum::Ip)
            .health_check_protocol(ProtocolEnum::Http)
            .health_check_path(&new.health.path)
            .matcher(matcher(&new.health))
            .health_check_interval_seconds(CHECK_EVERY)
            .health_check_timeout_seconds(CHECK_TAKES)
            .healthy_threshold_count(CHECKS)
            .unhealthy_threshold_count(CHECKS)
            .set_tags(written(&new.tags))
            .send()
            .await;
        let made = sent.map_err(told(operation))?.target_groups.unwrap_or_default().pop();
        id(operation, made.and_then(|group| group.target_group_arn))
    }

    pub async fn target_group(&self, name: String) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeTargetGroups;
        let sent = self.client.describe_target_groups().names(&name).send().await.map_err(told(operation))?;
        let found = sent.target_groups.unwrap_or_default().pop();
        let found = found.ok_or_else(|| not_found(operation, format!("no target group is named {name}")))?;
        id(operation, found.target_group_arn)
    }

    pub async fn modify_target_group(&self, arn: String, health: TargetHealthCheck) -> Result<Answer, ApiError> {
        let sent = self
            .client
            .modify_target_group()
            .target_group_arn(arn)
            .health_check_path(&health.path)
            .matcher(matcher(&health))
            .send()
            .await;
        sent.map(|_| Answer::Done).map_err(told(Operation::ModifyTargetGroup))
    }

    pub async fn set_delay(&self, arn: String, seconds: u16) -> Result<Answer, ApiError> {
        let attribute = TargetGroupAttribute::builder()
            .key("deregistration_delay.timeout_seconds")
            .value(seconds.to_string())
            .build();
        let sent = self.client.modify_target_group_attributes().target_group_arn(arn).attributes(attribute).send();
        sent.await.map(|_| Answer::Done).map_err(told(Operation::ModifyTargetGroupAttributes))
    }

    pub async fn delete_target_group(&self, arn: String) -> Result<Answer, ApiError> {
        let sent = self.client.delete_target_group().target_group_arn(arn).send().await;
        gone(sent.map(drop).map_err(told(Operation::DeleteTargetGroup)))
    }

    pub async fn target_health(&self, arn: String) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeTargetHealth;
        let sent = self.client.describe_target_health().target_group_arn(arn).send().await;
        let described = sent.map_err(told(operation))?.target_health_descriptions.unwrap_or_default();
        let targets = described.into_iter().filter_map(|from| read::target(operation, from).transpose());
        Ok(Answer::Targets(targets.collect::<Result<_, _>>()?))
    }

    pub async fn create_rule(&self, new: NewRule) -> Result<Answer, ApiError> {
        let operation = Operation::CreateRule;
        // Without a host, everything: a rule must have a condition.
        let condition = if new.hosts.is_empty() {
            let paths = PathPatternConditionConfig::builder().values("/*").build();
            RuleCondition::builder().field("path-pattern").path_pattern_config(paths).build()
        } else {
            let hosts = HostHeaderConditionConfig::builder().set_values(Some(new.hosts)).build();
            RuleCondition::builder().field("host-header").host_header_config(hosts).build()
        };
        let forward = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(new.target_group).build();
        let sent = self
            .client
            .create_rule()
            .listener_arn(new.listener)
            .priority(i32::from(new.priority))
            .conditions(condition)
            .actions(forward)
            .set_tags(written(&new.tags))
            .send()
            .await;
        let made = sent.map_err(told(operation))?.rules.unwrap_or_default().pop();
        id(operation, made.and_then(|rule| rule.rule_arn))
    }

    pub async fn rules(&self, listener: String, next: Option<String>) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeRules;
        let sent = self.client.describe_rules().listener_arn(listener).page_size(PAGE).set_marker(next).send().await;
        let described = sent.map_err(told(operation))?;
        let rules = described.rules.unwrap_or_default().into_iter().map(|from| read::rule(operation, from));
        Ok(Answer::Rules { rules: rules.collect::<Result<_, _>>()?, next: described.next_marker })
    }

    pub async fn delete_rule(&self, arn: String) -> Result<Answer, ApiError> {
        let sent = self.client.delete_rule().rule_arn(arn).send().await;
        gone(sent.map(drop).map_err(told(Operation::DeleteRule)))
    }
}

/// `None` where there are none: AWS takes no empty list.
fn written(tags: &Tags) -> Option<Vec<Tag>> {
    let tags: Vec<Tag> = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    Some(tags).filter(|tags| !tags.is_empty())
}

fn matcher(health: &TargetHealthCheck) -> Matcher {
    Matcher::builder().http_code(if health.any_status { "200-499" } else { "200-399" }).build()
}

fn id(operation: Operation, arn: Option<String>) -> Result<Answer, ApiError> {
    arn.map(Answer::Id).ok_or_else(|| lacking(operation, "its ARN"))
}

fn not_found(operation: Operation, text: String) -> ApiError {
    ApiError { operation, fault: ApiFault::NotFound, text }
}
