//! What all processes of an app share: made as soon as one is wanted, removed when nothing of any is left.

use tapit_model::{AppName, Check, Formation};

use super::{Deed, Inputs};
use crate::api::TargetHealthCheck;
use crate::names;
use crate::record::{AppRecord, Made, Taken};

const PRIORITIES: u64 = 50_000;

/// Whether services can be made.
pub(super) fn is_ready(record: &AppRecord) -> bool {
    record.cluster == Made::Yes
        && record.log_group == Made::Yes
        && record.security_group.is_some()
        && record.ingress_from_itself == Made::Yes
}

/// Whether a service can be made that the load balancer leads to: its target group must hang on a listener before.
pub(super) fn is_public_ready(inputs: &Inputs<'_>) -> bool {
    let record = inputs.record;
    let admitted = |group: &String| record.ingress_from_balancer.contains(group);
    is_ready(record)
        && record.target.group.is_some()
        && record.target.rule.is_some()
        && inputs.account.balancer.as_ref().is_some_and(|balancer| balancer.security_groups.iter().all(admitted))
}

pub(super) fn build(inputs: &Inputs<'_>) -> Vec<Deed> {
    let record = inputs.record;
    let mut deeds = Vec::new();
    if record.cluster == Made::No {
        deeds.push(Deed::CreateCluster);
    }
    match (record.log_group, record.log_retention) {
        (Made::No, _) => deeds.push(Deed::CreateLogGroup),
        (Made::Yes, Made::No) => deeds.push(Deed::SetLogRetention),
        (Made::Yes, Made::Yes) => {}
    }
    match &record.security_group {
        None if record.taken.contains(&Taken::SecurityGroup) => deeds.push(Deed::FindSecurityGroup),
        None => deeds.push(Deed::CreateSecurityGroup),
        Some(group) if record.ingress_from_itself == Made::No => deeds.push(Deed::AdmitItself { group: group.clone() }),
        Some(_) => {}
    }
    match inputs.public() {
        Some(formation) => deeds.extend(way_in(inputs, formation)),
        None => deeds.extend(close(inputs)),
    }
    deeds
}

/// From the load balancer to the public process.
fn way_in(inputs: &Inputs<'_>, formation: &Formation) -> Vec<Deed> {
    let (record, target) = (inputs.record, &inputs.record.target);
    // It is made by whoever looks after the account.
    let Some(balancer) = &inputs.account.balancer else { return Vec::new() };
    let mut deeds = Vec::new();
    if let Some(group) = &record.security_group {
        let missing = balancer.security_groups.iter().filter(|from| !record.ingress_from_balancer.contains(*from));
        deeds.extend(missing.map(|from| Deed::AdmitBalancer { group: group.clone(), from: from.clone() }));
    }
    let health = health_check(&formation.check);
    let Some(group) = &target.group else {
        let taken = record.taken.contains(&Taken::TargetGroup);
        let port = formation.port.get();
        deeds.push(if taken { Deed::FindTargetGroup } else { Deed::CreateTargetGroup { port, health } });
        return deeds;
    };
    if target.health.as_ref() != Some(&health) {
        deeds.push(Deed::ChangeHealthCheck { group: group.clone(), health });
    }
    if target.delay == Made::No {
        deeds.push(Deed::SetDeregistrationDelay { group: group.clone() });
    }
    if target.rule.is_none() {
        let listener = balancer.listener.clone();
        deeds.push(match target.search.complete {
            // One may be there already, from a call whose answer was lost.
            Made::No => Deed::FindRule { listener, next: target.search.next.clone() },
            Made::Yes => Deed::CreateRule {
                listener,
                priority: priority(inputs),
                hosts: hosts(inputs, &balancer.dns_name),
                group: group.clone(),
            },
        });
    }
    deeds
}

/// The public process is gone and others stay.
fn close(inputs: &Inputs<'_>) -> Vec<Deed> {
    let target = &inputs.record.target;
    let in_use =
        inputs.look.services.iter().any(|service| service.target_group.is_some() && !super::process::is_gone(service));
    match (&target.rule, &target.group) {
        (Some(rule), _) => vec![Deed::DeleteRule { arn: rule.clone() }],
        (None, Some(group)) if !in_use => vec![Deed::DeleteTargetGroup { arn: group.clone() }],
        (None, _) => Vec::new(),
    }
}

/// The other way round, each when nothing needs it any more.
pub(super) fn remove(inputs: &Inputs<'_>) -> Vec<Deed> {
    let record = inputs.record;
    let mut deeds = close(inputs);
    if let Some(group) = &record.security_group {
        deeds.push(Deed::DeleteSecurityGroup { group: group.clone() });
    }
    if record.log_group == Made::Yes {
        deeds.push(Deed::DeleteLogGroup);
    }
    if record.cluster == Made::Yes && record.repository_removed == Made::No {
        deeds.push(Deed::DeleteRepository);
    }
    // The last: by its cluster an app is found again that is in no record.
    if record.cluster == Made::Yes && record.repository_removed == Made::Yes && deeds.is_empty() {
        deeds.push(Deed::DeleteCluster);
    }
    deeds
}

/// A load balancer speaks HTTP to its targets; who named no path only wants to know that somebody answers.
pub(super) fn health_check(check: &Check) -> TargetHealthCheck {
    match check {
        Check::Http { path, .. } => TargetHealthCheck { path: path.clone(), any_status: false },
        Check::Tcp(_) | Check::Uptime(_) => TargetHealthCheck { path: "/".to_owned(), any_status: true },
    }
}

/// What a request must be addressed to. A load balancer's own name leads to the app that was there first: who has no
/// domain yet, or only one app, reaches it without one.
fn hosts(inputs: &Inputs<'_>, balancer: &str) -> Vec<String> {
    let balancer = balancer.to_ascii_lowercase();
    let domain = inputs.settings.domain.as_deref().unwrap_or(&balancer);
    let named = format!("{}.{domain}", inputs.app);
    let free = !inputs.record.target.search.hosts.contains(&balancer);
    std::iter::once(named).chain(free.then_some(balancer)).collect()
}

/// The first free one from a place that the app's name gives, so that two apps seldom want the same.
fn priority(inputs: &Inputs<'_>) -> u16 {
    let taken = &inputs.record.target.search.taken;
    let from = start(inputs.app);
    let all = (0..PRIORITIES).map(|step| u16::try_from((from + step) % PRIORITIES + 1).unwrap_or(1));
    all.into_iter().find(|priority| !taken.contains(priority)).unwrap_or(1)
}

fn start(app: &AppName) -> u64 {
    u64::from_str_radix(&names::hash(app.as_str(), 8), 16).unwrap_or_default() % PRIORITIES
}
