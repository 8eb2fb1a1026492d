//! The one instance of a process that runs once.
//!
//! What is known to have been started is told of, also where ECS has forgotten it before anybody has looked.

use tapit_model::{CpuMillis, InstanceKind, InstanceState, MemoryMib, Reason, ReasonCode, Size};

use super::Subject;
use super::memory::{Ending, Memory, Place, Proof, Remembered};
use super::words;
use crate::api::Task;
use crate::look::Look;
use crate::record::Run;

/// Whether it is the process's one task, and not one that somebody else has started.
pub(super) fn is_own(subject: &Subject<'_>, task: &Task) -> bool {
    matches!(subject.run, Some(Run::Task { arn, .. }) if *arn == task.arn)
}

impl Memory {
    /// Before the look is asked what became of it.
    pub(super) fn expect(&mut self, subject: &Subject<'_>, look: &Look) {
        match subject.run {
            Some(Run::Task { arn, .. }) if !self.tasks.contains_key(arn) => {
                self.tasks.insert(arn.clone(), unseen(subject, look));
            }
            Some(Run::Unknown { id }) if !self.tasks.contains_key(id) => {
                let happening = self.next_happening();
                let (at, seen, place) = (look.at, look.moment, Place::Taken);
                let ending = Ending { happening, at, seen, exit: None, proof: Proof::Unproven, place };
                let unknown = Remembered {
                    state: InstanceState::Stopped,
                    reason: Some(Reason { code: ReasonCode::Lost, text: words::UNKNOWN.to_owned() }),
                    ending: Some(ending),
                    stopped_at: Some(look.at),
                    ..unseen(subject, look)
                };
                self.tasks.insert(id.clone(), unknown);
            }
            None | Some(Run::Task { .. } | Run::Unknown { .. } | Run::Asked(_) | Run::Sought) => {}
        }
    }
}

fn unseen(subject: &Subject<'_>, look: &Look) -> Remembered {
    let nothing = Size { memory: MemoryMib::from_mib(0), cpu: CpuMillis::from_millis(0) };
    let size = subject.formation.map_or(nothing, |formation| formation.size);
    let generation = subject.formation.map_or(0, |formation| formation.generation);
    Remembered { generation, ..Remembered::pending((InstanceKind::Demand, size), look.at, look.moment) }
}
