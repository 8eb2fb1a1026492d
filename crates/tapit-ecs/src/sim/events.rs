//! What a service says of itself, in AWS's words.

use tapit_model::Timestamp;

use super::service::ServiceKey;
use super::task::TaskId;
use super::world::World;
use crate::api::ServiceEvent;

/// So many are kept.
const KEPT: usize = 100;

impl World {
    /// `(service NAME) WORDS`
    pub fn tell(&mut self, key: &ServiceKey, words: &str) {
        let id = self.name(32);
        let event = ServiceEvent { id, at: Timestamp(self.now), message: format!("(service {}) {words}", key.name) };
        if let Some(service) = self.service_mut(key) {
            service.events.truncate(KEPT - 1);
            service.events.push_front(event);
        }
    }

    pub fn tell_of_tasks(&mut self, key: &ServiceKey, what: &str, tasks: &[TaskId]) {
        if !tasks.is_empty() {
            let listed: Vec<_> = tasks.iter().map(|task| format!("(task {task})")).collect();
            let (verb, noun) = what.split_once(' ').unwrap_or((what, "tasks"));
            self.tell(key, &format!("has {verb} {} {noun}: {}.", tasks.len(), listed.join(" ")));
        }
    }
}
