//! What the engine has a say in: configurations that it cannot run, and changes that only new instances can take.

use tapit_model::{EngineKind, ProcessSpec, Refusal, ResizeMode, Template};

use crate::fargate;

/// Refuses a configuration that the engine cannot run, before anything is changed. What was wrong `before` does not keep a
/// process from being switched off.
pub(super) fn check(kind: EngineKind, before: Option<&ProcessSpec>, spec: &ProcessSpec) -> Result<(), Refusal> {
    let faults = |spec| match kind {
        EngineKind::Embedded => Vec::new(),
        EngineKind::Ecs => fargate::faults(spec),
    };
    let known = before.filter(|_| spec.disabled).map(faults).unwrap_or_default();
    let faults: Vec<_> = faults(spec).into_iter().filter(|fault| !known.contains(fault)).collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::usage(faults.join("; "))) }
}

/// How a new size reaches instances. In place is the default only where it can be done, and refused where it was asked for
/// and cannot.
pub(super) fn resize(kind: EngineKind, asked: Option<ResizeMode>) -> Result<ResizeMode, Refusal> {
    match (kind, asked) {
        (EngineKind::Embedded, asked) => Ok(asked.unwrap_or(ResizeMode::InPlace)),
        (EngineKind::Ecs, None | Some(ResizeMode::Rolling)) => Ok(ResizeMode::Rolling),
        (EngineKind::Ecs, Some(ResizeMode::InPlace)) => Err(Refusal::usage(
            "resize=in_place is not possible on ECS: a task keeps the size that it was started with; leave resize out, and \
             a rolling rollout replaces every instance",
        )),
    }
}

/// Whether a change of settings, which leaves instances alone elsewhere, needs a new generation. On ECS a generation stands
/// for a task definition, which never changes and holds the time from SIGTERM to SIGKILL.
pub(super) fn renews(kind: EngineKind, from: &Template, to: &Template) -> bool {
    match kind {
        EngineKind::Embedded => false,
        EngineKind::Ecs => from.size != to.size || from.lifecycle.stop_timeout != to.lifecycle.stop_timeout,
    }
}
