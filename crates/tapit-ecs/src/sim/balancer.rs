//! Load balancers, their listeners, and the rules of those.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::network::no_group;
use super::refusal::{Answered, Refusal};
use super::world::World;
use crate::api::{Answer, ApiFault, Listener, ListenersOf, LoadBalancer, LoadBalancerBy, Request, Rule, Subnet};

/// Each by its ARN.
#[derive(Debug, Clone, Default)]
pub(super) struct Balancers {
    pub balancers: BTreeMap<String, LoadBalancer>,
    pub listeners: BTreeMap<String, Listener>,
    /// By listener, then by priority: numbers are unique in a listener.
    pub rules: BTreeMap<String, BTreeMap<u16, Rule>>,
    /// Listener and priority of a rule.
    rule_places: BTreeMap<String, (String, u16)>,
    /// How many rules lead to a target group.
    pub led_to: BTreeMap<String, u32>,
}

impl Balancers {
    fn of_balancer(&self, balancer: &str) -> impl Iterator<Item = &Rule> {
        let listeners = self.listeners.values().filter(move |listener| listener.load_balancer == balancer);
        listeners.filter_map(|listener| self.rules.get(&listener.arn)).flat_map(BTreeMap::values)
    }
}

impl World {
    pub fn create_load_balancer(&mut self, request: &Request) -> Answered {
        let Request::CreateLoadBalancer { name, subnets, security_groups, tags } = request else {
            return Err(Refusal::validation("not the call that it was taken for"));
        };
        names::balancing("Load balancer", name)?;
        if self.balancers.balancers.keys().any(|arn| balancer_name(arn) == Some(name)) {
            let text = format_args!("A load balancer with the name '{name}' exists, but with different settings");
            return Err(Refusal::exists("DuplicateLoadBalancerName", text));
        }
        let found: Vec<&Subnet> = subnets.iter().filter_map(|id| self.networks.subnets.get(id)).collect();
        if found.len() < subnets.len() {
            return Err(Refusal::not_found("SubnetNotFound", "One or more subnets do not exist."));
        }
        let zones: BTreeSet<&str> = found.iter().map(|subnet| subnet.zone.as_str()).collect();
        if zones.len() < 2 || zones.len() < found.len() {
            return Err(Refusal::validation(
                "At least two subnets in two different Availability Zones must be specified",
            ));
        }
        let vpc = found.first().map(|subnet| subnet.vpc.clone()).unwrap_or_default();
        if let Some(missing) = security_groups.iter().find(|id| !self.networks.groups.contains_key(*id)) {
            return Err(no_group(missing));
        }
        let id = self.name(16);
        let arn = self.arn("elasticloadbalancing", &format!("loadbalancer/app/{name}/{id}"));
        let dns_name = format!("{name}-{}.{}.elb.amazonaws.com", self.next(), self.setup.region);
        let (security_groups, tags) = (security_groups.clone(), tags.clone());
        let balancer = LoadBalancer { arn: arn.clone(), dns_name, vpc, security_groups, tags };
        self.balancers.balancers.insert(arn, balancer.clone());
        Ok(Answer::LoadBalancer(balancer))
    }

    pub fn describe_load_balancer(&self, by: &LoadBalancerBy) -> Answered {
        let found = match by {
            LoadBalancerBy::Arn(arn) => self.balancers.balancers.get(arn),
            LoadBalancerBy::Name(name) => {
                self.balancers.balancers.values().find(|one| balancer_name(&one.arn) == Some(name))
            }
        };
        found.cloned().map(Answer::LoadBalancer).ok_or_else(no_balancer)
    }

    pub fn delete_load_balancer(&mut self, arn: &str) -> Answered {
        self.balancers.balancers.remove(arn);
        let listeners = self.balancers.listeners.values().filter(|one| one.load_balancer == arn);
        for listener in listeners.map(|one| one.arn.clone()).collect::<Vec<_>>() {
            self.balancers.listeners.remove(&listener);
            let rules = self.balancers.rules.remove(&listener).unwrap_or_default();
            rules.into_values().for_each(|rule| self.forget_rule(rule));
        }
        Ok(Answer::Done)
    }

    pub fn create_listener(&mut self, load_balancer: &str, port: u16) -> Answered {
        let balancer = self.balancers.balancers.get(load_balancer).ok_or_else(no_balancer)?;
        let same = |one: &Listener| one.load_balancer == load_balancer && one.port == port;
        if self.balancers.listeners.values().any(same) {
            let text = format_args!("A listener already exists on this port for this load balancer '{load_balancer}'");
            return Err(Refusal::exists("DuplicateListener", text));
        }
        let of = balancer.arn.replacen(":loadbalancer/", ":listener/", 1);
        let listener =
            Listener { arn: format!("{of}/{}", self.name(16)), load_balancer: load_balancer.to_owned(), port };
        let arn = listener.arn.clone();
        self.balancers.rules.insert(arn.clone(), BTreeMap::new());
        self.balancers.listeners.insert(arn.clone(), listener);
        Ok(Answer::Id(arn))
    }

    pub fn describe_listeners(&self, of: &ListenersOf) -> Answered {
        let listeners = &self.balancers.listeners;
        match of {
            ListenersOf::LoadBalancer(arn) => {
                self.balancers.balancers.get(arn).ok_or_else(no_balancer)?;
                Ok(Answer::Listeners(listeners.values().filter(|one| one.load_balancer == *arn).cloned().collect()))
            }
            ListenersOf::Arn(arn) => Ok(Answer::Listeners(vec![listeners.get(arn).cloned().ok_or_else(no_listener)?])),
        }
    }

    pub fn create_rule(&mut self, request: &Request) -> Answered {
        let Request::CreateRule { listener, priority, hosts, target_group, tags: _ } = request else {
            return Err(Refusal::validation("not the call that it was taken for"));
        };
        let balancer = self.balancers.listeners.get(listener).ok_or_else(no_listener)?.load_balancer.clone();
        if !(1..=50_000).contains(priority) {
            return Err(Refusal::validation(format_args!("Priority '{priority}' must be 1 to 50000")));
        }
        check_hosts(hosts)?;
        if !self.target_groups.contains_key(target_group) {
            return Err(super::target::missing());
        }
        if self.balancers.rules.get(listener).is_some_and(|rules| rules.contains_key(priority)) {
            return Err(Refusal::exists("PriorityInUse", format_args!("Priority '{priority}' is currently in use")));
        }
        self.check_quotas(&balancer, target_group)?;
        let of = listener.replacen(":listener/", ":listener-rule/", 1);
        let arn = format!("{of}/{}", self.name(16));
        let (hosts, group) = (hosts.clone(), Some(target_group.clone()));
        let rule = Rule { arn: arn.clone(), priority: Some(*priority), hosts, target_group: group };
        self.balancers.rules.entry(listener.clone()).or_default().insert(*priority, rule);
        self.balancers.rule_places.insert(arn.clone(), (listener.clone(), *priority));
        *self.balancers.led_to.entry(target_group.clone()).or_default() += 1;
        Ok(Answer::Id(arn))
    }

    fn check_quotas(&self, balancer: &str, target_group: &str) -> Result<(), Refusal> {
        let quotas = &self.setup.quotas;
        if self.balancers.of_balancer(balancer).count() >= quotas.rules_per_balancer {
            let text = "The maximum number of rules for the load balancer has been reached";
            return Err(Refusal::new(ApiFault::Quota, "TooManyRules", text));
        }
        let mut groups: BTreeSet<&str> =
            self.balancers.of_balancer(balancer).filter_map(|rule| rule.target_group.as_deref()).collect();
        groups.insert(target_group);
        if groups.len() > quotas.target_groups_per_balancer {
            let text = "The maximum number of target groups for the load balancer has been reached";
            return Err(Refusal::new(ApiFault::Quota, "TooManyTargetGroups", text));
        }
        Ok(())
    }

    /// By priority; the default one is the last.
    pub fn describe_rules(&self, listener: &str, next: Option<&String>) -> Answered {
        let rules = self.balancers.rules.get(listener).ok_or_else(no_listener)?;
        let of = listener.replacen(":listener/", ":listener-rule/", 1);
        let default = Rule { arn: format!("{of}/default"), priority: None, hosts: Vec::new(), target_group: None };
        let (rules, next) = names::page(rules.values().cloned().chain([default]).collect(), next)?;
        Ok(Answer::Rules { rules, next })
    }

    pub fn delete_rule(&mut self, arn: &str) -> Answered {
        if arn.ends_with("/default") {
            return Err(Refusal::new(ApiFault::Invalid, "OperationNotPermitted", "Default rule cannot be deleted"));
        }
        if let Some((listener, priority)) = self.balancers.rule_places.remove(arn)
            && let Some(rule) = self.balancers.rules.get_mut(&listener).and_then(|rules| rules.remove(&priority))
        {
            self.forget_rule(rule);
        }
        Ok(Answer::Done)
    }

    fn forget_rule(&mut self, rule: Rule) {
        self.balancers.rule_places.remove(&rule.arn);
        if let Some(group) = rule.target_group
            && let Some(count) = self.balancers.led_to.get_mut(&group)
        {
            *count -= 1;
            if *count == 0 {
                self.balancers.led_to.remove(&group);
            }
        }
    }
}

fn check_hosts(hosts: &[String]) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-.*?".contains(c);
    let host_legal = |host: &String| {
        let dotted = host
            .rsplit_once('.')
            .is_some_and(|(_, last)| !last.is_empty() && last.chars().all(|c| c.is_ascii_alphabetic()));
        (1..=128).contains(&host.len()) && host.chars().all(legal) && dotted
    };
    if hosts.is_empty() || hosts.len() > 5 || !hosts.iter().all(host_legal) {
        return Err(Refusal::validation(format_args!("Condition value {hosts:?} is not valid for a host-header")));
    }
    Ok(())
}

/// `arn:…:loadbalancer/app/NAME/ID`
fn balancer_name(arn: &str) -> Option<&str> {
    arn.rsplit('/').nth(1)
}

fn no_balancer() -> Refusal {
    Refusal::not_found("LoadBalancerNotFound", "One or more load balancers not found")
}

fn no_listener() -> Refusal {
    Refusal::not_found("ListenerNotFound", "One or more listeners not found")
}
