//! How deployments end: complete, given up, or taken back.

use super::deployment::{Deployment, Stage, threshold};
use super::service::{Service, ServiceKey};
use super::task::TaskId;
use super::world::World;
use crate::api::{Breaker, RolloutState};

/// How a task fails its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// It has stopped before it was RUNNING.
    Start,
    /// The load balancer's checks fail.
    Unhealthy,
}

impl World {
    /// A task of some deployment has failed, which may end the deployment.
    pub fn task_failed(&mut self, id: &TaskId, how: Failing) {
        let now = self.now;
        let Some(task) = self.tasks.get(id) else { return };
        let (key, deployment) = (task.service.clone(), task.deployment.clone());
        let Some(service) = self.service_mut(&key) else { return };
        let (desired, breaker) = (service.desired, service.breaker);
        let Some(deployment) = service.deployment_mut(&deployment) else { return };
        if how == Failing::Start {
            deployment.failed_to_start(now);
        }
        let counts = match how {
            Failing::Start => deployment.stage == Stage::Starting,
            Failing::Unhealthy => true,
        };
        if !counts {
            return;
        }
        deployment.failed += 1;
        let under_way = deployment.primary && deployment.state == RolloutState::InProgress;
        if under_way && breaker == Breaker::RollsBack && deployment.failed >= threshold(desired) {
            self.give_up(&key);
        }
    }

    /// The primary deployment of a service has failed for good.
    fn give_up(&mut self, key: &ServiceKey) {
        let Some(service) = self.service_mut(key) else { return };
        let back = service.completed.clone();
        let Some(failed) = service.primary_mut() else { return };
        failed.state = RolloutState::Failed;
        failed.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
        let failed = failed.id.clone();
        self.tell(key, &format!("(deployment {failed}) deployment failed: tasks failed to start."));
        // One that has never completed is none to go back to, and nor is the one that fails.
        let Some(back) = back.filter(|back| back.id != failed) else { return };
        self.tell(key, &format!("rolling back to (deployment {}).", back.id));
        if let Some(service) = self.service_mut(key) {
            go_back(service, back);
        }
    }

    /// Whether the primary deployment is there where it was to come to, and what follows from that.
    pub fn complete(&mut self, key: &ServiceKey) {
        let Some(service) = self.service_mut(key) else { return };
        let Some(primary) = service.primary_mut() else { return };
        if primary.state != RolloutState::InProgress {
            return;
        }
        primary.completes();
        let done = primary.clone();
        let text = format!("(deployment {}) deployment completed.", done.id);
        service.completed = Some(done);
        self.tell(key, &text);
    }
}

fn go_back(service: &mut Service, back: Deployment) {
    service.deployments.iter_mut().for_each(|one| one.primary = false);
    let at = service.deployments.iter().position(|one| one.id == back.id);
    let mut deployment = at.map(|at| service.deployments.remove(at)).unwrap_or(back);
    deployment.primary = true;
    deployment.state = RolloutState::InProgress;
    deployment.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {}", deployment.id);
    (deployment.failed, deployment.stage) = (0, Stage::Starting);
    service.deployments.insert(0, deployment);
    service.steady = false;
}
