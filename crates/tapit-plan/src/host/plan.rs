//! The plan of the whole host, put together from the drafts of its processes.

use super::capacity;
use super::draft::Draft;
use super::{HostInputs, HostPlan};

/// Decides what to do now. Total and deterministic: the same inputs give the same plan, and none makes it panic.
pub fn plan_host(inputs: &HostInputs) -> HostPlan {
    let mut drafts: Vec<Draft<'_>> = inputs.processes.iter().map(|process| Draft::of(process, inputs.now)).collect();
    capacity::share(inputs, &mut drafts);
    let mut plan = HostPlan::default();
    for draft in drafts {
        plan.look_again = match (plan.look_again, draft.look_again()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let key = draft.process.target.key.clone();
        plan.verdicts.push(draft.verdict(inputs.capacity));
        plan.actions.extend(draft.into_actions().into_iter().map(|action| (key.clone(), action)));
    }
    plan
}
