//! From one generation to the next, with never fewer that serve than wanted.

use super::notation::{blocked_texts, check};

#[test]
fn a_rollout_begins_with_a_surge_of_a_quarter_and_at_least_one() {
    for (wanted, surge) in [(1, 1), (3, 1), (7, 1), (8, 2), (12, 3)] {
        let old: String = (0..wanted).map(|n| format!("{} g1 demand/{n} healthy routed\n", n + 1)).collect();
        let starts: String =
            (0..surge).map(|n| format!("web: start web.{} g2 demand/{n} size=128\n", 100 + n)).collect();
        check(&format!("web g2 demand={wanted} public\n{old}"), &starts);
    }
}

#[test]
fn an_old_one_goes_only_when_the_others_suffice_without_it() {
    let state = |phase: &str| {
        format!(
            "web g2 demand=2 public
               1 g1 demand/0 healthy routed
               2 g1 demand/1 healthy routed
               3 g2 demand/0 {phase}"
        )
    };
    check(&state("starting@-1s"), "look again +59s");
    // Healthy, but the router does not know it yet.
    check(&state("healthy"), "");
    check(&state("healthy routed"), "web: drain web.1 replaced\nweb: start web.100 g2 demand/1 size=128");
}

#[test]
fn a_process_that_is_not_public_needs_no_route_to_serve() {
    check(
        "api g2 demand=1
           1 g1 demand/0 healthy
           2 g2 demand/0 healthy",
        "api: drain api.1 replaced",
    );
}

#[test]
fn an_old_one_that_does_not_serve_goes_at_once() {
    check(
        "web g2 demand=2
           1 g1 demand/0 healthy
           2 g1 demand/1 unhealthy
           3 g1 demand/2 starting@-1s",
        "web: drain web.2 replaced
         web: drain web.3 replaced
         web: start web.100 g2 demand/0 size=128
         web: start web.101 g2 demand/1 size=128",
    );
}

#[test]
fn after_a_restart_of_the_server_nothing_goes_before_the_router_knows_anything() {
    check(
        "web g2 demand=2 public
           1 g1 demand/0 healthy
           2 g1 demand/1 healthy
           3 g2 demand/0 healthy",
        "",
    );
}

#[test]
fn a_rollback_restores_the_full_count_and_then_removes_the_failed_generation() {
    check(
        "web g1 demand=3
           1 g1 demand/1 healthy
           2 g1 demand/2 healthy
           3 g2 demand/0 healthy
           4 g2 demand/1 starting@-1s",
        "web: drain web.4 rolled_back
         web: start web.100 g1 demand/0 size=128",
    );
    check(
        "web g1 demand=2
           1 g1 demand/1 healthy
           2 g1 demand/2 healthy
           3 g2 demand/0 healthy",
        "web: drain web.3 rolled_back",
    );
}

#[test]
fn kinds_are_rolled_out_apart() {
    check(
        "web g2 demand=1 spot=1
           1 g1 demand/0 healthy
           2 g1 spot/0 healthy
           3 g2 spot/0 healthy",
        "web: drain web.2 replaced
         web: start web.100 g2 demand/0 size=128",
    );
}

#[test]
fn without_room_for_a_surge_one_old_instance_at_a_time_makes_room() {
    let full = "capacity 256
                web g2 demand=2
                  1 g1 demand/0 healthy\n";
    check(
        &format!("{full} 2 g1 demand/1 healthy"),
        "web: drain web.1 replaced
         web: blocked capacity 1 demand",
    );
}

#[test]
fn an_exchange_that_is_under_way_is_waited_for() {
    let full = "capacity 256
                web g2 demand=2
                  1 g1 demand/0 healthy\n";
    check(
        &format!("{full} 2 g1 demand/1 stopping@-1s replaced"),
        "web: blocked capacity 1 demand
         look again +19s",
    );
    check(&format!("{full} 2 g2 demand/0 starting@-1s"), "look again +59s");
    check(
        &format!("{full} 2 g2 demand/0 healthy"),
        "web: drain web.1 replaced
         web: blocked capacity 1 demand",
    );
}

#[test]
fn the_last_serving_instance_is_not_given_up_for_room() {
    let one = "capacity 128
               web g2 demand=1
                 1 g1 demand/0 healthy";
    check(one, "web: blocked capacity 1 demand");
    assert_eq!(
        blocked_texts(one),
        [
            "1 demand instance needs 0.125 GB; 0 GB of 0.125 GB is free; the old instances stay until there is room; scale another process down, set a smaller memory, or start the server with a larger --capacity-memory. Setting demand_count=0 and back replaces them too, with an outage"
        ]
    );
    check(&one.replace("demand=1", "demand=5"), "web: blocked capacity 5 demand");
}

#[test]
fn no_instance_is_given_up_for_one_that_will_never_fit() {
    check(
        "capacity 256
         web g2 demand=2 size=512
           1 g1 demand/0 healthy size=128
           2 g1 demand/1 healthy size=128",
        "web: blocked capacity 1 demand",
    );
}

#[test]
fn spot_is_reclaimed_for_a_surge_before_an_old_instance_is_given_up() {
    check(
        "capacity 384
         web g2 demand=2
           1 g1 demand/0 healthy
           2 g1 demand/1 healthy
         work g1 spot=1
           1 g1 spot/0 healthy",
        "work: drain work.1 reclaimed
         web: blocked capacity 1 demand",
    );
}

#[test]
fn an_old_spot_instance_makes_room_for_its_successor() {
    check(
        "capacity 128
         work g2 spot=1
           1 g1 spot/0 healthy",
        "work: drain work.1 replaced
         work: blocked capacity 1 spot",
    );
}
