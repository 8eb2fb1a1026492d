//! Instances of the target generation whose size is not the wanted one.

use tapit_model::Formation;

use super::InstanceFacts;

/// What a change of size takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    /// So already, or not an instance that is resized.
    No,
    /// Takes no more memory than it has: can be applied now. The memory that it gives back counts once it is given.
    Free,
    /// Takes so many MiB more.
    Grow(u64),
}

pub(super) fn resize(instance: &InstanceFacts, formation: &Formation) -> Resize {
    let (has, wants) = (instance.size, formation.size);
    if !instance.is_live() || !instance.is_new(formation) || has == wants {
        return Resize::No;
    }
    match wants.memory.mib().saturating_sub(has.memory.mib()) {
        0 => Resize::Free,
        more => Resize::Grow(more),
    }
}
