//! What is promised of one-off tasks.

use tapit_model::{InstanceKind, Process, TaskState};

use super::Sim;
use super::settled::Settled;

impl Sim {
    /// A task that has ended stays as it is, and nothing of it is left to run.
    pub(super) fn a_task_ends_once(&mut self, row: &Process) -> Result<(), String> {
        let Some(task) = &row.task else { return Ok(()) };
        let known = self.store.processes.get(&row.key).and_then(|row| row.task.as_ref()?.end.as_ref());
        match (known, &task.end) {
            (Some(known), now) if now.as_ref() != Some(known) => {
                return Err(format!("{} has ended and now ends again as {now:?}", row.key));
            }
            (Some(_), _) | (None, None) => return Ok(()),
            (None, Some(end)) => {
                let count = match end.state() {
                    TaskState::Succeeded => &mut self.seen.tasks_succeeded,
                    TaskState::Stopped => &mut self.seen.tasks_stopped,
                    TaskState::Failed | TaskState::Pending | TaskState::Running | TaskState::Stopping => {
                        &mut self.seen.tasks_failed
                    }
                };
                *count += 1;
            }
        }
        match self.machine.running().find(|(key, _, _)| **key == row.key) {
            Some((key, serial, _)) => Err(format!("{key} is told to have ended while its container {serial} runs")),
            None => Ok(()),
        }
    }
}

impl Settled<'_> {
    /// It has ended, or it runs, or something is in its way.
    pub(super) fn a_task_runs_or_has_ended(&self) -> Result<(), String> {
        let process = self.process;
        let ended = process.task.as_ref().is_some_and(|task| task.end.is_some());
        let runs = self.sim.machine.running().any(|(key, _, _)| *key == process.key);
        match (ended, runs) {
            (true, true) => Err("something runs of a task that has ended".to_owned()),
            (false, false) if !self.is_blocked(InstanceKind::Demand) => {
                Err("the task neither runs nor has ended, and no reason is given".to_owned())
            }
            (true, false) | (false, true | false) => Ok(()),
        }
    }
}
