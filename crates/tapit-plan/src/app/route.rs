//! Routes: which instances take the requests from outside.

use std::net::SocketAddr;

use tapit_model::{
    AppName, Backend, InstanceKey, InstanceObserved, InstanceState, PortSetting, ProcessKey, ProcessName,
    ProcessObserved, Route, RouteTable, World,
};

use super::sight;

/// The table of all apps. With one app, it answers for every host.
pub fn routes(routes: Vec<Route>) -> RouteTable {
    let any_host = (routes.len() == 1).then_some(0);
    RouteTable { routes, any_host }
}

/// The route of an app: to every healthy instance of its public process, of whatever generation, so that both serve
/// while a rollout moves from one to the other. `None`: there is no such app.
pub(super) fn route(world: &World, name: &AppName, observed: &[ProcessObserved]) -> Option<Route> {
    world.apps.get(name)?;
    let closed = closed(world, name);
    let seen = sight::of(observed, &public(name));
    let backends = match closed {
        Some(_) => Vec::new(),
        None => sight::instances(seen).iter().filter_map(|instance| backend(name, instance)).collect(),
    };
    Some(Route { name: name.to_string(), hosts: vec![format!("{name}.localhost")], backends, closed })
}

fn public(app: &AppName) -> ProcessKey {
    ProcessKey::new(app, &ProcessName::public())
}

/// Why there is nobody to wait for, in words for whoever sent the request.
fn closed(world: &World, name: &AppName) -> Option<String> {
    if world.apps.get(name).is_some_and(|app| app.deleting) {
        return Some(format!("app {name} is being deleted"));
    }
    let Some(process) = world.processes.get(&public(name)).filter(|process| !process.deleting) else {
        return Some(format!("app {name} has no public process (default)"));
    };
    let spec = &process.spec;
    if spec.disabled {
        Some(format!("the public process of app {name} is disabled"))
    } else if spec.demand == 0 && spec.spot == 0 {
        Some(format!("the public process of app {name} is scaled to zero"))
    } else if spec.port == PortSetting::None {
        Some(format!("the public process of app {name} listens nowhere (port=none)"))
    } else {
        None
    }
}

fn backend(app: &AppName, instance: &InstanceObserved) -> Option<Backend> {
    if instance.state != InstanceState::Healthy {
        return None;
    }
    let addr = SocketAddr::from((instance.ip?, instance.port?));
    Some(Backend { id: InstanceKey { app: app.clone(), id: instance.id.clone() }.to_string(), addr })
}
