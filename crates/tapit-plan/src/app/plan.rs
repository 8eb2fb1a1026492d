//! `plan_app`: what one app needs now.

use tapit_model::{AppName, Blocked, Change, Event, EventKind, Process, ProcessObserved};

use super::types::{AppInputs, AppPlan};
use super::{fallback, outcome, route, sight, target, task};

/// Plans one app. Called by the server after every wake-up with a fresh look at the engine; a look that failed must
/// not be passed off as an empty one, because a process that the engine does not list is taken to have no instances.
///
/// A process never changes what is planned for its siblings. Everything that is returned is safe now and in any order.
pub fn plan_app(inputs: &AppInputs) -> AppPlan {
    let mut plan = AppPlan { route: route::route(inputs.world, inputs.app, inputs.observed), ..AppPlan::default() };
    for process in inputs.world.everything_of(inputs.app) {
        plan_process(&mut plan, inputs, process);
    }
    task::forget(&mut plan, inputs, inputs.app);
    remove_app(&mut plan, inputs, inputs.app);
    plan
}

fn plan_process(plan: &mut AppPlan, inputs: &AppInputs, process: &Process) {
    let observed = sight::of(inputs.observed, &process.key);
    let order = target::order(inputs, process, observed);
    plan.targets.extend(order.target);
    plan.prepare.extend(order.prepare);
    let blocked: Vec<_> = order.blocked.into_iter().chain(reported(process, observed)).collect();
    if !blocked.is_empty() {
        plan.blocked.insert(process.key.clone(), blocked);
    }
    let before = plan.changes.len();
    outcome::settle(plan, inputs, process, observed);
    task::settle(plan, inputs, process, observed);
    // One change of the row at a time: it is planned again after the commit.
    if plan.changes.len() == before {
        fallback::settle(plan, inputs, process, observed);
    }
}

/// What the engine waits for, as far as anything is still wanted.
fn reported(process: &Process, observed: Option<&ProcessObserved>) -> Vec<Blocked> {
    let wanted = !process.deleting && !process.spec.disabled && !process.has_ended();
    observed.filter(|_| wanted).map(|seen| seen.blocked.clone()).unwrap_or_default()
}

/// The row of a deleted app goes after those of its processes, one planning later.
fn remove_app(plan: &mut AppPlan, inputs: &AppInputs, name: &AppName) {
    let deleting = inputs.world.apps.get(name).is_some_and(|app| app.deleting);
    if deleting && inputs.world.everything_of(name).next().is_none() {
        plan.changes.push(Change::RemoveApp(name.clone()));
        let (at, app, kind) = (inputs.now, name.clone(), EventKind::AppDeleted);
        plan.events.push(Event { at, app, process: None, instance: None, kind, text: format!("app {name} is gone") });
    }
}
