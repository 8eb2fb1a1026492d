//! What the policies of the account let us do, as IAM says. Nothing is tried.

use tapit_container::doctor::{Check, State};

use super::policy::{self, OneOrMore, Place, Statement};
use super::{Examined, POLICY_ADVICE, Simulated, Verdict, ok, unknown};
use crate::api::{ApiError, EcsApi, Operation, Request};
use crate::settings::EcsSettings;

/// What IAM says about each part of the policy.
pub async fn checks(examined: &Examined<'_>, account: &str, arn: &str) -> Vec<Check> {
    const FEATURE: &str = "permissions";
    let principal = match principal(examined.api, arn).await {
        Principal::Known(principal) => principal,
        Principal::Root => {
            let advice = "Make a role or user with the policy in docs/ecs.md, and use that.";
            let detail = "these are the account's own credentials, which may do everything".to_owned();
            return vec![Check { feature: FEATURE, state: State::Lacking, detail, advice: advice.to_owned() }];
        }
        Principal::Unknown => {
            return vec![unknown(FEATURE, format!("IAM answers for users and roles only, and this is {arn}"))];
        }
    };
    let place = Place { partition: arn.split(':').nth(1).unwrap_or("aws"), region: examined.region, account };
    let statements = match policy::statements() {
        Ok(statements) => statements,
        Err(error) => return vec![unknown(FEATURE, error.to_string())],
    };
    let needed = statements.iter().filter(|statement| is_needed(statement, examined.settings));
    let given = given_roles(examined.settings);
    let (mut allowed, mut denied) = (0, Vec::new());
    for statement in needed.chain(&given) {
        let asked = question(statement, &principal, place);
        match examined.policies.simulate(&asked).await {
            Ok(decisions) => {
                allowed += decisions.iter().filter(|decision| decision.verdict == Verdict::Allowed).count();
                let refused = decisions.into_iter().filter(|decision| decision.verdict == Verdict::Denied);
                denied.extend(refused.map(|decision| (statement.sid.clone(), decision.permission)));
            }
            Err(error) => return vec![not_asked(FEATURE, &error)],
        }
    }
    if denied.is_empty() {
        return vec![ok(FEATURE, format!("IAM allows all {allowed} of what apps need"))];
    }
    let (needed, spared) = denied.into_iter().partition(|(sid, _)| !is_optional(sid));
    [refused(FEATURE, State::Missing, needed), refused("local images", State::Lacking, spared)]
        .into_iter()
        .flatten()
        .collect()
}

fn refused(feature: &'static str, state: State, denied: Vec<(String, String)>) -> Option<Check> {
    if denied.is_empty() {
        return None;
    }
    let mut names: Vec<String> = denied.into_iter().map(|(_, permission)| permission).collect();
    names.sort();
    names.dedup();
    Some(Check {
        feature,
        state,
        detail: format!("IAM does not allow: {}", names.join(", ")),
        advice: POLICY_ADVICE.to_owned(),
    })
}

/// What is given need not be made.
fn is_needed(statement: &Statement, settings: &EcsSettings) -> bool {
    match statement.sid.as_str() {
        // It is what is being done.
        "Doctor" => false,
        "ExecutionRole" | "ExecutionPolicy" | "PassExecutionRole" => settings.execution_role.is_none(),
        "LoadBalancer" | "Listener" => settings.listener.is_none(),
        // Once in an account's life, and done in most of them.
        "FirstUse" => false,
        _ => true,
    }
}

/// Whoever starts tasks hands them their roles, and must be allowed to.
fn given_roles(settings: &EcsSettings) -> Option<Statement> {
    let roles: Vec<String> = [&settings.execution_role, &settings.task_role].into_iter().flatten().cloned().collect();
    (!roles.is_empty()).then(|| Statement {
        sid: "PassGivenRoles".to_owned(),
        action: OneOrMore::One("iam:PassRole".to_owned()),
        resource: OneOrMore::More(roles),
    })
}

/// Only images that are imported or built here go through the account's registry.
fn is_optional(sid: &str) -> bool {
    matches!(sid, "Registry" | "Repositories")
}

fn question(statement: &Statement, principal: &str, place: Place<'_>) -> Simulated {
    let execution = format!("arn:{}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy", place.partition);
    Simulated {
        principal: principal.to_owned(),
        permissions: statement.action.to_vec(),
        resources: statement.resource.to_vec().iter().map(|pattern| policy::concrete(pattern, place)).collect(),
        context: vec![
            ("aws:ResourceTag/tapit:install", "doctor".to_owned()),
            ("ec2:CreateAction", "CreateSecurityGroup".to_owned()),
            ("iam:PassedToService", "ecs-tasks.amazonaws.com".to_owned()),
            ("iam:PolicyARN", execution),
        ],
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Principal {
    Known(String),
    /// The account itself.
    Root,
    Unknown,
}

/// Whose policies are asked about. A session of a role does not say the role's path, which its ARN has.
async fn principal(api: &dyn EcsApi, arn: &str) -> Principal {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, service, _, account, name] = parts[..] else { return Principal::Unknown };
    match (service, name.split_once('/')) {
        ("iam", None) if name == "root" => Principal::Root,
        ("iam", Some(("user" | "role", _))) => Principal::Known(arn.to_owned()),
        ("sts", Some(("assumed-role", session))) => {
            let role = session.split('/').next().unwrap_or(session);
            let found = api.call(Request::GetRole { name: role.to_owned() }).await;
            let found = found.and_then(|answer| answer.id(Operation::GetRole));
            Principal::Known(found.unwrap_or_else(|_| format!("arn:{partition}:iam::{account}:role/{role}")))
        }
        _ => Principal::Unknown,
    }
}

fn not_asked(feature: &'static str, error: &ApiError) -> Check {
    let mut check = unknown(feature, format!("IAM does not say what is allowed: {}", error.text));
    check.advice = "Allow iam:SimulatePrincipalPolicy to have everything checked that is not read only.".to_owned();
    check
}
