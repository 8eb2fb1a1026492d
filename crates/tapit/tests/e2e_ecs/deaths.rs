//! What dies: a container, and the server in the middle of its work.

use crate::harness::views::{healthy, present};
use crate::harness::{SMALL, Server, addresses, holds, never_checked, until};
use crate::support::docker;

#[test]
fn a_container_that_was_killed_is_replaced_and_its_end_is_told() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let before = healthy(&server.show("default"));
    let containers = server.account().containers();
    assert_eq!((before.len(), containers.len()), (2, 2));
    docker::kill(&containers[0].id).expect("a container that runs");

    let after = until(100, "replaced", || {
        let now = healthy(&server.show("default"));
        holds(now.len() == 2 && now != before, format!("{now:?}")).map(|()| now)
    });
    assert_eq!(before.intersection(&after).count(), 1, "the other one is left alone: {before:?} {after:?}");
    let running = server.account().containers();
    assert!(running.len() == 2 && running.iter().any(|one| one.id == containers[1].id), "{running:?}");
    let victim = before.difference(&after).next().expect("one that is gone");
    let events = server.tapit("events name=default -o json").ok().stdout;
    assert!(events.contains(&format!("{victim} stopped")), "{events}");
}

#[test]
fn a_restart_that_a_kill_of_the_server_cut_short_is_carried_on_and_nothing_is_doubled() {
    let Some(mut server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 spot=1 --wait")).ok();
    for pause_for_a_look in [false, true] {
        let shown = server.show("default");
        let (before, serving) = (healthy(&shown), addresses(&shown));
        let load = server.load("shop");
        load.until_answered(20);
        server.tapit("restart process name=default").ok();
        if pause_for_a_look {
            until(60, "in the middle of the restart", || {
                let now = present(&server.show("default"));
                holds(now.difference(&before).next().is_some(), format!("{now:?}"))
            });
        }
        server.kill9();
        load.until_answered(20);
        server.start();
        let after = until(120, "restarted", || {
            let shown = server.show("default");
            let now = present(&shown);
            let done = shown["status"] == "running" && now.len() == 3 && now.is_disjoint(&before);
            holds(done, format!("{} {now:?} {}", shown["status"], shown["rollout"])).map(|()| now)
        });
        until(30, "rid of the earlier containers", || {
            let running = server.account().containers().len();
            holds(running == after.len(), format!("{running} containers"))
        });
        let services = server.account().ecs(
            "ListServices",
            &serde_json::json!({"cluster": server.account().containers()[0].cluster, "maxResults": 100}),
        );
        assert_eq!(services["serviceArns"].as_array().map(Vec::len), Some(2), "{services}");
        let report = load.finish().forgive(never_checked(serving));
        report.assert_none_failed("a restart in which the server is killed, on ECS");
    }
}

#[test]
fn containers_serve_on_while_no_server_runs_and_the_next_one_takes_them_over() {
    let Some(mut server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    let before = (healthy(&server.show("default")), server.account().containers());
    let load = server.load("shop");
    server.kill9();
    load.until_answered(50);
    server.start();
    until(30, "taken over", || {
        let now = healthy(&server.show("default"));
        holds(now == before.0, format!("{now:?} instead of {:?}", before.0))
    });
    load.finish().assert_none_failed("a server that is killed, on ECS");
    let ids = |containers: &[docker::Container]| containers.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&server.account().containers()), ids(&before.1), "none is doubled, none is new");
}
