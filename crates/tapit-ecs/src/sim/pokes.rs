//! What befalls an account without a call: capacity that goes, containers that die, people who look.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::account::Account;
use super::behaviour::{Behaviour, End, Script};
use super::due::Step;
use super::task::{Task, TaskId};
use super::walk::Why;
use super::world::World;
use crate::api::{self, NewTaskDefinition, Provider, Subnet};

impl Account {
    /// What containers do that start from now on.
    pub fn behave(&self, script: impl Fn(&NewTaskDefinition) -> Behaviour + Send + Sync + 'static) {
        let script = Script(Arc::new(script));
        self.poke(move |world| world.script = script.clone());
    }

    /// So many spot tasks AWS can run; `None`: any number. The newest of those that are too many are interrupted.
    pub fn set_spot_capacity(&self, most: Option<u32>) {
        self.poke(move |world| world.set_capacity(Provider::FargateSpot, most));
    }

    /// The same of tasks on demand, which nothing interrupts.
    pub fn set_demand_capacity(&self, most: Option<u32>) {
        self.poke(move |world| world.set_capacity(Provider::Fargate, most));
    }

    /// Takes back the capacity of a spot task, by its ARN: SIGTERM now. `false`: there is no such task that runs on spot.
    pub fn interrupt(&self, task: &str) -> bool {
        self.on_task(task, |world, id| {
            let spot = world.tasks.get(id).is_some_and(|task| task.view.provider == Some(Provider::FargateSpot));
            if spot {
                world.stop(id, Why::Interrupted);
            }
            spot
        })
    }

    /// Its container dies of SIGKILL. `false`: there is no such container.
    pub fn kill(&self, task: &str) -> bool {
        self.end(task, End::Exit(137))
    }

    pub fn end(&self, task: &str, end: End) -> bool {
        self.on_task(task, move |world, id| {
            let exit = |world: &World| world.tasks.get(id).and_then(|task| task.view.exit_code);
            let before = exit(world);
            world.container_ends(id, end);
            before.is_none() && exit(world).is_some()
        })
    }

    /// From now on its container answers the load balancer badly.
    pub fn sicken(&self, task: &str) -> bool {
        self.on_task(task, |world, id| {
            let Some(task) = world.tasks.get_mut(id) else { return false };
            task.behaviour.healthy_after = None;
            world.plan(id, world.setup.pace.check, Step::Checked);
            true
        })
    }

    /// Its container writes.
    pub fn write(&self, task: &str, lines: &[&str]) -> bool {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        self.on_task(task, move |world, id| {
            let Some((group, stream)) = world.tasks.get(id).map(|task| task.log(id)) else { return false };
            world.write((&group, &stream), &lines);
            true
        })
    }

    /// Requests that are under way to an address: as long as there are any, its target drains.
    pub fn set_in_flight(&self, ip: Ipv4Addr, count: u32) {
        self.poke(move |world| world.in_flight.insert(ip, count));
    }

    pub fn put_subnet(&self, subnet: Subnet) {
        self.poke(move |world| world.networks.subnets.insert(subnet.id.clone(), subnet.clone()));
    }

    /// Somebody has deleted the default VPC.
    pub fn remove_default_vpc(&self) {
        self.poke(|world| world.networks.default_vpc = None);
    }

    /// Where logins to the registry lead, without TLS: a registry of the test's own.
    pub fn set_registry(&self, host: &str) {
        let host = host.to_owned();
        self.poke(move |world| world.repositories.host = Some(host.clone()));
    }

    /// All tasks that are still shown, the oldest first, as they are and not as reads see them.
    pub fn tasks(&self) -> Vec<api::Task> {
        self.look(|world| {
            let mut tasks: Vec<&Task> = world.tasks.values().collect();
            tasks.sort_by_key(|task| task.serial);
            tasks.into_iter().map(|task| task.view.clone()).collect()
        })
    }

    fn on_task(&self, arn: &str, act: impl Fn(&mut World, &TaskId) -> bool + Send + Sync + 'static) -> bool {
        let arn = arn.to_owned();
        self.poke(move |world| {
            let cluster = arn.rsplit('/').nth(1).unwrap_or_default();
            let id = world.task_id(cluster, &arn);
            id.is_some_and(|id| act(world, &id))
        })
    }
}

impl World {
    fn set_capacity(&mut self, provider: Provider, most: Option<u32>) {
        let Some(most) = most else {
            self.capacity.limits.remove(&provider);
            return;
        };
        self.capacity.limits.insert(provider, most);
        if provider == Provider::Fargate {
            return;
        }
        let mut live: Vec<(u64, TaskId)> = (self.tasks.iter())
            .filter(|(_, task)| task.is_live() && task.view.provider == Some(provider))
            .map(|(id, task)| (task.serial, id.clone()))
            .collect();
        live.sort_unstable();
        for (_, id) in live.into_iter().skip(most as usize).rev() {
            self.stop(&id, Why::Interrupted);
        }
    }
}
