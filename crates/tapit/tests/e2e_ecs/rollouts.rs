//! Restarts, updates and what goes wrong with them, under load through the load balancer.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::views::{healthy, present};
use crate::harness::{SMALL, Server, addresses, holds, never_checked, until};

/// Requests that must be answered before, between and after the steps of a rollout.
const SOME: u64 = 50;

fn containers(server: &Server) -> BTreeSet<String> {
    server.account().containers().into_iter().map(|container| container.id).collect()
}

/// Runs a command that replaces instances, or tries to, while requests go to them.
fn lose_none(server: &Server, command: &str, status: i32) {
    let serving = addresses(&server.show("default"));
    let load = server.load("shop");
    load.until_answered(SOME);
    server.tapit(command).exits(status);
    load.until_answered(SOME);
    load.finish().forgive(never_checked(serving)).assert_none_failed(command);
}

#[test]
fn a_restart_and_a_new_image_replace_every_container_and_lose_no_request() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=3 spot=1 --wait")).ok();
    let first = (healthy(&server.show("default")), containers(&server));
    assert_eq!((first.0.len(), first.1.len()), (4, 4));

    lose_none(&server, "restart process name=default --wait", 0);
    let second = (healthy(&server.show("default")), containers(&server));
    lose_none(&server, "set process image=web:v2 --wait", 0);
    let third = (healthy(&server.show("default")), containers(&server));
    for (earlier, later) in [(&first, &second), (&second, &third)] {
        assert_eq!(later.0.len(), 4, "{later:?}");
        assert!(earlier.0.is_disjoint(&later.0), "every instance is a new one: {earlier:?} {later:?}");
        assert!(earlier.1.is_disjoint(&later.1), "every container is a new one: {earlier:?} {later:?}");
    }
    let shown = server.show("default");
    assert_eq!((&shown["running"]["demand"], &shown["running"]["spot"]), (&Value::from(3), &Value::from(1)));
    assert_eq!(shown["rollout"]["state"], "succeeded", "{shown:#}");
}

#[test]
fn an_image_that_exits_at_once_is_rolled_back_while_the_old_one_serves() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let before = (healthy(&server.show("default")), containers(&server));
    lose_none(&server, "set process image=web:failing --wait", 1);

    let shown = until(60, "rid of the new generation", || {
        let shown = server.show("default");
        let seen = (present(&shown), containers(&server));
        holds(seen == before, format!("{seen:?} {before:?}")).map(|()| shown)
    });
    assert_eq!(shown["status"], "rolled_back", "{shown:#}");
    assert_eq!(shown["rollout"]["last_exit"]["code"], 3, "{shown:#}");
    assert!(shown["running_generation"].as_u64() < shown["generation"].as_u64(), "wanted and running are told apart");

    server.tapit("set process image=web:v2 --wait").ok();
    let shown = server.show("default");
    assert_eq!(shown["status"], "running", "a good image ends it: {shown:#}");
    // The emulator says that a task has stopped before its container is gone.
    let now = until(30, "rid of the earlier containers", || {
        let now = containers(&server);
        holds(now.len() == 2, format!("{now:?}")).map(|()| now)
    });
    assert!(now.is_disjoint(&before.1));
}

#[test]
fn scaling_leaves_the_other_containers_alone_and_disabling_stops_all() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=1 --wait")).ok();
    let one = containers(&server);
    server.tapit("set process demand_count=3 spot_count=1 --wait").ok();
    let four = containers(&server);
    assert!(four.len() == 4 && one.is_subset(&four), "{one:?} {four:?}");
    server.tapit("set process demand_count=2 spot_count=0 --wait").ok();
    let two = until(30, "scaled in", || {
        let now = containers(&server);
        holds(now.len() == 2 && now.is_subset(&four), format!("{now:?}")).map(|()| now)
    });

    server.tapit("set process disabled=true --wait").ok();
    assert_eq!(server.show("default")["status"], "disabled");
    until(30, "stopped", || holds(containers(&server).is_empty(), format!("{:?}", containers(&server))));
    assert_eq!(server.get("shop", "/").status, 503, "a load balancer without targets");
    server.tapit("restart process name=default").exits(4);

    server.tapit("set process disabled=false --wait").ok();
    let again = containers(&server);
    assert!(again.len() == 2 && again.is_disjoint(&two), "{again:?}");
    assert_eq!(server.get("shop", "/").status, 200);
}
