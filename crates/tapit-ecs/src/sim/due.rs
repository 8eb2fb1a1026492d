//! What is going to happen, in the order of time; of two things at one time, the one that was planned first.

use std::collections::BTreeMap;

use super::service::ServiceKey;
use super::task::TaskId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    /// The scheduler looks at a service.
    Schedule(ServiceKey),
    /// A service that is gone is not described any more.
    ForgetService(ServiceKey),
    /// A task's next step; `turn` is the one that it was planned in, so that one that was overtaken does nothing.
    Step { task: TaskId, turn: u32, step: Step },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Provisioned,
    PullFailed,
    Pulled,
    Activated,
    Drained,
    /// Its container ends, by itself or because it was told to.
    Ends(super::behaviour::End),
    Gone,
    Forgotten,
    /// The checks of the load balancer have decided.
    Checked,
    /// It has run for as long as counts for healthy where nothing is checked.
    Lasted,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Due {
    serial: u64,
    /// By time in milliseconds.
    queue: BTreeMap<(i64, u64), Happening>,
}

impl Due {
    pub fn at(&mut self, time: i64, what: Happening) {
        self.serial += 1;
        self.queue.insert((time, self.serial), what);
    }

    /// The next one that is not later than this.
    pub fn next(&mut self, until: i64) -> Option<(i64, Happening)> {
        let entry = self.queue.first_entry()?;
        let time = entry.key().0;
        (time <= until).then(|| (time, entry.remove()))
    }
}
