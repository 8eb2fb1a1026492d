//! Servers come and go; instances stay.

use tapit_model::{Formation, InstanceState, ReasonCode};

use super::failures::code;
use super::stage::{Stage, key};
use super::{Behaviour, Nature, Subject};

pub async fn a_new_server_takes_over_what_runs(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let (web, api) = (key("default"), key("api"));
    let before = stage.run(&web, stage.counts(2, 1)).await;
    let sibling = stage.run(&api, stage.counts(1, 0)).await;
    subject.reopen().await;
    let targets = vec![stage.target(&web, stage.counts(2, 1)), stage.target(&api, stage.counts(1, 0))];
    subject.engine().adopt(targets).await.expect("adopts");
    let after = stage.settled(&web, &stage.counts(2, 1)).await;
    assert_eq!(before.ids(), after.ids());
    let healthy_at = |seen: &super::stage::Seen| seen.left().iter().map(|one| one.healthy_at).collect::<Vec<_>>();
    assert_eq!(healthy_at(&before), healthy_at(&after), "they did not have to prove themselves anew");
    assert_eq!(stage.settled(&api, &stage.counts(1, 0)).await.ids(), sibling.ids());
    // What was taken over is looked after like any other.
    subject.kill(&after.instance_key(0)).await;
    let id = after.instance_key(0).id;
    let stopped = |seen: &super::stage::Seen| seen.find(&id).is_some_and(|one| one.state == InstanceState::Stopped);
    stage.until(&web, "notices the end of one that was taken over", stopped).await;
    stage.settled(&web, &stage.counts(2, 1)).await;
}

pub async fn a_new_server_removes_what_nobody_knows(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let (web, api) = (key("default"), key("api"));
    stage.run(&web, stage.counts(1, 0)).await;
    let before = stage.run(&api, stage.counts(1, 0)).await;
    subject.reopen().await;
    subject.engine().adopt(vec![stage.target(&api, stage.counts(1, 0))]).await.expect("adopts");
    stage.until(&web, "is not listed any more", |seen| seen.process.is_none()).await;
    assert_eq!(stage.settled(&api, &stage.counts(1, 0)).await.ids(), before.ids());
}

pub async fn a_new_server_carries_on_a_rollout(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    stage.run(&web, stage.counts(3, 0)).await;
    let next = Formation { generation: 2, ..stage.counts(3, 0) };
    stage.apply(&web, next.clone()).await;
    stage.until(&web, "has begun", |seen| seen.left().iter().any(|one| one.generation == 2)).await;
    subject.reopen().await;
    subject.engine().adopt(vec![stage.target(&web, next.clone())]).await.expect("adopts");
    let after = stage.settled(&web, &next).await;
    // Three, and one more for a start that was cut short: nothing was made twice over.
    let made = after.all().iter().filter(|one| one.generation == 2).count();
    assert!(made <= 4, "{after:?}");
}

pub async fn what_ended_while_nobody_looked_is_replaced(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    let before = stage.run(&api, stage.counts(2, 0)).await;
    let killed = before.instance_key(0);
    subject.reopen().await;
    subject.kill(&killed).await;
    subject.engine().adopt(vec![stage.target(&api, stage.counts(2, 0))]).await.expect("adopts");
    let stopped =
        |seen: &super::stage::Seen| seen.find(&killed.id).is_some_and(|one| one.state == InstanceState::Stopped);
    stage.until(&api, "tells of its end", stopped).await;
    let after = stage.settled(&api, &stage.counts(2, 0)).await;
    assert!(after.ids().contains(&before.ids()[1]));
    assert_eq!(after.find(&killed.id).and_then(code), Some(ReasonCode::Crashed));
}

pub async fn a_teardown_leaves_nothing(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let (web, api) = (key("default"), key("api"));
    stage.run(&web, stage.counts(2, 1)).await;
    stage.apply(&api, stage.formation(Behaviour::NeverHealthy)).await;
    stage.until(&api, "is starting", |seen| !seen.left().is_empty()).await;
    subject.engine().teardown().await.expect("tears down");
    assert_eq!(subject.left_over(), Vec::<String>::new());
    if stage.nature() == Nature::Managed {
        stage.look().await;
    }
    assert_eq!(subject.routes().routed(&web), 0);
}
