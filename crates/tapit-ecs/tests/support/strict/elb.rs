//! What load balancing and EC2 refuse and the emulator lets through.

use super::call::{Form, Refusal, members};
use super::ledger::{Ledger, Made, Verdict};
use std::collections::BTreeMap;

type Checked = Result<(), Refusal>;

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationError", message)
}

fn text<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map(String::as_str).unwrap_or_default()
}

/// The target groups of a list of actions.
pub fn targets(form: &Form, list: &str) -> Vec<String> {
    let begins = format!("{list}.member.");
    let named = form.iter().filter(|(name, _)| name.starts_with(&begins) && name.ends_with("TargetGroupArn"));
    let mut targets: Vec<String> = named.map(|(_, arn)| arn.clone()).collect();
    targets.dedup();
    targets
}

/// At most 32 letters, digits and hyphens, no hyphen at either end.
fn legal_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-')
}

pub fn judge(ledger: &Ledger, operation: &str, form: &Form) -> Result<Verdict, Refusal> {
    match operation {
        "CreateTargetGroup" => create_target_group(ledger, form),
        "CreateLoadBalancer" => create_load_balancer(ledger, form),
        "CreateListener" => create_listener(ledger, form).map(|()| Verdict::Forward),
        "CreateRule" => create_rule(ledger, form).map(|()| Verdict::Forward),
        "DeleteTargetGroup" => {
            let arn = text(form, "TargetGroupArn");
            let used = ledger.rules.values().any(|rule| rule.target_groups.iter().any(|one| one == arn));
            let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
            if used { Err(Refusal::new("ResourceInUse", message)) } else { Ok(Verdict::Forward) }
        }
        "DescribeTargetGroups" => {
            let unknown = |name: &&str| ledger.target_groups.values().all(|one| one.name != **name);
            match members(form, "Names").iter().any(unknown) {
                true => Err(Refusal::new("TargetGroupNotFound", "One or more target groups not found")),
                false => Ok(Verdict::Forward),
            }
        }
        "DescribeRules" | "DescribeListeners" => {
            let named = form.get("ListenerArn").map(String::as_str).into_iter().chain(members(form, "ListenerArns"));
            match named.into_iter().find(|arn| !ledger.listeners.contains_key(*arn)) {
                Some(arn) => Err(Refusal::new("ListenerNotFound", format!("Listener '{arn}' not found"))),
                None => Ok(Verdict::Forward),
            }
        }
        _ => Ok(Verdict::Forward),
    }
}

/// The same again is answered the same; another one of that name is refused.
fn once(made: &BTreeMap<String, Made>, form: &Form, code: &'static str) -> Result<Verdict, Refusal> {
    let name = text(form, "Name");
    match made.values().find(|one| one.name == name) {
        None => Ok(Verdict::Forward),
        Some(there) if there.form == *form => Ok(Verdict::Replay(there.answer.clone())),
        Some(_) => Err(Refusal::new(code, format!("'{name}' already exists, with other settings."))),
    }
}

fn create_target_group(ledger: &Ledger, form: &Form) -> Result<Verdict, Refusal> {
    let name = text(form, "Name");
    if !legal_name(name) {
        return Err(wrong(format!(
            "Target group name '{name}' must be 32 characters or less of letters, digits and hyphens"
        )));
    }
    for needed in ["Protocol", "Port", "VpcId"] {
        if !form.contains_key(needed) {
            return Err(wrong(format!("{needed} must be specified")));
        }
    }
    number(form, "HealthCheckIntervalSeconds", 5..=300)?;
    number(form, "HealthCheckTimeoutSeconds", 2..=120)?;
    number(form, "HealthyThresholdCount", 2..=10)?;
    number(form, "UnhealthyThresholdCount", 2..=10)?;
    let seconds = |name: &str, default: u64| text(form, name).parse().unwrap_or(default);
    if seconds("HealthCheckTimeoutSeconds", 5) >= seconds("HealthCheckIntervalSeconds", 30) {
        return Err(wrong("Health check interval must be greater than the timeout."));
    }
    once(&ledger.target_groups, form, "DuplicateTargetGroupName")
}

fn number(form: &Form, name: &str, legal: std::ops::RangeInclusive<u64>) -> Checked {
    match form.get(name).map(|text| text.parse::<u64>()) {
        None => Ok(()),
        Some(Ok(number)) if legal.contains(&number) => Ok(()),
        Some(_) => Err(wrong(format!("{name} must be between {} and {}", legal.start(), legal.end()))),
    }
}

fn create_load_balancer(ledger: &Ledger, form: &Form) -> Result<Verdict, Refusal> {
    let name = text(form, "Name");
    if !legal_name(name) || name.starts_with("internal-") {
        return Err(wrong(format!("The load balancer name '{name}' is not valid")));
    }
    if members(form, "Subnets").len() < 2 {
        return Err(wrong("At least two subnets in two different Availability Zones must be specified"));
    }
    once(&ledger.balancers, form, "DuplicateLoadBalancerName")
}

fn create_listener(ledger: &Ledger, form: &Form) -> Checked {
    let (balancer, port) = (text(form, "LoadBalancerArn"), text(form, "Port"));
    let taken = ledger.listeners.values().any(|one| one.balancer == balancer && one.port == port);
    let message = "A listener already exists on this port for this load balancer";
    if taken { Err(Refusal::new("DuplicateListener", message)) } else { Ok(()) }
}

fn create_rule(ledger: &Ledger, form: &Form) -> Checked {
    let (listener, priority) = (text(form, "ListenerArn"), text(form, "Priority"));
    if !ledger.listeners.contains_key(listener) {
        return Err(Refusal::new("ListenerNotFound", format!("Listener '{listener}' not found")));
    }
    if !priority.parse::<u32>().is_ok_and(|number| (1..=50_000).contains(&number)) {
        return Err(wrong("Rule priority must be between 1 and 50000"));
    }
    if ledger.rules.values().any(|rule| rule.listener == listener && rule.priority == priority) {
        return Err(Refusal::new("PriorityInUse", format!("Priority '{priority}' is currently in use")));
    }
    let values =
        form.iter().filter(|(name, _)| name.starts_with("Conditions.member.") && name.contains("Values.member."));
    let values: Vec<&String> = values.map(|(_, value)| value).collect();
    if values.is_empty() || values.len() > 5 || values.iter().any(|value| value.len() > 128) {
        return Err(wrong("A rule has between one and five condition values of at most 128 characters"));
    }
    if !values.iter().all(|value| is_host(value)) {
        return Err(wrong("A host has a dot, and letters alone behind the last one"));
    }
    let balancer_of = |listener: &str| ledger.listeners.get(listener).map(|one| one.balancer.as_str());
    for target in targets(form, "Actions") {
        if !ledger.target_groups.contains_key(&target) {
            return Err(Refusal::new("TargetGroupNotFound", format!("Target group '{target}' not found")));
        }
        let others = ledger.rules.values().filter(|rule| rule.target_groups.contains(&target));
        if others.into_iter().any(|rule| balancer_of(&rule.listener) != balancer_of(listener)) {
            let message = format!("Target group '{target}' is associated with another load balancer");
            return Err(Refusal::new("TargetGroupAssociationLimit", message));
        }
    }
    Ok(())
}

/// The only conditions that this engine makes are for hosts. Wildcards may stand anywhere but behind the last dot.
fn is_host(value: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-.*?".contains(&byte);
    let top = value.rsplit_once('.').map_or("", |(_, top)| top);
    value.bytes().all(legal) && !top.is_empty() && top.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Security groups.
pub fn judge_group(ledger: &Ledger, operation: &str, form: &Form) -> Checked {
    match operation {
        "CreateSecurityGroup" => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-:/()#,@[]+=&;{}!$*".contains(&byte);
            let (name, description) = (text(form, "GroupName"), text(form, "GroupDescription"));
            let fits = |text: &str| (1..=255).contains(&text.len()) && text.bytes().all(legal);
            if !fits(name) || !fits(description) || name.starts_with("sg-") {
                return Err(Refusal::new("InvalidParameterValue", "Invalid security group name or description."));
            }
            Ok(())
        }
        "DeleteSecurityGroup" => {
            let group = text(form, "GroupId");
            let message = format!("resource {group} has a dependent object");
            if ledger.members_of(group) > 0 { Err(Refusal::new("DependencyViolation", message)) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}
