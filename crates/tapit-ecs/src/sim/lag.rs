//! Reads that lag behind writes: a second account, in which everything happens so much later, answers them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::world::World;
use crate::api::Request;

/// What was done to an account; done again to one that is alike, the same comes of it.
#[derive(Clone)]
pub(super) enum Deed {
    Call(Request),
    Poke(Arc<dyn Fn(&mut World) + Send + Sync>),
}

pub(super) struct Lag {
    by: i64,
    past: World,
    /// With their times, the oldest first.
    pending: VecDeque<(i64, Deed)>,
}

impl Lag {
    pub fn new(world: &World, by: i64) -> Self {
        Self { by, past: world.clone(), pending: VecDeque::new() }
    }

    pub fn done(&mut self, at: i64, deed: Deed) {
        self.pending.push_back((at, deed));
    }

    /// The account as reads see it.
    pub fn seen(&mut self, now: i64) -> &mut World {
        let until = now.saturating_sub(self.by);
        while self.pending.front().is_some_and(|(at, _)| *at <= until) {
            let Some((at, deed)) = self.pending.pop_front() else { break };
            self.past.run_until(at);
            match deed {
                // Whoever made the call has had its answer.
                Deed::Call(request) => drop(self.past.carry_out(&request)),
                Deed::Poke(poke) => poke(&mut self.past),
            }
        }
        // An account whose lag has just begun does not go back.
        self.past.run_until(until);
        &mut self.past
    }
}
