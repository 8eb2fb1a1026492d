//! Spot capacity: short, taken back, and there again.

use tapit_ecs::api::*;
use tapit_ecs::sim::Behaviour;

use super::stage::Stage;

fn stage(desired: u32) -> Stage {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    stage.create(NewService { desired, provider: Provider::FargateSpot, ..stage.new_service("web_spot", &arn) });
    stage
}

#[test]
fn what_does_not_fit_is_told_and_tried_again() {
    let stage = Stage::open();
    stage.account.set_spot_capacity(Some(2));
    let arn = stage.register("web:1");
    let spot = NewService { desired: 3, provider: Provider::FargateSpot, ..stage.new_service("web_spot", &arn) };
    stage.create(spot);
    stage.create(NewService { desired: 2, ..stage.new_service("web", &arn) });
    stage.until("those on demand run", || stage.service("web").running == 2);
    stage.seconds(120);
    assert_eq!(stage.service("web_spot").running, 2);
    assert!(stage.said("web_spot", "was unable to place a task. Reason: Capacity is unavailable at this time."));
    assert_eq!(stage.primary("web_spot").state, RolloutState::InProgress, "it is not complete");
    assert!(!stage.said("web_spot", "has reached a steady state."));
    stage.account.set_spot_capacity(None);
    stage.until("all run", || stage.service("web_spot").running == 3);
    stage.until_completed("web_spot");
}

#[test]
fn an_interrupted_task_says_so_and_is_replaced_at_once() {
    let stage = stage(1);
    stage.until_completed("web_spot");
    let task = stage.alive().remove(0);
    assert_eq!(task.provider, Some(Provider::FargateSpot));
    assert!(stage.account.interrupt(&task.arn));
    assert_eq!(stage.alive()[0].stop_code.as_deref(), Some("SpotInterruption"));
    stage.until("another one runs", || stage.service("web_spot").running == 1);
    assert_eq!(stage.stopped()[0].arn, task.arn);
}

#[test]
fn a_task_on_demand_is_not_interrupted() {
    let stage = Stage::open();
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.until("it runs", || stage.service("web").running == 1);
    assert!(!stage.account.interrupt(&stage.alive()[0].arn));
    stage.account.set_spot_capacity(Some(0));
    stage.seconds(60);
    assert_eq!(stage.service("web").running, 1);
}

#[test]
fn the_newest_go_when_capacity_shrinks() {
    let stage = stage(1);
    stage.until_completed("web_spot");
    let oldest = stage.alive()[0].arn.clone();
    stage.scale("web_spot", 3);
    stage.until("all run", || stage.service("web_spot").running == 3);
    stage.account.set_spot_capacity(Some(1));
    stage.until("one is left", || stage.alive().len() == 1);
    assert_eq!(stage.alive()[0].arn, oldest);
    assert_eq!(stage.stopped().len(), 2);
}

#[test]
fn an_interruption_is_not_slowed_by_who_ignores_it_beyond_its_time() {
    let stage = stage(1);
    stage.account.behave(|_| Behaviour::serves().ignores_term());
    stage.scale("web_spot", 2);
    stage.until("both run", || stage.service("web_spot").running == 2);
    let stubborn = stage.alive().pop().expect("two").arn;
    stage.account.set_spot_capacity(Some(1));
    let waited = stage.until("it has stopped", || stage.stopped().iter().any(|task| task.arn == stubborn));
    assert!((10..=13).contains(&waited), "{waited}");
    assert_eq!(stage.stopped()[0].exit_code, Some(137));
}
