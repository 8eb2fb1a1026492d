//! Counts are kept: the missing start, the surplus goes, the rest is left alone.

use super::notation::check;

#[test]
fn the_missing_start_in_the_lowest_free_places() {
    check(
        "web g1 demand=3 spot=1
           1 g1 demand/1 healthy",
        "web: start web.100 g1 demand/0 size=128
         web: start web.101 g1 demand/2 size=128
         web: start web.102 g1 spot/0 size=128",
    );
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    check(
        "web g1 demand=2 spot=1 public
           1 g1 demand/0 healthy routed
           2 g1 demand/5 healthy
           3 g1 spot/0 starting@-10s",
        "look again +50s",
    );
}

#[test]
fn the_surplus_goes_unhealthy_first_then_starting_then_unrouted_then_newest() {
    let state = |demand: u32| {
        format!(
            "web g1 demand={demand} public
               1 g1 demand/0 healthy routed
               2 g1 demand/1 unhealthy
               3 g1 demand/2 healthy
               4 g1 demand/3 starting@-70s
               5 g1 demand/4 starting@-1s
               6 g1 demand/5 healthy routed"
        )
    };
    check(&state(5), "web: drain web.4 unhealthy\nlook again +59s");
    check(&state(4), "web: drain web.2 surplus\nweb: drain web.4 unhealthy\nlook again +59s");
    check(&state(3), "web: drain web.2 surplus\nweb: drain web.4 unhealthy\nweb: drain web.5 surplus");
    check(
        &state(1),
        "web: drain web.2 surplus
         web: drain web.3 surplus
         web: drain web.4 unhealthy
         web: drain web.5 surplus
         web: drain web.6 surplus",
    );
}

#[test]
fn counts_of_zero_and_absence_drain_everything() {
    let instances = "1 g1 demand/0 healthy routed
                     2 g1 spot/0 starting
                     3 g1 demand/1 stopped crashed";
    check(&format!("web g1\n{instances}"), "web: drain web.1 surplus\nweb: drain web.2 unhealthy");
    check(&format!("web absent\n{instances}"), "web: drain web.1 deleted\nweb: drain web.2 deleted");
}

#[test]
fn an_instance_on_its_way_out_does_not_count() {
    check(
        "web g1 demand=1
           1 g1 demand/0 draining@-1s reclaimed in_flight=3",
        "web: start web.100 g1 demand/0 size=128
         look again +29s",
    );
}

#[test]
fn a_serial_is_never_used_twice_even_when_the_inputs_are_wrong() {
    check(
        "web g1 demand=2 next=2
           7 g1 demand/0 healthy",
        "web: start web.8 g1 demand/1 size=128",
    );
}

#[test]
fn an_unhealthy_instance_is_replaced_at_once() {
    check(
        "web g1 demand=4
           1 g1 demand/0 healthy
           2 g1 demand/1 unhealthy
           3 g1 demand/2 healthy
           4 g1 demand/3 healthy",
        "web: drain web.2 unhealthy
         web: start web.100 g1 demand/1 size=128 restarts=1",
    );
}

#[test]
fn when_all_are_unhealthy_at_one_moment_they_are_replaced_at_the_pace_of_a_surge() {
    let state = |rest: &str| {
        format!(
            "web g1 demand=4
               1 g1 demand/0 unhealthy@-3s
               2 g1 demand/1 unhealthy@-9s
               3 g1 demand/2 unhealthy@-3s
               {rest}"
        )
    };
    check(
        &state("4 g1 demand/3 unhealthy@-3s"),
        "web: drain web.2 unhealthy\nweb: start web.100 g1 demand/1 size=128 restarts=1",
    );
    check(&state("4 g1 demand/3 starting@-3s"), "look again +57s");
    check(
        &state("4 g1 demand/3 stopping@-3s unhealthy"),
        "web: start web.100 g1 demand/3 size=128 restarts=1\nlook again +17s",
    );
}

#[test]
fn running_instances_of_the_target_generation_get_the_new_size() {
    check(
        "web g2 demand=3 size=256
           1 g2 demand/0 healthy size=128
           2 g2 demand/1 starting@-1s size=512
           3 g1 demand/0 healthy size=64
           4 g2 demand/2 draining@-1s surplus size=512",
        "web: resize web.1 256
         web: resize web.2 256
         web: terminate web.4
         web: start web.100 g2 demand/2 size=256
         look again +59s",
    );
}

#[test]
fn an_instance_that_has_outgrown_the_new_size_is_replaced_like_an_old_one() {
    check(
        "web g1 demand=2 size=64
           1 g1 demand/0 healthy size=128 outgrown
           2 g1 demand/1 healthy size=128",
        "web: resize web.2 64
         web: start web.100 g1 demand/0 size=64",
    );
    check(
        "web g1 demand=2 size=64
           1 g1 demand/0 healthy size=128 outgrown
           2 g1 demand/1 healthy size=64
           3 g1 demand/0 healthy size=64",
        "web: drain web.1 replaced",
    );
}
