//! Calls of IAM: the role that ECS pulls images and writes logs with, and what policies say.

use std::sync::Arc;

use serde_json::json;

use super::wire::{Form, Record, Service, Wanted, Wire};
use super::{gone, lacking, partition};
use crate::api::{Answer, ApiError, Operation, Tags};
use crate::doctor::{Decision, Simulated, Verdict};

/// Of the API; the only one that there has ever been.
const VERSION: &str = "2010-05-08";
/// AWS's own, for pulling from ECR and writing logs.
const EXECUTION_POLICY: &str = "iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";

#[derive(Debug)]
pub struct Iam {
    wire: Arc<Wire>,
}

impl Iam {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    pub async fn role(&self, name: String) -> Result<Answer, ApiError> {
        let operation = Operation::GetRole;
        let form = action("GetRole").with("RoleName", name);
        let wanted = Wanted { path: &["GetRoleResult", "Role"], fields: &["Arn"] };
        arn(operation, self.send(operation, form, wanted).await?)
    }

    pub async fn create_role(&self, name: String, description: String, tags: Tags) -> Result<Answer, ApiError> {
        let operation = Operation::CreateRole;
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "ecs-tasks.amazonaws.com" },
                "Action": "sts:AssumeRole",
            }],
        });
        let form = action("CreateRole")
            .with("RoleName", name)
            .with("Description", description)
            .with("AssumeRolePolicyDocument", trust.to_string())
            .tags("Tags.member", &tags);
        let wanted = Wanted { path: &["CreateRoleResult", "Role"], fields: &["Arn"] };
        arn(operation, self.send(operation, form, wanted).await?)
    }

    pub async fn attach_execution_policy(&self, role: String) -> Result<Answer, ApiError> {
        let form = action("AttachRolePolicy").with("RoleName", role).with("PolicyArn", self.execution_policy());
        self.send(Operation::AttachRolePolicy, form, Wanted::NOTHING).await.map(|_| Answer::Done)
    }

    pub async fn detach_execution_policy(&self, role: String) -> Result<Answer, ApiError> {
        let form = action("DetachRolePolicy").with("RoleName", role).with("PolicyArn", self.execution_policy());
        self.send(Operation::DetachRolePolicy, form, Wanted::NOTHING).await.map(|_| Answer::Done)
    }

    pub async fn delete_role(&self, name: String) -> Result<Answer, ApiError> {
        let form = action("DeleteRole").with("RoleName", name);
        gone(self.send(Operation::DeleteRole, form, Wanted::NOTHING).await.map(drop))
    }

    pub async fn simulate(&self, asked: &Simulated) -> Result<Vec<Decision>, ApiError> {
        // There is no operation of ours for it; whoever may look at roles may mostly simulate, too.
        let operation = Operation::GetRole;
        let form = action("SimulatePrincipalPolicy")
            .with("PolicySourceArn", &asked.principal)
            .list("ActionNames.member", &asked.permissions)
            .list("ResourceArns.member", &asked.resources)
            .with("MaxItems", "1000");
        let form = asked.context.iter().zip(1..).fold(form, |form, ((name, value), number)| {
            let entry = format!("ContextEntries.member.{number}");
            form.with(format!("{entry}.ContextKeyName"), *name)
                .with(format!("{entry}.ContextKeyType"), "string")
                .with(format!("{entry}.ContextKeyValues.member.1"), value)
        });
        let wanted = Wanted {
            path: &["SimulatePrincipalPolicyResult", "EvaluationResults", "member"],
            fields: &["EvalActionName", "EvalDecision"],
        };
        let found = self.send(operation, form, wanted).await?;
        let decision = |record: &Record| {
            let permission = record.text("EvalActionName")?.to_owned();
            let verdict = if record.text("EvalDecision")? == "allowed" { Verdict::Allowed } else { Verdict::Denied };
            Some(Decision { permission, verdict })
        };
        let decided = found.iter().map(|record| decision(record).ok_or_else(|| lacking(operation, "a decision")));
        decided.collect()
    }

    fn execution_policy(&self) -> String {
        format!("arn:{}:{EXECUTION_POLICY}", partition::of(self.wire.region()).name)
    }

    async fn send(&self, operation: Operation, form: Form, wanted: Wanted) -> Result<Vec<Record>, ApiError> {
        self.wire.form((operation, Service::Iam), form, wanted).await
    }
}

fn action(name: &str) -> Form {
    Form::new(name, VERSION)
}

fn arn(operation: Operation, found: Vec<Record>) -> Result<Answer, ApiError> {
    let arn = found.first().and_then(|record| record.text("Arn"));
    arn.map(|arn| Answer::Id(arn.to_owned())).ok_or_else(|| lacking(operation, "the role's ARN"))
}
