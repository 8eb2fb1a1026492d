//! Target groups, and the targets in them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::names;
use super::refusal::{Answered, Refusal};
use super::world::World;
use crate::api::{Answer, NewTargetGroup, TargetHealth, TargetHealthCheck, TargetState};

/// In seconds, where nothing else was set.
const DEREGISTRATION_DELAY: u16 = 300;

#[derive(Debug, Clone)]
pub(super) struct TargetGroup {
    pub name: String,
    vpc: String,
    port: u16,
    health: TargetHealthCheck,
    /// In seconds.
    pub delay: u16,
    targets: BTreeMap<(Ipv4Addr, u16), Target>,
}

#[derive(Debug, Clone)]
struct Target {
    state: TargetState,
    reason: Option<&'static str>,
}

impl World {
    pub fn create_target_group(&mut self, new: &NewTargetGroup) -> Answered {
        names::balancing("Target group", &new.name)?;
        check_path(&new.health)?;
        if new.port == 0 {
            return Err(Refusal::validation("Port '0' must be 1 to 65535"));
        }
        if let Some((arn, group)) = self.target_groups.iter().find(|(_, group)| group.name == new.name) {
            if (group.vpc.as_str(), group.port, &group.health) == (new.vpc.as_str(), new.port, &new.health) {
                return Ok(Answer::Id(arn.clone()));
            }
            let text =
                format_args!("A target group with the same name '{}' exists, but with different settings", new.name);
            return Err(Refusal::exists("DuplicateTargetGroupName", text));
        }
        if !self.networks.subnets.values().any(|subnet| subnet.vpc == new.vpc) {
            return Err(Refusal::validation(format_args!("The VPC ID '{}' is not found", new.vpc)));
        }
        let id = self.name(16);
        let arn = self.arn("elasticloadbalancing", &format!("targetgroup/{}/{id}", new.name));
        let group = TargetGroup {
            name: new.name.clone(),
            vpc: new.vpc.clone(),
            port: new.port,
            health: new.health.clone(),
            delay: DEREGISTRATION_DELAY,
            targets: BTreeMap::new(),
        };
        self.target_groups.insert(arn.clone(), group);
        Ok(Answer::Id(arn))
    }

    pub fn describe_target_group(&self, name: &str) -> Answered {
        let found = self.target_groups.iter().find(|(_, group)| group.name == name);
        found.map(|(arn, _)| Answer::Id(arn.clone())).ok_or_else(missing)
    }

    pub fn modify_target_group(&mut self, arn: &str, health: &TargetHealthCheck) -> Answered {
        check_path(health)?;
        self.target_groups.get_mut(arn).ok_or_else(missing)?.health = health.clone();
        Ok(Answer::Done)
    }

    pub fn set_deregistration_delay(&mut self, arn: &str, seconds: u16) -> Answered {
        if seconds > 3600 {
            return Err(Refusal::validation("deregistration_delay.timeout_seconds must be 0 to 3600"));
        }
        self.target_groups.get_mut(arn).ok_or_else(missing)?.delay = seconds;
        Ok(Answer::Done)
    }

    pub fn delete_target_group(&mut self, arn: &str) -> Answered {
        if self.balancers.led_to.contains_key(arn) {
            let text = format_args!("Target group '{arn}' is currently in use by a listener or a rule");
            return Err(Refusal::in_use("ResourceInUse", text));
        }
        self.target_groups.remove(arn);
        Ok(Answer::Done)
    }

    pub fn describe_target_health(&self, arn: &str) -> Answered {
        let group = self.target_groups.get(arn).ok_or_else(missing)?;
        let used = self.balancers.led_to.contains_key(arn);
        let health = |((ip, port), target): (&(Ipv4Addr, u16), &Target)| {
            let (state, reason) = match used {
                true => (target.state, target.reason),
                false => (TargetState::Unused, Some("Target.NotInUse")),
            };
            TargetHealth { ip: *ip, port: *port, state, reason: reason.map(str::to_owned) }
        };
        Ok(Answer::Targets(group.targets.iter().map(health).collect()))
    }

    pub fn register_target(&mut self, arn: &str, target: (Ipv4Addr, u16)) {
        let reason = Some("Elb.InitialHealthChecking");
        self.put_target(arn, target, Target { state: TargetState::Initial, reason });
    }

    /// What the checks found.
    pub fn check_target(&mut self, arn: &str, target: (Ipv4Addr, u16), state: TargetState) {
        let reason = (state != TargetState::Healthy).then_some("Target.ResponseCodeMismatch");
        self.put_target(arn, target, Target { state, reason });
    }

    /// It is sent no new requests.
    pub fn drain_target(&mut self, arn: &str, target: (Ipv4Addr, u16)) {
        if self.target_groups.get(arn).is_some_and(|group| group.targets.contains_key(&target)) {
            let reason = Some("Target.DeregistrationInProgress");
            self.put_target(arn, target, Target { state: TargetState::Draining, reason });
        }
    }

    pub fn remove_target(&mut self, arn: &str, target: (Ipv4Addr, u16)) {
        if let Some(group) = self.target_groups.get_mut(arn) {
            group.targets.remove(&target);
        }
    }

    fn put_target(&mut self, arn: &str, at: (Ipv4Addr, u16), target: Target) {
        if let Some(group) = self.target_groups.get_mut(arn) {
            group.targets.insert(at, target);
        }
    }
}

fn check_path(health: &TargetHealthCheck) -> Result<(), Refusal> {
    if !health.path.starts_with('/') || health.path.len() > 1024 {
        return Err(Refusal::validation(format_args!("Health check path '{}' must begin with '/'", health.path)));
    }
    Ok(())
}

pub(super) fn missing() -> Refusal {
    Refusal::not_found("TargetGroupNotFound", "One or more target groups not found")
}
