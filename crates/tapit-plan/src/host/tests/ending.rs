//! From the withdrawn route to the end, and what is remembered of the dead.

use tapit_model::ReasonCode;

use super::notation::{NOW, check, parse};
use crate::host::{Action, Ended, Phase, plan_host};

#[test]
fn a_drained_instance_is_told_to_stop_once_nothing_is_in_flight_or_the_time_is_over() {
    for (instance, plan) in [
        ("draining@-1s replaced", "web: terminate web.1"),
        ("draining@-1s replaced in_flight=2", "look again +29s"),
        ("draining@-30s replaced in_flight=2", "web: terminate web.1"),
    ] {
        check(&format!("web g2\n1 g1 demand/0 {instance}"), plan);
    }
}

#[test]
fn an_instance_that_is_still_routed_is_never_told_to_stop() {
    check("web g2\n1 g1 demand/0 draining@-900s replaced routed in_flight=0", "");
}

#[test]
fn an_instance_that_ignores_sigterm_is_killed_when_its_time_is_over() {
    for (instance, plan) in [
        ("stopping@-19s replaced", "look again +1s"),
        ("stopping@-20s replaced", "web: kill web.1"),
        ("stopping@-20s replaced killed", ""),
        // A reclaimed one has the two minutes of its notice.
        ("stopping@-20s reclaimed", "look again +100s"),
        ("stopping@-120s reclaimed", "web: kill web.1"),
    ] {
        check(&format!("web g2\n1 g1 demand/0 {instance}"), plan);
    }
}

#[test]
fn the_last_ten_that_stopped_are_remembered_whatever_their_age() {
    let stopped: String = (2..=13).map(|n| format!("{n} g1 demand/{n} stopped@-{n}s surplus\n")).collect();
    check(
        &format!("web g2\n1 g1 demand/0 stopped@-1s surplus\n{stopped}"),
        "web: forget web.11
         web: forget web.12
         web: forget web.13",
    );
}

#[test]
fn the_last_failure_of_a_place_is_remembered_for_its_back_off() {
    let recent: String = (20..30).map(|n| format!("{n} g1 demand/7 stopped@-1s surplus\n")).collect();
    check(
        &format!(
            "web g2 demand=2
               1 g2 demand/0 stopped@-50s crashed restarts=7
               2 g2 demand/0 stopped@-40s crashed restarts=8
               3 g2 demand/1 stopped@-50s crashed restarts=2
               4 g2 demand/1 healthy@-30s
               5 g2 demand/9 stopped@-50s crashed restarts=8
               {recent}"
        ),
        "web: forget web.1
         web: forget web.3
         web: forget web.5
         web: blocked back_off 1 demand
         look again +20s",
    );
}

#[test]
fn an_absent_process_forgets_its_dead_a_moment_after_the_last_one_ended() {
    check(
        "web absent
           1 g1 demand/0 stopped crashed
           2 g1 demand/0 stopping@-1s deleted",
        "look again +19s",
    );
    check(
        "web absent
           1 g1 demand/0 stopped@-60s crashed
           2 g1 demand/0 stopped@-1s deleted",
        "look again +4s",
    );
    check(
        "web absent
           1 g1 demand/0 stopped@-60s crashed
           2 g1 demand/0 stopped@-5s deleted",
        "web: forget web.1\nweb: forget web.2",
    );
}

#[test]
fn an_end_of_an_earlier_boot_is_long_past() {
    let mut inputs = parse("web absent\n1 g1 demand/0 stopped@-1s deleted");
    let later = Ended { why: ReasonCode::Deleted, healthy_for: None };
    inputs.processes[0].instances[0].phase = Phase::Stopped { at: NOW.plus_millis(90_000), ended: later };
    let id = inputs.processes[0].instances[0].id.clone();
    let actions = plan_host(&inputs).actions.into_iter().map(|(_, action)| action);
    assert_eq!(actions.collect::<Vec<_>>(), [Action::Forget { id }]);
}
