//! Memory is what capacity is counted in: demand first, spot in what is left.

use super::notation::{blocked_texts, check, parse, print};
use crate::host::plan_host;

#[test]
fn demand_is_admitted_in_turn_while_it_fits() {
    let state = "capacity 384
                 api g1 demand=3
                 web g1 demand=3";
    check(
        state,
        "api: start api.100 g1 demand/0 size=128
         api: start api.101 g1 demand/1 size=128
         web: start web.100 g1 demand/0 size=128
         api: blocked capacity 1 demand
         web: blocked capacity 2 demand",
    );
    assert_eq!(
        blocked_texts(state)[0],
        "1 demand instance needs 0.125 GB; 0.375 GB of 0.375 GB is free; scale another process down, set a smaller \
         memory, or start the server with a larger --capacity-memory"
    );
}

#[test]
fn one_that_can_never_fit_does_not_shut_out_the_others() {
    check(
        "capacity 256
         api g1 demand=1 size=512
         web g1 demand=1 spot=1",
        "web: start web.100 g1 demand/0 size=128
         web: start web.101 g1 spot/0 size=128
         api: blocked capacity 1 demand",
    );
}

#[test]
fn draining_and_stopping_instances_hold_their_memory_until_they_are_gone() {
    check(
        "capacity 128
         api g1
           1 g1 demand/0 stopping@-1s surplus
         web g1 demand=1 spot=1",
        "web: blocked capacity 1 demand
         web: blocked capacity 1 spot
         look again +19s",
    );
    check(
        "capacity 128
         api g1
           1 g1 demand/0 stopped@-1s surplus
         web g1 demand=1 spot=1",
        "web: start web.100 g1 demand/0 size=128
         web: blocked capacity 1 spot",
    );
}

#[test]
fn spot_is_reclaimed_newest_first_and_just_as_much_as_is_needed() {
    let spots = "work g1 spot=4
                   1 g1 spot/0 healthy@-90s
                   2 g1 spot/1 healthy@-30s
                   3 g1 spot/2 healthy@-50s
                   4 g1 spot/3 healthy@-60s";
    check(
        &format!("capacity 512\nweb g1 demand=1 size=192\n{spots}"),
        "work: drain work.2 reclaimed
         work: drain work.3 reclaimed
         web: blocked capacity 1 demand",
    );
    // All of them would not suffice: none goes.
    check(&format!("capacity 512\nweb g1 demand=1 size=513\n{spots}"), "web: blocked capacity 1 demand");
}

#[test]
fn what_is_on_its_way_out_is_counted_before_more_is_reclaimed() {
    check(
        "capacity 384
         web g1 demand=1 size=128
         work g1 spot=3
           1 g1 spot/0 healthy
           2 g1 spot/1 draining@-1s reclaimed in_flight=1
           3 g1 spot/2 healthy",
        "web: blocked capacity 1 demand
         work: blocked capacity 1 spot
         look again +29s",
    );
}

#[test]
fn what_is_drained_by_the_same_plan_is_counted_before_more_is_reclaimed() {
    check(
        "capacity 256
         api g1
           1 g1 demand/0 healthy
         web g1 demand=1
         work g1 spot=1
           1 g1 spot/0 healthy",
        "api: drain api.1 surplus
         web: blocked capacity 1 demand",
    );
}

#[test]
fn what_an_old_instance_gave_up_does_not_go_to_a_sibling_that_grows() {
    check(
        "capacity 384
         api g1 demand=3
           1 g1 demand/0 healthy
         web g2 demand=2
           1 g1 demand/0 stopped replaced
           2 g1 demand/1 healthy",
        "web: start web.100 g2 demand/0 size=128
         api: blocked capacity 2 demand",
    );
}

#[test]
fn spot_does_not_slip_into_memory_that_a_demand_instance_waits_for() {
    check(
        "capacity 512
         web g1 demand=1 size=256
         work g1 spot=3
           1 g1 spot/0 healthy
           2 g1 spot/1 healthy
           3 g1 spot/2 stopping@-1s reclaimed",
        "web: blocked capacity 1 demand
         work: blocked capacity 1 spot
         look again +119s",
    );
}

#[test]
fn memory_of_a_demand_instance_in_back_off_is_kept_for_it() {
    check(
        "capacity 128
         web g1 demand=1
           1 g1 demand/0 stopped@-1s crashed restarts=5
         work g1 spot=1",
        "web: blocked back_off 1 demand
         web: failed 1 in a row, last web.1
         work: blocked capacity 1 spot
         look again +15s",
    );
}

#[test]
fn spot_does_not_come_and_go_with_crash_loops_that_take_turns() {
    // Once web fails as well, api has room, and would reclaim what had started meanwhile.
    for web in ["", "1 g1 demand/0 starting@-1s", "1 g1 demand/0 stopped@-1s crashed restarts=5"] {
        let inputs = format!(
            "capacity 512
             api g1 demand=1 size=512
               1 g1 demand/0 stopped@-1s crashed restarts=5
             web g1 demand=1 size=256
               {web}
             work g1 spot=1 size=256"
        );
        let plan = print(&plan_host(&parse(&inputs)));
        assert!(plan.contains("work: blocked capacity 1 spot"), "{plan}");
    }
    check(
        "capacity 512
         api g1 demand=1 size=512
         web g1 demand=1 size=256
           1 g1 demand/0 healthy
         work g1 spot=1 size=256",
        "work: start work.100 g1 spot/0 size=256
         api: blocked capacity 1 demand",
    );
}

#[test]
fn memory_over_a_lowered_capacity_is_covered_by_spot_alone() {
    check(
        "capacity 256
         web g1 demand=2
           1 g1 demand/0 healthy
           2 g1 demand/1 healthy
         work g1 spot=2
           1 g1 spot/0 healthy@-9s
           2 g1 spot/1 stopping@-1s reclaimed",
        "work: drain work.1 reclaimed
         work: blocked capacity 1 spot
         look again +119s",
    );
    check(
        "capacity 64
         web g1 demand=2
           1 g1 demand/0 healthy
           2 g1 demand/1 healthy",
        "",
    );
}

#[test]
fn growing_must_fit_and_reclaims_spot_while_shrinking_is_free() {
    let state = |capacity: u32, size: u32| {
        format!(
            "capacity {capacity}
             web g1 demand=1 size={size}
               1 g1 demand/0 healthy size=128
             work g1 spot=1 size=64
               1 g1 spot/0 healthy"
        )
    };
    check(&state(320, 256), "web: resize web.1 256");
    check(
        &state(256, 256),
        "web: blocked capacity 1 demand\nwork: drain work.1 reclaimed"
            .split('\n')
            .rev()
            .collect::<Vec<_>>()
            .join("\n")
            .as_str(),
    );
    check(&state(256, 512), "web: blocked capacity 1 demand");
    check(&state(64, 100), "web: resize web.1 100\nwork: drain work.1 reclaimed");
}

#[test]
fn a_crash_loop_leaves_the_plans_for_its_siblings_alone() {
    let sibling = "web g1 demand=2
                     1 g1 demand/0 healthy
                     2 g1 demand/1 starting@-1s";
    check(
        &format!("api g1 demand=1\n1 g1 demand/0 stopped@-0s crashed restarts=9\n{sibling}"),
        "api: blocked back_off 1 demand
         api: failed 1 in a row, last api.1
         look again +59s",
    );
    check(&format!("api g1 demand=1\n1 g1 demand/0 healthy\n{sibling}"), "look again +59s");
}

#[test]
fn a_host_short_of_memory_reclaims_the_newest_spot_instances_until_enough_is_on_its_way() {
    let work = "work g1 spot=3
                  1 g1 spot/0 healthy@-90s
                  2 g1 spot/1 healthy@-30s
                  3 g1 spot/2 healthy@-60s";
    check(&format!("host_lacks 1\n{work}"), "work: drain work.2 reclaimed");
    check(&format!("host_lacks 129\n{work}"), "work: drain work.2 reclaimed\nwork: drain work.3 reclaimed");
    check(
        "host_lacks 128
         work g1 spot=3
           1 g1 spot/0 healthy@-90s
           2 g1 spot/1 draining@-1s reclaimed in_flight=1
           3 g1 spot/2 healthy@-60s",
        "work: blocked capacity 1 spot
         look again +29s",
    );
}

#[test]
fn demand_instances_start_and_stay_on_a_host_short_of_memory_and_spot_instances_wait() {
    let state = "host_lacks 512
                 web g1 demand=2 spot=1
                   1 g1 demand/0 healthy@-90s";
    check(state, "web: start web.100 g1 demand/1 size=128\nweb: blocked capacity 1 spot");
    check(
        &state.replace("host_lacks 512", "host_tight"),
        "web: start web.100 g1 demand/1 size=128\nweb: blocked capacity 1 spot",
    );
    assert!(blocked_texts(state)[0].contains("the host itself is short of memory"), "{:?}", blocked_texts(state));
}

#[test]
fn what_only_stands_in_for_spot_comes_after_what_was_asked_for() {
    check(
        "capacity 384
         api g1 demand=3 stand_ins=2
         web g1 demand=1 size=256",
        "api: start api.100 g1 demand/0 size=128
         web: start web.100 g1 demand/0 size=256
         api: blocked capacity 2 demand",
    );
    // What is on its way for a larger one is not taken from it, and spot instances make room for either.
    check(
        "capacity 384
         api g1 demand=2 stand_ins=1
           1 g1 demand/0 healthy@-90s
         web g1 demand=1 size=256
         work g1 spot=1
           1 g1 spot/0 healthy@-90s",
        "work: drain work.1 reclaimed
         api: blocked capacity 1 demand
         web: blocked capacity 1 demand",
    );
    check(
        "capacity 256
         api g1 demand=2 stand_ins=1
           1 g1 demand/0 healthy@-90s
         work g1 spot=1
           1 g1 spot/0 healthy@-90s",
        "work: drain work.1 reclaimed
         api: blocked capacity 1 demand",
    );
}
