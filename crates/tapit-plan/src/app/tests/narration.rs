//! The log of what instances do.

use super::super::{narrate, narrate_blocked};
use super::*;
use InstanceState::{Draining, Healthy, Pending, Pulling, Starting, Stopped, Stopping, Unhealthy};

/// The events between two looks.
fn check(before: &[InstanceObserved], after: &[InstanceObserved], expected: &[&str]) {
    let events = narrate(&key("web"), before, after, NOW);
    assert_eq!(kinds(&events).lines().collect::<Vec<_>>(), expected);
    assert!(events.iter().all(|event| event.instance.is_some() && event.process == Some(key("web").process)));
}

fn web(state: InstanceState) -> InstanceObserved {
    instance("web.7", 3, state)
}

#[test]
fn a_life_is_told_step_by_step() {
    let surplus = |state| because(web(state), ReasonCode::Surplus, "scaled down");
    let stopped = InstanceObserved { last_exit: Some(exit(0)), ..surplus(Stopped) };
    let life = [web(Pending), web(Pulling), web(Starting), web(Healthy), surplus(Draining), surplus(Stopping), stopped];
    check(&[], &life[..1], &[]);
    let expected = [
        "InstanceStarting: web.7 fetches its image",
        "InstanceStarting: web.7 of generation 3 starts",
        "InstanceHealthy: web.7 is healthy",
        "InstanceDraining: web.7 drains: scaled down",
        "InstanceStopping: web.7 was told to stop: scaled down",
        "InstanceStopped: web.7 stopped (exit 0): scaled down",
    ];
    for (step, line) in life.windows(2).zip(expected) {
        check(&step[..1], &step[1..], &[line]);
    }
    check(&life[6..], &[], &[]);
}

#[test]
fn no_change_is_no_event() {
    let twice = [web(Healthy), spot("web.8", 3, Starting)];
    check(&twice, &twice, &[]);
}

#[test]
fn a_crash_and_the_next_attempt_are_told_with_the_exit() {
    let crashed = because(web(Stopped), ReasonCode::Crashed, "the program ended");
    let crashed = InstanceObserved { last_exit: Some(exit(137)), ..crashed };
    check(&[web(Starting)], &[crashed], &["InstanceStopped: web.7 stopped (exit 137): the program ended"]);
    let again = InstanceObserved { restarts: 2, last_exit: Some(exit(137)), ..spot("web.8", 3, Starting) };
    let expected = "InstanceStarting: spot web.8 of generation 3 starts after 2 failures in a row, the last exit 137";
    check(&[], &[again], &[expected]);
    let ill = because(web(Unhealthy), ReasonCode::Unhealthy, "port 80 refuses");
    check(&[web(Healthy)], &[ill], &["InstanceUnhealthy: web.7 is unhealthy: port 80 refuses"]);
}

#[test]
fn a_notice_to_a_spot_instance_is_told_once() {
    let notice = |state| because(spot("web.8", 3, state), ReasonCode::Reclaimed, "memory is needed for api.3");
    let told = "SpotInterrupted: spot instance web.8 was given notice: memory is needed for api.3";
    check(&[spot("web.8", 3, Healthy)], &[notice(Draining)], &[told]);
    check(&[spot("web.8", 3, Healthy)], &[notice(Stopping)], &[told]);
    let then = "InstanceStopping: web.8 was told to stop: memory is needed for api.3";
    check(&[notice(Draining)], &[notice(Stopping)], &[then]);
}

#[test]
fn a_new_size_and_a_vanished_instance_are_told() {
    let bigger = InstanceObserved {
        size: Size { memory: MemoryMib::from_mib(2048), cpu: CpuMillis::from_millis(250) },
        ..web(Healthy)
    };
    let expected = "InstanceResized: web.7 was resized from memory=0.5 cpu=0.25 to memory=2 cpu=0.25";
    check(&[web(Healthy)], &[bigger], &[expected]);
    check(&[web(Healthy)], &[], &["InstanceStopped: web.7 is gone; how it ended is not known"]);
}

#[test]
fn obstacles_are_told_when_they_come_and_go() {
    let back_off = Blocked { code: BlockedCode::BackOff, text: "waits 8 s".to_owned(), demand: 1, spot: 0 };
    let told = |before: &[Blocked], after: &[Blocked]| kinds(&narrate_blocked(&key("web"), before, after, NOW));
    let room = [no_room(1, 0)];
    assert_eq!(told(&[], &room), "Blocked: waits (capacity): 512 MB more are needed\n");
    assert_eq!(told(&room, &[no_room(2, 1)]), "");
    assert_eq!(told(&room, &[]), "Unblocked: waits no more (capacity)\n");
    assert_eq!(told(&[], &[back_off]), "");
    let image = |code| [Blocked { code, text: "shop:v1 …".to_owned(), demand: 1, spot: 0 }];
    let (asked, slow) = (image(BlockedCode::Resolving), image(BlockedCode::Pulling));
    assert_eq!(told(&[], &asked) + &told(&asked, &[]), "", "an image that is held is no obstacle");
    assert_eq!(told(&asked, &slow), "Blocked: waits (pulling): shop:v1 …\n");
    assert_eq!(told(&slow, &[]), "Unblocked: waits no more (pulling)\n");
}
