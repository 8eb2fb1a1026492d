//! The doctor over an account that answers by a script.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tapit_container::doctor::can_run;

use super::*;
use crate::api::{Answer, Subnet};

struct Account {
    arn: &'static str,
    /// What each operation fails with; all others answer well.
    faults: BTreeMap<Operation, ApiFault>,
    /// Permissions that policies do not give.
    denied: Vec<&'static str>,
    silent: Option<ApiFault>,
    asked: Mutex<Vec<Simulated>>,
    vpc: Option<&'static str>,
    zones: usize,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            arn: "arn:aws:iam::123456789012:user/ops",
            faults: BTreeMap::new(),
            denied: Vec::new(),
            silent: None,
            asked: Mutex::default(),
            vpc: Some("vpc-1"),
            zones: 3,
        }
    }
}

fn error(operation: Operation, fault: ApiFault) -> ApiError {
    ApiError { operation, fault, text: format!("{fault:?} as scripted") }
}

#[async_trait]
impl EcsApi for Account {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let operation = request.operation();
        if let Some(fault) = self.faults.get(&operation) {
            return Err(error(operation, *fault));
        }
        let vpcs = || self.vpc.iter().map(|vpc| (*vpc).to_owned()).collect();
        let role = || "arn:aws:iam::123456789012:role/path/deployer".to_owned();
        let answers = BTreeMap::from([
            (
                Operation::CallerIdentity,
                Answer::Account { account: "123456789012".to_owned(), arn: self.arn.to_owned() },
            ),
            (Operation::DescribeVpcs, Answer::Names { names: vpcs(), next: None }),
            (Operation::DescribeSubnets, Answer::Subnets((0..self.zones).map(subnet).collect())),
            (Operation::GetRole, Answer::Id(role())),
        ]);
        // Nobody reads what all others answer.
        Ok(answers.get(&operation).cloned().unwrap_or(Answer::Done))
    }
}

fn subnet(number: usize) -> Subnet {
    Subnet { id: format!("subnet-{number}"), vpc: "vpc-1".to_owned(), zone: format!("zone-{number}"), public: true }
}

#[async_trait]
impl Policies for Account {
    async fn simulate(&self, asked: &Simulated) -> Result<Vec<Decision>, ApiError> {
        self.asked.lock().expect("asked").push(asked.clone());
        if let Some(fault) = self.silent {
            return Err(error(Operation::GetRole, fault));
        }
        let verdict = |permission: &String| match self.denied.contains(&permission.as_str()) {
            true => Verdict::Denied,
            false => Verdict::Allowed,
        };
        let decision = |permission: &String| Decision { permission: permission.clone(), verdict: verdict(permission) };
        Ok(asked.permissions.iter().map(decision).collect())
    }
}

impl Account {
    async fn examined(&self, settings: &EcsSettings) -> Vec<Check> {
        examine(&Examined { api: self, policies: self, region: "eu-central-1", settings }).await
    }

    async fn checked(&self) -> Vec<Check> {
        self.examined(&EcsSettings::default()).await
    }

    fn asked(&self) -> Vec<Simulated> {
        self.asked.lock().expect("asked").clone()
    }
}

fn states(checks: &[Check]) -> Vec<(&str, State)> {
    checks.iter().map(|check| (check.feature, check.state)).collect()
}

#[track_caller]
fn of<'a>(checks: &'a [Check], feature: &str) -> &'a Check {
    checks.iter().find(|check| check.feature == feature).unwrap_or_else(|| panic!("{feature} is not in {checks:#?}"))
}

#[tokio::test]
async fn where_all_is_well_each_thing_says_so() {
    let account = Account::default();
    let checks = account.checked().await;
    let features = ["region", "credentials", "network", "reading", "permissions"];
    assert_eq!(states(&checks), features.map(|feature| (feature, State::Ok)));
    assert!(of(&checks, "credentials").detail.contains("user/ops"), "{checks:#?}");
    assert_eq!(of(&checks, "network").detail, "3 subnets of vpc-1 in 3 zones");
}

#[tokio::test]
async fn policies_are_asked_about_one_thing_of_ours_and_never_about_patterns() {
    let account = Account::default();
    account.checked().await;
    let asked = account.asked();
    assert!(asked.iter().all(|asked| asked.principal == account.arn));
    let services = asked.iter().find(|asked| asked.permissions.contains(&"ecs:CreateService".to_owned()));
    let services = services.expect("asked about services");
    assert_eq!(services.resources, ["arn:aws:ecs:eu-central-1:123456789012:service/tapit-doctor/doctor"]);
    assert!(services.context.iter().any(|(name, _)| *name == "iam:PassedToService"));
    let permissions: Vec<&String> = asked.iter().flat_map(|asked| &asked.permissions).collect();
    for operation in Operation::ALL.iter().filter(|operation| **operation != Operation::CallerIdentity) {
        assert!(permissions.iter().any(|asked| *asked == operation.permission()), "{operation} is not checked");
    }
}

#[tokio::test]
async fn without_credentials_nothing_else_is_looked_at() {
    for fault in [ApiFault::Credentials, ApiFault::Denied] {
        let account = Account { faults: [(Operation::CallerIdentity, fault)].into(), ..Account::default() };
        let checks = account.checked().await;
        assert_eq!(states(&checks), [("region", State::Ok), ("credentials", State::Missing)]);
        assert!(checks[1].advice.contains("AWS_PROFILE"));
    }
    let faults = [(Operation::CallerIdentity, ApiFault::Unavailable)].into();
    let checks = Account { faults, ..Account::default() }.checked().await;
    assert_eq!(states(&checks)[1], ("connection", State::Missing));
}

#[tokio::test]
async fn a_read_that_is_denied_is_named_and_one_of_nothing_is_allowed() {
    let faults = [
        (Operation::DescribeServices, ApiFault::NotFound),
        (Operation::DescribeTaskDefinition, ApiFault::Invalid),
        (Operation::GetLogEvents, ApiFault::Denied),
    ];
    let checks = Account { faults: faults.into(), ..Account::default() }.checked().await;
    assert_eq!(of(&checks, "reading").state, State::Missing);
    assert_eq!(of(&checks, "reading").detail, "not allowed: logs:GetLogEvents");
    assert!(!can_run(&checks));
}

#[tokio::test]
async fn what_aws_does_not_answer_is_unknown_and_not_guessed() {
    let faults = [(Operation::ListClusters, ApiFault::Unavailable), (Operation::DescribeVpcs, ApiFault::Throttled)];
    let checks = Account { faults: faults.into(), ..Account::default() }.checked().await;
    assert_eq!((of(&checks, "reading").state, of(&checks, "network").state), (State::Unknown, State::Unknown));
    assert!(can_run(&checks));
}

#[tokio::test]
async fn a_permission_that_policies_do_not_give_is_named_once() {
    let denied = vec!["ecs:CreateService", "iam:PassRole", "ecs:TagResource"];
    let checks = Account { denied, ..Account::default() }.checked().await;
    let permissions = of(&checks, "permissions");
    assert_eq!(permissions.state, State::Missing);
    assert_eq!(permissions.detail, "IAM does not allow: ecs:CreateService, ecs:TagResource, iam:PassRole");
}

#[tokio::test]
async fn without_the_registry_only_local_images_are_impossible() {
    let checks = Account { denied: vec!["ecr:PutImage"], ..Account::default() }.checked().await;
    assert_eq!(of(&checks, "local images").state, State::Lacking);
    assert!(can_run(&checks) && checks.iter().all(|check| check.feature != "permissions"), "{checks:#?}");
}

#[tokio::test]
async fn where_iam_may_not_be_asked_that_is_said() {
    let checks = Account { silent: Some(ApiFault::Denied), ..Account::default() }.checked().await;
    let permissions = of(&checks, "permissions");
    assert_eq!(permissions.state, State::Unknown);
    assert!(permissions.advice.contains("iam:SimulatePrincipalPolicy"));
}

#[tokio::test]
async fn what_is_given_need_not_be_made() {
    let given = EcsSettings {
        execution_role: Some("arn:aws:iam::123456789012:role/given".to_owned()),
        listener: Some("arn:listener".to_owned()),
        ..EcsSettings::default()
    };
    let denied = vec!["iam:CreateRole", "elasticloadbalancing:CreateLoadBalancer"];
    let account = Account { denied: denied.clone(), ..Account::default() };
    assert_eq!(of(&account.examined(&given).await, "permissions").state, State::Ok);
    let passed = account.asked().into_iter().find(|asked| asked.permissions == ["iam:PassRole"]);
    assert_eq!(passed.expect("asked about the role").resources, ["arn:aws:iam::123456789012:role/given"]);
    assert_eq!(of(&Account { denied, ..Account::default() }.checked().await, "permissions").state, State::Missing);
}

#[tokio::test]
async fn a_session_is_looked_up_as_its_role_and_the_account_itself_is_advised_against() {
    let session = Account { arn: "arn:aws:sts::123456789012:assumed-role/deployer/laptop", ..Account::default() };
    session.checked().await;
    assert_eq!(session.asked()[0].principal, "arn:aws:iam::123456789012:role/path/deployer");
    let faults = [(Operation::GetRole, ApiFault::Denied)].into();
    let session = Account { arn: session.arn, faults, ..Account::default() };
    session.checked().await;
    assert_eq!(session.asked()[0].principal, "arn:aws:iam::123456789012:role/deployer");

    let root = Account { arn: "arn:aws:iam::123456789012:root", ..Account::default() };
    assert_eq!(of(&root.checked().await, "permissions").state, State::Lacking);
    let federated = Account { arn: "arn:aws:sts::123456789012:federated-user/x", ..Account::default() };
    assert_eq!(of(&federated.checked().await, "permissions").state, State::Unknown);
    assert!(federated.asked().is_empty());
}

#[tokio::test]
async fn a_network_is_needed_and_one_zone_carries_no_load_balancer() {
    let checks = Account { vpc: None, ..Account::default() }.checked().await;
    assert_eq!(of(&checks, "network").detail, "eu-central-1 has no default VPC");
    assert!(of(&checks, "network").advice.contains("--ecs-subnets"));
    let given = EcsSettings { subnets: vec!["subnet-0".to_owned()], ..EcsSettings::default() };
    let account = Account { vpc: None, zones: 1, ..Account::default() };
    assert_eq!(of(&account.examined(&given).await, "network").state, State::Lacking);
    assert_eq!(of(&Account { zones: 0, ..Account::default() }.checked().await, "network").state, State::Missing);
}

#[test]
fn the_policy_that_people_read_is_the_one_that_is_checked() {
    let text = include_str!("../../../../docs/ecs.md");
    assert!(text.contains(include_str!("policy.json").trim()), "docs/ecs.md holds another policy");
}
