//! A task's way from PROVISIONING to STOPPED.
//!
//! ```text
//! Provisioning ─► Pending ─► Activating ─► Running ─► Deactivating ─► Stopping ─► Deprovisioning ─► Stopped
//!       │            │           │            │ only with a target       ▲               ▲
//!       └────────────┴───────────┼────────────┴──── told to stop ────────┘               │
//!                                └─── its container ends by itself, or cannot start ─────┘
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use super::behaviour::{End, OnTerm, Start};
use super::container::Container;
use super::due::Step;
use super::rollout::Failing;
use super::setup::millis;
use super::task::{Health, SHOWN, Task, TaskId};
use super::world::World;
use crate::api::{DesiredStatus, TaskStatus};

/// A task that nothing checks is healthy once it has run for so long.
const UNCHECKED: Duration = Duration::from_secs(40);

/// Why a task is told to stop.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'a> {
    /// By its service, of whose deployment with this id.
    Scheduled(&'a str),
    /// It fails the checks of the load balancer.
    Unhealthy,
    Asked(&'a str),
    /// Its spot capacity is taken back.
    Interrupted,
}

impl World {
    pub fn step(&mut self, id: &TaskId, turn: u32, step: Step) {
        let Some(fresh) = self.tasks.get(id).map(|task| task.turn == turn) else { return };
        match step {
            Step::Ends(end) => self.container_ends(id, end),
            Step::Checked => self.checked(id),
            Step::Lasted => self.lasted(id),
            Step::Forgotten => self.forget_task(id),
            Step::Provisioned if fresh => self.provisioned(id),
            Step::PullFailed if fresh => {
                let image = self.tasks.get(id).map(|task| task.registered.new.container.image.clone());
                let text = format!(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref \
                     {}: not found",
                    image.unwrap_or_default()
                );
                self.cannot_start(id, &text);
            }
            Step::Pulled if fresh => self.pulled(id),
            Step::Activated if fresh => self.activated(id),
            Step::Drained if fresh => self.drained(id),
            Step::Gone if fresh => self.gone(id),
            Step::Provisioned | Step::PullFailed | Step::Pulled | Step::Activated | Step::Drained | Step::Gone => {}
        }
    }

    /// The next status. Steps that were planned in the one before are overtaken.
    pub fn turn(&mut self, id: &TaskId, status: TaskStatus) -> Option<&mut Task> {
        let task = self.tasks.get_mut(id)?;
        task.turn += 1;
        task.view.status = status;
        Some(task)
    }

    fn provisioned(&mut self, id: &TaskId) {
        let [.., b, c, d] = self.next().to_be_bytes();
        let now = self.timestamp();
        let pull = self.setup.pace.pull;
        let Some(task) = self.turn(id, TaskStatus::Pending) else { return };
        task.view.ip = Some(Ipv4Addr::new(10, b, c, d));
        task.view.pull_started_at = Some(now);
        match task.behaviour.start {
            Start::Runs => self.plan(id, pull, Step::Pulled),
            Start::CannotPull => self.plan(id, pull, Step::PullFailed),
            Start::Hangs => {}
        }
    }

    fn activated(&mut self, id: &TaskId) {
        let now = self.timestamp();
        let check = self.setup.pace.check;
        let Some(task) = self.turn(id, TaskStatus::Running) else { return };
        task.view.started_at = Some(now);
        let (service, deployment) = (task.service.clone(), task.deployment.clone());
        let checked = task.target.is_some();
        match checked {
            true => self.plan(id, check, Step::Checked),
            false => self.plan(id, UNCHECKED, Step::Lasted),
        }
        if let Some(deployment) = self.service_mut(&service).and_then(|one| one.deployment_mut(&deployment)) {
            deployment.runs();
        }
        self.look_soon(&service);
    }

    fn lasted(&mut self, id: &TaskId) {
        if let Some(task) = self.tasks.get_mut(id)
            && task.runs()
        {
            task.health = Health::Healthy;
            let service = task.service.clone();
            self.look_soon(&service);
        }
    }

    /// Tells a task to stop, unless it was told already.
    pub fn stop(&mut self, id: &TaskId, why: Why<'_>) {
        let now = self.timestamp();
        let Some(task) = self.tasks.get_mut(id) else { return };
        if !task.is_live() {
            return;
        }
        let (code, reason) = match why {
            Why::Scheduled(deployment) => {
                ("ServiceSchedulerInitiated", format!("Scaling activity initiated by (deployment {deployment})"))
            }
            Why::Unhealthy => {
                let group = task.target.as_ref().map(|target| target.target_group.clone()).unwrap_or_default();
                ("ServiceSchedulerInitiated", format!("Task failed ELB health checks in (target-group {group})"))
            }
            Why::Asked(reason) => ("UserInitiated", reason.to_owned()),
            Why::Interrupted => ("SpotInterruption", "Your Spot Task was interrupted.".to_owned()),
        };
        task.view.desired = DesiredStatus::Stopped;
        task.view.stop_code = Some(code.to_owned());
        task.view.stopped_reason = Some(reason);
        task.view.stopping_at = Some(now);
        let (status, service, targeted) = (task.view.status, task.service.clone(), task.targeted());
        match status {
            TaskStatus::Provisioning | TaskStatus::Pending => self.deprovision(id),
            TaskStatus::Activating | TaskStatus::Running => match (why, targeted) {
                // AWS does not wait for anybody to leave, and takes it out of the target group when it has stopped.
                (Why::Interrupted, _) | (_, None) => self.terminate(id),
                (Why::Scheduled(_) | Why::Unhealthy | Why::Asked(_), Some((group, target))) => {
                    self.drain_target(&group, target);
                    self.turn(id, TaskStatus::Deactivating);
                    self.plan(id, self.setup.pace.drain, Step::Drained);
                }
            },
            TaskStatus::Deactivating | TaskStatus::Stopping | TaskStatus::Deprovisioning | TaskStatus::Stopped => {}
        }
        self.look_soon(&service);
    }

    /// Its target is left by the last request, or has waited for long enough.
    fn drained(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get(id) else { return };
        let Some((group, target)) = task.targeted() else { return self.terminate(id) };
        let delay = self.target_groups.get(&group).map_or(0, |group| i64::from(group.delay) * 1000);
        let since = task.view.stopping_at.map_or(self.now, |at| at.0);
        if self.in_flight.get(&target.0).is_some_and(|count| *count > 0) && self.now < since + delay {
            return self.plan(id, Duration::from_secs(1), Step::Drained);
        }
        self.remove_target(&group, target);
        self.terminate(id);
    }

    /// SIGTERM, and SIGKILL once its time is over.
    fn terminate(&mut self, id: &TaskId) {
        let Some(task) = self.turn(id, TaskStatus::Stopping) else { return };
        let patience = Duration::from_secs(u64::from(task.registered.new.container.stop_timeout));
        let (after, code) = match task.behaviour.term {
            OnTerm::Exits { after, code } if after < patience => (after, code),
            OnTerm::Exits { .. } | OnTerm::Ignores => (patience, 137),
        };
        self.plan(id, after, Step::Ends(End::Exit(code)));
    }

    /// Nothing of it runs any more.
    pub fn deprovision(&mut self, id: &TaskId) {
        if let Some(Task { target: Some(_), .. }) = self.tasks.get(id)
            && let Some((group, target)) = self.tasks.get(id).and_then(Task::targeted)
        {
            self.drain_target(&group, target);
        }
        self.turn(id, TaskStatus::Deprovisioning);
        self.plan(id, self.setup.pace.deprovision, Step::Gone);
    }

    fn gone(&mut self, id: &TaskId) {
        let now = self.timestamp();
        let Some(task) = self.turn(id, TaskStatus::Stopped) else { return };
        task.view.stopped_at = Some(now);
        let (service, provider, targeted) = (task.service.clone(), task.view.provider, task.targeted());
        if let Some((group, target)) = targeted {
            self.remove_target(&group, target);
        }
        if let Some(provider) = provider {
            self.capacity.give_back(provider);
        }
        if let Some(service) = self.service_mut(&service) {
            service.tasks.remove(id);
        }
        self.plan(id, Duration::from_millis(SHOWN.unsigned_abs()), Step::Forgotten);
        self.look_soon(&service);
    }

    /// The load balancer's checks have decided once more.
    fn checked(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get(id) else { return };
        let Container::Runs { since } = task.container else { return };
        let Some((group, target)) = task.targeted().filter(|_| task.runs()) else { return };
        let ready = task.behaviour.healthy_after.map(|after| since.saturating_add(millis(after)));
        let grace = task.target.as_ref().map_or(0, |target| i64::from(target.grace_seconds) * 1000);
        let patience = task.view.started_at.map_or(self.now, |at| at.0) + grace;
        let service = task.service.clone();
        if ready.is_some_and(|ready| ready <= self.now) {
            self.set_health(id, Health::Healthy);
            self.check_target(&group, target, crate::api::TargetState::Healthy);
            return self.look_soon(&service);
        }
        self.set_health(id, Health::Unhealthy);
        self.check_target(&group, target, crate::api::TargetState::Unhealthy);
        if self.now < patience {
            let next = ready.map_or(patience, |ready| ready.min(patience));
            let after = Duration::from_millis((next - self.now).unsigned_abs());
            return self.plan(id, after, Step::Checked);
        }
        let port = target.1;
        self.tell(
            &service,
            &format!(
                "(port {port}) is unhealthy in (target-group {group}) due to (reason Health checks failed with these \
                 codes: [503])."
            ),
        );
        self.stop(id, Why::Unhealthy);
        self.task_failed(id, Failing::Unhealthy);
    }

    fn set_health(&mut self, id: &TaskId, health: Health) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.health = health;
        }
    }
}
