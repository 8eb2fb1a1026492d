//! Tasks: what runs, and what has run a short while ago.

use aws_sdk_ecs::types;

use super::{Ecs, PAGE, TASKS_AT_ONCE, failures, lacking, read, refused, services, told, written};
use crate::api::{Answer, ApiError, ApiFault, DesiredStatus, NewTask, Operation};

impl Ecs {
    pub async fn list_tasks(
        &self,
        cluster: String,
        desired: DesiredStatus,
        next: Option<String>,
    ) -> Result<Answer, ApiError> {
        let desired = match desired {
            DesiredStatus::Running => types::DesiredStatus::Running,
            DesiredStatus::Stopped => types::DesiredStatus::Stopped,
        };
        let listing = self.client.list_tasks().cluster(cluster).desired_status(desired).max_results(PAGE);
        let listed = listing.set_next_token(next).send().await.map_err(told(Operation::ListTasks))?;
        Ok(Answer::Names { names: listed.task_arns.unwrap_or_default(), next: listed.next_token })
    }

    pub async fn describe_tasks(&self, cluster: String, tasks: Vec<String>) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeTasks;
        if !(1..=TASKS_AT_ONCE).contains(&tasks.len()) {
            let text = format!("{} tasks at once; ECS describes 1 to {TASKS_AT_ONCE}", tasks.len());
            return Err(refused(operation, text));
        }
        let sent = self.client.describe_tasks().cluster(cluster).set_tasks(Some(tasks)).send().await;
        let described = sent.map_err(told(operation))?;
        failures(operation, described.failures)?;
        let tasks = described.tasks.unwrap_or_default().into_iter();
        Ok(Answer::Tasks(tasks.map(|task| read::task(operation, task)).collect::<Result<_, _>>()?))
    }

    /// One on Fargate, whose own tags tell whose it is: no service hands any on.
    pub async fn run_task(&self, new: NewTask) -> Result<Answer, ApiError> {
        let operation = Operation::RunTask;
        let wrong = |text: String| refused(operation, text);
        let sent = self
            .client
            .run_task()
            .cluster(new.cluster)
            .task_definition(new.task_definition)
            .count(1)
            .capacity_provider_strategy(services::strategy(new.provider).map_err(wrong)?)
            .network_configuration(services::network(new.network).map_err(wrong)?)
            .group(new.group)
            .started_by(&new.client_token)
            .client_token(new.client_token)
            .set_tags(Some(written(&new.tags)).filter(|tags| !tags.is_empty()))
            .send()
            .await;
        let answer = sent.map_err(told(operation))?;
        let started = answer.tasks.unwrap_or_default().into_iter().next();
        match (started, answer.failures.unwrap_or_default().first()) {
            (Some(task), _) => Ok(Answer::Tasks(vec![read::task(operation, task)?])),
            (None, Some(failure)) => Err(not_started(failure)),
            (None, None) => Err(lacking(operation, "the task")),
        }
    }

    pub async fn stop_task(&self, cluster: String, task: String, reason: String) -> Result<Answer, ApiError> {
        let sent = self.client.stop_task().cluster(cluster).task(task).reason(reason).send().await;
        sent.map(|_| Answer::Done).map_err(told(Operation::StopTask))
    }
}

/// Nothing runs, and AWS says why in an answer that is none of its errors.
fn not_started(failure: &types::Failure) -> ApiError {
    let reason = failure.reason().unwrap_or("a failure without a reason");
    let detail = failure.detail().map(|detail| format!(", {detail}")).unwrap_or_default();
    let is_room = reason.contains("Capacity") || reason.starts_with("RESOURCE");
    let fault = if is_room { ApiFault::Capacity } else { ApiFault::Invalid };
    ApiError { operation: Operation::RunTask, fault, text: format!("{reason}{detail}") }
}
