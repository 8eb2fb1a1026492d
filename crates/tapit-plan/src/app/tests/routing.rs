//! Which instances take the requests from outside.

use super::super::routes;
use super::*;
use tapit_model::Route;

fn route(bench: &mut Bench) -> Route {
    bench.plan().route.expect("an app has a route")
}

/// Why the route is closed after this line.
fn check(line: &str, expected: &str) {
    let mut bench = Bench::settled(&["create app shop image=shop:v1"]);
    bench.run(line);
    let route = route(&mut bench);
    assert_eq!((route.closed.as_deref(), route.backends.len()), (Some(expected), 0), "{line}");
}

#[test]
fn healthy_instances_of_every_generation_take_requests() {
    let mut bench = Bench::settled(&["create app shop image=shop:v1", "create process name=api"]);
    bench.run("set process name=default command=x");
    let states = [
        InstanceState::Healthy,
        InstanceState::Starting,
        InstanceState::Unhealthy,
        InstanceState::Draining,
        InstanceState::Stopping,
        InstanceState::Stopped,
    ];
    let mut instances: Vec<_> =
        (1..).zip(states).map(|(n, state)| instance(&format!("default.{n}"), 1, state)).collect();
    instances.push(spot("default.7", 2, InstanceState::Healthy));
    bench.look("default", instances);
    let route = route(&mut bench);
    assert_eq!((route.name.as_str(), route.hosts.as_slice()), ("shop", ["shop.localhost".to_owned()].as_slice()));
    let backends: Vec<_> = route.backends.iter().map(|b| format!("{} {}", b.id, b.addr)).collect();
    assert_eq!(backends, ["shop/default.1 10.0.0.7:3000", "shop/default.7 10.0.0.7:3000"]);
    assert_eq!(route.closed, None);
}

#[test]
fn a_route_is_closed_when_there_is_nobody_to_wait_for() {
    check("set process name=default disabled=true", "the public process of app shop is disabled");
    check("set process name=default demand=0", "the public process of app shop is scaled to zero");
    check("set process name=default port=none", "the public process of app shop listens nowhere (port=none)");
    check("delete process name=default", "app shop has no public process (default)");
    check("delete app", "app shop is being deleted");
}

#[test]
fn one_app_answers_for_any_host_and_two_for_their_own() {
    let one = route(&mut Bench::settled(&["create app shop image=shop:v1"]));
    assert_eq!(routes(Vec::new()).any_host, None);
    assert_eq!(routes(vec![one.clone()]).any_host, Some(0));
    assert_eq!(routes(vec![one.clone(), one]).any_host, None);
}
