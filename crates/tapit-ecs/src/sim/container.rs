//! A task's container: its start, its end, and what it leaves in the log.

use sha2::{Digest, Sha256};

use super::behaviour::{End, Ending};
use super::due::Step;
use super::rollout::Failing;
use super::task::TaskId;
use super::world::World;
use crate::api::{DesiredStatus, TaskStatus};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    NotStarted,
    /// Since when, in milliseconds.
    Runs {
        since: i64,
    },
    Ended,
}

impl World {
    /// Its image is there: the container starts, and the load balancer is told of it.
    pub fn pulled(&mut self, id: &TaskId) {
        let now = self.timestamp();
        let Some(task) = self.tasks.get(id) else { return };
        let (group, stream) = task.log(id);
        if !self.open_stream(&group, &stream) {
            let text = "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 \
                        times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log \
                        group does not exist.";
            return self.cannot_start(id, text);
        }
        let activate = self.setup.pace.activate;
        let Some(task) = self.turn(id, TaskStatus::Activating) else { return };
        task.view.pull_stopped_at = Some(now);
        task.view.image_digest = Some(digest(&task.registered.new.container.image));
        task.container = Container::Runs { since: now.0 };
        let (writes, ending, targeted) = (task.behaviour.writes.clone(), task.behaviour.ending, task.targeted());
        let service = task.service.clone();
        self.write((&group, &stream), &writes);
        if let Some((group, target)) = targeted {
            self.register_target(&group, target);
            self.tell(&service, &format!("registered 1 targets in (target-group {group})"));
        }
        // Before it is RUNNING, where both are at one time.
        if let Some(Ending { after, end }) = ending {
            self.plan(id, after, Step::Ends(end));
        }
        self.plan(id, activate, Step::Activated);
    }

    /// Its container ends, by itself or because it was told to.
    pub fn container_ends(&mut self, id: &TaskId, end: End) {
        let now = self.timestamp();
        let Some(task) = self.tasks.get_mut(id) else { return };
        if !matches!(task.container, Container::Runs { .. }) {
            return;
        }
        task.container = Container::Ended;
        let ran = task.view.started_at.is_some();
        task.view.exit_code = Some(match end {
            End::Exit(code) => code,
            End::OutOfMemory => 137,
        });
        if end == End::OutOfMemory {
            task.view.container_reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        }
        let by_itself = task.is_live();
        if by_itself {
            task.view.desired = DesiredStatus::Stopped;
            task.view.stop_code = Some("EssentialContainerExited".to_owned());
            task.view.stopped_reason = Some("Essential container in task exited".to_owned());
            task.view.stopping_at = Some(now);
        }
        let service = task.service.clone();
        self.deprovision(id);
        if by_itself && !ran {
            self.task_failed(id, Failing::Start);
        }
        self.look_soon(&service);
    }

    /// The task stops before there is a container.
    pub fn cannot_start(&mut self, id: &TaskId, reason: &str) {
        let now = self.timestamp();
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.view.desired = DesiredStatus::Stopped;
        task.view.stop_code = Some("TaskFailedToStart".to_owned());
        task.view.stopped_reason = Some(reason.to_owned());
        task.view.stopping_at = Some(now);
        if reason.starts_with("CannotPull") {
            task.view.container_reason = Some(reason.to_owned());
        }
        let service = task.service.clone();
        self.deprovision(id);
        self.task_failed(id, Failing::Start);
        self.look_soon(&service);
    }
}

/// What ECS says has run: the digest in the image's name, or one that is made up from it.
fn digest(image: &str) -> String {
    if let Some((_, digest)) = image.split_once('@') {
        return digest.to_owned();
    }
    let hash: String = Sha256::digest(image.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}
