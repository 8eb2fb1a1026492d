//! Rollouts: from one generation to the next, and back.

use tapit_model::{Formation, InstanceKind, InstanceState, MemoryMib, ReasonCode, Size};

use super::stage::{Stage, key};
use super::{Behaviour, Nature, Subject};

pub async fn a_new_generation_replaces_all_while_enough_serve(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let old = stage.run(&web, stage.counts(3, 0)).await;
    subject.routes().watch(&web);
    let new = stage.run(&web, Formation { generation: 2, ..stage.counts(3, 0) }).await;
    assert!(new.ids().iter().all(|id| !old.ids().contains(id)), "{:?} then {:?}", old.ids(), new.ids());
    assert_eq!(subject.routes().fewest(&web), Some(3), "fewer than wanted were routed for a while");
    for stopped in new.stopped() {
        assert_eq!(stopped.reason.as_ref().map(|reason| reason.code), Some(ReasonCode::Replaced), "{stopped:?}");
    }
}

/// Of engines that count capacity.
pub async fn without_room_for_a_surge_one_at_a_time_is_replaced(subject: &dyn Subject) {
    let Some(capacity) = subject.engine().capacity() else { return };
    let stage = Stage::open(subject).await;
    let web = key("default");
    let formation = Formation { demand: 2, size: share(&stage, capacity.total, 2), ..stage.counts(2, 0) };
    stage.run(&web, formation.clone()).await;
    subject.routes().watch(&web);
    stage.run(&web, Formation { generation: 2, ..formation }).await;
    assert_eq!(subject.routes().fewest(&web), Some(1), "one goes at a time, and one always serves");
}

pub async fn a_failing_generation_is_reported_and_the_old_one_serves_on(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let old = stage.run(&web, stage.counts(2, 0)).await;
    subject.routes().watch(&web);
    let failing = Formation { generation: 2, demand: 2, ..stage.formation(Behaviour::Crashes) };
    stage.apply(&web, failing).await;
    let seen = stage
        .until(&web, "reports three failures in a row", |seen| {
            let failure = seen.process.as_ref().and_then(|process| process.failure.as_ref());
            failure.is_some_and(|failure| failure.generation == 2 && failure.in_a_row >= 3)
        })
        .await;
    let failure = seen.process.as_ref().and_then(|process| process.failure.clone()).expect("just seen");
    assert_eq!(failure.reason.code, ReasonCode::Crashed);
    assert_eq!(failure.exit.and_then(|exit| exit.code), Some(super::CRASH_CODE));
    assert!(seen.find(&failure.instance).is_some(), "the one that failed is still listed, for its log");
    let serving: Vec<_> = seen.healthy(1, InstanceKind::Demand).iter().map(|one| one.id.to_string()).collect();
    assert_eq!(serving, old.ids());
    assert_eq!(subject.routes().fewest(&web), None, "no old instance lost its route");
}

pub async fn going_back_keeps_the_old_instances_and_removes_the_new(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let formation = stage.counts(2, 0);
    let old = stage.run(&web, formation.clone()).await;
    subject.routes().watch(&web);
    stage.apply(&web, Formation { generation: 2, demand: 2, ..stage.formation(Behaviour::NeverHealthy) }).await;
    stage.until(&web, "starts the new generation", |seen| seen.left().iter().any(|one| one.generation == 2)).await;
    let back = stage.run(&web, formation).await;
    match stage.nature() {
        Nature::Own => {
            assert_eq!(old.ids(), back.ids());
            assert_eq!(subject.routes().fewest(&web), None, "no old instance lost its route");
        }
        Nature::Managed => {
            let fewest = subject.routes().fewest(&web);
            assert!(fewest.is_none_or(|fewest| fewest >= 2), "fewer than wanted were routed for a while: {fewest:?}");
        }
    }
    assert_eq!(back.process.and_then(|process| process.failure), None, "generation 1 has not failed");
}

pub async fn a_generation_past_its_deadline_is_reported(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    stage.apply(&api, stage.formation(Behaviour::NeverHealthy)).await;
    let seen = stage
        .until(&api, "reports a passed deadline", |seen| {
            let failure = seen.process.as_ref().and_then(|process| process.failure.as_ref());
            failure.is_some_and(|failure| failure.deadline_passed)
        })
        .await;
    let failure = seen.process.and_then(|process| process.failure).expect("just seen");
    assert_eq!(failure.reason.code, ReasonCode::Unhealthy);
}

pub async fn a_new_size_reaches_the_same_instances(subject: &dyn Subject) {
    if subject.engine().capacity().is_none() {
        // An engine that cannot resize in place replaces, which the server asks for with a generation of its own.
        return;
    }
    let stage = Stage::open(subject).await;
    let api = key("api");
    let formation = stage.counts(2, 0);
    let before = stage.run(&api, formation.clone()).await;
    let memory = MemoryMib::from_mib(formation.size.memory.mib() * 3 / 2);
    let larger = Formation { size: Size { memory, ..formation.size }, ..formation.clone() };
    for resized in [larger, formation] {
        stage.apply(&api, resized.clone()).await;
        let after = stage
            .until(&api, "has the new size", |seen| {
                seen.left().len() == 2 && seen.left().iter().all(|one| one.size == resized.size)
            })
            .await;
        assert_eq!(before.ids(), after.ids());
        assert!(after.left().iter().all(|one| one.state == InstanceState::Healthy), "{after:?}");
    }
}

pub async fn an_instance_with_requests_in_flight_drains_first(subject: &dyn Subject) {
    if subject.nature() == Nature::Managed {
        // Its load balancer counts them.
        return;
    }
    let stage = Stage::open(subject).await;
    let web = key("default");
    let seen = stage.run(&web, stage.counts(1, 0)).await;
    let busy = seen.instance_key(0);
    subject.routes().busy(&busy, 1);
    stage.apply(&web, stage.counts(0, 0)).await;
    let state = |seen: &super::stage::Seen| seen.find(&busy.id).map(|one| one.state);
    stage.until(&web, "drains", |seen| state(seen) == Some(InstanceState::Draining)).await;
    subject.pass().await;
    let draining = stage.until(&web, "is listed", |seen| seen.process.is_some()).await;
    assert_eq!(state(&draining), Some(InstanceState::Draining), "a request is still under way");
    subject.routes().busy(&busy, 0);
    stage.settled(&web, &stage.counts(0, 0)).await;
}

/// The capacity shared by so many, as a size.
pub(super) fn share(stage: &Stage, capacity: MemoryMib, by: u64) -> Size {
    Size { memory: MemoryMib::from_mib(capacity.mib() / by), ..stage.formation(Behaviour::Serves).size }
}
