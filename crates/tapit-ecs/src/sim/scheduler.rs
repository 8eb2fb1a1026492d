//! What ECS does about a service: starts what is missing, stops what is too much, within 100 and 200 %.

use std::sync::Arc;
use std::time::Duration;

use super::capacity::{Grant, NO_CAPACITY};
use super::definition::Registered;
use super::deployment::Deployment;
use super::due::Happening;
use super::service::{Life, ServiceKey};
use super::setup::millis;
use super::task::{Health, SHOWN, Starting, TaskId};
use super::walk::Why;
use super::world::World;
use crate::api::RolloutState;

/// After a placement that failed, in seconds; twice as long each time, up to the longest.
const PLACEMENT_RETRY: u64 = 10;
const PLACEMENT_RETRY_LONGEST: u64 = 60;

/// A task that nobody wants to stop.
struct Counted {
    id: TaskId,
    serial: u64,
    runs: bool,
    health: Health,
    checked: bool,
}

impl Counted {
    /// As a deployment counts its own.
    fn healthy(&self) -> bool {
        self.runs && self.health == Health::Healthy
    }

    /// As one counts those that it replaces.
    fn serves(&self) -> bool {
        self.runs && (!self.checked || self.health == Health::Healthy)
    }
}

/// Each the oldest first.
#[derive(Default)]
struct Census {
    primary: Vec<Counted>,
    old: Vec<Counted>,
    /// Of other deployments, whatever their status, until they have stopped.
    old_left: usize,
    /// Of the primary one, told to stop and not stopped.
    leaving: usize,
}

impl World {
    /// Looks at a service after the usual time.
    pub fn look_soon(&mut self, key: &ServiceKey) {
        self.look_after(key, self.setup.pace.schedule);
    }

    fn look_after(&mut self, key: &ServiceKey, after: Duration) {
        let at = self.now.saturating_add(millis(after).max(1));
        let Some(service) = self.service_mut(key) else { return };
        if service.next_look.is_none_or(|next| next > at) {
            service.next_look = Some(at);
            self.due.at(at, Happening::Schedule(key.clone()));
        }
    }

    pub fn schedule(&mut self, key: &ServiceKey) {
        let now = self.now;
        let Some(service) = self.service_mut(key) else { return };
        if service.next_look.is_some_and(|next| next <= now) {
            service.next_look = None;
        }
        match service.life {
            Life::Active => {
                self.stop_surplus(key);
                self.start_missing(key);
                self.settle(key);
            }
            Life::Draining => self.wind_up(key),
            Life::Inactive => {}
        }
    }

    fn census(&self, key: &ServiceKey) -> (u32, Census) {
        let mut census = Census::default();
        let Some(service) = self.service(key) else { return (0, census) };
        let primary = service.primary().map(|one| one.id.as_str()).unwrap_or_default();
        for (id, task) in service.tasks.iter().filter_map(|id| Some((id, self.tasks.get(id)?))) {
            let of_primary = task.deployment == primary;
            census.old_left += usize::from(!of_primary);
            if !task.is_live() {
                census.leaving += usize::from(of_primary);
                continue;
            }
            let (runs, checked) = (task.runs(), task.target.is_some());
            let counted = Counted { id: id.clone(), serial: task.serial, runs, health: task.health, checked };
            match of_primary {
                true => census.primary.push(counted),
                false => census.old.push(counted),
            }
        }
        census.primary.sort_by_key(|one| one.serial);
        census.old.sort_by_key(|one| one.serial);
        (service.desired, census)
    }

    fn stop_surplus(&mut self, key: &ServiceKey) {
        let (desired, census) = self.census(key);
        let Some(deployment) = self.service(key).and_then(|one| one.primary()).map(|one| one.id.clone()) else {
            return;
        };
        let desired = desired as usize;
        // The newest go first where there are too many.
        let too_many = census.primary.len().saturating_sub(desired);
        let mut stopped: Vec<_> = census.primary.iter().rev().take(too_many).map(|one| one.id.clone()).collect();
        // 100 % healthy at least: what does not serve may go, and so many of the others as are replaced.
        let healthy = census.primary.iter().filter(|one| one.healthy()).count();
        let serving = census.old.iter().filter(|one| one.serves()).count();
        let mut dispensable = (healthy + serving).saturating_sub(desired);
        for old in &census.old {
            if !old.serves() {
                stopped.push(old.id.clone());
            } else if dispensable > 0 {
                dispensable -= 1;
                stopped.push(old.id.clone());
            }
        }
        self.stop_tasks(key, &stopped, &deployment);
    }

    fn stop_tasks(&mut self, key: &ServiceKey, tasks: &[TaskId], deployment: &str) {
        tasks.iter().for_each(|task| self.stop(task, Why::Scheduled(deployment)));
        self.tell_of_tasks(key, "stopped running tasks", tasks);
        if let Some(service) = self.service_mut(key)
            && !tasks.is_empty()
        {
            service.steady = false;
        }
    }

    fn start_missing(&mut self, key: &ServiceKey) {
        let (desired, census) = self.census(key);
        let desired = desired as usize;
        let missing = desired.saturating_sub(census.primary.len());
        // 200 % at most of those that are to be there.
        let room = (2 * desired).saturating_sub(census.primary.len() + census.old.len());
        let Some(service) = self.service(key) else { return };
        let Some(deployment) = service.primary().cloned() else { return };
        let count = missing.min(room);
        if count == 0 || deployment.state == RolloutState::Failed {
            return;
        }
        if deployment.not_before > self.now {
            let wait = Duration::from_millis((deployment.not_before - self.now).unsigned_abs());
            return self.look_after(key, wait);
        }
        if let Some(why) = self.cannot_execute(&deployment.registered) {
            return self.place_later(key, &format!("failed to launch a task with (error {why})."));
        }
        self.place(key, &deployment, count);
    }

    /// In AWS's words; `None`: its execution role can be assumed.
    pub fn cannot_execute(&self, registered: &Registered) -> Option<String> {
        let role = registered.new.execution_role.clone().unwrap_or_default();
        (!self.executes(&role)).then(|| {
            format!(
                "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role \
                 being passed has the proper trust relationship and permissions and that your IAM user has permissions \
                 to pass this role."
            )
        })
    }

    fn place(&mut self, key: &ServiceKey, deployment: &Deployment, count: usize) {
        let Some(service) = self.service(key) else { return };
        let (provider, network) = (service.new.provider, service.new.network.clone());
        let mut started = Vec::new();
        let mut grant = Grant::Starts;
        while started.len() < count && grant == Grant::Starts {
            grant = self.capacity.take(provider, self.now);
            if grant == Grant::Starts {
                started.push(self.start_task(Starting {
                    service: key.clone(),
                    group: format!("service:{}", key.name),
                    started_by: deployment.id.clone(),
                    registered: Arc::clone(&deployment.registered),
                    target: deployment.target.clone(),
                    provider,
                    network: &network,
                }));
            }
        }
        self.tell_of_tasks(key, "started tasks", &started);
        if let Some(service) = self.service_mut(key)
            && !started.is_empty()
        {
            (service.steady, service.unplaced) = (false, 0);
        }
        match grant {
            Grant::Starts => {}
            Grant::TooFast => self.look_after(key, Duration::from_secs(1)),
            Grant::NoCapacity => self.place_later(
                key,
                &format!(
                    "was unable to place a task. Reason: {NO_CAPACITY} For more information, see the Troubleshooting \
                     section of the Amazon ECS Developer Guide."
                ),
            ),
        }
    }

    fn place_later(&mut self, key: &ServiceKey, text: &str) {
        self.tell(key, text);
        let Some(service) = self.service_mut(key) else { return };
        service.steady = false;
        service.unplaced = service.unplaced.saturating_add(1);
        let seconds = PLACEMENT_RETRY << (service.unplaced - 1).min(8);
        self.look_after(key, Duration::from_secs(seconds.min(PLACEMENT_RETRY_LONGEST)));
    }

    /// What has come to its end: a deployment, one that was replaced, all that was to be done.
    fn settle(&mut self, key: &ServiceKey) {
        let (desired, census) = self.census(key);
        let healthy = census.primary.iter().filter(|one| one.healthy()).count();
        let there = healthy == desired as usize && census.primary.len() == healthy;
        if there && census.old_left == 0 {
            self.complete(key);
            if census.leaving == 0 && self.service(key).is_some_and(|service| !service.steady) {
                self.tell(key, "has reached a steady state.");
                if let Some(service) = self.service_mut(key) {
                    service.steady = true;
                }
            }
        }
        let Some(service) = self.service(key) else { return };
        let in_use = |one: &Deployment| {
            one.primary || service.tasks.iter().filter_map(|id| self.tasks.get(id)).any(|t| t.deployment == one.id)
        };
        if !service.deployments.iter().all(in_use) {
            let left = service.deployments.iter().filter(|one| in_use(one)).cloned().collect();
            if let Some(service) = self.service_mut(key) {
                service.deployments = left;
            }
        }
    }

    /// A deleted service: its tasks go, and then its name is free.
    fn wind_up(&mut self, key: &ServiceKey) {
        let (_, census) = self.census(key);
        let live: Vec<_> = census.primary.iter().chain(&census.old).map(|one| one.id.clone()).collect();
        let deployment = self.service(key).and_then(|one| one.primary()).map(|one| one.id.clone()).unwrap_or_default();
        self.stop_tasks(key, &live, &deployment);
        let now = self.now;
        if let Some(service) = self.service_mut(key)
            && service.tasks.is_empty()
        {
            (service.life, service.inactive_at) = (Life::Inactive, now);
            service.deployments.clear();
            self.due.at(now + SHOWN, Happening::ForgetService(key.clone()));
        }
    }
}
