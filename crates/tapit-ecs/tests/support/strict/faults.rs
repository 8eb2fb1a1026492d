//! Failures on purpose: which calls fail, and how.

use std::time::Duration;

use super::call::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is refused for its rate, and nothing happens.
    Throttle,
    /// It is not carried out, and the connection ends.
    Drop,
    /// It is carried out, and the connection ends before its answer.
    LoseAnswer,
    /// It is carried out later.
    Delay(Duration),
    /// The credentials have expired.
    Expired,
}

/// Which of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// The next so many of one operation: `ecs:UpdateService`.
    Next(&'static str, u64),
    /// Every nth one of all.
    Every(u64),
    /// All of them.
    All,
}

#[derive(Debug, Default)]
pub struct Faults {
    planned: Vec<(On, Fault)>,
    seen: u64,
}

impl Faults {
    pub fn plan(&mut self, on: On, fault: Fault) {
        self.planned.push((on, fault));
    }

    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// What is to become of this call.
    pub fn next(&mut self, call: &Call) -> Option<Fault> {
        self.seen += 1;
        let (seen, permission) = (self.seen, call.permission());
        let hits = |on: &On| match on {
            On::Next(operation, left) => *operation == permission && *left > 0,
            On::Every(nth) => seen.is_multiple_of(*nth),
            On::All => true,
        };
        let (on, fault) = self.planned.iter_mut().find(|(on, _)| hits(on))?;
        match on {
            On::Next(_, left) => *left -= 1,
            On::Every(_) | On::All => {}
        }
        Some(*fault)
    }
}
