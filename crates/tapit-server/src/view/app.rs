//! An app as a view, with one status word for all of its processes.

use std::collections::BTreeMap;

use tapit_model::{App, AppName, AppView, ProcessKey, ProcessObserved};
use tapit_plan::app::{Status, status};

use super::Context;

/// One app. `observed` may hold processes of other apps; they are ignored.
pub fn app_view(context: &Context<'_>, app: &App, observed: &[ProcessObserved]) -> AppView {
    let seen: BTreeMap<&ProcessKey, &ProcessObserved> = observed.iter().map(|seen| (&seen.key, seen)).collect();
    let processes: Vec<_> = context.world.processes_of(&app.name).collect();
    let statuses = processes.iter().map(|process| {
        let rollout = context.world.rollouts.get(&process.key);
        status(process, rollout, seen.get(&process.key).copied())
    });
    let word = if app.deleting { "deleting" } else { app_status(statuses).as_str() };
    AppView {
        name: app.name.to_string(),
        status: word.to_owned(),
        image: app.image.as_ref().map(ToString::to_string),
        url: context.addresses.url(&app.name),
        processes: processes.iter().map(|process| process.key.process.to_string()).collect(),
        created_at: app.created_at.to_string(),
        updated_at: app.updated_at.to_string(),
    }
}

/// The address behind the server's router, for a browser on this machine.
pub fn router_url(app: &AppName, http_port: u16) -> String {
    match http_port {
        80 => format!("http://{app}.localhost"),
        port => format!("http://{app}.localhost:{port}"),
    }
}

/// The word that wants attention most. Processes that are switched off count only when all are.
fn app_status(statuses: impl Iterator<Item = Status>) -> Status {
    let urgency = |status: &Status| match status {
        Status::RolledBack => 7,
        Status::Degraded => 6,
        Status::Updating => 5,
        Status::Restarting => 4,
        Status::Pending => 3,
        Status::Running => 2,
        Status::ScaledToZero => 1,
        Status::Disabled => 0,
    };
    statuses.max_by_key(urgency).unwrap_or(Status::Pending)
}
