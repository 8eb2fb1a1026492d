//! Clusters.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::refusal::{Answered, Refusal};
use super::run::Started;
use super::service::{Life, Service};
use super::task::TaskId;
use super::world::World;
use crate::api::Answer;

#[derive(Debug, Clone, Default)]
pub(super) struct Cluster {
    pub services: BTreeMap<String, Service>,
    /// Also those that have stopped and are still shown.
    pub tasks: BTreeSet<TaskId>,
    /// By token, what was started alone.
    pub runs: BTreeMap<String, Started>,
}

impl World {
    pub fn cluster(&self, name: &str) -> Result<&Cluster, Refusal> {
        self.clusters.get(name).ok_or_else(missing)
    }

    pub fn create_cluster(&mut self, name: &str) -> Answered {
        names::ecs("Cluster name", name)?;
        self.clusters.entry(name.to_owned()).or_default();
        Ok(Answer::Done)
    }

    pub fn delete_cluster(&mut self, name: &str) -> Answered {
        let cluster = self.cluster(name)?;
        if cluster.services.values().any(|service| service.life != Life::Inactive) {
            let text = "The Cluster cannot be deleted while Services are active.";
            return Err(Refusal::in_use("ClusterContainsServicesException", text));
        }
        if cluster.tasks.iter().filter_map(|id| self.tasks.get(id)).any(|task| !task.is_over()) {
            let text = "The Cluster cannot be deleted while Tasks are active.";
            return Err(Refusal::in_use("ClusterContainsTasksException", text));
        }
        for id in self.clusters.remove(name).map(|cluster| cluster.tasks).unwrap_or_default() {
            self.tasks.remove(&id);
        }
        Ok(Answer::Done)
    }

    pub fn list_clusters(&self, next: Option<&String>) -> Answered {
        let (names, next) = names::page(self.clusters.keys().cloned().collect(), next)?;
        Ok(Answer::Names { names, next })
    }
}

pub(super) fn missing() -> Refusal {
    Refusal::not_found("ClusterNotFoundException", "Cluster not found.")
}
