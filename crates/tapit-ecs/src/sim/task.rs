//! Tasks: how they begin, and what callers see of them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::behaviour::Behaviour;
use super::container::Container;
use super::definition::Registered;
use super::due::{Happening, Step};
use super::names;
use super::refusal::{Answered, Refusal};
use super::service::ServiceKey;
use super::world::World;
use crate::api::{self, Answer, DesiredStatus, Network, ServiceTarget, TaskStatus};

const MOST_DESCRIBED: usize = 100;

/// How long a stopped task, or a service that is gone, is still shown, in milliseconds.
pub(super) const SHOWN: i64 = 60 * 60 * 1000;

/// The last part of its ARN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(Arc<str>);

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub view: api::Task,
    /// In the order in which tasks began.
    pub serial: u64,
    /// Of one that runs alone, a name that no service has.
    pub service: ServiceKey,
    /// Its id, or the token of one that runs alone.
    pub deployment: String,
    pub registered: Arc<Registered>,
    pub behaviour: Behaviour,
    pub network: Network,
    pub target: Option<ServiceTarget>,
    /// Counts its statuses: a step that was planned in an earlier one is overtaken.
    pub turn: u32,
    pub container: Container,
    pub health: Health,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Task {
    pub fn is_over(&self) -> bool {
        self.view.status == TaskStatus::Stopped
    }

    /// Nobody wants it to stop.
    pub fn is_live(&self) -> bool {
        self.view.desired == DesiredStatus::Running
    }

    pub fn runs(&self) -> bool {
        self.view.status == TaskStatus::Running
    }

    /// Where its target group has it.
    pub fn targeted(&self) -> Option<(String, (Ipv4Addr, u16))> {
        let target = self.target.as_ref()?;
        Some((target.target_group.clone(), (self.view.ip?, target.port)))
    }

    pub fn log(&self, id: &TaskId) -> (String, String) {
        let container = &self.registered.new.container;
        (container.log_group.clone(), format!("{}/{}/{id}", container.log_prefix, container.name))
    }
}

/// What a task is started for.
pub(super) struct Starting<'a> {
    pub service: ServiceKey,
    pub group: String,
    pub started_by: String,
    pub registered: Arc<Registered>,
    pub target: Option<ServiceTarget>,
    pub provider: api::Provider,
    pub network: &'a Network,
}

impl World {
    pub fn start_task(&mut self, starting: Starting<'_>) -> TaskId {
        let Starting { service, group, started_by, registered, target, provider, network } = starting;
        let id = TaskId(self.name(32).into());
        let view = api::Task {
            arn: self.arn("ecs", &format!("task/{}/{id}", service.cluster)),
            task_definition: registered.arn.clone(),
            group,
            started_by: Some(started_by.clone()),
            status: TaskStatus::Provisioning,
            desired: DesiredStatus::Running,
            provider: Some(provider),
            cpu: registered.new.cpu,
            memory_mib: registered.new.memory_mib,
            ip: None,
            created_at: self.timestamp(),
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            stopping_at: None,
            stopped_at: None,
            stop_code: None,
            stopped_reason: None,
            exit_code: None,
            container_reason: None,
            image_digest: None,
        };
        let task = Task {
            view,
            serial: self.next(),
            service: service.clone(),
            deployment: started_by,
            behaviour: (self.script.0)(&registered.new),
            registered,
            network: network.clone(),
            target,
            turn: 0,
            container: Container::NotStarted,
            health: Health::Unknown,
        };
        self.tasks.insert(id.clone(), task);
        if let Some(cluster) = self.clusters.get_mut(&service.cluster) {
            cluster.tasks.insert(id.clone());
            if let Some(service) = cluster.services.get_mut(&service.name) {
                service.tasks.insert(id.clone());
            }
        }
        self.plan(&id, self.setup.pace.provision, Step::Provisioned);
        id
    }

    /// Plans a step of a task, as long as its status stays.
    pub fn plan(&mut self, id: &TaskId, after: std::time::Duration, step: Step) {
        let turn = self.tasks.get(id).map_or(0, |task| task.turn);
        let at = self.now.saturating_add(super::setup::millis(after));
        self.due.at(at, Happening::Step { task: id.clone(), turn, step });
    }

    /// By ARN or id, in a cluster.
    pub fn task_id(&self, cluster: &str, name: &str) -> Option<TaskId> {
        let id = TaskId(crate::names::short(name).into());
        self.clusters.get(cluster)?.tasks.get(&id).cloned()
    }

    pub fn list_tasks(&self, cluster: &str, desired: DesiredStatus, next: Option<&String>) -> Answered {
        let tasks = self.cluster(cluster)?.tasks.iter().filter_map(|id| self.tasks.get(id));
        let arns = tasks.filter(|task| task.view.desired == desired).map(|task| task.view.arn.clone()).collect();
        let (names, next) = names::page(arns, next)?;
        Ok(Answer::Names { names, next })
    }

    pub fn describe_tasks(&self, cluster: &str, names: &[String]) -> Answered {
        self.cluster(cluster)?;
        if names.is_empty() {
            return Err(Refusal::invalid("Tasks cannot be empty."));
        }
        if names.len() > MOST_DESCRIBED {
            return Err(Refusal::invalid("Tasks can have at most 100 items."));
        }
        let found = names.iter().filter_map(|name| self.tasks.get(&self.task_id(cluster, name)?));
        Ok(Answer::Tasks(found.map(|task| task.view.clone()).collect()))
    }

    pub fn stop_task(&mut self, cluster: &str, name: &str, reason: &str) -> Answered {
        self.cluster(cluster)?;
        let missing = || Refusal::not_found("InvalidParameterException", "The referenced task was not found.");
        let id = self.task_id(cluster, name).ok_or_else(missing)?;
        self.stop(&id, super::walk::Why::Asked(reason));
        Ok(Answer::Done)
    }

    pub fn forget_task(&mut self, id: &TaskId) {
        if let Some(task) = self.tasks.remove(id)
            && let Some(cluster) = self.clusters.get_mut(&task.service.cluster)
        {
            cluster.tasks.remove(id);
        }
    }
}
