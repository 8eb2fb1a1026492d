//! Failing instances: deadline, back-off and the verdict on a generation.

use super::notation::{blocked_texts, check};

#[test]
fn an_instance_that_is_not_healthy_before_its_deadline_has_failed() {
    check(
        "web g1 demand=1
           1 g1 demand/0 starting@-60s",
        "web: drain web.1 unhealthy
         web: start web.100 g1 demand/0 size=128 restarts=1",
    );
    check(
        "web g1 demand=1
           1 g1 demand/0 starting@-60s restarts=2",
        "web: drain web.1 unhealthy
         web: blocked back_off 1 demand
         look again +2s",
    );
}

#[test]
fn the_first_retry_comes_at_once_then_after_one_second_doubling_up_to_a_minute() {
    for (restarts, wait) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (4_000_000_000u32, 60)] {
        let state = |age: u64| format!("web g1 demand=1\n1 g1 demand/0 stopped@-{age}s crashed restarts={restarts}");
        check(
            &state(0),
            &format!("web: blocked back_off 1 demand\nweb: failed 1 in a row, last web.1\nlook again +{wait}s"),
        );
        let next = restarts + 1;
        check(
            &state(wait),
            &format!("web: start web.100 g1 demand/0 size=128 restarts={next}\nweb: failed 1 in a row, last web.1"),
        );
    }
    check(
        "web g1 demand=1\n1 g1 demand/0 stopped@-0s crashed",
        "web: start web.100 g1 demand/0 size=128 restarts=1\nweb: failed 1 in a row, last web.1",
    );
}

#[test]
fn the_wait_and_the_failures_are_told() {
    let state = "web g1 demand=1\n1 g1 demand/0 stopped@-1s crashed restarts=3";
    assert_eq!(
        blocked_texts(state),
        ["1 demand instance waits up to 4 s after 4 failures in a row; see the last exit and the logs"]
    );
}

#[test]
fn a_minute_of_health_forgives_the_failures_before() {
    check(
        "web g1 demand=1\n1 g1 demand/0 stopped@-0s crashed restarts=5 healthy_for=60s",
        "web: start web.100 g1 demand/0 size=128 restarts=1\nweb: failed 1 in a row, last web.1",
    );
    check(
        "web g1 demand=1\n1 g1 demand/0 stopped@-0s crashed restarts=5 healthy_for=59s",
        "web: blocked back_off 1 demand\nweb: failed 1 in a row, last web.1\nlook again +16s",
    );
}

#[test]
fn a_completed_instance_backs_off_like_a_crashed_one() {
    check(
        "web g1 demand=1\n1 g1 demand/0 stopped@-0s completed restarts=1",
        "web: blocked back_off 1 demand\nweb: failed 1 in a row, last web.1\nlook again +1s",
    );
}

#[test]
fn an_ordered_stop_is_no_failure() {
    for why in ["surplus", "replaced", "rolled_back", "deleted", "reclaimed"] {
        check(
            &format!("web g1 demand=1\n1 g1 demand/0 stopped@-0s {why} restarts=9"),
            "web: start web.100 g1 demand/0 size=128",
        );
    }
}

#[test]
fn places_back_off_apart_and_the_failures_of_another_generation_do_not_count() {
    check(
        "web g2 demand=2
           1 g2 demand/0 stopped@-1s crashed restarts=4
           2 g1 demand/1 stopped@-0s crashed restarts=9
           3 g2 spot/1 stopped@-0s crashed restarts=9",
        "web: start web.100 g2 demand/1 size=128
         web: blocked back_off 1 demand
         web: failed 2 in a row, last web.3
         look again +7s",
    );
}

#[test]
fn a_failing_generation_does_not_run_through_all_its_places_at_once() {
    check(
        "web g2 demand=3
           1 g1 demand/0 healthy
           2 g1 demand/1 healthy
           3 g1 demand/2 healthy
           4 g2 demand/0 stopped@-1s crashed restarts=1
           5 g2 demand/0 stopped@-0s crashed restarts=2",
        "web: blocked back_off 1 demand
         web: failed 2 in a row, last web.5
         look again +2s",
    );
}

#[test]
fn a_failure_written_before_a_reboot_delays_nothing() {
    // The clock began anew, so the record lies in the future.
    let mut inputs = super::notation::parse("web g1 demand=1\n1 g1 demand/0 stopped@-0s lost restarts=9");
    inputs.now = tapit_model::Moment(5_000);
    let plan = super::notation::print(&crate::host::plan_host(&inputs));
    assert_eq!(plan, "web: start web.100 g1 demand/0 size=128 restarts=10\nweb: failed 1 in a row, last web.1");
}

#[test]
fn failures_count_from_the_last_time_that_an_instance_became_healthy() {
    let state = |other: &str| {
        format!(
            "web g2 demand=1
               1 g2 demand/1 stopped@-50s crashed
               2 g2 demand/2 stopped@-30s start_failed
               3 g2 demand/3 stopped@-20s unhealthy
               {other}"
        )
    };
    let starting = "9 g2 demand/0 starting@-1s";
    check(&state(starting), "web: failed 3 in a row, last web.3 deadline\nlook again +59s");
    check(&state("9 g2 demand/0 healthy@-40s"), "web: failed 2 in a row, last web.3 deadline");
    check(&state("9 g2 demand/0 healthy@-10s"), "");
    check(
        &state("9 g2 demand/0 unhealthy@-10s\n8 g2 demand/7 draining@-9s surplus routed"),
        "web: drain web.9 unhealthy\nweb: start web.100 g2 demand/0 size=128 restarts=1",
    );
    // It became healthy 25 s ago at the latest, and then crashed itself.
    check(
        &state(&format!("{starting}\n8 g2 demand/7 stopped@-5s crashed healthy_for=20s")),
        "web: failed 2 in a row, last web.8\nlook again +59s",
    );
    // Another generation's health proves nothing.
    check(
        &state(&format!("{starting}\n8 g1 demand/7 stopped@-5s replaced healthy_for=20s")),
        "web: failed 3 in a row, last web.3 deadline\nlook again +59s",
    );
}

#[test]
fn one_that_was_healthy_and_turned_unhealthy_did_not_miss_its_deadline() {
    check(
        "web g2 demand=1
           1 g2 demand/0 stopped@-2s unhealthy healthy_for=1s
           2 g2 demand/0 starting@-1s",
        "web: failed 1 in a row, last web.1\nlook again +59s",
    );
}
