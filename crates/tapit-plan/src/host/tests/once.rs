//! Processes whose one instance is never replaced.

use super::notation::{blocked_texts, check};

#[test]
fn one_instance_is_started_while_there_is_none() {
    check("web g1 demand=1 once", "web: start web.100 g1 demand/0 size=128");
    check("web g1 demand=1 once next=1", "web: start web.1 g1 demand/0 size=128");
}

#[test]
fn one_is_started_again_when_the_last_left_no_record() {
    // Its number was noted and the server died before anything was made.
    check("web g1 demand=1 once next=2", "web: start web.2 g1 demand/0 size=128");
}

#[test]
fn one_that_starts_or_runs_is_left_alone() {
    check("web g1 demand=1 once\n1 g1 demand/0 starting@-10s", "look again +50s");
    check("web g1 demand=1 once\n1 g1 demand/0 healthy@-900s", "");
}

#[test]
fn none_is_started_after_one_that_stopped() {
    for age in [0, 1, 61, 900] {
        for (why, verdict) in [
            ("completed", "web: failed 1 in a row, last web.1"),
            ("crashed", "web: failed 1 in a row, last web.1"),
            ("start_failed", "web: failed 1 in a row, last web.1"),
            ("lost", "web: failed 1 in a row, last web.1"),
            ("unhealthy", "web: failed 1 in a row, last web.1 deadline"),
            ("surplus", ""),
            ("replaced", ""),
            ("rolled_back", ""),
            ("deleted", ""),
            ("reclaimed", ""),
        ] {
            check(&format!("web g1 demand=1 once\n1 g1 demand/0 stopped@-{age}s {why}"), verdict);
        }
    }
    check(
        "web g1 demand=1 once\n1 g1 demand/0 stopped@-99s completed healthy_for=90s",
        "web: failed 1 in a row, last web.1",
    );
    check("web g2 demand=1 once\n1 g1 demand/0 stopped@-1s crashed", "");
}

#[test]
fn it_waits_for_no_second_attempt() {
    assert!(blocked_texts("web g1 demand=1 once\n1 g1 demand/0 stopped@-0s crashed restarts=5").is_empty());
}

#[test]
fn none_is_started_while_one_goes() {
    check("web g1 demand=1 once\n1 g1 demand/0 draining@-1s surplus routed in_flight=1", "");
    check("web g1 demand=1 once\n1 g1 demand/0 draining@-1s surplus", "web: terminate web.1");
    check("web g1 demand=1 once\n1 g1 demand/0 stopping@-1s unhealthy", "look again +19s");
    check("web g1 demand=1 once\n1 g1 demand/0 starting@-60s", "web: drain web.1 unhealthy");
}

#[test]
fn one_that_is_not_wanted_any_more_goes_and_stays_known() {
    check("web g1 once\n1 g1 demand/0 healthy", "web: drain web.1 surplus");
    check("web g1 once\n1 g1 demand/0 starting@-1s", "web: drain web.1 surplus");
    check("web g1 once\n1 g1 demand/0 stopped@-900s completed", "web: failed 1 in a row, last web.1");
    check("web g1 once", "");
}

#[test]
fn it_waits_for_room_and_takes_that_of_spot_instances() {
    check("capacity 100\nweb g1 demand=1 once", "web: blocked capacity 1 demand");
    check(
        "capacity 128
         api g1 spot=1
           1 g1 spot/0 healthy
         web g1 demand=1 once",
        "api: drain api.1 reclaimed
         web: blocked capacity 1 demand",
    );
}
