//! How much of everything there is, for tests that nothing is doubled and nothing is left.

use super::service::Life;
use super::world::World;

/// Counts of what exists now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inventory {
    pub clusters: usize,
    /// Active ones.
    pub services: usize,
    pub draining_services: usize,
    /// Active revisions.
    pub task_definitions: usize,
    /// Those that have not stopped.
    pub tasks: usize,
    pub security_groups: usize,
    pub load_balancers: usize,
    pub listeners: usize,
    /// Without the default ones.
    pub rules: usize,
    pub target_groups: usize,
    pub log_groups: usize,
    pub roles: usize,
    pub repositories: usize,
}

impl Inventory {
    pub(super) fn of(world: &World) -> Self {
        let services = |life| {
            let all = world.clusters.values().flat_map(|cluster| cluster.services.values());
            all.filter(|service| service.life == life).count()
        };
        let revisions = world.families.values().flat_map(|family| family.revisions.values());
        Self {
            clusters: world.clusters.len(),
            services: services(Life::Active),
            draining_services: services(Life::Draining),
            task_definitions: revisions.filter(|revision| revision.active).count(),
            tasks: world.tasks.values().filter(|task| !task.is_over()).count(),
            security_groups: world.networks.groups.len(),
            load_balancers: world.balancers.balancers.len(),
            listeners: world.balancers.listeners.len(),
            rules: world.balancers.rules.values().map(|rules| rules.len()).sum(),
            target_groups: world.target_groups.len(),
            log_groups: world.logs.len(),
            roles: world.roles.len(),
            repositories: world.repositories.names.len(),
        }
    }
}

impl World {
    pub fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mut add = |kind: &str, names: &mut dyn Iterator<Item = String>| {
            left.extend(names.map(|name| format!("{kind} {name}")));
        };
        add("cluster", &mut self.clusters.keys().cloned());
        let services = self.clusters.iter().flat_map(|(cluster, held)| {
            let alive = held.services.iter().filter(|(_, service)| service.life != Life::Inactive);
            alive.map(move |(name, _)| format!("{cluster}/{name}"))
        });
        add("service", &mut services.into_iter());
        let revisions = self.families.values().flat_map(|family| family.revisions.values());
        add("task-definition", &mut revisions.filter(|one| one.active).map(|one| one.registered.short().to_owned()));
        let tasks = self.tasks.values().filter(|task| !task.is_over());
        add("task", &mut tasks.map(|task| crate::names::short(&task.view.arn).to_owned()));
        add("security-group", &mut self.networks.groups.values().map(|group| group.name.clone()));
        add("load-balancer", &mut self.balancers.balancers.keys().cloned());
        add("listener", &mut self.balancers.listeners.keys().cloned());
        let rules = self.balancers.rules.values().flat_map(|rules| rules.values());
        add("rule", &mut rules.map(|rule| rule.arn.clone()));
        add("target-group", &mut self.target_groups.values().map(|group| group.name.clone()));
        add("log-group", &mut self.logs.keys().cloned());
        add("role", &mut self.roles.keys().cloned());
        add("repository", &mut self.repositories.names.iter().cloned());
        left
    }
}
