//! The least policy that a server needs, as a document for people and as a list of what to ask about.
//!
//! There is one copy of it, `policy.json`, so that what the documentation shows and what `tapit doctor` checks cannot differ.

use serde::Deserialize;

/// As it is pasted into AWS's console.
pub const POLICY: &str = include_str!("policy.json");
/// In every ARN of the document.
const PARTITION: &str = "arn:aws:";

/// What stands for a thing that is not there yet, wherever the document has a wildcard.
const SOME: &str = "doctor";

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(rename = "Statement")]
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub sid: String,
    pub action: OneOrMore,
    pub resource: OneOrMore,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            OneOrMore::One(one) => vec![one.clone()],
            OneOrMore::More(more) => more.clone(),
        }
    }
}

/// Whose things are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub partition: &'a str,
    pub region: &'a str,
    pub account: &'a str,
}

pub fn statements() -> Result<Vec<Statement>, serde_json::Error> {
    serde_json::from_str::<Document>(POLICY).map(|document| document.statements)
}

/// A pattern for resources as the ARN of one that it matches: a simulation compares, it does not look for any.
pub fn concrete(pattern: &str, place: Place<'_>) -> String {
    let Some(rest) = pattern.strip_prefix(PARTITION) else { return pattern.to_owned() };
    let mut parts: Vec<String> = rest.splitn(4, ':').map(ToOwned::to_owned).collect();
    for (part, known) in parts.iter_mut().skip(1).zip([place.region, place.account]) {
        if part == "*" {
            *part = known.to_owned();
        }
    }
    if let Some(last) = parts.last_mut() {
        *last = last.replace('*', SOME);
    }
    format!("arn:{}:{}", place.partition, parts.join(":"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::Operation;

    #[test]
    fn the_policy_has_every_call_that_is_made() {
        let statements = statements().expect("a policy");
        let allowed: BTreeSet<String> = statements.iter().flat_map(|one| one.action.to_vec()).collect();
        for operation in Operation::ALL.iter().filter(|operation| **operation != Operation::CallerIdentity) {
            assert!(allowed.contains(operation.permission()), "{operation}");
        }
        assert!(allowed.iter().all(|permission| !permission.contains('*')), "nothing is allowed wholesale");
    }

    #[test]
    fn only_what_aws_knows_no_resources_for_is_allowed_on_all_of_them() {
        let everywhere = statements().expect("a policy").into_iter().filter(|one| one.resource.to_vec() == ["*"]);
        let names: Vec<String> = everywhere.map(|one| one.sid).collect();
        assert_eq!(names, ["Look", "Clusters", "Registry", "Doctor"]);
    }

    #[test]
    fn it_fits_into_one_managed_policy() {
        // AWS counts no white space.
        let counted = POLICY.chars().filter(|c| !c.is_whitespace()).count();
        assert!(counted <= 6_144, "{counted} characters");
    }

    #[test]
    fn a_pattern_becomes_something_that_it_matches() {
        let place = Place { partition: "aws-cn", region: "cn-north-1", account: "123456789012" };
        let concrete = |pattern| concrete(pattern, place);
        assert_eq!(
            concrete("arn:aws:ecs:*:*:service/tapit-*/*"),
            "arn:aws-cn:ecs:cn-north-1:123456789012:service/tapit-doctor/doctor"
        );
        assert_eq!(concrete("arn:aws:iam::*:role/tapit-*"), "arn:aws-cn:iam::123456789012:role/tapit-doctor");
        assert_eq!(
            concrete("arn:aws:logs:*:*:log-group:/tapit/*:log-stream:*"),
            "arn:aws-cn:logs:cn-north-1:123456789012:log-group:/tapit/doctor:log-stream:doctor"
        );
        assert_eq!(concrete("*"), "*");
    }
}
