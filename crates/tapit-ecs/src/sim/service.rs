//! Services: what callers do to them and see of them. What is done about it is the scheduler's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::definition::Registered;
use super::deployment::Deployment;
use super::names;
use super::refusal::{Answered, Refusal};
use super::task::TaskId;
use super::world::World;
use crate::api::{
    self, Answer, ApiFault, Breaker, NewService, ServiceChange, ServiceEvent, ServiceStatus, ServiceTarget, TaskStatus,
};

const MOST_DESCRIBED: usize = 10;
const EVENTS_SHOWN: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceKey {
    pub cluster: String,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Active,
    Draining,
    Inactive,
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    /// As it was created: what a repeated creation is compared with.
    pub new: NewService,
    pub life: Life,
    /// When its life as an active or draining one was over.
    pub inactive_at: i64,
    pub desired: u32,
    pub breaker: Breaker,
    /// The newest first; one of them is the primary one.
    pub deployments: Vec<Deployment>,
    /// What the last deployment that completed was, to go back to.
    pub completed: Option<Deployment>,
    /// Those that have not stopped.
    pub tasks: BTreeSet<TaskId>,
    /// The newest first.
    pub events: VecDeque<ServiceEvent>,
    /// Nothing is left to do, and an event has said so.
    pub steady: bool,
    /// When the scheduler looks at it next.
    pub next_look: Option<i64>,
    /// Placements in a row that failed.
    pub unplaced: u32,
}

impl Service {
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.primary)
    }

    pub fn primary_mut(&mut self) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.primary)
    }

    pub fn deployment_mut(&mut self, id: &str) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.id == id)
    }

    fn view(&self, world: &World) -> api::Service {
        let primary = self.primary();
        let statuses: Vec<_> =
            self.tasks.iter().filter_map(|id| world.tasks.get(id)).map(|task| task.view.status).collect();
        let count = |counted: &[TaskStatus]| {
            u32::try_from(statuses.iter().filter(|status| counted.contains(status)).count()).unwrap_or(u32::MAX)
        };
        api::Service {
            name: self.new.name.clone(),
            status: match self.life {
                Life::Active => ServiceStatus::Active,
                Life::Draining => ServiceStatus::Draining,
                Life::Inactive => ServiceStatus::Inactive,
            },
            desired: self.desired,
            running: count(&[TaskStatus::Running]),
            pending: count(&[TaskStatus::Provisioning, TaskStatus::Pending, TaskStatus::Activating]),
            task_definition: primary.map(|one| one.registered.arn.clone()).unwrap_or_default(),
            target_group: primary.and_then(|one| one.target.as_ref()).map(|target| target.target_group.clone()),
            deployments: self.deployments.iter().map(Deployment::view).collect(),
            events: self.events.iter().take(EVENTS_SHOWN).cloned().collect(),
        }
    }
}

impl World {
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.clusters.get(&key.cluster)?.services.get(&key.name)
    }

    pub fn service_mut(&mut self, key: &ServiceKey) -> Option<&mut Service> {
        self.clusters.get_mut(&key.cluster)?.services.get_mut(&key.name)
    }

    pub fn create_service(&mut self, new: &NewService) -> Answered {
        let cluster = self.cluster(&new.cluster)?;
        names::ecs("Service name", &new.name)?;
        if new.client_token.len() > 36 {
            return Err(Refusal::invalid("clientToken can have at most 36 characters."));
        }
        if let Some(there) = cluster.services.get(&new.name) {
            match there.life {
                // The same token and parameters: the same creation, made again.
                Life::Active if there.new == *new && !new.client_token.is_empty() => {
                    return Ok(Answer::Service(Box::new(there.view(self))));
                }
                Life::Active => {
                    let text = "Creation of service was not idempotent.";
                    return Err(Refusal::exists("InvalidParameterException", text));
                }
                Life::Draining => {
                    let text = "Unable to Start a service that is still Draining.";
                    return Err(Refusal::exists("InvalidParameterException", text));
                }
                Life::Inactive => {}
            }
        }
        if new.tags.len() > 50 {
            return Err(Refusal::invalid("A resource can have at most 50 tags."));
        }
        let registered = self.runnable(&new.task_definition)?;
        self.check_network(&new.network)?;
        self.check_target_of(new.target.as_ref(), &registered)?;
        let deployment = Deployment::new(self.deployment_id(), registered, new.target.clone());
        let service = Service {
            new: new.clone(),
            life: Life::Active,
            inactive_at: 0,
            desired: new.desired,
            breaker: new.breaker,
            deployments: vec![deployment],
            completed: None,
            tasks: BTreeSet::new(),
            events: VecDeque::new(),
            steady: false,
            next_look: None,
            unplaced: 0,
        };
        let answer = Answer::Service(Box::new(service.view(self)));
        self.services_of(&new.cluster).insert(new.name.clone(), service);
        self.look_soon(&ServiceKey { cluster: new.cluster.clone(), name: new.name.clone() });
        Ok(answer)
    }

    /// Of a cluster that is known to be there.
    fn services_of(&mut self, cluster: &str) -> &mut BTreeMap<String, Service> {
        &mut self.clusters.entry(cluster.to_owned()).or_default().services
    }

    fn check_target_of(&self, target: Option<&ServiceTarget>, registered: &Arc<Registered>) -> Result<(), Refusal> {
        let Some(target) = target else { return Ok(()) };
        let container = &registered.new.container;
        let (name, port) = (&target.container, target.port);
        if container.name != *name {
            return Err(Refusal::invalid(format_args!("The container {name} does not exist in the task definition.")));
        }
        if container.port != Some(port) {
            let text = format_args!("The container {name} did not have a container port {port} defined.");
            return Err(Refusal::invalid(text));
        }
        let arn = &target.target_group;
        if !self.target_groups.contains_key(arn) {
            return Err(Refusal::invalid(format_args!("The target group {arn} does not exist.")));
        }
        if !self.balancers.led_to.contains_key(arn) {
            let text =
                format_args!("The target group with targetGroupArn {arn} does not have an associated load balancer.");
            return Err(Refusal::invalid(text));
        }
        Ok(())
    }

    pub fn deployment_id(&mut self) -> String {
        let digits: String = self.name(16);
        format!("ecs-svc/{:019}", u64::from_str_radix(&digits, 16).unwrap_or_default() % 10_u64.pow(19))
    }

    pub fn update_service(&mut self, change: &ServiceChange) -> Answered {
        let key = ServiceKey { cluster: change.cluster.clone(), name: change.service.clone() };
        self.cluster(&key.cluster)?;
        let service = self.service(&key).ok_or_else(not_found)?;
        if service.life != Life::Active {
            return Err(Refusal::new(ApiFault::NotActive, "ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let primary = service.primary().ok_or_else(not_found)?;
        let (registered, mut target) = (Arc::clone(&primary.registered), primary.target.clone());
        let told = change.task_definition.as_deref().map(|name| self.runnable(name)).transpose()?;
        let wanted = told.unwrap_or_else(|| Arc::clone(&registered));
        if change.target.is_some() {
            target.clone_from(&change.target);
        }
        self.check_target_of(target.as_ref(), &wanted)?;
        // Only another task definition, or another way for its traffic, is another deployment.
        let deploys = wanted.arn != registered.arn || target != primary.target;
        let deployment = deploys.then(|| Deployment::new(self.deployment_id(), wanted, target));
        if let Some(service) = self.service_mut(&key) {
            service.desired = change.desired.unwrap_or(service.desired);
            service.breaker = change.breaker.unwrap_or(service.breaker);
            service.steady = service.steady && deployment.is_none() && change.desired.is_none();
            if let Some(deployment) = deployment {
                service.deployments.iter_mut().for_each(|one| one.primary = false);
                service.deployments.insert(0, deployment);
            }
        }
        self.look_soon(&key);
        let service = self.service(&key).ok_or_else(not_found)?;
        Ok(Answer::Service(Box::new(service.view(self))))
    }

    pub fn delete_service(&mut self, cluster: &str, name: &str) -> Answered {
        self.cluster(cluster)?;
        let key = ServiceKey { cluster: cluster.to_owned(), name: name.to_owned() };
        let service = self.service_mut(&key).ok_or_else(not_found)?;
        match service.life {
            Life::Active => {
                (service.life, service.desired) = (Life::Draining, 0);
                self.look_soon(&key);
                Ok(Answer::Done)
            }
            Life::Draining => Ok(Answer::Done),
            Life::Inactive => Err(not_found()),
        }
    }

    pub fn describe_services(&self, cluster: &str, names: &[String]) -> Answered {
        let cluster = self.cluster(cluster)?;
        if names.is_empty() {
            return Err(Refusal::invalid("Services cannot be empty."));
        }
        if names.len() > MOST_DESCRIBED {
            return Err(Refusal::invalid("Too many services. The limit is 10."));
        }
        let found = names.iter().filter_map(|name| cluster.services.get(crate::names::short(name)));
        Ok(Answer::Services(found.map(|service| service.view(self)).collect()))
    }

    pub fn list_services(&self, cluster: &str, next: Option<&String>) -> Answered {
        let services = &self.cluster(cluster)?.services;
        let active = services.iter().filter(|(_, service)| service.life == Life::Active);
        let (names, next) = names::page(active.map(|(name, _)| name.clone()).collect(), next)?;
        Ok(Answer::Names { names, next })
    }

    pub fn forget_service(&mut self, key: &ServiceKey) {
        let now = self.now;
        let Some(cluster) = self.clusters.get_mut(&key.cluster) else { return };
        let old = |service: &Service| service.life == Life::Inactive && service.inactive_at + super::task::SHOWN <= now;
        if cluster.services.get(&key.name).is_some_and(old) {
            cluster.services.remove(&key.name);
        }
    }
}

fn not_found() -> Refusal {
    Refusal::not_found("ServiceNotFoundException", "Service not found.")
}
