//! A one-off task as a view.

use tapit_model::{CommandLine, Process, Task, TaskState, TaskView, Timestamp};
use tapit_plan::app::task_state;

use super::{Context, Sight, blocked_view, event_view, image_name, instance, pinned};

/// One task. What is not recorded yet of one that has not ended is told as it is seen.
pub fn task_view(context: &Context<'_>, (row, task): (&Process, &Task), sight: Sight<'_>) -> TaskView {
    let (key, spec) = (&row.key, &row.spec);
    let generation = context.world.generations.get(&(key.clone(), row.generation));
    let template = generation.map(|generation| &generation.template);
    let seen = sight.observed.and_then(|seen| seen.instances.last());
    let state = task_state(row, task, sight.observed);
    let end = task.end.as_ref();
    let waits = || match state {
        TaskState::Pending => sight.blocked.first().map(|(blocked, _)| blocked.text.clone()),
        TaskState::Running | TaskState::Stopping | TaskState::Succeeded | TaskState::Failed | TaskState::Stopped => {
            None
        }
    };
    let started = end.map_or_else(|| seen.and_then(|seen| seen.started_at), |end| end.started_at);
    let text = |at: Timestamp| at.to_string();
    TaskView {
        id: task.id.0,
        app: key.app.to_string(),
        engine: context.engine.to_owned(),
        process: key.process.to_string(),
        state: state.as_str().to_owned(),
        reason: end.map(|end| end.reason.text.clone()).or_else(waits),
        exit_status: end.map(tapit_model::TaskEnd::status),
        last_exit: end.and_then(|end| end.exit.as_ref()).map(instance::last_exit_view),
        command: spec.command.as_ref().map(CommandLine::argv).unwrap_or_default().to_vec(),
        image: template.and_then(image_name),
        image_digest: template.and_then(pinned).map(|image| image.digest.to_string()),
        memory: spec.size.memory.gb(),
        cpu: spec.size.cpu.vcpu(),
        stop_timeout: spec.lifecycle.stop_timeout.0,
        instance: seen.map(|seen| seen.id.to_string()),
        created_at: row.created_at.to_string(),
        started_at: started.map(text),
        ended_at: end.map(|end| end.at.to_string()),
        blocked: sight.blocked.iter().map(|(blocked, since)| blocked_view(blocked, *since)).collect(),
        events: sight.events.into_iter().map(event_view).collect(),
    }
}
