//! Containers that are made before they are needed, seen from outside.

use std::fs;
use std::path::PathBuf;

use crate::harness::views::healthy;
use crate::harness::{SMALL, Server, holds, leaks, until};

fn shop() -> Server {
    let server = Server::with_images(&["--spares-memory", "64M"]);
    server.tapit(&format!("create app shop image=web:v1 {SMALL} demand=2 --wait")).ok();
    server
}

/// Directories that hold an order and no record: what is in them was made and has not started.
fn spares(server: &Server) -> Vec<PathBuf> {
    let process = server.data().join("instances/shop/default");
    let entries = fs::read_dir(process).into_iter().flatten().flatten().map(|entry| entry.path());
    let waits = |path: &PathBuf| path.join("order.json").exists() && !path.join("record.json").exists();
    entries.filter(waits).collect()
}

/// Waits until there are so many spares among so many containers.
#[track_caller]
fn settled(server: &Server, wanted: usize, containers: usize) {
    until(20, "settled", || {
        let seen = (spares(server).len(), leaks::containers(server.tag()));
        holds(seen == (wanted, containers), format!("{seen:?} instead of {:?}", (wanted, containers)))
    });
}

/// Waits until no more than so many containers are left, and no process of these spares.
#[track_caller]
fn only(server: &Server, containers: usize, spares: &[PathBuf]) {
    until(20, "gone", || {
        let processes: Vec<_> = spares.iter().flat_map(|spare| leaks::naming(spare)).collect();
        let seen = leaks::containers(server.tag());
        holds(seen == containers && processes.is_empty(), format!("{seen} containers and the processes {processes:?}"))
    });
}

#[test]
fn a_killed_server_takes_its_spares_with_it_and_leaves_the_instances() {
    let mut server = shop();
    settled(&server, 2, 4);
    let before = healthy(&server.show("default"));
    assert_eq!(before.len(), 2, "spares are not shown");
    let waiting = spares(&server);
    assert!(waiting.iter().all(|spare| !leaks::naming(spare).is_empty()), "their shims");
    server.kill9();
    only(&server, 2, &waiting);
    server.restart();
    assert_eq!(healthy(&server.show("default")), before);
    settled(&server, 2, 4);
}

#[test]
fn scaling_up_takes_the_spares_and_a_process_that_is_disabled_or_deleted_has_none() {
    let server = shop();
    settled(&server, 2, 4);
    server.tapit("set process demand_count=+2 --wait").ok();
    assert_eq!(healthy(&server.show("default")).len(), 4);
    assert_eq!(server.get("shop.localhost", "/").status, 200);
    settled(&server, 2, 6);
    let waiting = spares(&server);
    server.tapit("set process disabled=true --wait").ok();
    only(&server, 0, &waiting);
    server.tapit("set process disabled=false --wait").ok();
    settled(&server, 2, 6);
    let waiting = spares(&server);
    server.tapit("delete app shop --force --wait").ok();
    only(&server, 0, &waiting);
}
