//! Tasks: what runs, and what has run a short while ago.

use aws_sdk_ecs::types;

use super::{Ecs, PAGE, TASKS_AT_ONCE, failures, read, refused, told};
use crate::api::{Answer, ApiError, DesiredStatus, Operation};

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

    pub async fn stop_task(&self, cluster: String, task: String, reason: String) -> Result<Answer, ApiError> {
        let sent = self.client.stop_task().cluster(cluster).task(task).reason(reason).send().await;
        sent.map(|_| Answer::Done).map_err(told(Operation::StopTask))
    }
}
