//! What the phases of instances mean for counting.

use tapit_model::{CountChange, Formation, InstanceKind, Moment, Presence, ReasonCode};

use super::{InstanceFacts, Phase, ProcessInputs};

/// Whether a stop for this reason was ordered; any other is a failure of the instance.
pub(super) fn is_ordered(why: ReasonCode) -> bool {
    match why {
        ReasonCode::Surplus
        | ReasonCode::Replaced
        | ReasonCode::RolledBack
        | ReasonCode::Disabled
        | ReasonCode::Deleted
        | ReasonCode::Reclaimed => true,
        ReasonCode::Crashed
        | ReasonCode::Completed
        | ReasonCode::OutOfMemory
        | ReasonCode::StartFailed
        | ReasonCode::Unhealthy
        | ReasonCode::Lost
        | ReasonCode::Starting
        | ReasonCode::BackOff => false,
    }
}

impl InstanceFacts {
    /// Wanted so far: not on its way out.
    pub(crate) fn is_live(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => true,
            Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => false,
        }
    }

    /// On its way out, and still holding its memory.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Stopping { .. })
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped { .. })
    }

    pub(crate) fn is_healthy(&self) -> bool {
        matches!(self.phase, Phase::Healthy { .. })
    }

    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    pub(crate) fn is_unhealthy(&self) -> bool {
        matches!(self.phase, Phase::Unhealthy { .. })
    }

    /// As the target wants it, or about to be by a resize in place. One that has outgrown the wanted size is as old as an
    /// instance of another generation.
    pub(crate) fn is_new(&self, formation: &Formation) -> bool {
        self.generation == formation.generation && (!self.outgrown || self.size == formation.size)
    }

    /// Takes its share of the work: an instance of the public process does so only once the router knows it.
    pub(crate) fn serves(&self, formation: &Formation) -> bool {
        self.is_healthy() && (self.routed || !formation.public)
    }

    /// When its phase began.
    pub(crate) fn since(&self) -> Moment {
        match self.phase {
            Phase::Starting { since }
            | Phase::Healthy { since }
            | Phase::Unhealthy { since }
            | Phase::Draining { since, .. }
            | Phase::Stopping { since, .. } => since,
            Phase::Stopped { at, .. } => at,
        }
    }
}

impl ProcessInputs {
    pub(crate) fn formation(&self) -> Option<&Formation> {
        match &self.target.presence {
            Presence::Absent(_) => None,
            Presence::Present(formation) => Some(formation),
        }
    }
}

/// The count in force, held to the most that anybody may ask for, so that no input makes a plan of unbounded length.
pub(super) fn wanted(formation: &Formation, kind: InstanceKind) -> usize {
    let count = match kind {
        InstanceKind::Demand => formation.demand,
        InstanceKind::Spot => formation.spot,
    };
    count.min(CountChange::MAX) as usize
}
