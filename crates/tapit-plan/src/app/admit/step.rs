//! What a new spec costs: the least that brings a process to it.

use tapit_model::{
    EngineKind, Generation, ImageRef, InstanceKind, Process, ProcessObserved, ProcessSpec, ResizeMode, RolloutKind,
    RolloutState, Template, World,
};

use super::super::sight;
use super::super::template::{self, Difference};
use super::engine;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Only counts, or a process that is disabled anyway: the spec is recorded, instances are added or removed.
    Record,
    /// The present generation gets the new size or time-outs; its instances stay.
    InPlace(Generation),
    /// New instances are needed.
    Roll(Template, RolloutKind),
    /// A disabled process comes back with the generation that it had.
    Resume(Generation),
    /// The process is being disabled: instances end, the generation stays.
    Disable,
}

/// A process as it is.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    pub world: &'a World,
    pub process: &'a Process,
    pub observed: Option<&'a ProcessObserved>,
    pub engine: EngineKind,
}

/// What besides the spec decides the step.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    /// The app's image as it will be.
    pub app_image: Option<&'a ImageRef>,
    pub resize: ResizeMode,
}

/// Decides the step from the present state to `spec`.
pub(super) fn step(present: Present, spec: &ProcessSpec, manner: Manner) -> Step {
    match (present.process.spec.disabled, spec.disabled) {
        (true, true) => Step::Record,
        (false, true) => Step::Disable,
        (true, false) => enable(present, spec, manner.app_image),
        (false, false) => change(present, spec, manner),
    }
}

pub(super) fn generation<'a>(world: &'a World, process: &Process, number: u64) -> Option<&'a Generation> {
    world.generations.get(&(process.key.clone(), number))
}

fn enable(present: Present, spec: &ProcessSpec, app_image: Option<&ImageRef>) -> Step {
    let Present { world, process, observed, engine } = present;
    // What served last has proved itself; without one, the attempt that was cut short is taken up again.
    let base = generation(world, process, process.running_generation)
        .or_else(|| generation(world, process, process.generation));
    let wanted = template::wanted(spec, app_image, base.map(|generation| &generation.template));
    let Some(base) = base else { return Step::Roll(wanted, RolloutKind::Enable) };
    // The failures that it had before count against a generation; a new number starts without them.
    if sight::failing(observed, base.number).is_some() {
        return Step::Roll(wanted, RolloutKind::Enable);
    }
    match template::difference(&base.template, &wanted) {
        Difference::Instances => Step::Roll(wanted, RolloutKind::Enable),
        Difference::Settings | Difference::Size if engine::renews(engine, &base.template, &wanted) => {
            Step::Roll(wanted, RolloutKind::Enable)
        }
        Difference::Same | Difference::Settings | Difference::Size => Step::Resume(adjusted(base, wanted)),
    }
}

fn change(present: Present, spec: &ProcessSpec, manner: Manner) -> Step {
    let Present { world, process, .. } = present;
    let base = generation(world, process, process.generation);
    let wanted = template::wanted(spec, manner.app_image, base.map(|generation| &generation.template));
    let update = if process.running_generation == 0 { RolloutKind::Create } else { RolloutKind::Update };
    let Some(base) = base else { return Step::Roll(wanted, update) };
    let afresh = has_failed(present) || engine::renews(present.engine, &base.template, &wanted);
    match (template::difference(&base.template, &wanted), afresh, manner.resize) {
        (Difference::Same, _, _) => Step::Record,
        (Difference::Instances, _, _) | (Difference::Settings, true, _) => Step::Roll(wanted, update),
        (Difference::Size, true, _) | (Difference::Size, false, ResizeMode::Rolling) => {
            Step::Roll(wanted, RolloutKind::Resize)
        }
        (Difference::Size, false, ResizeMode::InPlace) | (Difference::Settings, false, _) => {
            Step::InPlace(adjusted(base, wanted))
        }
    }
}

/// The wanted generation failed, in a rollout or later with nothing of it left healthy. Such a one is never changed in
/// place: the new attempt must be judged from its start, not by the failures before it.
fn has_failed(Present { world, process, observed, .. }: Present) -> bool {
    let healthy = |kind| sight::healthy(observed, process.generation, kind);
    let crash_loop = sight::given_up(observed, process.generation).is_some()
        && healthy(InstanceKind::Demand) + healthy(InstanceKind::Spot) == 0;
    let rollout = world.rollouts.get(&process.key);
    process.rolled_back || crash_loop || rollout.is_some_and(|rollout| rollout.state == RolloutState::Failed)
}

/// The generation with new size and time-outs; its image stays as it was resolved.
fn adjusted(generation: &Generation, wanted: Template) -> Generation {
    let image = generation.template.image.clone();
    Generation { template: Template { image, ..wanted }, ..generation.clone() }
}
