//! Calls of ECS: clusters, task definitions, services, tasks.

mod definitions;
mod read;
mod services;
mod tasks;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Failure, Tag};

use super::{lacking, refused, there, told};
use crate::api::{Answer, ApiError, ApiFault, Operation, Tags};

/// Names that ECS describes at once.
const SERVICES_AT_ONCE: usize = 10;
const TASKS_AT_ONCE: usize = 100;
/// Of every list.
const PAGE: i32 = 100;

#[derive(Debug)]
pub struct Ecs {
    client: Client,
}

impl Ecs {
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Services may only name providers that their cluster has.
    pub async fn create_cluster(&self, name: String, tags: Tags) -> Result<Answer, ApiError> {
        let sent = self.client.create_cluster().cluster_name(name).set_tags(Some(written(&tags)));
        let sent = sent.capacity_providers("FARGATE").capacity_providers("FARGATE_SPOT").send().await;
        there(sent.map(drop).map_err(told(Operation::CreateCluster)))
    }

    pub async fn delete_cluster(&self, name: String) -> Result<Answer, ApiError> {
        let sent = self.client.delete_cluster().cluster(name).send().await;
        sent.map(|_| Answer::Done).map_err(told(Operation::DeleteCluster))
    }

    pub async fn list_clusters(&self, next: Option<String>) -> Result<Answer, ApiError> {
        let sent = self.client.list_clusters().max_results(PAGE).set_next_token(next).send().await;
        let listed = sent.map_err(told(Operation::ListClusters))?;
        let names = listed.cluster_arns.unwrap_or_default().iter().map(|arn| last(arn)).collect();
        Ok(Answer::Names { names, next: listed.next_token })
    }
}

/// `…/NAME` → `NAME`
fn last(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}

fn written(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// What was asked for and is not there is no failure; anything else is one.
fn failures(operation: Operation, failures: Option<Vec<Failure>>) -> Result<(), ApiError> {
    let failures = failures.unwrap_or_default();
    let Some(failure) = failures.iter().find(|failure| failure.reason() != Some("MISSING")) else { return Ok(()) };
    let reason = failure.reason().unwrap_or("a failure without a reason");
    let detail = failure.detail().map(|detail| format!(", {detail}")).unwrap_or_default();
    let text = format!("{reason} of {}{detail}", failure.arn().unwrap_or("something"));
    Err(ApiError { operation, fault: ApiFault::Unavailable, text })
}
