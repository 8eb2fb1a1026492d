//! What is to be done in an app's part of the account, decided from what is wanted, recorded and seen.
//!
//! Every deed of a plan is safe now, in any order, and may be done again: order comes from planning again after each
//! round. Nothing here waits: what must be waited for (a name that drains, a deployment under way) makes a plan busy.

mod app;
mod deed;
mod fold;
mod process;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tapit_model::{AppName, Formation, Moment, Presence, ProcessName, Revision, Timestamp};

pub use deed::Deed;
pub use fold::Answered;
pub use process::is_steady;
pub use task::{Attempt, note_runs};

use crate::api::RolloutState;
use crate::look::Look;
use crate::names::{self, Install};
use crate::record::{AccountRecord, AppRecord};
use crate::settings::EcsSettings;

/// What the server wants of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub revision: Revision,
    pub presence: Presence,
    /// Where ECS finds the formation's image; `None`: not known yet.
    pub location: Option<String>,
}

/// Everything that a plan is made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub install: &'a Install,
    pub settings: &'a EcsSettings,
    pub region: &'a str,
    pub account: &'a AccountRecord,
    pub app: &'a AppName,
    pub wanted: &'a BTreeMap<ProcessName, Wanted>,
    pub record: &'a AppRecord,
    pub look: &'a Look,
    pub now: Moment,
    /// The same on the clock that people read, which a reboot of this host does not set back.
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppPlan {
    pub deeds: Vec<Deed>,
    /// Processes whose services are as their target of this revision wants them.
    pub acted: BTreeMap<ProcessName, Revision>,
    /// Absent processes of which nothing is left.
    pub gone: Vec<ProcessName>,
    /// Nothing is left of the whole app.
    pub empty: bool,
    /// Something is under way: look again soon.
    pub busy: bool,
}

impl Inputs<'_> {
    /// Whether any process is to run at all.
    fn is_wanted(&self) -> bool {
        self.wanted.values().any(|wanted| matches!(wanted.presence, Presence::Present(_)))
    }

    /// The formation that the load balancer leads to.
    fn public(&self) -> Option<&Formation> {
        self.wanted.values().find_map(|wanted| match &wanted.presence {
            Presence::Present(formation) if formation.public => Some(&**formation),
            Presence::Present(_) | Presence::Absent(_) => None,
        })
    }
}

/// Notes what ECS has given up by itself: it may not show that for long.
pub fn note_given_up(record: &mut AppRecord, look: &Look) {
    for service in &look.services {
        let Some((name, _)) = names::process_of_service(&service.name) else { continue };
        let Some(process) = record.processes.get_mut(&name) else { continue };
        let failed = service.deployments.iter().filter(|deployment| deployment.state == RolloutState::Failed);
        for arn in failed.map(|deployment| &deployment.task_definition) {
            if process.definitions.contains_key(arn) && !process.given_up.contains(arn) {
                process.given_up.push(arn.clone());
            }
        }
    }
}

pub fn plan_app(inputs: &Inputs<'_>) -> AppPlan {
    let mut plan = AppPlan::default();
    for (name, wanted) in inputs.wanted {
        let part = process::plan(inputs, name, wanted);
        plan.busy |= part.busy || !part.deeds.is_empty();
        plan.deeds.extend(part.deeds);
        if part.acted {
            plan.acted.insert(name.clone(), wanted.revision);
        }
        if part.gone {
            plan.gone.push(name.clone());
        }
    }
    let deeds = if inputs.is_wanted() {
        app::build(inputs)
    } else if plan.gone.len() == inputs.wanted.len() {
        app::remove(inputs)
    } else {
        Vec::new()
    };
    plan.busy |= !deeds.is_empty();
    plan.empty = !inputs.is_wanted() && plan.gone.len() == inputs.wanted.len() && deeds.is_empty();
    plan.deeds.extend(deeds);
    plan
}
