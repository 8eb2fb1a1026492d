//! Publishes what an app's task knows, for the server to read.

use std::collections::{BTreeMap, BTreeSet};

use tapit_model::{
    Blocked, Formation, InstanceKind, InstanceState, Moment, Presence, ProcessName, ProcessObserved, ProcessTarget,
    Revision,
};

use super::actor::{Actor, Scene, is_settled};
use super::looking::Stir;
use super::rests::Trouble;
use super::seeing::subject;
use crate::look::Look;
use crate::plan::AppPlan;
use crate::record::ProcessRecord;
use crate::sight::{self, Sight};

/// The plan is `None` where nothing could be planned: then what was known before goes on being told.
pub fn publish(actor: &mut Actor, scene: &Scene, plan: Option<&AppPlan>, troubles: &[Trouble]) {
    let seen: BTreeMap<ProcessName, ProcessObserved> =
        scene.targets.iter().map(|(name, target)| (name.clone(), observed(actor, target, troubles))).collect();
    let moves = seen.values().any(|process| process.instances.iter().any(|instance| !is_settled(instance.state)));
    let waits = seen.values().any(|process| !process.blocked.is_empty());
    actor.instances = if moves { Stir::UnderWay } else { Stir::Still };
    actor.stir = if moves || waits || plan.is_none_or(|plan| plan.busy) { Stir::UnderWay } else { Stir::Still };
    if let Some(plan) = plan {
        actor.note_gone(&plan.gone);
    }
    if store(actor, scene, (seen, plan), troubles) {
        actor.shared.changed();
    }
}

fn observed(actor: &Actor, target: &ProcessTarget, troubles: &[Trouble]) -> ProcessObserved {
    let name = &target.key.process;
    let nothing = ProcessRecord::default();
    let process = actor.record.processes.get(name).unwrap_or(&nothing);
    let Sight { instances, mut blocked, failure } =
        sight::observed(&process.memory, &subject(target, process), &actor.look);
    let missing = |kind| {
        let healthy = |i: &&tapit_model::InstanceObserved| i.kind == kind && i.state == InstanceState::Healthy;
        let healthy = u32::try_from(instances.iter().filter(healthy).count()).unwrap_or(u32::MAX);
        let wanted = if process.run.is_some() && !instances.is_empty() { 0 } else { count(&target.presence, kind) };
        wanted.saturating_sub(healthy)
    };
    let (demand, spot) = (missing(InstanceKind::Demand), missing(InstanceKind::Spot));
    let image = match &target.presence {
        // What has run needs no image any more.
        Presence::Present(_) if process.run.is_some() => None,
        Presence::Present(formation) => actor.locations.blocked(&formation.image, actor.shared.clock.moment()),
        Presence::Absent(_) => None,
    };
    blocked.extend(image.map(|image| Blocked { demand, spot, ..image }));
    let mut ours = troubles.iter().filter(|trouble| trouble.process.as_ref().is_none_or(|process| process == name));
    if let Some(trouble) = ours.next() {
        blocked.push(Blocked { code: trouble.code, text: trouble.text.clone(), demand, spot });
    }
    let revision = actor.acted.get(name).copied().unwrap_or(Revision(0));
    ProcessObserved { key: target.key.clone(), revision, instances, blocked, failure, seen_at: actor.look.moment }
}

fn count(presence: &Presence, kind: InstanceKind) -> u32 {
    let of = |formation: &Formation| match kind {
        InstanceKind::Demand => formation.demand,
        InstanceKind::Spot => formation.spot,
    };
    match presence {
        Presence::Present(formation) => of(formation),
        Presence::Absent(_) => 0,
    }
}

/// Whether anything is new.
fn store(
    actor: &Actor,
    scene: &Scene,
    (mut seen, plan): (BTreeMap<ProcessName, ProcessObserved>, Option<&AppPlan>),
    troubles: &[Trouble],
) -> bool {
    let mut state = actor.shared.state();
    let Some(app) = state.apps.get_mut(&actor.app) else { return false };
    for (name, process) in &mut seen {
        let (then, now) = (scene.targets.get(name), app.targets.get(name));
        if let (Some(then), Some(now)) = (then, now)
            && process.revision == then.revision
            && then.presence == now.presence
        {
            // A newer target that wants the same is as good as acted on.
            process.revision = now.revision;
        }
    }
    let before = listed(&app.seen, &app.gone);
    if let Some(plan) = plan {
        // One that is wanted again meanwhile is not gone.
        let gone = plan.gone.iter().filter(|name| app.targets.get(*name) == scene.targets.get(*name));
        app.gone = gone.cloned().collect();
    }
    // Forgotten meanwhile.
    seen.retain(|name, _| app.targets.contains_key(name));
    app.trouble = troubles.first().map(|trouble| trouble.text.clone());
    app.hosts.clone_from(&actor.record.target.hosts);
    app.seen = seen;
    before != listed(&app.seen, &app.gone)
}

/// As far as others see it, whenever it was seen.
fn listed(seen: &BTreeMap<ProcessName, ProcessObserved>, gone: &BTreeSet<ProcessName>) -> Vec<ProcessObserved> {
    let listed = seen.iter().filter(|(name, _)| !gone.contains(*name));
    listed.map(|(_, process)| ProcessObserved { seen_at: Moment(0), ..process.clone() }).collect()
}

/// A process as an earlier server has left it, before anybody has looked.
pub fn from_record(target: &ProcessTarget, process: &ProcessRecord, look: &Look) -> ProcessObserved {
    let Sight { instances, blocked, failure } = sight::observed(&process.memory, &subject(target, process), look);
    let (key, revision, seen_at) = (target.key.clone(), Revision(0), look.moment);
    ProcessObserved { key, revision, instances, blocked, failure, seen_at }
}
