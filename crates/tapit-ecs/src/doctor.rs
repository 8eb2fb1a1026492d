//! `tapit doctor` for an account: whether it can be reached, who we are there, and what we may do.
//!
//! Nothing is changed in the account. Reading is tried. Whether something may be made or removed is asked of IAM, which
//! knows the policies but does not see what an organization or a resource's own policy takes away; where it may not be
//! asked, that is said, and nothing is guessed.

mod permissions;
mod policy;
mod reads;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use tapit_container::doctor::{Check, State};

pub use policy::POLICY;

use crate::api::{ApiError, ApiFault, EcsApi, Operation, Request, SubnetsOf};
use crate::settings::EcsSettings;

/// A question to the account's policies: may this principal do these things with those resources?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// ARN of a user or role.
    pub principal: String,
    /// As policies name them.
    pub permissions: Vec<String>,
    pub resources: Vec<String>,
    /// What conditions look at, by name.
    pub context: Vec<(&'static str, String)>,
}

/// What the policies say about one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub permission: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied,
}

/// Whoever knows what policies say.
#[async_trait]
pub trait Policies: Send + Sync {
    async fn simulate(&self, asked: &Simulated) -> Result<Vec<Decision>, ApiError>;
}

/// Looks at everything.
#[cfg(feature = "aws")]
pub async fn doctor(settings: &EcsSettings) -> Vec<Check> {
    match crate::aws::Aws::connect(settings).await {
        Ok((aws, region)) => examine(&Examined { api: &*aws, policies: &*aws, region: &region, settings }).await,
        Err(error) => vec![missing("region", error.to_string(), "Name it in one of these ways.")],
    }
}

/// What is looked at, and through what.
#[derive(Clone, Copy)]
pub struct Examined<'a> {
    pub api: &'a dyn EcsApi,
    pub policies: &'a dyn Policies,
    pub region: &'a str,
    pub settings: &'a EcsSettings,
}

/// What depends on nothing but the account.
pub async fn examine(examined: &Examined<'_>) -> Vec<Check> {
    let mut checks = vec![ok("region", examined.region.to_owned())];
    let caller = examined.api.call(Request::CallerIdentity).await;
    let (account, arn) = match caller.and_then(|answer| answer.account(Operation::CallerIdentity)) {
        Ok(caller) => caller,
        Err(error) => {
            checks.push(nobody(&error));
            return checks;
        }
    };
    checks.push(ok("credentials", format!("{arn} in account {account}")));
    checks.push(network(examined).await);
    checks.push(reading(reads::tried(examined.api).await));
    checks.extend(permissions::checks(examined, &account, &arn).await);
    checks
}

fn nobody(error: &ApiError) -> Check {
    let advice = "Give credentials in one of the ways that AWS's tools know: AWS_ACCESS_KEY_ID and \
                  AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the role of this machine or container.";
    match error.fault {
        ApiFault::Credentials | ApiFault::Denied => missing("credentials", error.text.clone(), advice),
        ApiFault::Throttled
        | ApiFault::Unavailable
        | ApiFault::NotFound
        | ApiFault::AlreadyExists
        | ApiFault::InUse
        | ApiFault::NotActive
        | ApiFault::Quota
        | ApiFault::Capacity
        | ApiFault::Invalid => missing(
            "connection",
            error.text.clone(),
            "AWS cannot be reached: look at the network and at AWS_ENDPOINT_URL.",
        ),
    }
}

/// Where tasks would get their addresses.
async fn network(examined: &Examined<'_>) -> Check {
    let given = &examined.settings.subnets;
    let of = if given.is_empty() {
        let answer = examined.api.call(Request::DescribeDefaultVpc).await;
        match answer.and_then(|answer| answer.names(Operation::DescribeVpcs)) {
            Ok((names, _)) => match names.into_iter().next() {
                Some(vpc) => SubnetsOf::Vpc(vpc),
                None => {
                    let detail = format!("{} has no default VPC", examined.region);
                    return missing("network", detail, "Name the subnets for apps with --ecs-subnets.");
                }
            },
            Err(error) => return untold("network", &error),
        }
    } else {
        SubnetsOf::Ids(given.clone())
    };
    let answer = examined.api.call(Request::DescribeSubnets(of.clone())).await;
    match answer.and_then(|answer| answer.subnets(Operation::DescribeSubnets)) {
        Ok(subnets) if subnets.is_empty() => {
            missing("network", "there are no subnets", "Name the subnets for apps with --ecs-subnets.")
        }
        Ok(subnets) => {
            let mut zones: Vec<&str> = subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
            zones.sort_unstable();
            zones.dedup();
            let detail = format!("{} subnets of {} in {} zones", subnets.len(), subnets[0].vpc, zones.len());
            if zones.len() > 1 {
                return ok("network", detail);
            }
            let advice = "A load balancer needs subnets in two zones; without them no process can be public.";
            Check { feature: "network", state: State::Lacking, detail, advice: advice.to_owned() }
        }
        Err(error) if error.fault == ApiFault::NotFound => {
            missing("network", error.text, "Name subnets of this region with --ecs-subnets.")
        }
        Err(error) => untold("network", &error),
    }
}

fn reading(reads: reads::Reads) -> Check {
    const FEATURE: &str = "reading";
    let names = |operations: &[Operation]| {
        operations.iter().map(|operation| operation.permission()).collect::<Vec<_>>().join(", ")
    };
    if !reads.denied.is_empty() {
        return missing(FEATURE, format!("not allowed: {}", names(&reads.denied)), POLICY_ADVICE);
    }
    if let Some(error) = reads.unknown.first() {
        return untold(FEATURE, error);
    }
    ok(FEATURE, format!("{} calls were tried and are allowed", reads.allowed.len()))
}

const POLICY_ADVICE: &str = "Give the user or role the policy in docs/ecs.md.";

/// What AWS did not tell. A permission that lacks is no riddle.
fn untold(feature: &'static str, error: &ApiError) -> Check {
    if error.fault == ApiFault::Denied {
        return missing(feature, error.to_string(), POLICY_ADVICE);
    }
    unknown(feature, error.to_string())
}

fn ok(feature: &'static str, detail: String) -> Check {
    Check { feature, state: State::Ok, detail, advice: String::new() }
}

fn unknown(feature: &'static str, detail: String) -> Check {
    Check { feature, state: State::Unknown, detail, advice: String::new() }
}

fn missing(feature: &'static str, detail: impl Into<String>, advice: &str) -> Check {
    Check { feature, state: State::Missing, detail: detail.into(), advice: advice.to_owned() }
}
