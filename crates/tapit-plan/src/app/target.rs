//! Which target a process can have now, and what stands between it and the one that is wanted.

use tapit_model::{
    Blocked, BlockedCode, Formation, Generation, ImageRef, ImageSource, InstanceKind, PinnedImage, PortSetting,
    Presence, Process, ProcessObserved, ProcessTarget, Revision,
};

use super::port::{DEFAULT_PORT, health_check, resolve_port};
use super::types::{AppInputs, ImageProgress, Prepare};
use super::{sight, template};

/// What can be ordered for a process now.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// `None`: nothing can run, and nothing ever ran.
    pub target: Option<ProcessTarget>,
    pub prepare: Option<Prepare>,
    pub blocked: Option<Blocked>,
}

/// The generation that the engine is to run: the wanted one, or after a rollback the one that serves.
pub(super) fn generation(process: &Process) -> u64 {
    if process.rolled_back { process.running_generation } else { process.generation }
}

pub(super) fn order(inputs: &AppInputs, process: &Process, observed: Option<&ProcessObserved>) -> Order {
    if process.deleting {
        return Order { target: Some(absent(process, process.revision)), ..Order::default() };
    }
    let wanted = inputs.world.generations.get(&(process.key.clone(), generation(process)));
    let serving = inputs.world.generations.get(&(process.key.clone(), process.running_generation));
    if process.spec.disabled || process.has_ended() {
        // Nothing is to run, so any image will do; the serving one is preferred because it does not change when the
        // wanted one is pinned later.
        let target = serving.into_iter().chain(wanted).find_map(|g| present(process, g, process.revision));
        let target = target.or_else(|| removal(process, observed, process.revision));
        return Order { target, ..Order::default() };
    }
    let Some(wanted) = wanted else { return Order::default() };
    if let Some(target) = present(process, wanted, process.revision) {
        return Order { target: Some(target), ..Order::default() };
    }
    // While the image is fetched, what serves goes on with the counts that are wanted now; one revision lower, so that
    // the real target is newer.
    let stand_in = Revision(process.revision.0.saturating_sub(1));
    let target = serving.and_then(|serving| present(process, serving, stand_in));
    let target = target.or_else(|| removal(process, observed, stand_in));
    let (prepare, blocked) = fetch(inputs, process, wanted, observed);
    Order { target, prepare, blocked }
}

/// Nothing is wanted, no generation has a pinned image to say so with, and the engine still runs one that was given up
/// since: only an absent target ends that.
fn removal(process: &Process, observed: Option<&ProcessObserved>, revision: Revision) -> Option<ProcessTarget> {
    let wanted = process.wanted(InstanceKind::Demand) + process.wanted(InstanceKind::Spot);
    let must_go = wanted == 0 && sight::left(observed) > 0;
    must_go.then(|| absent(process, revision))
}

fn absent(process: &Process, revision: Revision) -> ProcessTarget {
    ProcessTarget { key: process.key.clone(), revision, presence: Presence::Absent(process.spec.lifecycle) }
}

/// The complete order for a generation; `None` when its image is not pinned yet.
fn present(process: &Process, generation: &Generation, revision: Revision) -> Option<ProcessTarget> {
    let template = &generation.template;
    let ImageSource::Pinned(image) = &template.image else { return None };
    let name = &process.key.process;
    let formation = Formation {
        generation: generation.number,
        image: image.clone(),
        command: template.command.clone(),
        // A program that reads PORT gets one even where nobody asks it on that port.
        port: resolve_port(template.port, &image.exposed).unwrap_or(DEFAULT_PORT),
        check: health_check(name, template, &image.exposed),
        health_timeout: template.health.timeout,
        size: template.size,
        demand: process.wanted(InstanceKind::Demand),
        stand_ins: process.stand_ins(),
        spot: process.wanted(InstanceKind::Spot),
        restart: process.restart(),
        lifecycle: template.lifecycle,
        confinement: template.confinement.clone(),
        // One that listens nowhere is never routed, and would wait for that for ever.
        public: name.is_public() && template.port != PortSetting::None,
        variables: template.variables.clone(),
        version: version(image),
    };
    Some(ProcessTarget { key: process.key.clone(), revision, presence: Presence::Present(Box::new(formation)) })
}

/// `TAPIT_VERSION`: the tag, or where there is none the short digest.
fn version(image: &PinnedImage) -> String {
    image.reference.tag().map_or_else(|| image.digest.short().to_owned(), str::to_owned)
}

/// What is done for a generation that has no pinned image.
fn fetch(
    inputs: &AppInputs,
    process: &Process,
    wanted: &Generation,
    observed: Option<&ProcessObserved>,
) -> (Option<Prepare>, Option<Blocked>) {
    let missing = |kind| process.wanted(kind).saturating_sub(sight::healthy(observed, wanted.number, kind));
    let (demand, spot) = (missing(InstanceKind::Demand), missing(InstanceKind::Spot));
    let blocked = |code, text| Some(Blocked { code, text, demand, spot });
    let Some(image) = template::reference(&wanted.template.image) else {
        let app = &process.key.app;
        let text = format!("no image known yet; name one with `tapit -a {app} set app image=NAME:TAG`");
        return (None, blocked(BlockedCode::NoImage, text));
    };
    match inputs.images.get(image) {
        None => {
            let prepare = Prepare { key: process.key.clone(), generation: wanted.number, image: image.clone() };
            (Some(prepare), blocked(BlockedCode::Resolving, format!("{image} is being looked up")))
        }
        Some(ImageProgress::Asked) => (None, blocked(BlockedCode::Resolving, format!("{image} is being looked up"))),
        Some(ImageProgress::Preparing) => (None, blocked(BlockedCode::Pulling, format!("{image} is being fetched"))),
        Some(progress @ ImageProgress::Failed { text, attempts, .. }) => match hopeless(image, progress) {
            Some(text) => (None, blocked(BlockedCode::ImageUnavailable, text)),
            None => {
                let text = format!("{image} could not be had at attempt {attempts} and is tried again: {text}");
                (None, blocked(BlockedCode::Pulling, text))
            }
        },
    }
}

/// Why an image is given up: its failure is for good, or there were too many. `None`: there is hope.
pub(super) fn hopeless(image: &ImageRef, progress: &ImageProgress) -> Option<String> {
    match progress {
        ImageProgress::Failed { text, for_good, attempts } if *for_good || *attempts >= sight::ATTEMPTS => {
            Some(format!("{image} could not be had: {text}"))
        }
        ImageProgress::Failed { .. } | ImageProgress::Asked | ImageProgress::Preparing => None,
    }
}
