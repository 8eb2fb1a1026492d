//! Who gets the memory when there is not enough. Of engines that count capacity; others pass.

use tapit_model::{BlockedCode, Formation, InstanceKind, ReasonCode};

use super::failures::code;
use super::rollouts::share;
use super::stage::{Stage, key};
use super::{Behaviour, Subject};

pub async fn demand_that_does_not_fit_is_blocked_until_there_is_room(subject: &dyn Subject) {
    let Some(capacity) = subject.engine().capacity() else { return };
    let stage = Stage::open(subject).await;
    let (first, second) = (key("first"), key("second"));
    let size = share(&stage, capacity.total, 4);
    let three = Formation { demand: 3, size, ..stage.formation(Behaviour::Serves) };
    let before = stage.run(&first, three.clone()).await;
    let two = Formation { demand: 2, size, ..stage.formation(Behaviour::Serves) };
    stage.apply(&second, two.clone()).await;
    let seen = stage
        .until(&second, "one runs and one waits for memory", |seen| {
            seen.healthy(1, InstanceKind::Demand).len() == 1 && seen.is_blocked(BlockedCode::Capacity)
        })
        .await;
    let waiting: u32 = seen.process.iter().flat_map(|process| &process.blocked).map(|blocked| blocked.demand).sum();
    assert_eq!(waiting, 1);
    assert_eq!(stage.settled(&first, &three).await.ids(), before.ids(), "demand never makes room for demand");
    stage.apply(&first, Formation { demand: 2, ..three }).await;
    let seen = stage.settled(&second, &two).await;
    assert!(!seen.is_blocked(BlockedCode::Capacity), "{seen:?}");
    let used = subject.engine().capacity().map(|capacity| capacity.used);
    assert_eq!(used, Some(capacity.total));
}

pub async fn what_is_blocked_is_news_of_the_target_that_is_shown(subject: &dyn Subject) {
    let Some(capacity) = subject.engine().capacity() else { return };
    let stage = Stage::open(subject).await;
    let api = key("api");
    let size = share(&stage, capacity.total, 2);
    let three = Formation { demand: 3, size, ..stage.formation(Behaviour::Serves) };
    stage.apply(&api, three.clone()).await;
    stage.until(&api, "is short of memory", |seen| seen.is_blocked(BlockedCode::Capacity)).await;
    let fits = stage.target(&api, Formation { demand: 2, ..three });
    let revision = fits.revision;
    subject.engine().apply(fits).await.expect("takes orders");
    let first_sight = stage
        .until(&api, "shows the new revision", |seen| {
            seen.process.as_ref().is_some_and(|process| process.revision == revision)
        })
        .await;
    assert!(!first_sight.is_blocked(BlockedCode::Capacity), "{first_sight:?}");
}

pub async fn spot_makes_room_for_demand_and_comes_back(subject: &dyn Subject) {
    let Some(capacity) = subject.engine().capacity() else { return };
    let stage = Stage::open(subject).await;
    let (batch, api) = (key("batch"), key("api"));
    let size = share(&stage, capacity.total, 4);
    let three = Formation { demand: 0, spot: 3, size, ..stage.formation(Behaviour::Serves) };
    stage.run(&batch, Formation { spot: 2, ..three.clone() }).await;
    let before = stage.run(&batch, three.clone()).await;
    let two = Formation { demand: 2, size, ..stage.formation(Behaviour::Serves) };
    stage.run(&api, two.clone()).await;
    let seen = stage
        .until(&batch, "one has made room and waits to come back", |seen| {
            seen.left().len() == 2 && seen.is_blocked(BlockedCode::Capacity)
        })
        .await;
    assert_eq!(seen.ids(), before.ids()[..2], "the newest goes first");
    let gone = seen.stopped().next().expect("remembered");
    assert_eq!(code(gone), Some(ReasonCode::Reclaimed), "{gone:?}");
    assert_eq!(seen.process.as_ref().and_then(|process| process.failure.clone()), None, "no failure of its own");
    stage.apply(&api, Formation { demand: 1, ..two }).await;
    let back = stage.settled(&batch, &three).await;
    assert!(back.left().iter().all(|one| one.restarts == 0), "{back:?}");
}

pub async fn spot_waits_for_room_without_harm(subject: &dyn Subject) {
    let Some(capacity) = subject.engine().capacity() else { return };
    let stage = Stage::open(subject).await;
    let api = key("api");
    let size = share(&stage, capacity.total, 2);
    let formation = Formation { demand: 1, spot: 3, size, ..stage.formation(Behaviour::Serves) };
    stage.apply(&api, formation).await;
    let seen = stage
        .until(&api, "one of each kind runs, two spot instances wait", |seen| {
            let running = |kind| seen.healthy(1, kind).len();
            let waiting: u32 = seen.process.iter().flat_map(|p| &p.blocked).map(|blocked| blocked.spot).sum();
            running(InstanceKind::Demand) == 1 && running(InstanceKind::Spot) == 1 && waiting == 2
        })
        .await;
    assert_eq!(seen.process.and_then(|process| process.failure), None);
}

pub async fn an_interruption_takes_the_newest_spot_instance(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    stage.run(&web, stage.counts(1, 1)).await;
    let before = stage.run(&web, stage.counts(1, 2)).await;
    let newest = before.healthy(1, InstanceKind::Spot).last().map(|one| one.id.clone()).expect("two");
    let engine = subject.engine();
    assert_eq!(engine.interrupt(&web, 1).await.expect("known"), std::slice::from_ref(&newest));
    stage
        .until(&web, "the interrupted one ends", |seen| {
            seen.find(&newest).is_none_or(|one| one.state == tapit_model::InstanceState::Stopped)
        })
        .await;
    let after = stage.settled(&web, &stage.counts(1, 2)).await;
    assert_eq!(after.find(&newest).and_then(code), Some(ReasonCode::Reclaimed));
    assert!(engine.interrupt(&key("nobody"), 1).await.is_err());
}
