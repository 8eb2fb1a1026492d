//! What is wanted and what was seen, as the views that the API answers.
//!
//! Pure: the server gathers rows and observations, these functions only say them. The status words are decided in
//! `tapit_plan`; here they are put beside the rest.

mod app;
mod image;
mod instance;
mod task;
#[cfg(test)]
mod tests;
mod usage;

use tapit_model::{
    AppName, Blocked, BlockedView, Check, CommandLine, Counts, Event, EventView, HealthView, ImageSource, InstanceId,
    InstanceKind, InstanceState, PinnedImage, Port, PortSetting, Process, ProcessObserved, ProcessView, RequestCounts,
    Rollout, RolloutView, Template, Timestamp, Usage, World,
};
use tapit_plan::app::{health_check, resolve_port, status};

pub use app::{app_view, router_url};
pub use image::{image_view, in_use, is_named};
pub use task::task_view;
pub use usage::usage_views;

/// What all views share.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub world: &'a World,
    /// The engine's name.
    pub engine: &'a str,
    pub addresses: &'a dyn Addresses,
}

/// Where apps are reached.
pub trait Addresses {
    /// To open in a browser; `None` while there is no such address.
    fn url(&self, app: &AppName) -> Option<String>;
}

/// What is known of a process besides what is wanted of it. The default knows nothing.
#[derive(Debug, Default)]
pub struct Sight<'a> {
    pub observed: Option<&'a ProcessObserved>,
    /// With the time since when each holds.
    pub blocked: Vec<(Blocked, Timestamp)>,
    /// Left empty in lists: it must be measured.
    pub usage: Vec<(InstanceId, Usage)>,
    /// Since the rollout began.
    pub requests: Option<RequestCounts>,
    /// The newest, newest last; left empty in lists.
    pub events: Vec<(u64, Event)>,
}

/// One process. Image, port and health are those of the newest generation, which is what the user asked for; the
/// running one is told by its number.
pub fn process_view(context: &Context<'_>, process: &Process, sight: Sight<'_>) -> ProcessView {
    let Context { world, .. } = context;
    let (key, spec) = (&process.key, &process.spec);
    let newest = world.generations.get(&(key.clone(), process.generation));
    let template = newest.map(|generation| &generation.template);
    let rollout = world.rollouts.get(key);
    let public = key.process.is_public();
    let running = Counts {
        demand: healthy(sight.observed, InstanceKind::Demand),
        spot: healthy(sight.observed, InstanceKind::Spot),
    };
    let pending = Counts {
        demand: process.wanted(InstanceKind::Demand).saturating_sub(running.demand),
        spot: process.wanted(InstanceKind::Spot).saturating_sub(running.spot),
    };
    ProcessView {
        name: key.process.to_string(),
        app: key.app.to_string(),
        engine: context.engine.to_owned(),
        status: status(process, rollout, sight.observed).as_str().to_owned(),
        disabled: spec.disabled,
        public,
        url: context.addresses.url(&key.app).filter(|_| public),
        memory: spec.size.memory.gb(),
        cpu: spec.size.cpu.vcpu(),
        demand_count: spec.demand,
        spot_count: spec.spot,
        spot_fallback: spec.spot_fallback.map(|time| time.0),
        fallback: process.stand_ins(),
        running,
        pending,
        command: spec.command.as_ref().map(CommandLine::argv).unwrap_or_default().to_vec(),
        image: template.and_then(image_name),
        image_digest: template.and_then(pinned).map(|image| image.digest.to_string()),
        version: template.and_then(version),
        port: template.map_or_else(|| port(spec.port, &[]), |template| port(template.port, exposed(template))),
        health: health_view(process, template),
        drain_timeout: spec.lifecycle.drain_timeout.0,
        stop_timeout: spec.lifecycle.stop_timeout.0,
        userns: spec.confinement.userns,
        cap_add: spec.confinement.cap_add.iter().map(ToString::to_string).collect(),
        generation: process.generation,
        running_generation: process.running_generation,
        created_at: process.created_at.to_string(),
        updated_at: process.updated_at.to_string(),
        restarted_at: process.restarted_at.map(|at| at.to_string()),
        instances: instance::instance_views(&sight),
        rollout: rollout.map(|rollout| rollout_view(rollout, sight.requests)),
        blocked: sight.blocked.iter().map(|(blocked, since)| blocked_view(blocked, *since)).collect(),
        events: sight.events.into_iter().map(event_view).collect(),
    }
}

fn healthy(observed: Option<&ProcessObserved>, kind: InstanceKind) -> u32 {
    let instances = observed.map(|seen| seen.instances.as_slice()).unwrap_or_default();
    let count = instances.iter().filter(|seen| seen.kind == kind && seen.state == InstanceState::Healthy).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn pinned(template: &Template) -> Option<&PinnedImage> {
    match &template.image {
        ImageSource::Pinned(image) => Some(image),
        ImageSource::Named(_) | ImageSource::Unknown => None,
    }
}

fn image_name(template: &Template) -> Option<String> {
    match &template.image {
        ImageSource::Pinned(image) => Some(image.reference.to_string()),
        ImageSource::Named(reference) => Some(reference.to_string()),
        ImageSource::Unknown => None,
    }
}

/// The tag, or for an image named by digest the beginning of it: what instances find in `TAPIT_VERSION`.
fn version(template: &Template) -> Option<String> {
    let reference = match &template.image {
        ImageSource::Pinned(image) => &image.reference,
        ImageSource::Named(reference) => reference,
        ImageSource::Unknown => return None,
    };
    let digest = || pinned(template).map(|image| &image.digest).or(reference.digest());
    reference.tag().map(str::to_owned).or_else(|| digest().map(|digest| digest.short().to_owned()))
}

fn exposed(template: &Template) -> &[Port] {
    pinned(template).map(|image| image.exposed.as_slice()).unwrap_or_default()
}

fn port(setting: PortSetting, exposed: &[Port]) -> Option<u16> {
    resolve_port(setting, exposed).map(Port::get)
}

fn health_view(process: &Process, template: Option<&Template>) -> HealthView {
    let health = &process.spec.health;
    let check = template.map(|template| health_check(&process.key.process, template, exposed(template)));
    let (check, path) = match check {
        Some(Check::Tcp(_)) => ("tcp", None),
        Some(Check::Http { path, .. }) => ("http", Some(path)),
        Some(Check::Uptime(_)) | None => ("uptime", None),
    };
    HealthView { check: check.to_owned(), path, timeout: health.timeout.0, min_healthy_time: health.min_healthy.0 }
}

fn rollout_view(rollout: &Rollout, requests: Option<RequestCounts>) -> RolloutView {
    RolloutView {
        id: rollout.id,
        kind: rollout.kind.as_str().to_owned(),
        state: rollout.state.as_str().to_owned(),
        from: rollout.from,
        to: rollout.to,
        started_at: rollout.started_at.to_string(),
        finished_at: rollout.finished_at.map(|at| at.to_string()),
        reason: rollout.reason.clone(),
        last_exit: rollout.last_exit.as_ref().map(instance::last_exit_view),
        log_tail: rollout.log_tail.clone(),
        requests: requests.unwrap_or(RequestCounts { sent: 0, ok: 0, failed: 0, retried: 0 }),
    }
}

fn blocked_view(blocked: &Blocked, since: Timestamp) -> BlockedView {
    BlockedView { code: blocked.code.as_str().to_owned(), text: blocked.text.clone(), since: since.to_string() }
}

pub fn event_view((id, event): (u64, Event)) -> EventView {
    EventView {
        id,
        at: event.at.to_string(),
        app: event.app.to_string(),
        process: event.process.map(|name| name.to_string()),
        instance: event.instance.map(|id| id.to_string()),
        kind: event.kind.as_str().to_owned(),
        text: event.text,
    }
}
