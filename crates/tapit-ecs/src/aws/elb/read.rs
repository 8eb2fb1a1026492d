//! Answers of Elastic Load Balancing in our nouns. A word that it has come up with since is an error, not a guess.

use aws_sdk_elasticloadbalancingv2::types;

use super::lacking;
use crate::api::{ApiError, Listener, LoadBalancer, Operation, Rule, Tags, TargetHealth, TargetState};

pub fn balancer(operation: Operation, from: types::LoadBalancer, tags: Tags) -> Result<LoadBalancer, ApiError> {
    Ok(LoadBalancer {
        arn: from.load_balancer_arn.ok_or_else(|| lacking(operation, "the load balancer's ARN"))?,
        dns_name: from.dns_name.unwrap_or_default(),
        vpc: from.vpc_id.unwrap_or_default(),
        security_groups: from.security_groups.unwrap_or_default(),
        tags,
    })
}

/// `None` for a target that is no address of version 4: nothing of ours.
pub fn target(operation: Operation, from: types::TargetHealthDescription) -> Result<Option<TargetHealth>, ApiError> {
    let (Some(target), Some(health)) = (from.target, from.target_health) else { return Ok(None) };
    let ip = target.id.and_then(|id| id.parse().ok());
    let port = target.port.and_then(|port| u16::try_from(port).ok());
    let (Some(ip), Some(port)) = (ip, port) else { return Ok(None) };
    let state = health.state.as_ref().map(|state| state.as_str()).unwrap_or_default();
    let state = match state {
        "initial" => TargetState::Initial,
        "healthy" => TargetState::Healthy,
        "unhealthy" => TargetState::Unhealthy,
        "draining" | "unhealthy.draining" => TargetState::Draining,
        "unused" | "unavailable" => TargetState::Unused,
        other => return Err(lacking(operation, &format!("a known state of a target: it says {other:?}"))),
    };
    let reason = health.description.or(health.reason.map(|reason| reason.as_str().to_owned()));
    Ok(Some(TargetHealth { ip, port, state, reason }))
}

pub fn rule(operation: Operation, from: types::Rule) -> Result<Rule, ApiError> {
    let conditions = from.conditions.unwrap_or_default();
    let hosts = conditions.into_iter().filter(|one| one.field.as_deref() == Some("host-header"));
    let hosts = hosts.flat_map(|one| match one.host_header_config {
        Some(config) => config.values.unwrap_or_default(),
        None => one.values.unwrap_or_default(),
    });
    Ok(Rule {
        arn: from.rule_arn.ok_or_else(|| lacking(operation, "the rule's ARN"))?,
        // The default one has a word instead of a number.
        priority: from.priority.and_then(|priority| priority.parse().ok()),
        hosts: hosts.collect(),
        target_group: from.actions.unwrap_or_default().into_iter().find_map(|action| action.target_group_arn),
    })
}

pub fn listener(operation: Operation, from: types::Listener) -> Result<Listener, ApiError> {
    let port = from.port.and_then(|port| u16::try_from(port).ok());
    Ok(Listener {
        arn: from.listener_arn.ok_or_else(|| lacking(operation, "the listener's ARN"))?,
        load_balancer: from.load_balancer_arn.ok_or_else(|| lacking(operation, "the listener's load balancer"))?,
        port: port.ok_or_else(|| lacking(operation, "the listener's port"))?,
    })
}
