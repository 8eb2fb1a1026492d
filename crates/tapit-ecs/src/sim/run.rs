//! Tasks that are started alone, by a token.

use std::sync::Arc;

use super::capacity::{Grant, NO_CAPACITY};
use super::names;
use super::refusal::{Answered, Refusal};
use super::service::ServiceKey;
use super::task::{Starting, TaskId};
use super::world::World;
use crate::api::{Answer, ApiFault, NewTask, Task};

const TOKEN_MAX: usize = 64;
const GROUP_MAX: usize = 255;
/// The longest that a token is remembered, in milliseconds.
const REMEMBERED: i64 = 24 * 60 * 60 * 1000;

/// What a token stands for.
#[derive(Debug, Clone)]
pub(super) struct Started {
    new: NewTask,
    at: i64,
    task: TaskId,
}

impl World {
    pub fn run_task(&mut self, new: &NewTask) -> Answered {
        let cluster = self.cluster(&new.cluster)?;
        check(new)?;
        if let Some(started) = cluster.runs.get(&new.client_token).filter(|started| self.is_remembered(started)) {
            if started.new != *new {
                let text = "The request token was used before, with other parameters.";
                return Err(Refusal::exists("ConflictException", text));
            }
            return Ok(Answer::Tasks(self.shown(started).into_iter().collect()));
        }
        let registered = self.runnable(&new.task_definition)?;
        self.check_network(&new.network)?;
        if let Some(why) = self.cannot_execute(&registered) {
            return Err(Refusal::client(why));
        }
        match self.capacity.take(new.provider, self.now) {
            Grant::Starts => {}
            Grant::TooFast => return Err(Refusal::new(ApiFault::Throttled, "ThrottlingException", "Rate exceeded")),
            Grant::NoCapacity => return Err(Refusal::new(ApiFault::Capacity, "failures", NO_CAPACITY)),
        }
        let id = self.start_task(Starting {
            service: ServiceKey { cluster: new.cluster.clone(), name: String::new() },
            group: new.group.clone(),
            started_by: new.client_token.clone(),
            registered: Arc::clone(&registered),
            target: None,
            provider: new.provider,
            network: &new.network,
        });
        let started = Started { new: new.clone(), at: self.now, task: id };
        let answer = self.shown(&started).into_iter().collect();
        self.clusters.entry(new.cluster.clone()).or_default().runs.insert(new.client_token.clone(), started);
        Ok(Answer::Tasks(answer))
    }

    fn shown(&self, started: &Started) -> Option<Task> {
        self.tasks.get(&started.task).map(|task| task.view.clone())
    }

    /// For an hour beyond the task's life, which is as long as the task is shown, and a day at most.
    fn is_remembered(&self, started: &Started) -> bool {
        self.now - started.at < REMEMBERED && self.tasks.contains_key(&started.task)
    }
}

fn check(new: &NewTask) -> Result<(), Refusal> {
    let visible = new.client_token.bytes().all(|byte| (33..=126).contains(&byte));
    if new.client_token.is_empty() || new.client_token.len() > TOKEN_MAX || !visible {
        return Err(Refusal::invalid("clientToken has 1 to 64 visible characters."));
    }
    // It is what the task is started by, too.
    names::ecs("startedBy", &new.client_token)?;
    if new.group.len() > GROUP_MAX || new.group.contains(':') {
        return Err(Refusal::invalid("Invalid namespace for group."));
    }
    if new.tags.len() > 50 {
        return Err(Refusal::invalid("A resource can have at most 50 tags."));
    }
    Ok(())
}
